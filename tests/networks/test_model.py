"""The trainable model: one step, options, masks, batch sizes, dark frames."""

import keras
import numpy as np
import pytest
import tiny  # noqa: F401  (registers the network `test-tiny`)
from fixed_batches import FixedBatches

from pinn.config import ModelConfig, TrainConfig
from pinn.networks.initialise import initialise
from pinn.networks.model import PtychoModel
from pinn.networks.objective import Objective

pytestmark = pytest.mark.each_backend

N = 16


def make(gridsize=2, canvas=N + 8, scans=1, seed=0, learning_rate=1e-3, loss="poisson", **options):
    options = {"architecture": "test-tiny", **options}
    config = ModelConfig(N=N, gridsize=gridsize, n_filters_scale=1, **options)
    model = PtychoModel(config, canvas, scans, Objective(TrainConfig(loss=loss)))
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:N, :N] - N // 2
    disc = np.exp(-(y**2 + (x + 1) ** 2) / 18) * np.exp(1j * (0.05 * y * x + 0.1 * y))
    modes = np.stack([disc * np.exp(0.3j * m * x) for m in range(config.probe_modes)])
    model.probe.set_probe(np.broadcast_to(modes, (scans, *modes.shape)))
    model.scale.set_from_exposure(np.full(scans, 0.1))
    initialise(model.network, seed)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate))
    del rng
    return model


def make_batch(gridsize=2, size=4, seed=0):
    rng = np.random.default_rng(seed)
    C = gridsize**2
    y, x = np.mgrid[:N, :N] - N // 2
    envelope = 3 * np.exp(-(y**2 + x**2) / 20)[None, :, :, None]
    frames = envelope * rng.uniform(0.5, 1.5, (size, N, N, C))
    frames *= (N / 2) / np.sqrt(np.mean(np.sum(frames**2, (1, 2))))
    offsets = rng.uniform(-3, 3, (size, C, 2))
    offsets -= offsets.mean(1, keepdims=True)
    return {
        "frames": frames.astype("float32"),
        "offsets": offsets.astype("float32"),
        "scale": np.full(size, 0.1, "float32"),
        "scan": np.zeros(size, "int32"),
        "weight": np.ones(size, "float32"),
    }


def fit(model, batches, epochs=1):
    history = model.fit(FixedBatches(batches), epochs=epochs, verbose=0, shuffle=False)
    return {k: v[-1] for k, v in history.history.items()}


@pytest.mark.parametrize(
    ("architecture", "gridsize"),
    [
        ("test-tiny", 2),
        *(pytest.param("cnn", n, marks=pytest.mark.one_backend) for n in (1, 2, 3)),
    ],
)
def test_fit_lowers_the_loss(architecture, gridsize):
    model, batch = make(gridsize, architecture=architecture), make_batch(gridsize)
    first = fit(model, [batch])
    last = fit(model, [batch] * 5, epochs=4)
    assert last["loss"] < 0.8 * first["loss"]
    assert set(first) == {"loss", "deviance", "nll"}


@pytest.mark.one_backend
@pytest.mark.parametrize("size", [1, 3, 17])
def test_groups_do_not_depend_on_the_batch_they_are_in(size):
    model, batch = make(2), make_batch(2, 17)
    whole = keras.ops.convert_to_numpy(model(batch)["rate"])
    part = {k: v[:size] for k, v in batch.items()}
    rate = keras.ops.convert_to_numpy(model(part)["rate"])
    assert rate.shape == (size, 4, N, N)
    np.testing.assert_allclose(rate, whole[:size], rtol=1e-4, atol=1e-4 * whole.max())


@pytest.mark.one_backend
def test_padding_groups_change_nothing():
    batch = make_batch(2, 4)
    padded = {k: np.concatenate([v, v[:2] * 3]) for k, v in batch.items()}
    padded["weight"][4:] = 0
    padded["scan"][:] = 0
    one, two = make(), make()
    logs_one, logs_two = fit(one, [batch]), fit(two, [padded])
    assert logs_one["loss"] == pytest.approx(logs_two["loss"], rel=1e-5)
    _same_weights(one, two)


@pytest.mark.one_backend
@pytest.mark.parametrize("loss", ["poisson", "mae", "poisson + 0.5 gaussian + 0.1 tv_phase"])
def test_the_columns_of_an_epoch_do_not_depend_on_how_it_is_cut_into_batches(loss):
    model, whole = make(loss=loss), make_batch(2, 10)
    whole["frames"] *= np.linspace(0.4, 2, 10, dtype="float32")[:, None, None, None]

    def cut(size):
        batches = []
        for first in range(0, 10, size):
            rows = np.resize(np.arange(first, min(first + size, 10)), size)
            batches.append({k: v[rows] for k, v in whole.items()})
            batches[-1]["weight"] = (first + np.arange(size) < 10).astype("float32")
        return FixedBatches(batches)

    found = [model.evaluate(cut(size), verbose=0, return_dict=True) for size in (10, 4, 3)]
    tensors = {key: keras.ops.convert_to_tensor(value) for key, value in whole.items()}
    value = float(keras.ops.convert_to_numpy(model.compute_loss(tensors, y_pred=model(tensors))))
    assert found[0]["loss"] == pytest.approx(value, rel=1e-5)
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=2e-5)
    several = {"poisson", "gaussian", "tv_phase"} if "+" in loss else set()
    assert set(found[0]) == {"loss", "deviance", "nll"} | several
    assert [metric.name for metric in model.metrics].count("loss") == 1


