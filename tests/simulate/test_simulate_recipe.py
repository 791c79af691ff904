"""A whole scan: dose, repeatability, independence of the parts, the file."""

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest
from simulated import written_out

from pinn.errors import OutputError, ScanError
from pinn.progress import StopRequested
from pinn.simulate import (
    SimulateConfig,
    recipe_hash,
    simulate,
    simulate_arrays,
    simulate_to_file,
)
from pinn.simulate import recipe as recipe_module

SMALL = dict(N=32, n_frames=30)


@pytest.mark.parametrize("modes", [1, 3])
def test_rates_are_the_model_written_out(modes):
    # with positions in error: the frames are taken where the probe truly was
    options = dict(**SMALL, probe="defocused", probe_modes=modes, position_error=1.0)
    scan = simulate(SimulateConfig(**options))
    some = [0, 17, 29]
    expected = written_out(scan.truth, scan.positions_true_px[some], scan.probe.astype(complex))
    np.testing.assert_allclose(scan.rates()[some], expected, atol=1e-9 * expected.max())


@pytest.mark.parametrize("kind", ["disc", "gaussian", "defocused"])
@pytest.mark.parametrize("interpolation", ["bilinear", "fourier"])
@pytest.mark.parametrize("dose", [10.0, 1.6e6])
def test_the_dose_is_what_was_asked(kind, interpolation, dose):
    options = dict(**SMALL, probe=kind, probe_modes=2, interpolation=interpolation)
    scan = simulate(SimulateConfig(**options, photons_per_frame=dose))
    totals = scan.rates().sum((1, 2))
    assert totals.mean() == pytest.approx(dose, rel=1e-6)  # probe in complex64
    np.testing.assert_allclose(totals, scan.photons, rtol=1e-6)
    assert totals.std() > 0  # the object decides each frame's share


@pytest.mark.parametrize("per_pixel", [100, 1000])
def test_counts_per_pixel_of_lines_at_128(per_pixel):
    scan = simulate(SimulateConfig(N=128, n_frames=16, photons_per_frame=per_pixel * 128**2))
    mean = scan.frames().mean()
    # 16 frames: relative Poisson error below 1e-3
    assert mean == pytest.approx(per_pixel, rel=5e-3)
    assert scan.metadata()["counts_per_pixel"] == pytest.approx(per_pixel)


def test_counts_follow_the_rates():
    scan = simulate(SimulateConfig(**SMALL, photons_per_frame=1e5))
    rates, frames = scan.rates(), scan.frames().astype(np.float64)
    chi = (frames - rates) ** 2 / np.maximum(rates, 1e-12)
    bright = rates > 5
    n = bright.sum()
    # the mean of n chi-squares of one degree, each of variance 2 + 1/rate
    assert abs(chi[bright].mean() - 1) < 5 * np.sqrt(2.2 / n)


