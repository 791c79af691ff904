"""`pinn.convert`: what goes in comes out, prepared, in one step, and inputs are never written."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from npz_files import M, N, contract, write
from same_scan import assert_same_scan

import pinn
from pinn.cli.objects import read_object
from pinn.config import ScanConfig
from pinn.data.frames import ArrayFrames
from pinn.data.masks import mask_rows
from pinn.data.scan import Scan
from pinn.errors import ConfigError, OutputError, ScanError
from pinn.io.convert import convert, write_scan
from pinn.io.formats.npz_writer import scan_arrays, write_npz
from pinn.io.formats.registry import FORMATS, for_writing, names
from pinn.io.load import load
from pinn.progress import StopRequested

BASE = contract()
OPTICS = {"energy_ev": 8e3, "distance_m": 2.0, "detector_pixel_m": 1e-4}
COUNTS = np.rint(BASE["diff3d"].astype(np.float64) ** 2).astype(np.uint16)
RNG = np.random.default_rng(7)
EACH = RNG.random((M, N, N)) > 0.1
Y, X = np.mgrid[:N, :N] - N // 2
PROBE = np.exp(-((Y - 0.7) ** 2 + (X + 0.4) ** 2 / 1.3) / 4) * np.exp(0.4j * Y - 0.25j * X)


def full_scan(**changes):
    """A scan with every part there is."""
    parts = {
        "probe": np.stack([[PROBE, 1j * PROBE], [0.1 * PROBE, PROBE**2]]),
        "probe_weights": RNG.standard_normal((M, 2)),
        "valid_mask": EACH[0],
        "units": "counts",
        "truth": BASE["objectGuess"],
        "truth_origin_px": (-3.5, 2.25),
        "scan_index": np.arange(M) % 2,
        "pixel_size_m": 2e-8,
        "positions_nominal_px": np.stack([BASE["ycoords"], BASE["xcoords"]], 1) + 0.25,
        "label_patches": RNG.standard_normal((M, N, N)) * (1 + 0.5j),
        "energy_ev": 7e3,
        "distance_m": 3.0,
        "detector_pixel_m": 5e-5,
        "acquisition": {"exposure_time_s": 0.01},
        "saturation": 45.0,
        "propagation": "near:0.5",
        "detector_response": "blur:1.5",
        "steps": [{"step": "crop", "side": 16, "from": [20, 22]}],
    }
    places = np.stack([BASE["ycoords"], BASE["xcoords"]], 1)
    return Scan(COUNTS, places, **(parts | changes))


def assert_same_frames(one, other):
    for mine, theirs in zip(one.read(np.arange(M)), other.read(np.arange(M)), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_npz_keeps_everything(tmp_path):
    scan = full_scan()
    found = load(write_scan(scan, tmp_path / "out.npz"))
    # Positions were moved to the contract's corner and back.
    of_the_file = ("name", "source", "files", "notes")
    assert_same_scan(scan, found, but=of_the_file, rtol=1e-14)
    assert found.made_with is None


def test_the_object_of_an_npz_begins_at_the_corner_as_the_contract_says(tmp_path):
    scan = full_scan()
    with np.load(write_scan(scan, tmp_path / "out.npz")) as raw:
        np.testing.assert_array_equal(raw["ycoords"], scan.positions_px[:, 0] + 3.5)
        np.testing.assert_array_equal(raw["xcoords"], scan.positions_px[:, 1] - 2.25)
        assert raw["probeGuess"].shape == (2, 2, N, N)
        np.testing.assert_array_equal(raw["bad_pixels"], ~EACH[0])


def test_the_object_of_a_scan_file_is_compared_where_it_was(tmp_path):
    scan = full_scan()
    placed = read_object(write_scan(scan, tmp_path / "out.npz"))
    np.testing.assert_array_equal(placed.object, scan.truth)
    np.testing.assert_array_equal(placed.origin_px, scan.truth_origin_px)
    np.testing.assert_allclose(placed.positions_px, scan.positions_px, rtol=1e-14)


@pytest.mark.parametrize("lazily", [False, True], ids=["array", "source"])
def test_a_mask_of_each_frame_is_streamed(tmp_path, lazily):
    scan = full_scan(valid_mask=ArrayFrames(EACH) if lazily else EACH)
    found = load(write_scan(scan, tmp_path / "out.npz"))
    np.testing.assert_array_equal(mask_rows(found.valid_mask, np.arange(M)), EACH)
    assert_same_frames(found, scan)


def test_a_dose_that_was_given_is_kept(tmp_path):
    for units in ("counts", "intensity", "amplitude"):
        scan = Scan(COUNTS, full_scan().positions_px, units=units, photons_per_frame=777.0)
        found = load(write_scan(scan, tmp_path / f"{units}.npz"))
        assert found.statistics().mean_counts == pytest.approx(777.0)
        assert_same_frames(found, scan)


def test_the_dose_of_a_part_is_written_so_that_it_reads_back_the_same(tmp_path):
    scan = Scan(COUNTS, full_scan().positions_px, units="intensity", photons_per_frame=777.0)
    rows = np.array([7, 1, 4])
    found = load(write_scan(scan.select(rows), tmp_path / "a.npz"))
    np.testing.assert_allclose(found.read([0, 1, 2])[0], scan.read(rows)[0], rtol=1e-6)


@pytest.mark.parametrize("name", names(writable=True))
def test_every_format_that_is_written_reads_back_as_the_same_scan(tmp_path, name):
    suffix = next(known.suffixes[0] for known in FORMATS if known.name == name)
    scan = full_scan(
        probe=np.stack([PROBE, 0.3j * PROBE]),
        probe_weights=None,
        label_patches=None,
        scan_index=None,
        truth_origin_px=(0, 0),
        valid_mask=EACH[0],
    )
    told = []
    written = write_scan(scan, tmp_path / f"out{suffix}", name, told.append)
    found = load(written)
    amplitude, valid = scan.read(np.arange(M))
    mine, mask = found.read(np.arange(M))
    np.testing.assert_array_equal(mask, valid)
    # single precision of a square root or a square
    np.testing.assert_allclose(mine, amplitude, rtol=1e-6)
    assert (found.propagation, found.detector_response) == ("near:0.5", "blur:1.5")
    # Lengths in files are metres from an origin of the format's choice.
    shift = found.positions_px - scan.positions_px
    np.testing.assert_allclose(shift, shift[[0]].repeat(M, 0), atol=1e-6)
    share = np.vdot(found.probe, scan.probe) / np.linalg.norm(found.probe) / np.linalg.norm(
        scan.probe
    )  # fmt: skip
    assert abs(share) == pytest.approx(1, abs=1e-6)
    assert found.pixel_size_m == pytest.approx(2e-8)
    assert found.energy_ev == pytest.approx(7e3, rel=1e-6)
    assert told[-1].stage == "convert" and told[-1].done == told[-1].total == M
    found.close()


def test_preparation_is_applied_and_recorded(tmp_path):
    source = write(tmp_path / "in.npz", diff3d=COUNTS, probeGuess=PROBE)
    before = source.read_bytes()
    options = {"frame_size": 32, "bin_frames": 2, "flip_frames": "lr", "drop_frames": "0,5"}
    target = convert(source, tmp_path / "out.npz", **options)
    expected, found = load(source, **options), load(target)
    rows = np.arange(M - 2)
    for mine, theirs in zip(found.read(rows), expected.read(rows), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(found.positions_px, expected.positions_px)
    np.testing.assert_array_equal(found.probe, expected.probe)
    assert found.steps == expected.steps
    assert [step["step"] for step in found.steps] == ["drop_frames", "crop", "flip_frames", "bin"]
    assert any(note.startswith("prepared: crop") for note in found.notes)
    again = load(convert(target, tmp_path / "again.npz", beamstop=1.0))
    assert [step["step"] for step in again.steps][-1] == "beamstop"
    assert len(again.steps) == 5
    assert source.read_bytes() == before


def test_a_configuration_will_do_as_well_as_options(tmp_path):
    source = write(tmp_path / "in.npz", diff3d=COUNTS)
    target = pinn.convert(source, tmp_path / "o.npz", config=ScanConfig(flip_frames="ud"))
    assert load(target).steps == ({"step": "flip_frames", "kind": "ud"},)


def test_the_format_is_that_of_the_option_or_of_the_ending(tmp_path):
    source = write(tmp_path / "in.npz", diff3d=COUNTS)
    named = convert(source, tmp_path / "scan.dat", to="npz")
    assert json.loads(str(np.load(named)["metadata"]))["frames_centre"] == "centred"
    with pytest.raises(
        OutputError, match=r"scan\.dat2 tells no format to write; say --to with one of"
    ):
        convert(source, tmp_path / "scan.dat2")
    with pytest.raises(OutputError, match="tike NPZ is read, but not written; choose from"):
        convert(source, tmp_path / "a.npz", to="tike")
    with pytest.raises(ConfigError, match="format 'nzp' is not known"):
        convert(source, tmp_path / "a.npz", to="nzp")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.npz", "scan.dat"]
    assert for_writing(Path("A.NPZ"), None).name == "npz"


def test_no_input_is_overwritten(tmp_path):
    source = write(tmp_path / "in.npz", diff3d=COUNTS)
    mask = tmp_path / "mask.npz"
    np.savez(mask, bad_pixels=np.zeros((N, N), bool))
    link = tmp_path / "link.npz"
    link.symlink_to(source)
    before = source.read_bytes(), mask.read_bytes()
    for target in (source, link, tmp_path / "." / "in.npz", mask):
        with pytest.raises(OutputError, match="it is one of the files that are read"):
            convert(source, target, bad_pixels=mask)
    with pytest.raises(OutputError, match="it is one of the files that are read"):
        write_scan(load(source), source)
    assert (source.read_bytes(), mask.read_bytes()) == before


def test_the_other_file_of_a_pair_is_an_input_too(tmp_path):
    source = write(tmp_path / "in.npz", diff3d=COUNTS, probeGuess=PROBE)
    product = convert(source, tmp_path / "a.h5", to="ptychodus", pixel_size_m=1e-8)
    frames = tmp_path / "a_diffraction.h5"
    before = frames.read_bytes()
    with pytest.raises(OutputError, match="it is one of the files that are read"):
        convert(product, frames, to="ptychodus")
    assert frames.read_bytes() == before


PLAIN = {"data_path": "frames", "positions_path": "places"}


def split_cxi(folder, source):
    """A CXI file without frames, and the file beside it that has them."""
    path, frames = convert(source, folder / "scan.cxi"), folder / "diffraction.cxi"
    with h5py.File(path, "a") as h5, h5py.File(frames, "w") as other:
        detector = h5["entry_1/instrument_1/detector_1"]
        other["cxi_version"] = 160
        other["entry_1/data_1/data"] = detector["data"][()]
        del detector["data"], h5["entry_1/data_1/data"], h5["entry_1/pinn_scan"]
    return path, frames, {}


def foreign_product(folder, source):
    """A product whose frames have the name that ptychodus gives them."""
    path = convert(source, folder / "scan.h5")
    frames = (folder / "scan_diffraction.h5").rename(folder / "diffraction.h5")
    return path, frames, {}


def npz_patterns(folder, source):
    path = convert(source, folder / "scan.h5")
    frames = folder / "diffraction.npz"
    with h5py.File(folder / "scan_diffraction.h5") as h5:
        np.savez(frames, **{name: h5[name][()] for name in ("patterns", "indexes", "bad_pixels")})
    (folder / "scan_diffraction.h5").unlink()
    return path, frames, {}


def pair(folder, source):
    path = convert(source, folder / "scan_para.hdf5")
    frames = (folder / "scan_dp.hdf5").rename(folder / "scan_dp.h5")
    return path, frames, {}


def linked(link):
    """A plain file whose frames are in another one, by a link or a virtual dataset."""

    def make(folder, source):
        path, frames = folder / "master.h5", folder / "detector.h5"
        with h5py.File(path, "w") as h5, h5py.File(frames, "w") as other:
            other["d"] = COUNTS
            h5["places"] = np.stack([BASE["ycoords"], BASE["xcoords"]], 1)
            h5["places"].attrs["units"] = "px"
            link(h5)
        return path, frames, PLAIN

    return make


def virtual(h5):
    layout = h5py.VirtualLayout(COUNTS.shape, COUNTS.dtype)
    layout[:] = h5py.VirtualSource("detector.h5", "d", COUNTS.shape)
    h5.create_virtual_dataset("frames", layout)


def over_a_soft_link(h5):
    h5["outside"] = h5py.ExternalLink("detector.h5", "/")
    h5["frames"] = h5py.SoftLink("/outside/d")


BESIDE = {
    "cxi": split_cxi,
    "ptychodus": foreign_product,
    "ptychodus npz": npz_patterns,
    "ptychovit": pair,
    "external link": linked(
        lambda h5: h5.__setitem__("frames", h5py.ExternalLink("detector.h5", "d"))
    ),
    "soft link": linked(over_a_soft_link),
    "virtual": linked(virtual),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_a_file_that_was_not_named_but_holds_the_frames_is_an_input_too(tmp_path, beside):
    source = write(tmp_path / "in.npz", diff3d=COUNTS, probeGuess=PROBE)
    source = convert(source, tmp_path / "sized.npz", pixel_size_m=1e-8, **OPTICS)
    path, frames, options = BESIDE[beside](tmp_path, source)
    before = frames.read_bytes()
    with pytest.raises(OutputError, match="it is one of the files that are read"):
        convert(path, frames, to="cxi", **options)
    scan = load(path, **options)
    assert {path, frames} <= set(scan.files)
    with pytest.raises(OutputError, match="it is one of the files that are read"):
        write_scan(scan.select([0, 1, 2]), frames, "npz")
    assert frames.read_bytes() == before
    assert len(load(convert(path, tmp_path / "elsewhere.npz", **options))) == M


def test_a_failure_leaves_what_was_there(tmp_path):
    source = write(tmp_path / "in.npz", diff3d=COUNTS)
    old = tmp_path / "out.npz"
    old.write_bytes(b"old")

    def stop(progress):
        raise StopRequested

    with pytest.raises(StopRequested):
        convert(source, old, progress=stop)
    with pytest.raises(ScanError, match="no known format"):
        convert(old, tmp_path / "b.npz")
    assert old.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.npz", "out.npz"]


SCRIPT = """
import re, sys
from pinn.io.convert import convert

def anonymous_mb():
    with open("/proc/self/status", encoding="ascii") as status:
        return int(re.search(r"RssAnon:\\s+(\\d+) kB", status.read())[1]) / 1024

before, peak = anonymous_mb(), 0.0
def look(progress):
    global peak
    peak = max(peak, anonymous_mb() - before)
convert(sys.argv[1], sys.argv[2], progress=look, bin_frames=2, flip_frames="ud", frame_size=320)
print(peak)
"""


def test_a_large_scan_is_converted_in_little_memory(tmp_path):
    count, side = 500, 256  # 131 MB of float32
    places = np.random.default_rng(0).uniform(0, 900, (count, 2))
    block = np.zeros((20, side, side), np.float32)
    block[:, side // 2 - 1 : side // 2 + 2, side // 2] = 900
    source = tmp_path / "large.npz"
    blocks = (block for _ in range(count // 20))
    arrays = scan_arrays(places)
    write_npz(source, blocks, (count, side), np.float32, arrays, frames_units="counts")
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(source), str(tmp_path / "o.npz")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(result.stdout) < 130
    scan = load(tmp_path / "o.npz")
    assert scan.frames.shape == (count, 160, 160)
    assert scan.statistics().mean_counts == pytest.approx(2700)
