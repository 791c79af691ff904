"""Every built-in network in the whole model: one forward pass and one step of training."""

import keras
import numpy as np
import pytest

from pinn import backend
from pinn.config import ModelConfig
from pinn.networks.initialise import initialise
from pinn.networks.model import PtychoModel
from pinn.networks.registry import build_network, built_in

pytestmark = pytest.mark.each_backend

N = 16
SMALL = dict(fno_width=8, fno_modes=4, fno_blocks=2)


def options_of(architecture, **more):
    small = SMALL if architecture in ("fno", "ffno") else {}
    return dict(architecture=architecture, n_filters_scale=1, **small, **more)


def make(rate, **options):
    model = PtychoModel(ModelConfig(N=N, **options), canvas=N + 8)
    y, x = np.mgrid[:N, :N] - N // 2
    model.probe.set_probe(np.exp(-(y**2 + (x + 1) ** 2) / 18) * np.exp(0.05j * y * x + 0.1j * y))
    model.scale.set_from_exposure([0.1])
    initialise(model.network, 0)
    model.compile(keras.optimizers.SGD(rate))
    return model


def make_batch(C, size=2, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:N, :N] - N // 2
    envelope = 3 * np.exp(-(y**2 + x**2) / 20)[None, :, :, None]
    frames = envelope * rng.uniform(0.5, 1.5, (size, N, N, C))
    frames *= (N / 2) / np.sqrt(np.mean(np.sum(frames**2, (1, 2))))
    offsets = rng.uniform(-3, 3, (size, C, 2))
    return {
        "frames": frames.astype("float32"),
        "offsets": (offsets - offsets.mean(1, keepdims=True)).astype("float32"),
        "scale": np.full(size, 0.1, "float32"),
        "scan": np.zeros(size, "int32"),
        "weight": np.ones(size, "float32"),
    }


PATCHES = [name for name in built_in() if name != "unrolled"]  # frames to patches of the object

EACH = [  # the default on each backend, the others where nothing is compiled
    name if name == "lean" else pytest.param(name, marks=pytest.mark.one_backend)
    for name in built_in()
]


@pytest.mark.parametrize("architecture", EACH)
def test_one_step_changes_every_weight_and_starts_from_those_it_had(architecture):
    model, batch = make(1e-2, **options_of(architecture, gridsize=2)), make_batch(4)
    spec = {name: keras.KerasTensor(a.shape, str(a.dtype)) for name, a in batch.items()}
    assert model.compute_output_spec(spec)["rate"].shape == (2, 4, N, N)
    before = [keras.ops.convert_to_numpy(w).copy() for w in model.network.trainable_weights]
    batch = {name: keras.ops.convert_to_tensor(value) for name, value in batch.items()}
    first = model.test_on_batch(batch, return_dict=True)["loss"]
    model.reset_metrics()
    loss = model.train_on_batch(batch, return_dict=True)["loss"]
    assert float(loss) == pytest.approx(float(first), rel=1e-4)
    if architecture == "unrolled":  # its last layer starts at zero and passes no gradient on
        model.train_on_batch(batch)
    for old, weight in zip(before, model.network.trainable_weights, strict=True):
        new = keras.ops.convert_to_numpy(weight)
        assert np.all(np.isfinite(new)), weight.path
        assert np.any(new != old), weight.path


def test_a_step_never_reads_weights_it_has_changed():
    """TensorFlow 2.21 did, in more than half of the attempts with three dense layers."""
    backend.ordered_updates()
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
    for _ in range(8):
        y = frames = keras.Input((8, 8, 2))
        for _ in range(3):
            y = keras.layers.Dense(2)(y)
        model = keras.Model(frames, y)
        expected = np.sum(x * keras.ops.convert_to_numpy(model(x)))
        model.compile(keras.optimizers.SGD(1.0), loss=lambda a, b: keras.ops.sum(a * b))
        assert float(model.train_on_batch(x, x)) == pytest.approx(expected, rel=1e-4, abs=1e-3)


