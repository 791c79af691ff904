"""Variants of the NPZ contract that are all one scan."""

import json
import re
import tracemalloc

import numpy as np
import pytest
from npz_files import M, N, contract, write

from pinn.config import ScanConfig
from pinn.errors import ConfigError, ScanError
from pinn.io.load import load

BASE = contract()
AMPLITUDE = BASE["diff3d"]
COUNTS = np.rint(AMPLITUDE.astype(np.float64) ** 2)


def amplitude_of(scan):
    return scan.read(np.arange(len(scan)))[0]


def test_the_plain_contract(tmp_path):
    path = write(tmp_path / "scan7.npz")
    scan = load(path)
    assert scan.name == "scan7"
    assert scan.source == path
    assert scan.units == "amplitude"
    np.testing.assert_array_equal(
        scan.positions_px, np.stack([BASE["ycoords"], BASE["xcoords"]], 1)
    )
    np.testing.assert_array_equal(amplitude_of(scan), AMPLITUDE)
    np.testing.assert_array_equal(scan.probe[0], BASE["probeGuess"].astype(np.complex64))
    np.testing.assert_array_equal(scan.truth, BASE["objectGuess"].astype(np.complex64))
    assert scan.positions_nominal_px is None
    assert scan.valid_mask is None
    scan.close()


