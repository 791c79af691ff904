"""The loss of a batch: every term against float64, sums, stages, and what must not matter."""

import keras
import numpy as np
import pytest
import tiny  # noqa: F401  (registers the network `test-tiny`)
from small import small_model, small_scan

import pinn
from pinn.config import ModelConfig, TrainConfig
from pinn.config.loss import LABEL_TERMS, LIKELIHOODS, REGULARISERS, TERMS
from pinn.networks.initialise import initialise
from pinn.networks.model import PtychoModel
from pinn.networks.objective import Objective
from pinn.training.staging import physics_weight

N, SIDE = 16, 24


def make(**run):
    model = PtychoModel(
        ModelConfig(N=N, gridsize=2, architecture="test-tiny"),
        SIDE,
        2,
        Objective(TrainConfig(**run)),
    )
    y, x = np.mgrid[:N, :N] - N // 2
    disc = np.exp(-(y**2 + (x + 1) ** 2) / 18) * np.exp(1j * (0.05 * y * x + 0.1 * y))
    model.probe.set_probe(np.stack([disc, disc * np.exp(-(x**2) / 9)])[:, None])
    model.scale.set_from_exposure([0.1, 0.2])
    initialise(model.network, 3)
    model.compile(optimizer=keras.optimizers.SGD(1e-3))
    return model


def make_batch(size=4, seed=0, weight=None):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:N, :N] - N // 2
    frames = 3 * np.exp(-(y**2 + x**2) / 20)[None, :, :, None]
    frames = frames * rng.uniform(0.5, 1.5, (size, N, N, 4))
    offsets = rng.uniform(-3, 3, (size, 4, 2))
    scan = (np.arange(size) % 2).astype("int32")
    labels = rng.uniform(0.5, 1.2, (size, 4, N, N)) * np.exp(
        1j * rng.uniform(-3, 3, (size, 4, N, N))
    )
    return {
        "frames": frames.astype("float32"),
        "offsets": (offsets - offsets.mean(1, keepdims=True)).astype("float32"),
        "scale": np.array([0.1, 0.2], "float32")[scan],
        "scan": scan,
        "weight": np.ones(size, "float32") if weight is None else np.array(weight, "float32"),
        "labels": np.stack([labels.real, labels.imag], -1).astype("float32"),
        "labelled": (rng.random((size, 4, N, N)) > 0.2).astype("float32"),
        "physics_weight": np.full(size, 0.25, "float32"),
    }


def loss_of(model, batch):
    tensors = {key: keras.ops.convert_to_tensor(value) for key, value in batch.items()}
    value = model.compute_loss(tensors, y_pred=model(tensors))
    return float(keras.ops.convert_to_numpy(value))


def patches_of(model, batch):
    pair = keras.ops.convert_to_numpy(model.object_patches(batch["frames"])).astype(np.float64)
    return pair[..., 0] + 1j * pair[..., 1]


def light_of(model, batch):
    stored = keras.ops.convert_to_numpy(model.probe.pair)[:, 0]
    power = np.sum(stored.astype(np.float64) ** 2, axis=(1, 4))
    return (power / power.max((1, 2), keepdims=True) + 0.01)[batch["scan"]][:, None]


def oracle(name, model, batch, weighting="probe", relative=True):
    """Of the terms on patches, float64."""
    z = patches_of(model, batch)
    used = batch["weight"].astype(np.float64)
    if name in REGULARISERS:
        return np.average([penalty(name, group) for group in z], weights=used)
    weight = batch["labelled"] * used[:, None, None, None]
    if weighting == "probe":
        weight = weight * light_of(model, batch)
    truth = batch["labels"][..., 0].astype(np.float64) + 1j * batch["labels"][..., 1]
    if relative:
        mean = np.sum(weight * truth, axis=(1, 2, 3), keepdims=True)
        truth = truth * np.where(mean == 0, 1, np.exp(-1j * np.angle(mean)))
    error = {
        "label_amplitude": np.abs(np.abs(z) - np.abs(truth)),
        "label_phase": np.abs(np.angle(z * np.conj(truth))),
        "label_complex": np.abs(z - truth),
    }[name]
    return np.sum(weight * error) / np.sum(weight)


