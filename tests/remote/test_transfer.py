"""A scan on its way to another process: there it is the same, number by number."""

from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from npz_files import write_npz
from same_scan import assert_same_scan

import pinn
from pinn.data.fingerprint import digest
from pinn.data.frames import DerivedFrames
from pinn.errors import ConfigError, ScanError
from pinn.remote.transfer import as_list, describe, rebuild

M, N = 12, 16
RNG = np.random.default_rng(8)
FRAMES = RNG.poisson(40, (M, N, N))
POSITIONS = RNG.uniform(20, 60, (M, 2))
PROBE = RNG.normal(size=(2, N, N)) + 1j * RNG.normal(size=(2, N, N))
MASK = RNG.random((N, N)) > 0.1
MASKS = RNG.random((M, N, N)) > 0.1


def scan_of(frames=FRAMES, **options):
    return pinn.Scan(frames, POSITIONS, **{"probe": PROBE, "name": "sample", **options})


def sent(scan, folder):
    """Through bytes and files, as between processes."""
    return rebuild(ForkingPickler.loads(ForkingPickler.dumps(describe(scan, folder))))


def assert_same(ours, theirs):
    assert_same_scan(ours, theirs)
    assert ours.dose_is_of_more == theirs.dose_is_of_more
    assert ours.statistics().mean_counts == theirs.statistics().mean_counts
    assert ours.statistics().exposure_factor == theirs.statistics().exposure_factor
    assert ours.notes == theirs.notes


def patches():
    return (RNG.normal(size=(M, N, N)) + 1j * RNG.normal(size=(M, N, N))).astype(np.complex64)


CASES = {
    "counts": {},
    "big-endian": {"frames": FRAMES.astype(">u2")},
    "boolean": {"frames": FRAMES > 40},
    "amplitudes": {"frames": np.sqrt(FRAMES).astype(np.float32)},
    "whole floats": {"frames": FRAMES.astype(np.float64)},
    "corner": {"frames": np.fft.ifftshift(FRAMES * (MASK * 1), axes=(1, 2)), "centre": "corner"},
    "dosed": {"frames": FRAMES / 7, "units": "intensity", "photons_per_frame": 1e4},
    "mask": {"valid_mask": MASK},
    "mask of each frame": {"valid_mask": MASKS},
    "without probe": {"probe": None},
    "variations": {
        "probe": np.stack([PROBE, PROBE[::-1]]),
        "probe_weights": RNG.random((M, 2)),
    },
    "truth": {"truth": np.exp(1j * RNG.random((80, 85))), "truth_origin_px": (0.25, -0.1)},
    "too small a truth": {"truth": np.exp(1j * RNG.random((20, 20)))},
    "labels": {"label_patches": patches()},
    "everything else": {
        "scan_index": np.arange(M) % 3,
        "positions_nominal_px": POSITIONS + 0.5,
        "pixel_size_m": 1.5e-8,
        "energy_ev": 8000.0,
        "distance_m": 2.0,
        "detector_pixel_m": 75e-6,
        "acquisition": {"exposure_time_s": 0.1},
        "saturation": 60.0,
        "notes": ["as it was", "told"],
        "steps": [{"step": "cropped", "from": [1, 2]}],
        "source": "somewhere/scan.npz",
        "files": ["somewhere/scan.npz"],
        "positions_from_m": True,
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_scan_in_memory_arrives_as_it_was(case, tmp_path):
    scan = scan_of(**CASES[case])
    found = sent(scan, tmp_path / "way")
    assert_same(scan, found)
    found.close()


def test_frames_and_masks_that_are_made_while_they_are_read(tmp_path):
    frames, masks = (scan_of(f).frames for f in (FRAMES, FRAMES + 1))
    scan = scan_of(
        DerivedFrames(frames, lambda raw, rows: raw[:, ::-1]),
        valid_mask=DerivedFrames(masks, lambda raw, rows: raw > 30, dtype=bool),
    )
    assert_same(scan, sent(scan, tmp_path))


def test_part_of_a_scan_keeps_the_dose_of_the_whole(tmp_path):
    scan = scan_of(FRAMES / 7, units="intensity", photons_per_frame=1e4).select([7, 2, 3])
    assert scan.dose_is_of_more
    assert_same(scan, sent(scan, tmp_path))


@pytest.mark.parametrize("compress", [False, True])
def test_a_scan_from_a_file_is_read_where_it_lies_if_it_can_be(tmp_path, compress):
    path = tmp_path / "scan.npz"
    write_npz(path, FRAMES.astype(np.uint16), POSITIONS, frames_units="counts", probe=PROBE,
              compress=compress)  # fmt: skip
    scan = pinn.load(path)
    describe(scan, tmp_path / "way")
    assert any((tmp_path / "way").iterdir()) is compress
    assert_same(scan, sent(scan, tmp_path / "way"))


def test_a_part_of_a_map_is_read_where_it_lies_and_any_other_view_is_written(tmp_path):
    np.save(tmp_path / "all.npy", np.concatenate([FRAMES, FRAMES + 1]))
    mapped = np.load(tmp_path / "all.npy", mmap_mode="r")
    for view, stays in ((mapped[M:], True), (mapped[::2], False), (mapped[:M, ::-1], False)):
        scan = scan_of(view)
        way = tmp_path / f"way {stays}"
        describe(scan, way)
        assert any(way.iterdir()) is not stays
        assert_same(scan, sent(scan, way))


def test_changes_of_a_map_that_never_reach_its_file_are_passed_on(tmp_path):
    np.save(tmp_path / "all.npy", FRAMES)
    mapped = np.load(tmp_path / "all.npy", mmap_mode="c")
    mapped += 3
    scan = scan_of(mapped)
    assert_same(scan, sent(scan, tmp_path / "way"))


def test_a_file_that_changed_meanwhile_is_noticed(tmp_path):
    np.save(tmp_path / "all.npy", FRAMES)
    described = describe(scan_of(np.load(tmp_path / "all.npy", mmap_mode="r")), tmp_path / "way")
    np.save(tmp_path / "all.npy", FRAMES + 1)
    with pytest.raises(ScanError, match="has changed since it was loaded"):
        rebuild(described)


def test_labels_go_only_where_they_are_wanted(tmp_path):
    scan = scan_of(label_patches=patches(), truth=np.ones((90, 90)))
    bare = rebuild(describe(scan, tmp_path, labels=False))
    assert bare.truth is None and bare.label_patches is None
    assert digest(bare) == digest(scan)


def test_a_path_is_opened_at_the_other_end_as_it_was_said(tmp_path):
    path = tmp_path / "scan.npz"
    write_npz(path, FRAMES.astype(np.uint16), POSITIONS, frames_units="counts", probe=PROBE)
    config = pinn.ScanConfig(drop_frames="0-3", saturation=70.0)
    assert_same(pinn.load(path, config), sent((path, config), tmp_path / "way"))
    assert_same(pinn.load(path), sent(str(path), tmp_path / "way"))
    assert not (tmp_path / "way").exists()


def test_what_a_scan_may_be(tmp_path):
    scan, pair = scan_of(), ("a.npz", pinn.ScanConfig())
    assert as_list(scan) == [scan]
    assert as_list("a.npz") == ["a.npz"] and as_list(Path("a.npz")) == [Path("a.npz")]
    assert as_list(pair) == [pair]
    assert as_list(("a.npz", "b.npz")) == ["a.npz", "b.npz"]
    assert as_list([scan, pair]) == [scan, pair]
    with pytest.raises(ConfigError, match="a scan is a ndarray"):
        describe(FRAMES, tmp_path)