@pytest.mark.parametrize(
    "loss",
    ["poisson", *(pytest.param(n, marks=pytest.mark.one_backend) for n in ("gaussian", "mae"))],
)
def test_masked_pixels_change_nothing_through_fit(loss):
    batch = make_batch(2, 4)
    masked = batch["frames"].copy()
    masked[:, 3:6, 5:7] = -1
    masked[1, :, :2, 3] = -1
    other = masked.copy()
    other[masked < 0] = -np.random.default_rng(1).uniform(0.5, 9e9, (masked < 0).sum())
    model = make(loss=loss)  # one, always from the same start, so that it is compiled once
    model.optimizer.build(model.trainable_variables)
    start = [
        (variable, keras.ops.convert_to_numpy(variable).copy())
        for variable in (*model.variables, *model.optimizer.variables)
    ]
    results = []
    for frames in (masked, other, batch["frames"]):
        for variable, value in start:
            variable.assign(value)
        logs = fit(model, [{**batch, "frames": frames}] * 2)
        results.append((model.named_arrays(), logs))
    assert results[0][1] == results[1][1]
    for name, array in results[0][0].items():
        np.testing.assert_array_equal(array, results[1][0][name], err_msg=name)
    assert results[2][1]["loss"] != results[0][1]["loss"]


def test_dark_frames_and_a_dark_probe_corner_give_finite_gradients():
    batch = make_batch(2, 4)
    batch["frames"][0] = 0.0
    batch["frames"][1, :, :, 2] = 0.0
    # what is not finite in one term is not finite in their sum
    model = make(loss="poisson + gaussian + mae", probe_support=4.0, probe_trainable=True)
    logs = fit(model, [batch] * 2)
    assert {"poisson", "gaussian", "mae"} < set(logs)
    assert all(np.isfinite(v) for v in logs.values())
    assert all(np.all(np.isfinite(a)) for a in model.named_arrays().values())


def test_trainable_flags_change_exactly_their_weights():
    batch = make_batch()
    for probe in (True, False):  # of the two one is trained, and the other stays
        model = make(probe_trainable=probe, scale_trainable=not probe)
        before = {name: array.copy() for name, array in model.named_arrays().items()}
        fit(model, [batch] * 3)
        for name, trained in (("probe", probe), ("log_scale", not probe)):
            moved = np.abs(model.named_arrays()[name] - before[name]).max() > 0
            assert moved == trained, name


@pytest.mark.one_backend
def test_every_physics_option_has_an_effect_on_the_first_loss():
    batch = make_batch()
    base = fit(make(), [batch])["loss"]
    for options in (
        dict(merge="uniform"),
        dict(merge="legacy"),
        dict(object_big=False),
        dict(loss="gaussian"),
        dict(loss="mae"),
        dict(probe_support=3.0),
        dict(probe_modes=2),
    ):
        assert abs(fit(make(**options), [batch])["loss"] - base) > 1e-6, options


@pytest.mark.one_backend
def test_two_scans_have_their_own_probe_and_scale():
    model = make(scans=2, probe_trainable=True)
    model.scale.set_from_exposure([0.1, 0.2])
    batch = make_batch()
    batch["scan"][2:] = 1
    batch["scale"][2:] = 0.2
    before = model.named_arrays()
    fit(model, [{**batch, "scan": np.zeros(4, "int32")}])
    after = model.named_arrays()
    assert np.any(after["probe"][0] != before["probe"][0])
    np.testing.assert_array_equal(after["probe"][1], before["probe"][1])
    assert np.any(after["log_scale"][0] != before["log_scale"][0])
    fit(model, [batch])
    assert np.any(model.named_arrays()["probe"][1] != before["probe"][1])


@pytest.mark.one_backend
def test_first_prediction_has_the_measured_energy():
    """The start is at the data: scale from exposure, amplitude one, hence no collapse to escape."""
    model, batch = make(architecture="cnn"), make_batch()
    rate = keras.ops.convert_to_numpy(model(batch)["rate"])
    counts = (batch["frames"] / 0.1) ** 2
    assert 0.8 < rate.sum() / counts.sum() < 1.25


@pytest.mark.one_backend
def test_named_arrays_round_trip_and_refuse_strangers():
    one, two = make(seed=0), make(seed=1)
    arrays = one.named_arrays()
    assert "network/0000/first/kernel" in arrays and arrays["probe"].shape == (1, 1, 1, N, N, 2)
    two.load_arrays(arrays)
    _same_weights(one, two, exact=True)
    with pytest.raises(ValueError, match="missing"):
        two.load_arrays({k: v for k, v in arrays.items() if k != "probe"})
    with pytest.raises(ValueError, match="unknown"):
        two.load_arrays({**arrays, "stranger": np.zeros(1)})
    with pytest.raises(ValueError, match="shape"):
        two.load_arrays({**arrays, "log_scale": np.zeros(3)})


def _same_weights(one, two, exact=False):
    a, b = one.named_arrays(), two.named_arrays()
    for name in a:
        # Adam divides by the root of the squared gradient, so rounding of a tiny gradient can
        # move a weight by up to one step (1e-3); equality is exact only for identical sums.
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=0 if exact else 2.5e-3)