def penalty(name, patches):
    found = []
    for z in patches:
        if name == "deviation_amplitude":
            found.append(np.mean(np.abs(np.abs(z) - np.abs(z).mean())))
        elif name == "deviation_phase":
            found.append(np.mean(np.abs(np.angle(z * np.conj(z.mean())))))
        else:
            steps = np.zeros((2, N, N))
            if name == "tv_amplitude":
                steps[0, :-1], steps[1, :, :-1] = np.diff(abs(z), axis=0), np.diff(abs(z), axis=1)
            else:
                steps[0, :-1] = np.angle(z[1:] * z[:-1].conj())
                steps[1, :, :-1] = np.angle(z[:, 1:] * z[:, :-1].conj())
            found.append(np.mean(np.sqrt(np.sum(steps**2, 0) + 1e-6) - 1e-3))
    return np.mean(found)


@pytest.mark.parametrize("name", LABEL_TERMS + REGULARISERS)
def test_each_term_on_patches_is_what_it_says(name):
    model = make(loss=f"poisson + {name}")
    batch = make_batch(weight=[1, 1, 0, 1])
    got = loss_of(model, batch) - loss_of(make(loss="poisson"), batch)
    # the difference of two float32 losses of order one
    assert got == pytest.approx(oracle(name, model, batch), rel=2e-5, abs=2e-6)


def test_labels_are_weighted_by_the_illumination_and_known_up_to_their_mean_phase():
    batch = make_batch()
    for name in LABEL_TERMS:
        model = make(mode="supervised", loss=name)
        want = oracle(name, model, batch, "probe", True)
        assert loss_of(model, batch) == pytest.approx(want, rel=5e-6)
    model = make(mode="supervised")
    turned = dict(batch)
    re, im = batch["labels"][..., 0], batch["labels"][..., 1]
    turned["labels"] = np.stack([-im, re], -1)
    assert abs(loss_of(model, turned) - loss_of(model, batch)) < 1e-4


@pytest.mark.parametrize("name", TERMS)
def test_a_term_depends_neither_on_padding_nor_on_copies_of_the_batch(name):
    loss = name if name in LIKELIHOODS else f"poisson + 3 {name}"
    model, batch = make(loss=loss), make_batch()
    once = loss_of(model, batch)
    twice = {key: np.concatenate([value, value]) for key, value in batch.items()}
    assert loss_of(model, twice) == pytest.approx(once, rel=1e-5)
    other = make_batch(seed=8)
    padded = {key: np.concatenate([batch[key], other[key][:2]]) for key in batch}
    padded["weight"][4:] = 0.0
    assert loss_of(model, padded) == pytest.approx(once, rel=1e-5)
    padded["weight"][4:] = 1.0
    assert abs(loss_of(model, padded) - once) > 1e-4


def test_a_sum_is_weighted_and_staged():
    batch = make_batch()
    single = {name: loss_of(make(loss=name), batch) for name in ("poisson", "mae")}
    for name in ("label_phase", "tv_phase"):
        single[name] = loss_of(make(mode="supervised", loss=f"label_complex + {name}"), batch)
        single[name] -= loss_of(make(mode="supervised", loss="label_complex"), batch)
    text = "2 poisson + 0.5 mae + 3 label_phase + 4 tv_phase"
    weights = {"poisson": 2, "mae": 0.5, "label_phase": 3, "tv_phase": 4}
    want = sum(weights[name] * value for name, value in single.items())
    assert loss_of(make(loss=text), batch) == pytest.approx(want, rel=2e-5)
    share = {"poisson": 0.25, "mae": 0.25, "label_phase": 0.75, "tv_phase": 1}
    want = sum(share[name] * weights[name] * value for name, value in single.items())
    assert loss_of(make(loss=text, label_epochs=1), batch) == pytest.approx(want, rel=2e-5)


def test_labels_that_are_not_defined_play_no_part():
    model, batch = make(mode="supervised"), make_batch()
    once = loss_of(model, batch)
    batch["labels"][batch["labelled"] == 0] = 1e6
    assert loss_of(model, batch) == once
    batch["labelled"][:] = 0
    assert loss_of(model, batch) == 0.0


