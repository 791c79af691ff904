"""Known errors: each has the effect it states, and the file holds what made the frames."""

import numpy as np
import pytest
from simulated import written_out

from pinn.errors import ConfigError
from pinn.io.formats.npz_writer import write_scan_npz
from pinn.io.load import load
from pinn.remote.transfer import describe, rebuild
from pinn.simulate import SimulateConfig, simulate, simulate_arrays, simulate_to_file

SMALL = dict(N=32, n_frames=60, probe="defocused", photons_per_frame=1e5)


def test_uniform_position_errors_reach_their_limit_and_no_further():
    limit = 3.0
    scan = simulate(SimulateConfig(**{**SMALL, "n_frames": 4000}, position_error_limit=limit))
    error = scan.positions_px - scan.positions_true_px
    assert np.abs(error).max() <= limit
    # uniform: variance limit^2/3; four standard errors of it (kurtosis 1.8) and of the mean
    n = error.size
    assert error.var() == pytest.approx(limit**2 / 3, rel=4 * np.sqrt(0.8 / n))
    assert abs(error.mean()) < 4 * limit / np.sqrt(3 * n)
    assert np.histogram(error, 6, (-limit, limit))[0].min() > 0.9 * n / 6  # flat
    assert abs(np.corrcoef(error.T)[0, 1]) < 4 / np.sqrt(len(error))
    inside = scan.positions_px.min() - 16, scan.positions_px.max() + 16
    assert inside[0] >= 0 and inside[1] <= len(scan.truth)
    both = simulate(SimulateConfig(**SMALL, position_error_limit=limit, position_error=0.5))
    one = simulate(SimulateConfig(**SMALL, position_error=0.5))
    shift = (both.positions_px - both.positions_true_px) - (
        one.positions_px - one.positions_true_px
    )
    assert 0.8 * limit < np.abs(shift).max() <= limit  # besides the normal ones, which stay


def test_systematic_errors_are_an_affine_map_about_the_middle():
    scale, degrees, shear = 0.02, 3.0, 0.01
    errors = dict(position_scale_error=scale, position_rotation_deg=degrees, position_shear=shear)
    scan = simulate(SimulateConfig(**SMALL, **errors))
    y, x = (scan.positions_true_px - scan.positions_true_px.mean(0)).T
    x = x + shear * y
    a = np.deg2rad(degrees)
    turned = np.stack([x * np.sin(a) + y * np.cos(a), x * np.cos(a) - y * np.sin(a)], 1)
    expected = (1 + scale) * turned + scan.positions_true_px.mean(0)
    np.testing.assert_allclose(scan.positions_px, expected, atol=1e-10)
    # what the file states lies on the object as well
    assert scan.positions_px.min() >= 16 and scan.positions_px.max() <= len(scan.truth) - 16


@pytest.mark.parametrize(
    "options",
    [
        dict(probe="defocused", probe_modes=2),
        dict(probe="zernike", zernike="5:0.5,7:0.3"),
        dict(probe="zone_plate"),
    ],
)
def test_a_wrong_probe_has_another_defocus_and_the_frames_do_not_know(tmp_path, options):
    base = {**SMALL, **options, "poisson": False}
    right = simulate(SimulateConfig(**base))
    wrong = simulate_to_file(SimulateConfig(**base, probe_error=0.3), tmp_path / "s.npz")
    np.testing.assert_array_equal(wrong.frames(), right.frames())
    np.testing.assert_array_equal(wrong.probe, right.probe)
    scan = load(tmp_path / "s.npz")
    np.testing.assert_array_equal(scan.made_with.probe.reshape(right.probe.shape), right.probe)
    np.testing.assert_array_equal(scan.probe, wrong.probe_stated)
    truth, stated = right.probe.astype(complex), wrong.probe_stated.astype(complex)
    energy = np.sum(np.abs(truth) ** 2)
    assert np.sum(np.abs(stated) ** 2) == pytest.approx(energy, rel=1e-5)
    overlap = np.abs(np.sum(stated[0].conj() * truth[0])) / np.sum(np.abs(truth[0]) ** 2)
    assert 0.3 < overlap < 0.98
    # the same pupil, and a phase across it that is quadratic
    transform = [np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(p[0]))) for p in (truth, stated)]
    if options["probe"] != "zone_plate" and "probe_modes" not in options:
        size = np.abs(transform[0]).max()
        np.testing.assert_allclose(*map(np.abs, transform), atol=1e-4 * size)
        i = np.arange(32) - 16
        u2 = i[:, None] ** 2 + i**2
        bright = np.abs(transform[0]) > 0.5 * size
        bend = np.exp(1j * np.angle(transform[1] / transform[0]))[bright]
        best = max(
            np.abs(np.mean(bend * np.exp(-1j * c * u2[bright]))) for c in np.linspace(0, 1, 4001)
        )
        assert best > 0.9999


