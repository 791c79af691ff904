"""Several scans in one run: each has its own probe, scale, statistics and exposure."""

import keras
import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.data.feed import Batches
from pinn.data.fingerprint import digest
from pinn.data.grouping import groups_for_inference, make_groups
from pinn.data.labels import Labels
from pinn.errors import ConfigError, ScanError
from pinn.networks.model import PtychoModel
from pinn.reconstruction import contrast_fit
from pinn.simulate.forward import diffract, extract_patches
from pinn.training.feed import Feed
from pinn.training.plan import plan_run
from pinn.training.session import seen_twice
from pinn.training.start import calibrate_start
from pinn.training.validation import Validation


def with_modes(scan, modes, factor=1, name="modes"):
    """The scan's frames again, with more modes in the probe and another exposure."""
    counts = np.rint(scan.read(np.arange(len(scan)))[0].astype(float) ** 2) * factor
    x = np.arange(16) - 8
    probe = np.stack([scan.probe[0] * (0.5 * x / 8) ** m for m in range(modes)])
    return pinn.Scan(
        counts,
        scan.positions_px,
        probe=probe,
        units="counts",
        truth=scan.truth,
        name=name,
    )


def mixture(probe):
    """What decides every frame behind any object: the sum of the modes' outer products."""
    modes = probe.astype(np.complex128).reshape(len(probe), -1)
    return modes.T @ modes.conj()


def arrays(model):
    return model.network.named_arrays()


@pytest.fixture(scope="module")
def one():
    return small_scan(0)


@pytest.fixture(scope="module")
def other():
    return small_scan(1, n_frames=31)


def test_each_scan_has_its_own_probe_scale_and_statistics(one, other):
    bright = with_modes(other, 3, factor=7, name="bright")
    model = small_model([one, bright], epochs=2)
    assert model.config.probe_modes == 3
    np.testing.assert_allclose(model.probe(0)[:1], one.probe_gauge(), atol=1e-6)
    assert not model.probe(0)[1:].any()
    np.testing.assert_allclose(mixture(model.probe(1)), mixture(bright.probe_gauge()), atol=1e-5)
    scans = model.statistics["scans"]
    assert [scan["frames"] for scan in scans] == [40, 31]
    factors = [scan.statistics().exposure_factor for scan in (one, bright)]
    assert [scan["exposure_factor"] for scan in scans] == pytest.approx(factors)
    moved = arrays(model)["log_scale"] + 2 * np.log(factors)
    assert np.all(np.abs(moved) < 0.1) and np.all(moved != 0)
    # seven times the light is a matter of the scale alone: the counts it predicts
    ratio = np.linalg.norm(model.probe_counts(1)) / np.linalg.norm(model.probe_counts(0))
    assert ratio == pytest.approx(factors[0] / factors[1], rel=0.1)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_dark_mode_stays_dark_when_the_probe_is_refined(one, optimizer):
    double = with_modes(one, 2)
    model = small_model(
        [one, double],
        probe_trainable=True,
        learning_rate=1e-2,
        optimizer=optimizer,
    )
    stored = arrays(model)["probe"]
    assert not stored[0, 0, 1].any()
    started = double.probe_gauge()
    change = np.abs(stored[..., 0] + 1j * stored[..., 1])[1, 0] - np.abs(started)
    assert np.abs(change).max((1, 2)).min() > 1e-6  # both modes of the other are refined


def test_the_modes_of_a_model_are_orthogonal_and_in_order(one):
    rng = np.random.default_rng(3)
    modes = rng.standard_normal((3, 16, 16)) + 1j * rng.standard_normal((3, 16, 16))
    modes *= np.array([1.0, 2.0, 1.5])[:, None, None]
    scan = pinn.Scan(one.frames, one.positions_px, probe=modes, name="mixed")
    model = small_model(scan)
    probe = model.probe().astype(np.complex128).reshape(3, -1)
    gram = probe.conj() @ probe.T
    assert np.all(np.diff(np.diag(gram).real) < 0)
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-6 * gram[0, 0].real
    given = scan.probe_gauge().astype(np.complex128).reshape(3, -1)
    np.testing.assert_allclose(mixture(probe), mixture(given), atol=1e-5)
    weights = arrays(model)["probe"][0, 0]  # the archive holds them as they are
    np.testing.assert_allclose(
        (weights[..., 0] + 1j * weights[..., 1]).reshape(3, -1), given, atol=1e-5
    )