def test_supervised_training_computes_no_physics():
    model, batch = make(mode="supervised"), make_batch()
    assert set(model(batch)) == {"patches"}
    assert not model.probe.trainable_variables and not model.scale.trainable_variables
    assert set(make(loss="poisson")(batch)) == {"object", "rate"}
    assert {m.name for m in model.metrics} >= {"label_amplitude", "label_phase"}
    assert not {m.name for m in model.metrics} & {"deviance", "nll"}


# -- stages -------------------------------------------------------------------------------


def test_the_physics_takes_over():
    run = TrainConfig(label_epochs=2, blend_epochs=3)
    weights = [physics_weight(run, epoch) for epoch in range(7)]
    assert weights[:2] == [0.0, 0.0]
    assert weights[5:] == [1.0, 1.0]
    blend = [(1 - np.cos(np.pi * t)) / 2 for t in (0.25, 0.5, 0.75)]
    assert weights[2:5] == pytest.approx(blend)


def test_without_stages_nothing_changes():
    assert physics_weight(TrainConfig(), 0) == 1.0
    run = TrainConfig(blend_epochs=1)
    assert [physics_weight(run, epoch) for epoch in (0, 1)] == pytest.approx([0.5, 1.0])
    run = TrainConfig(label_epochs=1)
    assert [physics_weight(run, epoch) for epoch in (0, 1)] == [0.0, 1.0]


def test_a_staged_run_goes_from_labels_to_physics(tmp_path):
    scan = small_scan()
    options = dict(label_epochs=2, blend_epochs=1, schedule="constant", learning_rate=3e-3)
    model = small_model(scan, epochs=4, output=tmp_path / "whole", **options)
    history = model.history
    assert [row["physics_weight"] for row in history] == pytest.approx([0, 0, 0.5, 1])
    for row in history:
        labels = 2 * row["label_amplitude"] + 4 * row["label_phase"]
        share = row["physics_weight"]
        want = share * row["poisson"] + (1 - share) * labels
        assert row["loss"] == pytest.approx(want, rel=1e-5)
        assert row["val_loss"] == pytest.approx(row["val_poisson"], rel=1e-5)  # the last stage
    # stage 1 is what supervised training does
    only = small_model(scan, mode="supervised", epochs=2, schedule="constant", learning_rate=3e-3)
    for mine, theirs in zip(history[:2], only.history, strict=True):
        assert mine["label_phase"] == pytest.approx(theirs["label_phase"], rel=1e-4)
    # and a resumed run is in the stage where it would have been

    def stop(report):
        if report.loss is not None and report.epoch == 2:
            raise pinn.StopRequested

    small_model(scan, epochs=4, output=tmp_path / "part", progress=stop, **options)
    part = small_model(scan, epochs=4, output=tmp_path / "part", resume=True, **options)
    assert [row["physics_weight"] for row in part.history] == pytest.approx([0, 0, 0.5, 1])
    assert part.history[-1]["loss"] == pytest.approx(history[-1]["loss"], rel=1e-4)


def test_terms_have_columns_if_there_are_several():
    scan = small_scan()
    row = small_model(scan).history[-1]
    assert "poisson" not in row and {"loss", "deviance", "nll", "val_loss"} <= set(row)
    row = small_model(scan, loss="poisson + 0.1 mae + 0.01 tv_phase").history[-1]
    want = row["poisson"] + 0.1 * row["mae"] + 0.01 * row["tv_phase"]
    assert row["loss"] == pytest.approx(want, rel=1e-5)
    assert "val_tv_phase" in row and "label_phase" not in row
    assert row["poisson"] != row["mae"]


def test_strong_regularisers_smooth():
    scan = small_scan()

    def rough(loss):
        model = small_model(scan, epochs=6, loss=loss, learning_rate=1e-2, schedule="constant")
        z = pinn.reconstruct(scan, model, calibrate=False).object[8:-8, 8:-8]
        return np.std(np.abs(z)), np.std(np.angle(z * np.conj(z.mean())))

    plain = rough("poisson")
    assert rough("poisson + 20 deviation_amplitude")[0] < 0.8 * plain[0]
    assert rough("poisson + 20 tv_phase")[1] < 0.8 * plain[1]