FRAMES = {
    "diffraction": dict(diff3d=None, diffraction=AMPLITUDE),
    "trailing axis": dict(diff3d=None, diffraction=AMPLITUDE[..., None]),
    "frames last": dict(
        diff3d=None, diffraction=np.ascontiguousarray(np.moveaxis(AMPLITUDE, 0, 2))
    ),
    "frames last, diff3d": dict(diff3d=np.ascontiguousarray(np.moveaxis(AMPLITUDE, 0, 2))),
    "fortran": dict(diff3d=np.asfortranarray(AMPLITUDE)),
    "double": dict(diff3d=AMPLITUDE.astype(np.float64)),
    "counts": dict(diff3d=COUNTS.astype(np.uint16)),
    "counts as floats": dict(diff3d=COUNTS.astype(np.float32)),
    "corner": dict(diff3d=np.fft.fftshift(AMPLITUDE, axes=(1, 2))),
    "both keys": dict(diffraction=np.zeros((M, N, N))),
    "columns": dict(xcoords=BASE["xcoords"][:, None], ycoords=BASE["ycoords"][:, None]),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
@pytest.mark.parametrize("variant", FRAMES)
def test_variants_of_the_frames_are_the_same_scan(tmp_path, variant, compressed):
    scan = load(write(tmp_path / "a.npz", compressed, **FRAMES[variant]))
    np.testing.assert_allclose(amplitude_of(scan), AMPLITUDE, rtol=3e-7)  # float32 square roots
    np.testing.assert_array_equal(scan.positions_px[:, 0], BASE["ycoords"])
    scan.close()


def test_as_many_frames_as_pixels_are_taken_frames_first(tmp_path):
    frames = np.random.default_rng(1).random((N, N, N))
    line = np.random.default_rng(2).uniform(0, 90, (2, N))
    arrays = dict(diff3d=frames, xcoords=line[0], ycoords=line[1], scan_index=None)
    scan = load(write(tmp_path / "a.npz", **arrays))
    np.testing.assert_allclose(amplitude_of(scan), frames.astype(np.float32))


def cube(seed=3):
    """As many frames as pixels: a spot off the middle, frames of different sums."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:N, :N] - N / 2
    spot = 200 * np.exp(-(((y - 1) / 2) ** 2 + (x / 1.5) ** 2) / 2)
    return rng.poisson(spot * rng.uniform(0.4, 1.6, (N, 1, 1))).astype(np.uint16)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("key", "last", "why"),
    [
        ("diff3d", False, "first axis was taken to count the frames, as the name 'diff3d' says"),
        ("diffraction", True, "last axis was taken .* as the name 'diffraction'"),
        ("diffraction", False, "first axis was taken .* sums along it are even"),
    ],
)
def test_the_axis_of_the_frames_of_a_cube(tmp_path, key, last, why, compressed):
    frames = cube()
    line = np.random.default_rng(2).uniform(0, 90, (2, N))
    arrays = {"diff3d": None, key: np.moveaxis(frames, 0, 2) if last else frames}
    arrays |= dict(xcoords=line[0], ycoords=line[1], scan_index=None)
    scan = load(write(tmp_path / "a.npz", compressed, **arrays))
    np.testing.assert_allclose(amplitude_of(scan) ** 2, frames, rtol=1e-6)
    assert any(re.search(why, note) for note in scan.notes)


def test_the_old_key_decides_where_the_numbers_of_a_cube_do_not(tmp_path):
    frames = np.random.default_rng(1).random((N, N, N))
    line = np.random.default_rng(2).uniform(0, 90, (2, N))
    arrays = dict(diff3d=None, diffraction=frames, xcoords=line[0], ycoords=line[1])
    scan = load(write(tmp_path / "a.npz", scan_index=None, **arrays))
    np.testing.assert_allclose(amplitude_of(scan), np.moveaxis(frames, 2, 0).astype(np.float32))


@pytest.mark.parametrize("shape", [(N, N), (N, N, 1), (3, N, N)])
def test_probe_variants(tmp_path, shape):
    probe = np.random.default_rng(4).standard_normal(shape) + 0.5j
    scan = load(write(tmp_path / "a.npz", probeGuess=probe))
    assert scan.probe_gauge().shape == (3 if shape[0] == 3 else 1, N, N)
    np.testing.assert_allclose(scan.probe.ravel(), probe.ravel(), rtol=2e-7)


def test_optional_arrays_may_be_missing(tmp_path):
    scan = load(write(tmp_path / "a.npz", probeGuess=None, objectGuess=None, scan_index=None))
    assert scan.probe is None
    assert scan.truth is None
    assert scan.scan_index is None
    with pytest.raises(ScanError, match=r"a\.npz has no probe; give one with --probe"):
        scan.probe_gauge()


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_placeholder_object_is_no_truth(tmp_path, value):
    scan = load(write(tmp_path / "a.npz", objectGuess=np.full((110, 80), value, complex)))
    assert scan.truth is None
    assert any("not taken as the truth" in note for note in scan.notes)


def test_nominal_positions_are_kept_when_they_differ(tmp_path):
    start = dict(xcoords_start=BASE["xcoords"] + 1, ycoords_start=BASE["ycoords"])
    nominal = load(write(tmp_path / "a.npz", **start)).positions_nominal_px
    np.testing.assert_array_equal(nominal[:, 1], BASE["xcoords"] + 1)
    same = dict(xcoords_start=BASE["xcoords"], ycoords_start=BASE["ycoords"])
    assert load(write(tmp_path / "b.npz", **same)).positions_nominal_px is None


def test_bad_pixels_of_file_and_option_are_joined(tmp_path):
    bad, more = np.zeros((2, N, N), bool)
    bad[3, 4] = more[5, 6] = True
    path = write(tmp_path / "a.npz", bad_pixels=bad)
    np.testing.assert_array_equal(load(path).valid_mask, ~bad)
    np.save(tmp_path / "more.npy", more.astype(np.uint8))
    np.savez(tmp_path / "more.npz", bad_pixels=more)
    for name in ("more.npy", "more.npz"):
        mask = load(path, ScanConfig(bad_pixels=tmp_path / name)).valid_mask
        np.testing.assert_array_equal(mask, ~(bad | more))
    only = load(write(tmp_path / "b.npz"), bad_pixels=tmp_path / "more.npy").valid_mask
    np.testing.assert_array_equal(only, ~more)
    none = load(write(tmp_path / "c.npz", bad_pixels=np.zeros((N, N), bool)))
    assert none.valid_mask is None


@pytest.mark.parametrize("key", ["probeGuess", "probe"])
def test_a_probe_file_replaces_the_probe(tmp_path, key):
    other = np.random.default_rng(9).standard_normal((2, N, N)) * 1j
    np.savez(tmp_path / "probe.npz", **{key: other})
    scan = load(write(tmp_path / "a.npz"), probe=tmp_path / "probe.npz")
    np.testing.assert_allclose(scan.probe, other, rtol=2e-7)
    assert any("probe.npz" in note for note in scan.notes)


# -- units and metadata -------------------------------------------------------------------


@pytest.mark.parametrize("units", ["counts", "intensity", "amplitude"])
def test_the_units_tag_is_believed_and_must_not_be_contradicted(tmp_path, units):
    path = write(tmp_path / "a.npz", frames_units=np.array(units))
    assert load(path).units == units
    assert load(path, frames=units).units == units
    other = "counts" if units == "amplitude" else "amplitude"
    with pytest.raises(ScanError, match=rf"frames are {units}, but the option frames says {other}"):
        load(path, frames=other)


def test_a_tag_in_the_metadata_counts_as_well(tmp_path):
    text = np.array(json.dumps({"frames_units": "intensity", "frames_centre": "corner"}))
    scan = load(write(tmp_path / "a.npz", metadata=text))
    assert scan.units == "intensity"
    assert scan.centre == "corner"
    with pytest.raises(ScanError, match="frames are corner, but the option centre says centred"):
        load(tmp_path / "a.npz", centre="centred")


@pytest.mark.parametrize("key", ["_metadata", "metadata"])
def test_the_dose_of_the_metadata_scales_amplitudes_but_not_counts(tmp_path, key):
    text = np.array(json.dumps({"physics_parameters": {"nphotons": 3e6}, "pixel_size_m": 2e-8}))
    scan = load(write(tmp_path / "a.npz", **{key: text}))
    assert scan.statistics().mean_counts == pytest.approx(3e6)
    assert scan.pixel_size_m == 2e-8
    assert any("3e+06 photons per frame" in note for note in scan.notes)
    mine = load(tmp_path / "a.npz", photons_per_frame=500.0)
    assert mine.statistics().mean_counts == pytest.approx(500)
    counts = load(write(tmp_path / "b.npz", diff3d=COUNTS.astype(np.uint16), **{key: text}))
    assert counts.statistics().mean_counts == pytest.approx(COUNTS.sum((1, 2)).mean())


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_pickled_metadata_is_neither_decoded_nor_needed(tmp_path, compressed):
    trace = tmp_path / "trace"
    trap = np.array(Trap(str(trace)), dtype=object)
    scan = load(write(tmp_path / "a.npz", compressed, _metadata=trap))
    scan.statistics()
    assert any("'_metadata' is pickled and was not read" in note for note in scan.notes)
    assert not trace.exists()


def test_metadata_that_is_no_json_object_is_noted(tmp_path):
    for value in ("{", "[1]"):
        scan = load(write(tmp_path / "a.npz", metadata=np.array(value)))
        assert any("not a JSON object" in note for note in scan.notes)


def test_arrays_that_are_not_used_cost_nothing_and_are_named(tmp_path):
    large = np.zeros((M, 400, 400), np.complex64)  # 15 MB
    path = write(tmp_path / "a.npz", Y=large, ground_truth_patches=large, temperature=large)
    tracemalloc.start()
    scan = load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
    named = [note for note in scan.notes if "not used" in note]
    assert named == ["arrays that are not used: 'temperature'"]


def test_an_unknown_option_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'unit'"):
        load(write(tmp_path / "a.npz"), unit="counts")