def test_modes_that_do_not_fit_are_refused(one):
    with pytest.raises(ScanError, match="has 2 probe modes, but the model has 1"):
        small_model([one, with_modes(one, 2)], probe_modes=1)
    assert small_model(one, probe_modes=2).config.probe_modes == 2


def test_frames_of_another_size_say_what_to_do(one):
    wide = pinn.Scan(
        np.random.default_rng(0).poisson(5.0, (9, 32, 32)),
        np.random.default_rng(0).uniform(20, 60, (9, 2)),
        probe=np.ones((32, 32), complex),
        name="wide",
    )
    with pytest.raises(ScanError, match=r"wide has frames of 32 x 32.*frame_size.*bin_frames"):
        small_model([one, wide])
    with pytest.raises(ScanError, match=r"wide has frames of 32 x 32.*frame_size.*bin_frames"):
        small_model(one, validation_scans=[wide])


def test_a_scan_the_model_knows_keeps_what_it_learned(one, other):
    model = small_model([one, other], probe_trainable=True, learning_rate=1e-2)
    learned = arrays(model)
    more = pinn.train(
        [other, small_scan(5)],
        model,
        epochs=1,
        n_groups=8,
        batch_size=8,
        learning_rate=1e-9,
        schedule="constant",
    )
    found = arrays(more)
    np.testing.assert_allclose(found["probe"][0], learned["probe"][1], atol=1e-6)
    assert found["log_scale"][0] == pytest.approx(learned["log_scale"][1], abs=1e-5)
    np.testing.assert_allclose(more.probe(1), small_scan(5).probe_gauge(), atol=1e-5)


# -- validation ---------------------------------------------------------------------------


def test_a_scan_for_validation_is_watched_and_never_learned_from(one, other, tmp_path):
    options = dict(
        epochs=2,
        probe_trainable=True,
        optimizer="adamw",
        weight_decay=0.1,
        schedule="constant",
    )
    model = small_model(one, validation_scans=[other], output=tmp_path, **options)
    provenance = model.provenance
    assert [s["name"] for s in provenance["scans"]] == ["small 0"]
    assert [s["name"] for s in provenance["validation_scans"]] == ["small 1"]
    assert provenance["groups"] == [24] and provenance["held_out"] == [0, 24]
    assert len(model.statistics["scans"]) == 1
    found = arrays(model)
    np.testing.assert_allclose(model.probe(1), other.probe_gauge(), atol=1e-6)
    scale = -2 * np.log(other.statistics().exposure_factor)
    assert found["log_scale"][1] == pytest.approx(scale, abs=1e-6)
    assert np.abs(model.probe(0) - one.probe_gauge()).max() > 1e-4
    # what is learned is what would be learned with another one, or without any
    rest = small_scan(4)
    again = arrays(small_model(one, validation_scans=[rest], **options))
    alone = small_model(one, validation="none", **options)
    for name, array in arrays(alone).items():
        mine, theirs = (
            a[name][:1] if name in ("probe", "log_scale") else a[name] for a in (found, again)
        )
        # without one, the one probe is broadcast: another order of sums, of which Adam's first
        # steps make much where gradients are small
        assert np.linalg.norm(mine - array) < 1e-2 * np.linalg.norm(array), name
        assert np.linalg.norm(mine - theirs) < 1e-5 * np.linalg.norm(array), name
    assert "val_loss" not in alone.history[-1]
    with pytest.raises(ConfigError, match=r"watched on 1 scans.*--validation-scan"):
        small_model(one, output=tmp_path, resume=True, **{**options, "epochs": 3})
    on = small_model(
        one, output=tmp_path, resume=True, validation_scans=[other], **{**options, "epochs": 3}
    )
    assert len(on.history) == 3
    pinn.reconstruct(other, pinn.load_model(tmp_path))