def test_the_defocus_error_is_the_fraction_it_states():
    """Across the pupil the wrong probe has 0.3 of the defocus more, and nothing else."""
    options = dict(N=64, n_frames=4, probe="defocused", aberration=0.0, seed=3)
    scan = simulate(SimulateConfig(**options, defocus=10.0, probe_error=0.3))
    right, wrong = (
        np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(p[0].astype(complex))))[32, 32:]
        for p in (scan.probe, scan.probe_stated)
    )
    height = np.abs(right) / np.abs(right[0])
    # the soft rim is one pixel wide and passes one half at the rim: interpolated there
    last = np.flatnonzero(height > 0.5).max()
    rim = last + (height[last] - 0.5) / (height[last] - height[last + 1])
    inside = np.arange(last)
    phase = np.unwrap(np.angle(wrong / right))[inside]
    slope = np.polyfit(inside**2, phase, 1)[0]
    # the edge is linear over one pixel, which two samples cut: known to a tenth of a pixel
    assert slope * rim**2 == pytest.approx(3.0, rel=0.2 / rim)


def test_gaps_are_dead_and_masked():
    gaps = dict(gap_width=3, gap_row=5, gap_column=20)
    scan = simulate(SimulateConfig(**SMALL, **gaps, bad_pixels=0.05, background=9))
    gap = np.zeros((32, 32), bool)
    gap[5:8], gap[:, 20:23] = True, True
    frames = scan.frames()
    assert not scan.valid_mask[gap].any() and not frames[:, gap].any()
    assert (~scan.valid_mask[~gap]).sum() == round(0.05 * (~gap).sum())
    assert frames[:, scan.valid_mask].mean() > 9


