"""What is said of runs that have gone wrong, and that nothing is said of good ones."""

import logging

import keras
import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.errors import DivergedError
from pinn.networks.registry import register
from pinn.training.collapse import demanded_spread, predicted_spread, stuck


@register("test-flat")
def flat(config):
    """Amplitude and phase from kernels of zeros: the same for every frame, until they learn."""
    frames = keras.Input((config.N, config.N, config.gridsize**2))
    dark = keras.layers.Conv2D(
        4, 3, padding="same", activation="relu", bias_initializer=_below, name="dark"
    )(frames)
    both = keras.layers.Conv2D(
        2 * config.gridsize**2, 3, padding="same", kernel_initializer="zeros", name="out"
    )(dark)
    shape = (config.N, config.N, config.gridsize**2, 2)
    return keras.Model(frames, keras.layers.Reshape(shape)(both) + 1.0)


def _below(shape, dtype=None):
    return keras.ops.full(shape, -100.0, dtype=dtype)  # no frame lifts a unit above zero


@pytest.fixture(scope="module")
def scan():
    return small_scan()


def _waves(contrast, frames=60, N=16):
    """Frames of a random object of some contrast under a probe, and the patches, in float64."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:N, :N] - N / 2
    probe = 30 * np.exp(-(y**2 + (x - 1) ** 2) / 30) * np.exp(0.02j * x * y)
    noise = rng.standard_normal((frames, N, N)) + 1j * rng.standard_normal((frames, N, N))
    patches = 1 + contrast * noise
    waves = np.fft.fft2(probe * patches) / N
    return probe, patches, np.abs(waves) ** 2


@pytest.mark.parametrize("contrast", [0.003, 0.05, 0.5])
def test_frames_never_demand_more_than_the_object_that_made_them_has(contrast):
    probe, patches, counts = _waves(contrast)
    has = predicted_spread(patches, np.abs(probe) ** 2)
    demanded = demanded_spread(counts * 1e8, np.ones(counts.shape, bool))  # hardly any noise
    assert demanded is not None and 0.3 * has < demanded <= has * (1 + 1e-9)


def test_photon_noise_demands_nothing():
    _, _, counts = _waves(0.0)
    noisy = np.random.default_rng(1).poisson(counts * 10)
    assert demanded_spread(noisy, np.ones(noisy.shape, bool)) is None
    assert demanded_spread(np.zeros((3, 8, 8)), np.ones((3, 8, 8), bool)) is None


def test_masked_pixels_do_not_count():
    _, _, counts = _waves(0.2)
    valid = np.ones(counts.shape, bool)
    valid[:, 3, 5] = valid[7, :2] = False
    clean = demanded_spread(np.where(valid, counts * 1e4, 0), valid)
    assert demanded_spread(np.where(valid, counts * 1e4, 1e9), valid) == pytest.approx(clean)


def test_a_flat_network_and_dead_units_are_told_in_the_third_epoch(scan):
    lines = []
    # whole batches only: the mean loss of an epoch is then the same in any order
    idle = dict(architecture="test-flat", learning_rate=1e-9, epochs=4, validation="none")
    model = small_model(scan, progress=lambda p: lines.append(p.message), **idle)
    events = {event["kind"]: event for event in model.provenance["events"]}
    assert set(events) == {"flat", "dead", "stuck"}
    assert all(events[kind]["epoch"] == 3 for kind in ("flat", "dead", "stuck"))
    assert "4 of 4 units of dark" in events["dead"]["text"]
    assert "frames demand at least" in events["flat"]["text"]
    said = [line for line in lines if line]
    assert len(said) == len(events), "each is said once"
    assert any("seed" in line for line in said), "and with what to do"


def test_without_a_watcher_it_goes_to_the_log(scan, caplog):
    with caplog.at_level(logging.WARNING, logger="pinn"):
        small_model(scan, architecture="test-flat", rate_factors="dark:0,out:0", epochs=3)
    assert any("flat" in record.message for record in caplog.records)


def test_a_good_run_is_left_alone(scan, tmp_path):
    model = small_model(scan, epochs=6, output=tmp_path, schedule="constant")
    assert model.provenance["events"] == []
    assert pinn.load_model(tmp_path).provenance["events"] == []


def test_stuck_means_that_nothing_has_fallen():
    def rows(losses, **others):
        return [
            {"epoch": n, "loss": v, **{k: o[n - 1] for k, o in others.items()}}
            for n, v in enumerate(losses, 1)
        ]

    assert stuck(rows([1.0, 1.1, 0.995])) is not None
    assert stuck(rows([1.0, 1.1, 0.9])) is None
    assert stuck(rows([1.0, 1.2, 1.1], val_loss=[5.0, 4.0, 6.0])) is None
    assert stuck(rows([1.0, 1.2, 1.1], deviance=[5.0, 5.0, 5.1])) is not None


def test_a_loss_that_is_not_finite_ends_the_run_at_its_batch_and_keeps_the_archive(scan, tmp_path):
    good = small_model(scan, epochs=1, output=tmp_path, schedule="constant", batch_size=4)
    with pytest.raises(DivergedError, match=r"not finite in epoch 2, batch [23]"):
        small_model(
            scan,
            epochs=3,
            output=tmp_path,
            schedule="constant",
            batch_size=4,
            resume=True,
            learning_rate=1e30,
            clip_norm=None,
        )
    kept = pinn.load_model(tmp_path)
    assert len(kept.history) == 1
    for name, array in good.network.named_arrays().items():
        np.testing.assert_array_equal(kept.network.named_arrays()[name], array)


def test_a_state_that_is_not_finite_never_reaches_an_archive(scan, tmp_path):
    model = small_model(scan, epochs=1, output=tmp_path)
    before = (tmp_path / "wts.h5.zip").read_bytes()
    name = next(n for n, a in model.optimizer_arrays.items() if a.ndim > 1)
    model.optimizer_arrays[name] = np.full_like(model.optimizer_arrays[name], np.nan)
    with pytest.raises(DivergedError, match="optimizer"):
        model.save(tmp_path)
    assert (tmp_path / "wts.h5.zip").read_bytes() == before