def test_ways_to_hold_out(one):
    def run(**options):
        model = small_model(one, validation_fraction=0.25, **options)
        return model.provenance["groups"][0], model.provenance["held_out"][0], model.history[-1]

    learned, held, row = run(gridsize=1)
    assert (learned, held) == (18, 6) and "val_loss" in row
    learned, held, at_random = run(gridsize=1, validation="random")
    assert (learned, held) == (18, 6)
    assert at_random["val_loss"] != row["val_loss"]
    learned, held, row = run(gridsize=1, validation="none")
    assert (learned, held) == (24, 0) and "val_loss" not in row


# -- seeds and epochs ---------------------------------------------------------------------


def test_the_seed_changes_weights_groups_and_order(one):
    config = pinn.ModelConfig(N=16)

    def plan(seed):
        run = pinn.TrainConfig(n_groups=20, batch_size=20, validation_fraction=0.2, seed=seed)
        made = plan_run([one], [], config, run)
        return made.learn[0].indices, made.hold[0].indices, made.feed(run).batch(0)["offsets"]

    for first, again, other in zip(plan(3), plan(3), plan(4), strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def kernel(seed):
        model = small_model(one, learning_rate=1e-12, schedule="constant", seed=seed)
        return arrays(model)["network/0000/first/kernel"]

    assert np.abs(kernel(4) - kernel(3)).max() > 0.01


def test_an_epoch_of_few_groups_takes_fewer_steps(one):
    steps = []
    small_model(
        one,
        epochs=3,
        groups_per_epoch=8,
        validation="none",
        progress=lambda report: steps.append((report.done, report.total)),
    )
    assert steps[-1] == (24, 24)


# -- calibrated start ---------------------------------------------------------------------


def changed(scan, transmission, contrast):
    """The scan's object with another mean transmission and contrast, noise-free, same light."""
    truth = scan.truth.astype(complex)
    mean = truth.mean()
    obj = transmission * (mean + contrast * (truth - mean))
    probe = scan.probe.astype(complex)
    counts = diffract(extract_patches(obj, scan.positions_px, 16), probe)
    return pinn.Scan(counts, scan.positions_px, probe=probe, units="counts", name="changed")


def test_a_calibrated_start_has_a_lower_first_loss_on_another_scan(one, tmp_path):
    trained = small_model(one, epochs=30, learning_rate=1e-2)
    new = changed(small_scan(3), 0.7, 1.4)
    options = dict(n_groups=24, batch_size=8, epochs=1, learning_rate=1e-7, schedule="constant")
    plain = pinn.train(new, trained, **options)
    better = pinn.train(new, trained, calibrate_start=True, output=tmp_path, **options)
    assert better.history[-1]["loss"] < 0.8 * plain.history[-1]["loss"]
    assert "contrast" not in arrays(plain)
    again = pinn.load_model(tmp_path)
    np.testing.assert_array_equal(arrays(again)["contrast"], arrays(better)["contrast"])
    # trained on without the option, a scan keeps the factors it has
    on = pinn.train(new, again, **options)
    np.testing.assert_array_equal(arrays(on)["contrast"], arrays(better)["contrast"])
    assert on.history[-1]["loss"] < 0.8 * plain.history[-1]["loss"]


def test_the_calibrated_scale_is_the_best_one(one):
    """Of a fresh network: a quarter less or more of the light explains the frames worse."""
    options = dict(epochs=1, learning_rate=1e-9, schedule="constant", validation="none")
    model = small_model(one, calibrate_start=True, **options)
    plain = small_model(one, **options)
    assert model.history[-1]["loss"] <= plain.history[-1]["loss"] * 1.001
    groups = make_groups(one.positions_px, 2)
    batch = Batches([one], [groups], 40, 0, shuffle=False).batch(0)
    batch = {key: keras.ops.convert_to_tensor(value) for key, value in batch.items()}
    network, losses = model.network, []
    best = float(arrays(model)["log_scale"][0])
    for shift in (-0.25, 0.0, 0.25):
        network.scale.log_scale.assign(np.array([best + shift], "float32"))
        loss = network.compute_loss(batch, y_pred=network(batch))
        losses.append(float(keras.ops.convert_to_numpy(loss)))
    assert losses[1] < losses[0] and losses[1] < losses[2]


def test_calibration_finds_known_factors(one):
    """A network whose object is too flat by known factors, against frames of the true one."""

    class Known(PtychoModel):
        def object_patches(self, frames, training=False):
            return frames_to_patches[0]

    groups = groups_for_inference(one.positions_px, 1)
    truth, _ = Labels(one).read(groups, np.arange(40))
    truth = truth[:, 0].astype(complex)
    weight = np.abs(one.probe[0]) ** 2
    light = weight / weight.max() + 0.01
    mean = np.sum(truth * light, (1, 2), keepdims=True) / light.sum()
    turned = truth * np.abs(mean) / mean
    level = np.abs(mean)
    flat = level + (turned.real - level) / 1.3 + 1j * turned.imag / 0.8
    # the same mean level everywhere, so that one scale fits all groups
    counts = 3.0 * diffract(extract_patches(one.truth, one.positions_px, 16), one.probe)
    scan = pinn.Scan(counts, one.positions_px, probe=one.probe, units="counts")
    frames_to_patches = [
        keras.ops.convert_to_tensor(np.stack([flat.real, flat.imag], -1)[:, None].astype("float32"))
    ]
    config = pinn.ModelConfig(N=16, gridsize=1, architecture="test-tiny")
    model = Known(config, 18, 1, contrast=True)
    model.probe.set_probe(scan.probe_gauge())
    calibrate_start(model, Batches([scan], [groups], 40, 0, shuffle=False), ["known"])
    found = model.named_arrays()
    np.testing.assert_allclose(found["contrast"][0], [1.3, 0.8], rtol=0.02)
    gauge = np.sum(np.abs(scan.probe_gauge()) ** 2) / np.sum(np.abs(one.probe) ** 2)
    assert found["log_scale"][0] == pytest.approx(np.log(3.0 / gauge), abs=0.02)


def test_watched_and_small_scans_are_calibrated_from_a_sample_of_their_own(one, other):
    """Of a scan that is only watched too; and no scan is read to its end for another's sake."""
    trained = small_model(one, epochs=30, learning_rate=1e-2)
    new = changed(small_scan(3), 0.7, 1.4)
    options = dict(n_groups=24, batch_size=8, epochs=1, learning_rate=1e-7, schedule="constant")
    model = pinn.train([one], trained, validation_scans=[new], calibrate_start=True, **options)
    direct = pinn.train([one, new], trained, calibrate_start=True, **options)
    found, wanted = arrays(model), arrays(direct)
    # from its held-out groups and from those to learn from: nearly the same frames
    np.testing.assert_allclose(found["contrast"][1], wanted["contrast"][1], rtol=0.1)
    assert np.abs(found["contrast"][1] - 1).max() > 0.05
    assert found["log_scale"][1] == pytest.approx(wanted["log_scale"][1], abs=0.1)
    groups = [make_groups(scan.positions_px, 2) for scan in (one, other)]
    batches = Batches([one, other], groups, 8, 0)
    some = batches.sample(1, 5)
    assert some.groups == 5 and set(some.batch(0)["scan"]) == {1}
    assert batches.sample(0, 1000).groups == len(groups[0])


def test_an_implausible_fit_keeps_contrast_and_fits_the_scale_to_it(one, monkeypatch):
    """A network that predicts noise, with factors of an earlier fit: the scale is best for them."""
    model = small_model(one, calibrate_start=True, learning_rate=1e-9, schedule="constant")
    network = model.network
    network.contrast.assign(np.array([[1.5, 0.6]], "float32"))
    network.scale.log_scale.assign(np.zeros(1, "float32"))
    groups = make_groups(one.positions_px, 2)
    batches = Batches([one], [groups], 40, 0, shuffle=False)
    monkeypatch.setattr(contrast_fit, "LIMIT", 1.0)  # nothing is plausible
    calibrate_start(network, batches, ["noise"])
    np.testing.assert_array_equal(arrays(model)["contrast"], np.array([[1.5, 0.6]], "float32"))
    batch = {k: keras.ops.convert_to_tensor(v) for k, v in batches.batch(0).items()}
    best, losses = float(arrays(model)["log_scale"][0]), []
    for shift in (-0.25, 0.0, 0.25):
        network.scale.log_scale.assign(np.array([best + shift], "float32"))
        loss = network.compute_loss(batch, y_pred=network(batch))
        losses.append(float(keras.ops.convert_to_numpy(loss)))
    assert losses[1] < losses[0] and losses[1] < losses[2]


# -- scans of another dose ----------------------------------------------------------------


@pytest.mark.parametrize("loss", ["poisson", "gaussian", "mae"])
@pytest.mark.parametrize("factor", [1e-3, 1e-13])  # a faint scan, and one in arbitrary units
def test_a_scan_of_another_dose_has_the_same_say(one, factor, loss):
    """The same object and frames, noise-free, once dimmer: all that differs is the unit."""
    bright = changed(one, 1.0, 1.0)
    counts = factor * bright.read(np.arange(40))[0].astype(float) ** 2
    dim = pinn.Scan(counts, one.positions_px, probe=one.probe, units="intensity", name="dim")
    options = dict(loss=loss, optimizer="sgd", learning_rate=0.05, schedule="constant")
    model = small_model([bright, dim], batch_size=48, validation="none", **options)
    statistics = [scan.statistics() for scan in (bright, dim)]
    start = [-2 * np.log(s.exposure_factor) for s in statistics]
    moved = arrays(model)["log_scale"] - start
    assert np.all(np.abs(moved) > 1e-4)
    # in units of one's own brightness both are the same scan, but for float32 and the floors
    # (1e-6 counts, of 1e-1 in the faint one's mean pixel)
    assert moved[1] == pytest.approx(moved[0], rel=0.1)


def test_one_scan_alone_has_the_loss_it_always_had(one):
    groups = [make_groups(one.positions_px, 2)]
    batch = Batches([one], groups, 16, 0).batch(0)
    batch = {k: keras.ops.convert_to_tensor(v) for k, v in batch.items()}
    network = small_model(one).network
    y = network(batch)
    counts = keras.ops.convert_to_numpy(network.detector(batch, y).counts).astype(float)
    rate = keras.ops.convert_to_numpy(y["rate"]).astype(float) + 1e-6
    k = np.maximum(counts, 1e-300)
    deviance = 2 * np.sum(rate - counts + counts * np.log(k / rate))
    got = float(keras.ops.convert_to_numpy(network.compute_loss(batch, y_pred=y)))
    assert got == pytest.approx(deviance / counts.sum(), rel=1e-4)


def test_a_watched_scan_is_judged_with_its_best_scale(one, other):
    """Whatever its scale is: least deviance is where the sums of counts and rate agree."""
    network = small_model([one, other]).network
    groups = make_groups(other.positions_px, 2)
    held = Batches([one, other], [groups.select(np.arange(0)), groups], 8, 0, shuffle=False)
    watched = Validation(network, held, 1)
    before = network.named_arrays()["log_scale"].copy()

    def judged(shift=0.0):
        network.scale.log_scale.assign(before + np.array([0.0, shift], "float32"))
        return network.evaluate(Feed(held), verbose=0, return_dict=True)["loss"]

    losses = []
    for shift in (0.0, 1.0):
        network.scale.log_scale.assign(before + np.array([0.0, shift], "float32"))
        stored = network.named_arrays()["log_scale"].copy()
        with watched.scales_fitted():
            scale = network.named_arrays()["log_scale"].copy()
            found = network.evaluate(Feed(held), verbose=0, return_dict=True)
            losses.append(found["loss"])
        np.testing.assert_array_equal(network.named_arrays()["log_scale"], stored)
        assert scale[0] == stored[0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    best = float(scale[1] - before[1])
    assert losses[0] == pytest.approx(judged(best), rel=1e-4)
    assert losses[0] < min(judged(best - 0.02), judged(best + 0.02))


def test_what_cannot_be_held_out_or_is_seen_twice_is_noted(one, other):
    run = pinn.TrainConfig(n_groups=24, validation_fraction=0.9)
    config = pinn.ModelConfig(N=16, gridsize=2)
    plan = plan_run([one], [], config, run)
    assert plan.held(run) is None and len(plan.learn[0]) == 24
    assert "no groups could be held out (validation region, 0.9" in plan.notes[-1]
    assert not plan_run([one], [], config, run.replace(validation="none")).notes
    plan = plan_run([one], [other, one], config, run)
    assert not plan.notes
    (note,) = seen_twice(plan, [digest(scan) for scan in plan.scans])
    assert note.startswith("small 0 is also trained on")
