"""Each file is recognised as what it is, by content, and by no other format; and loads by name."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from foreign_files import (
    BAD,
    COUNTS,
    LAB_M,
    LAB_PIXEL_M,
    OBJECT,
    PIXEL_M,
    PLACES,
    PLACES_M,
    H,
    M,
    W,
    shelves_variables,
    write_flat,
    write_hxn,
    write_mat,
    write_pair,
    write_ptyd,
    write_ptylab,
    write_tike,
)
from npz_files import write as write_contract

from pinn.config import ScanConfig
from pinn.data.geometry import photon_wavelength_m
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.formats.cxi_writer import write_cxi
from pinn.io.formats.npz_writer import write_scan_npz
from pinn.io.formats.ptychodus_writer import write_ptychodus
from pinn.io.formats.ptychovit_writer import write_ptychovit_pair
from pinn.io.formats.registry import FORMATS, HEAD_BYTES, recognise
from pinn.io.load import load

GOLDEN = Path(__file__).parents[1] / "goldens" / "ptychodus_1_7"
# These take what no other has taken, so they claim files of others and are asked last.
CATCH_ALL = {"npz", "plain-hdf5"}


def scan():
    N = 16
    return Scan(COUNTS[:, :, :N], PLACES, units="counts", valid_mask=~BAD[:, :N], truth=OBJECT)


def by_our_writer(write, name, which=0):
    def make(folder):
        write(folder / name, scan())
        return folder / name

    return make


def ours_vit(folder, which):
    return write_ptychovit_pair(folder / "out", scan())[which]


def nxcxi(folder):
    parts = {
        "entry_1/definition": "NXcxi_ptycho",
        "entry_1/data_1/data": COUNTS,
        "entry_1/sample_1/transformations/x": PLACES_M[:, 1],
    }
    return write_flat(folder / "a.nxs", parts)


def hspy(folder):
    with h5py.File(folder / "a.hspy", "w") as h5:
        h5.attrs.update(file_format="HyperSpy", file_format_version="3.3")
        h5["Experiments/scan/data"] = COUNTS.reshape(3, 5, H, W)
    return folder / "a.hspy"


def emd(folder):
    with h5py.File(folder / "a.emd", "w") as h5:
        h5.attrs.update(version_major=1, version_minor=0)
        h5["datacube_root/datacube/data"] = COUNTS.reshape(3, 5, H, W)
    return folder / "a.emd"


def head_only(name, head):
    def make(folder):
        (folder / name).write_bytes(head.ljust(600, b"\x00"))
        return folder / name

    return make


FILES = {
    "contract": ("npz", lambda f: write_contract(f / "a.npz")),
    "our npz": ("npz", by_our_writer(write_scan_npz, "a.npz")),
    "tike": ("tike", lambda f: write_tike(f / "a.npz")),
    "product": ("ptychodus", lambda f: GOLDEN / "product.h5"),
    "product, npz": ("ptychodus", lambda f: GOLDEN / "flat.npz"),
    "our product": ("ptychodus", by_our_writer(write_ptychodus, "product.h5")),
    "training": ("ptychodus-training", lambda f: GOLDEN / "training.h5"),
    "patterns": ("ptychodus-patterns", lambda f: GOLDEN / "diffraction.h5"),
    "patterns, npz": ("ptychodus-patterns", lambda f: GOLDEN / "flat_patterns.npz"),
    "cxi": ("cxi", lambda f: GOLDEN / "product.cxi"),
    "our cxi": ("cxi", by_our_writer(write_cxi, "a.cxi")),
    "nxcxi": ("nxcxi", nxcxi),
    "fold_slice dp": ("ptychovit", lambda f: write_pair(f)[0]),
    "fold_slice para": ("ptychovit", lambda f: write_pair(f)[1]),
    "fold_slice para 0": ("ptychovit", lambda f: write_pair(f, "fold_slice_0")[1]),
    "PtychoViT dp": ("ptychovit", lambda f: write_pair(f, "ptychovit")[0]),
    "PtychoViT para": ("ptychovit", lambda f: write_pair(f, "ptychovit")[1]),
    "our dp": ("ptychovit", lambda f: ours_vit(f, 0)),
    "our para": ("ptychovit", lambda f: ours_vit(f, 1)),
    "ptyd": ("ptyd", lambda f: write_ptyd(f / "a.ptyd")),
    "ptylab": ("ptylab", lambda f: write_ptylab(f / "a.hdf5")),
    "hxn": ("hxn", lambda f: write_hxn(f / "a.h5")),
    "mat 5": ("ptychoshelves", lambda f: write_mat(f / "a.mat", 5, shelves_variables())),
    "mat 7.3": ("ptychoshelves", lambda f: write_mat(f / "a.mat", 7.3, shelves_variables())),
    "mat 7.3 dp": (
        "ptychoshelves",
        lambda f: write_mat(f / "a.mat", 7.3, {"dp": np.moveaxis(COUNTS, 0, 2)}),
    ),
    "hspy": ("electron", hspy),
    "emd": ("electron", emd),
    "blockfile": ("electron", head_only("a.blo", b"IMGBLO")),
    "Merlin": ("electron", head_only("a.mib", b"MQ1,000001,00384")),
    "Gatan": ("electron", head_only("a.dm4", b"\0\0\0\4" + bytes(11) + b"\1")),
    "EMPAD": ("electron", head_only("a.xml", b"<root><raw_file filename='a.raw'/>")),
    "plain": ("plain-hdf5", lambda f: write_flat(f / "a.h5", {"x/frames": COUNTS})),
    "mat 7.3 of others": ("plain-hdf5", lambda f: write_mat(f / "a.mat", 7.3, {"x": np.ones(3)})),
}


def head_of(path):
    return path.read_bytes()[:HEAD_BYTES]


@pytest.mark.parametrize("name", FILES)
def test_one_format_claims_a_file(tmp_path, name):
    wanted, make = FILES[name]
    path = make(tmp_path)
    claims = {known.name for known in FORMATS if known.claims(path, head_of(path))}
    # A `_para` file of PtychoViT is a ptychodus product besides.
    allowed = CATCH_ALL | ({"ptychodus"} if "para" in name else set())
    assert wanted in claims
    assert claims - {wanted} <= allowed
    assert recognise(path, ScanConfig()).name == wanted


def test_every_format_has_a_file_here():
    assert {wanted for wanted, _ in FILES.values()} == {known.name for known in FORMATS}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_ending_changes_nothing(tmp_path, name):
    wanted, make = FILES[name]
    if wanted == "ptychovit" and "dp" not in name:
        return  # the name of such a file is how its other half is found
    path = make(tmp_path)
    other = tmp_path / "renamed.txt"
    other.write_bytes(path.read_bytes())
    assert recognise(other, ScanConfig()).name == wanted


@pytest.mark.parametrize("name", FILES)
def test_recognisers_never_raise_on_damaged_files(tmp_path, name):
    whole = FILES[name][1](tmp_path).read_bytes()
    rng = np.random.default_rng(8)
    path = tmp_path / "damaged"
    for trial in range(6):
        damaged = bytearray(whole)
        if trial < 3:
            damaged = damaged[: int(rng.integers(1, min(len(whole), 4000)))]
        else:
            for place in rng.integers(0, min(len(whole), 4000), 8):
                damaged[place] = int(rng.integers(0, 256))
        path.write_bytes(damaged)
        for known in FORMATS:
            assert known.claims(path, head_of(path)) in (True, False)


@pytest.mark.parametrize("content", [b"\x00", b"plain text, no scan", b"\xff" * 64, b"\x89HDF"])
def test_foreign_files_get_one_sentence(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(ScanError, match=r"a\.h5 is of no known format") as error:
        recognise(path, ScanConfig())
    assert "\n" not in str(error.value)


# ----------------------------------------------------------------------- through `pinn.load`

# Pixels of 18 columns; of the 16 that are left they are larger by this.
LARGER = 18 / 16
LOADED = {
    # The object pixel of the frames as stored, along x; None where positions are in pixels.
    "tike": ({}, None),
    "ptyd": ({"beam_centre": "8,9"}, photon_wavelength_m(8200) * 2.1 / (18 * 55e-6)),
    "ptylab": ({}, LAB_PIXEL_M),
    "hxn": ({}, 1.5e-10 * 0.5 / (18 * 55e-6)),
    "fold_slice dp": ({}, PIXEL_M),
    "PtychoViT para": ({}, PIXEL_M),
    "mat 5": ({}, None),
    "mat 7.3": ({}, None),
    "plain": ({"data_path": "x/frames", "positions_path": "places", "mask_path": "bad"}, None),
}


@pytest.mark.parametrize("name", LOADED)
def test_all_load_as_the_same_scan(tmp_path, name):
    """Frames are cut to a square around their middle, positions become pixels of what is left."""
    options, pixel = LOADED[name]
    path = FILES[name][1](tmp_path)
    if name == "plain":
        path = write_flat(path, {"x/frames": COUNTS, "places": PLACES, "bad": BAD})
    scan = load(path, frame_size=16, **options)
    amplitude, valid = scan.read(np.arange(M))
    wanted = COUNTS[:, :, 1:17].astype(np.float64)
    np.testing.assert_allclose((amplitude.astype(np.float64) ** 2)[valid], wanted[valid], rtol=1e-6)
    if name in ("ptyd", "mat 5", "mat 7.3", "plain"):
        np.testing.assert_array_equal(valid[0], ~BAD[:, 1:17])
    else:
        assert valid.all()
    if pixel is None:
        places = PLACES / [1, LARGER]
    else:
        metres = LAB_M if name == "ptylab" else PLACES_M
        places = metres / (pixel * LARGER)
        assert scan.pixel_size_m == pytest.approx(pixel * LARGER)
    np.testing.assert_allclose(scan.positions_px, places, rtol=1e-9)
    scan.close()


def test_a_scan_of_ours_is_the_same_in_every_format_that_is_written(tmp_path):
    first = scan()
    for known in FORMATS:
        if known.write is None:
            continue
        path = tmp_path / f"{known.name}{known.suffixes[0]}"
        known.write_scan(path, first)
        second = load(path)
        np.testing.assert_array_equal(second.positions_px, first.positions_px)
        np.testing.assert_array_equal(second.valid_mask, first.valid_mask)
        np.testing.assert_array_equal(second.truth, first.truth)
        rows = np.arange(M)
        np.testing.assert_array_equal(second.frames.read(rows), first.frames.read(rows))
        assert second.units == "counts"
        second.close()


def test_the_format_can_be_named(tmp_path):
    """A PtychoViT `_para` file taken as the product that it is too."""
    _, para = write_pair(tmp_path, "ptychovit")
    assert recognise(para, ScanConfig(format="ptychodus")).name == "ptychodus"
    path = write_flat(tmp_path / "b.h5", {"ptychogram": COUNTS, "encoder": 1, "places": PLACES})
    named = {"format": "plain-hdf5", "data_path": "ptychogram", "positions_path": "places"}
    found = load(path, frame_size=16, **named)
    np.testing.assert_allclose(found.positions_px, PLACES / [1, LARGER])
    found.close()