def test_same_recipe_same_numbers_whatever_the_chunks():
    config = SimulateConfig(**SMALL, object="grf", bad_pixels=0.02, position_error=0.5, seed=9)
    a, b = simulate(config), simulate(config)
    whole = a.frames()
    np.testing.assert_array_equal(np.concatenate(list(b.chunks(7))), whole)
    np.testing.assert_array_equal(b.frames(11, 12)[0], whole[11])
    for name in ("truth", "probe", "positions_px", "positions_true_px", "valid_mask"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    other = simulate(config.replace(seed=10))
    assert not np.array_equal(other.frames(), whole)
    assert not np.array_equal(other.valid_mask, a.valid_mask)


def test_one_option_leaves_the_rest_alone():
    base = simulate(SimulateConfig(**SMALL))
    dose = simulate(SimulateConfig(**SMALL, photons_per_frame=5e3, bad_pixels=0.1, background=3.0))
    np.testing.assert_array_equal(base.truth, dose.truth)
    np.testing.assert_array_equal(base.positions_px, dose.positions_px)
    np.testing.assert_allclose(dose.probe, base.probe * np.sqrt(5e3 / 1e6), rtol=1e-6)
    drawing = simulate(SimulateConfig(**SMALL, object_seed=8))
    np.testing.assert_array_equal(base.positions_px, drawing.positions_px)
    assert not np.allclose(base.truth, drawing.truth)
    assert np.allclose(drawing.truth, simulate(SimulateConfig(**SMALL, seed=8)).truth)


def test_frames_of_one_scan_have_different_noise():
    flat = dict(object="star", contrast=1e-6, step=1e-3)
    scan = simulate(SimulateConfig(N=16, n_frames=2, photons_per_frame=1e5, **flat))
    first, second = scan.frames().astype(np.float64)
    assert np.mean(first != second) > 0.3


def test_orientation_of_a_scan():
    """A frame taken further down sees the object further down: patches from slices agree."""
    scan = simulate(SimulateConfig(N=16, n_frames=12, pattern="raster", jitter=0.0, step=5.0))
    p = scan.positions_true_px
    down, right = p[4] - p[0], p[1] - p[0]
    np.testing.assert_allclose([down, right], [[5, 0], [0, 5]], atol=1e-9)  # (y, x), rows first
    moved = dataclasses.replace(scan, truth=np.roll(scan.truth, (5, 0), (0, 1)))
    np.testing.assert_allclose(moved.rates(4, 5), scan.rates(0, 1), rtol=1e-9, atol=1e-6)
    assert not np.allclose(moved.rates(1, 2), scan.rates(0, 1), rtol=1e-3)


def test_arrays_for_tests_and_demo():
    out = simulate_arrays(SimulateConfig(**SMALL, probe_modes=2, bad_pixels=0.05))
    assert out["counts"] is out["frames"]
    assert out["counts"].shape == (30, 32, 32) and out["counts"].dtype.kind == "u"
    assert out["frames_units"] == "counts"
    assert out["positions_px"].shape == (30, 2)
    assert out["probe"].shape == (2, 32, 32) and out["probe"].dtype == np.complex64
    assert out["truth"].dtype == np.complex64
    assert out["valid_mask"].dtype == bool and not out["valid_mask"].all()
    json.dumps(out["metadata"], allow_nan=False)
    amplitude = simulate_arrays(SimulateConfig(**SMALL, frames="amplitude"))
    assert "counts" not in amplitude
    assert amplitude["probe"].shape == (32, 32)
    counts = simulate_arrays(SimulateConfig(**SMALL))["counts"]
    np.testing.assert_allclose(amplitude["frames"] ** 2, counts, rtol=1e-6)


def test_recipe_hash_tells_recipes_apart(tmp_path):
    base = SimulateConfig()
    assert recipe_hash(base) == recipe_hash(SimulateConfig())
    assert recipe_hash(base) != recipe_hash(base.replace(seed=1))
    hashes = []
    for folder, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "p.npz"
        np.savez(path, probe=np.full((64, 64), value))
        hashes.append(recipe_hash(SimulateConfig(probe="file", probe_file=path)))
    assert hashes[0] == hashes[1] != hashes[2]
    with pytest.raises(ScanError, match="cannot be read"):
        recipe_hash(SimulateConfig(probe="file", probe_file=tmp_path / "none.npz"))


def test_the_file_holds_the_scan(tmp_path):
    config = SimulateConfig(
        **SMALL, probe_modes=2, bad_pixels=0.03, beamstop=2.0, position_error=0.7, seed=2
    )
    seen = []
    scan = simulate_to_file(config, tmp_path / "s.npz", seen.append)
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    np.testing.assert_array_equal(arrays["diff3d"], scan.frames())
    assert arrays["diff3d"].dtype == scan.detector.dtype
    np.testing.assert_array_equal(arrays["ycoords"], scan.positions_px[:, 0])
    np.testing.assert_array_equal(arrays["xcoords"], scan.positions_px[:, 1])
    np.testing.assert_array_equal(arrays["xcoords_start"], arrays["xcoords"])
    np.testing.assert_array_equal(arrays["ycoords_start"], arrays["ycoords"])
    np.testing.assert_array_equal(arrays["positions_true"], scan.positions_true_px)
    np.testing.assert_array_equal(arrays["probeGuess"], scan.probe)
    np.testing.assert_array_equal(arrays["objectGuess"], scan.truth)
    np.testing.assert_array_equal(arrays["bad_pixels"], ~scan.valid_mask)
    assert arrays["scan_index"].shape == (30,) and not arrays["scan_index"].any()
    assert str(arrays["frames_units"]) == "counts"
    assert any(recipe_hash(config) in str(a) for a in arrays.values() if a.dtype.kind == "U")
    assert [p.stage for p in seen] == ["simulate"] * len(seen)
    assert (seen[-1].done, seen[-1].total) == (30, 30)


def test_same_recipe_same_bytes(tmp_path, monkeypatch):
    config = SimulateConfig(**SMALL, object="demo", probe="defocused")
    simulate_to_file(config, tmp_path / "a.npz")
    monkeypatch.setattr(recipe_module, "CHUNK_PIXELS", 4 * 32 * 32)
    simulate_to_file(config, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_stopping_leaves_no_file(tmp_path):
    def stop(_):
        raise StopRequested

    with pytest.raises(StopRequested):
        simulate_to_file(SimulateConfig(**SMALL), tmp_path / "s.npz", stop)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        simulate_to_file(SimulateConfig(**SMALL), tmp_path / "file" / "s.npz")


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_module, "CHUNK_PIXELS", 16 * 32 * 32)

    def peak(n):
        config = SimulateConfig(N=32, n_frames=n, size=200, object="star", poisson=False)
        tracemalloc.start()
        simulate_to_file(config, tmp_path / f"{n}.npz")
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(20)  # imports
    frames_bytes = 380 * 32 * 32 * 4
    assert peak(400) - peak(20) < 0.25 * frames_bytes