@pytest.mark.parametrize("modes", [1, 3])
def test_a_drifting_probe_has_the_power_and_makes_the_frames(tmp_path, modes):
    drift = 0.15
    config = SimulateConfig(
        **SMALL,
        probe_modes=modes,
        probe_drift=drift,
        probe_drift_modes=2,
        poisson=False,
        position_error_limit=1.0,
        intensity_fluctuation=0.2,
    )
    made = simulate_to_file(config, tmp_path / "s.npz")
    scan = load(tmp_path / "s.npz")
    probe, weights = scan.probe_variations.astype(complex), scan.probe_weights
    assert probe.shape == (3, modes, 32, 32) and weights.shape == (60, 3)
    np.testing.assert_array_equal(weights[:, 0], 1)
    # slow, of mean 0, mean square 1 and orthogonal: sums of cosines, exact
    np.testing.assert_allclose(weights[:, 1:].T @ weights[:, 1:] / 60, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(weights[:, 1:].mean(0), 0, atol=1e-12)
    assert np.abs(np.diff(weights[:, 1:], axis=0)).max() < 0.2
    power = np.sum(np.abs(probe) ** 2, (1, 2, 3))
    assert power[1:].sum() / power[0] == pytest.approx(drift, rel=1e-5)
    assert power[2] / power[1] == pytest.approx(0.5, rel=1e-5)
    assert not probe[1:, 1:].any()  # the strongest mode alone varies
    vectors = np.concatenate([probe[0], probe[1:, 0]]).reshape(modes + 2, -1)
    gram = np.abs(vectors.conj() @ vectors.T)
    assert (gram - np.diag(np.diag(gram))).max() < 1e-5 * gram.max()
    where, intensity = scan.made_with.positions_px, scan.made_with.intensity
    expected = written_out(made.truth.astype(complex), where, probe, weights, intensity)
    assert expected.sum((1, 2)).mean() == pytest.approx(1e5, rel=1e-5)
    frames = scan.read(np.arange(60))[0].astype(float) ** 2
    np.testing.assert_allclose(frames, expected, rtol=1e-4, atol=1e-6 * expected.max())
    np.testing.assert_allclose(made.photons, expected.sum((1, 2)), rtol=1e-5)


def test_a_drifting_probe_may_be_wrong_as_well(tmp_path):
    made = simulate_to_file(
        SimulateConfig(**SMALL, probe_drift=0.1, probe_error=0.3), tmp_path / "s.npz"
    )
    scan = load(tmp_path / "s.npz")
    assert scan.made_with.probe.shape == scan.probe_variations.shape == (2, 1, 32, 32)
    np.testing.assert_array_equal(scan.made_with.probe, made.probe_true)
    assert not np.allclose(scan.made_with.probe[0], scan.probe_variations[0], rtol=0.1)
    truth, probe = made.truth.astype(complex), scan.made_with.probe.astype(complex)
    expected = written_out(truth, made.positions_true_px, probe, scan.probe_weights)
    np.testing.assert_allclose(made.rates(), expected, rtol=1e-6, atol=1e-7 * expected.max())


def test_more_variations_than_frames_are_refused():
    with pytest.raises(ConfigError, match="4 frames cannot have 4 independent variations"):
        simulate(SimulateConfig(**{**SMALL, "n_frames": 4}, probe_drift=0.1, probe_drift_modes=4))


def test_intensity_fluctuates_as_stated(tmp_path):
    rms = 0.3
    config = SimulateConfig(**{**SMALL, "n_frames": 3000}, intensity_fluctuation=rms)
    steady = simulate(config.replace(intensity_fluctuation=0.0))
    made = simulate(config)
    factors = made.intensity
    assert factors.mean() == pytest.approx(1.0, abs=1e-12) and factors.min() > 0
    # standard error of a log-normal's deviation at 0.3: below 1.0 / sqrt(n), four of them
    assert factors.std() == pytest.approx(rms, rel=4 / np.sqrt(3000))
    ratio = made.rates(0, 50).sum((1, 2)) / steady.rates(0, 50).sum((1, 2))
    assert np.ptp(ratio / factors[:50]) < 1e-5
    assert made.photons.mean() == pytest.approx(1e5, rel=1e-6)


def test_an_uneven_background_is_smooth_positive_and_stored(tmp_path):
    base = {**SMALL, "poisson": False}
    config = SimulateConfig(**base, background_uneven=2.0, background=0.5)
    made = simulate_to_file(config, tmp_path / "s.npz")
    scan = load(tmp_path / "s.npz")
    background = scan.made_with.background
    assert background.mean() == pytest.approx(2.5) and background.min() > 0.5
    assert np.ptp(background) > 1  # uneven
    steps = np.abs(np.diff(background, axis=0)).max(), np.abs(np.diff(background, axis=1)).max()
    assert max(steps) < 0.25 * np.ptp(background)  # and smooth
    plain = simulate(SimulateConfig(**base)).frames()
    np.testing.assert_allclose(
        made.frames() - plain,
        np.broadcast_to(background, plain.shape),
        rtol=1e-3,
        atol=1e-6 * plain.max(),
    )
    assert made.metadata()["background_per_pixel"] == pytest.approx(2.5)


def test_the_truth_follows_the_frames(tmp_path):
    """Chosen frames, turned positions, a file written again: the truth goes with them."""
    errors = dict(position_error_limit=2.0, intensity_fluctuation=0.1, background_uneven=1.0)
    config = SimulateConfig(**SMALL, **errors, probe_error=0.2)
    made = simulate_to_file(config, tmp_path / "s.npz")
    plain = load(tmp_path / "s.npz")
    np.testing.assert_array_equal(plain.made_with.positions_px, made.positions_true_px)
    np.testing.assert_array_equal(plain.made_with.intensity, made.intensity)
    rows = np.array([7, 3, 50])
    some = plain.select(rows).made_with
    np.testing.assert_array_equal(some.positions_px, made.positions_true_px[rows])
    np.testing.assert_array_equal(some.intensity, made.intensity[rows])
    dropped = load(tmp_path / "s.npz", drop_frames="0-9")
    kept = len(dropped)
    np.testing.assert_array_equal(dropped.made_with.positions_px, made.positions_true_px[-kept:])
    turned = load(tmp_path / "s.npz", orientation="+x-y", rotation_deg=10.0)
    error = np.linalg.norm(turned.positions_px - turned.made_with.positions_px, axis=1)
    expected = np.linalg.norm(made.positions_px - made.positions_true_px, axis=1)
    np.testing.assert_allclose(error, expected, atol=1e-9)
    smaller = load(tmp_path / "s.npz", bin_frames=2)
    assert smaller.made_with.probe is None and smaller.made_with.background is None
    write_scan_npz(tmp_path / "again.npz", plain)
    elsewhere = rebuild(describe(plain, tmp_path / "handed"))
    for other in (load(tmp_path / "again.npz"), elsewhere):
        for name in ("positions_px", "probe", "intensity", "background"):
            found = getattr(other.made_with, name)
            np.testing.assert_array_equal(found, getattr(plain.made_with, name))


def test_a_scan_without_errors_hides_nothing(tmp_path):
    config = SimulateConfig(**SMALL)
    simulate_to_file(config, tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        assert [key for key in file.files if key.endswith("_true")] == ["positions_true"]
        assert "probe_weights" not in file.files
    made = load(tmp_path / "s.npz").made_with
    assert made.probe is made.intensity is made.background is None


def test_arrays_in_memory_are_those_of_the_file(tmp_path):
    config = SimulateConfig(
        **SMALL, probe_drift=0.1, probe_error=0.3, intensity_fluctuation=0.1, background_uneven=1.0
    )
    out = simulate_arrays(config)
    simulate_to_file(config, tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        for key in ("probe_weights", "probe_true", "intensity_true", "background_true"):
            np.testing.assert_array_equal(out[key], file[key])
        np.testing.assert_array_equal(out["probe"], file["probeGuess"])
        np.testing.assert_array_equal(out["frames"], file["diff3d"])