@pytest.mark.one_backend
@pytest.mark.parametrize("gridsize", [1, 2, 3])
@pytest.mark.parametrize("architecture", PATCHES)
def test_networks_build_for_every_size(architecture, gridsize):
    for side in (16, 64, 96, 128, 256):
        config = ModelConfig(N=side, gridsize=gridsize, **options_of(architecture))
        assert build_network(config).output_shape == (None, side, side, gridsize**2, 2)


@pytest.mark.one_backend
@pytest.mark.parametrize("architecture", built_in())
def test_the_default_sizes_of_spectral_networks_fit_every_side(architecture):
    assert build_network(ModelConfig(N=16, architecture=architecture)).count_params() > 0


@pytest.mark.one_backend
@pytest.mark.parametrize("architecture", PATCHES)
def test_groups_stay_apart_and_rows_are_not_columns(architecture):
    network = build_network(ModelConfig(N=N, **options_of(architecture, gridsize=2)))
    initialise(network, 1)
    frames = np.random.default_rng(0).normal(0, 1, (3, N, N, 4)).astype("float32")
    patches = keras.ops.convert_to_numpy(network(frames))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(network(frames[1:2])), patches[1:2], atol=2e-5
    )
    turned = keras.ops.convert_to_numpy(network(frames.swapaxes(1, 2)))
    assert np.abs(turned - patches.swapaxes(1, 2)).max() > 1e-4


@pytest.mark.one_backend
def test_one_network_of_a_stage_serves_all_sizes_and_keeps_groups_and_axes_apart():
    network = build_network(ModelConfig(N=N, architecture="unrolled"))
    initialise(network, 1)
    rng = np.random.default_rng(0)
    kernel = network.get_layer("out").kernel  # it starts at zero
    kernel.assign(rng.normal(0, 0.1, kernel.shape))
    planes = rng.normal(0, 1, (3, 24, 40, 8)).astype("float32")
    change = keras.ops.convert_to_numpy(network(planes))
    assert change.shape == (3, 24, 40, 2)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(network(planes[1:2])), change[1:2], atol=2e-5
    )
    turned = keras.ops.convert_to_numpy(network(planes.swapaxes(1, 2)))
    assert np.abs(turned - change.swapaxes(1, 2)).max() > 1e-2
    for side in (16, 18, 256):
        for gridsize in (1, 2, 3):
            config = ModelConfig(N=side, gridsize=gridsize, architecture="unrolled")
            other = build_network(config)
            assert [w.shape for w in other.weights] == [w.shape for w in network.weights]


@pytest.mark.one_backend
def test_baseline_sees_each_frame_of_a_group_alone():
    network = build_network(ModelConfig(N=N, **options_of("baseline", gridsize=2)))
    initialise(network, 1)
    frames = np.random.default_rng(0).normal(0, 1, (2, N, N, 4)).astype("float32")
    patches = keras.ops.convert_to_numpy(network(frames))
    single = build_network(ModelConfig(N=N, **options_of("baseline", gridsize=1)))
    single.set_weights(network.get_weights())
    for c in range(4):
        alone = keras.ops.convert_to_numpy(single(frames[..., c : c + 1]))
        np.testing.assert_allclose(alone[..., 0, :], patches[..., c, :], atol=1e-5)


@pytest.mark.parametrize(
    "architecture", ["fno", pytest.param("ffno", marks=pytest.mark.one_backend)]
)
def test_spectral_networks_compute_spectra_in_float32_whatever_the_policy(architecture):
    config = ModelConfig(N=N, **options_of(architecture, gridsize=2))
    frames = np.random.default_rng(0).normal(0, 1, (1, N, N, 4)).astype("float32")
    results, before = [], keras.config.dtype_policy()
    for policy in ("float32", "mixed_bfloat16"):
        try:
            keras.config.set_dtype_policy(policy)
            network = build_network(config)
        finally:
            keras.config.set_dtype_policy(before)
        initialise(network, 0)
        spectral = [x for x in network.layers if "spectral" in x.name]
        assert spectral and all(x.compute_dtype == "float32" for x in spectral)
        results.append(network.predict_on_batch(frames))
        assert keras.backend.standardize_dtype(results[-1].dtype) == "float32"
    one, half = results
    # bfloat16 has 8 bits: the rest of the network differs by a few parts in a hundred.
    assert 0 < np.abs(half - one).max() < 0.2 * np.abs(one - 1).max()
