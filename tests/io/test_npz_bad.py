"""Files that are refused: one sentence that names file, key, what was found and what to do."""

import zipfile

import numpy as np
import pytest
from npz_files import M, N, contract, write

from pinn.errors import ScanError
from pinn.io.load import load

FRAMES = contract()["diff3d"]
PROBE = contract()["probeGuess"]
OBJECTS = np.array([{"a": 1}] * M, dtype=object)

CONTENT = {
    "no frames": (dict(diff3d=None), r"no array 'diff3d' or 'diffraction'.*has: objectGuess, prob"),
    "no x": (dict(xcoords=None), "no array 'xcoords'.*has: diff3d, objectGuess"),
    "no y": (dict(ycoords=None), "no array 'ycoords'"),
    "rank 2": (dict(diff3d=FRAMES[0]), r"'diff3d' .* \(16, 16\), but \(M, N, N\)"),
    "rank 4": (dict(diff3d=FRAMES.reshape(M, 2, 8, N)), r"'diff3d' .* \(12, 2, 8, 16\), but"),
    "not square": (dict(diff3d=FRAMES[:, :, :14]), "'diff3d' .* 16 x 14 pixels, but .*crop or pad"),
    "not square, frames last": (
        dict(diff3d=np.ascontiguousarray(np.moveaxis(FRAMES[:, :, :14], 0, 2))),
        "16 x 14 pixels",
    ),
    "odd": (dict(diff3d=FRAMES[:, :15, :15]), "15 x 15 pixels, .* even side"),
    "length": (dict(diff3d=FRAMES[:9]), r"\(9, 16, 16\), but 'xcoords' has 12 positions"),
    "length y": (dict(ycoords=np.arange(5.0)), "'ycoords' .* 5 entries, but there are 12"),
    "length start": (
        dict(xcoords_start=np.arange(12.0), ycoords_start=np.arange(4.0)),
        "'ycoords_start' .* 4 entries",
    ),
    "length index": (dict(scan_index=np.zeros(3)), "'scan_index' .* 3 entries"),
    "x rank": (dict(xcoords=np.zeros((M, 2))), r"'xcoords' .* \(12, 2\), but \(M,\)"),
    "x complex": (dict(xcoords=np.zeros(M, complex)), "'xcoords' .* complex128, but real"),
    "x nan": (dict(xcoords=np.full(M, np.nan)), "12 positions of .* not finite"),
    "frames objects": (dict(diff3d=np.empty((M, N, N), object)), "'diff3d' .* never read"),
    "x objects": (dict(xcoords=OBJECTS), "'xcoords' .* pickled Python objects, .* never read"),
    "probe objects": (dict(probeGuess=np.empty((N, N), object)), "'probeGuess' .* never read"),
    "frames complex": (dict(diff3d=FRAMES + 0j), "'diff3d' .* complex64, but real"),
    "frames text": (dict(diff3d=FRAMES.astype("U4")), "'diff3d' .* <U4, but real"),
    "frames records": (
        dict(diff3d=np.zeros((M, N, N), [("a", "f4"), ("b", "f4")])),
        "'diff3d' .* but real numbers",
    ),
    "probe rank": (
        dict(probeGuess=PROBE[None, None, None]),
        r"'probeGuess' .* \(1, 1, 1, 16, 16\).*2 to 4",
    ),
    "probe size": (dict(probeGuess=PROBE[:8, :8]), r"probe of .* \(8, 8\), but \(16, 16\)"),
    "object rank": (dict(objectGuess=np.ones((2, 9, 9))), r"'objectGuess' .* \(2, 9, 9\)"),
    "bad pixels shape": (dict(bad_pixels=np.zeros((8, 8), bool)), r"'bad_pixels' .* \(8, 8\)"),
    "bad pixels type": (dict(bad_pixels=np.zeros((N, N))), "'bad_pixels' .* float64, but bool"),
    "all bad": (dict(bad_pixels=np.ones((N, N), bool)), "cover all frames; True means BAD"),
    "units": (dict(frames_units=np.array("photons")), "'frames_units' .* 'photons', but one of"),
    "units type": (dict(frames_units=np.array(3)), "'frames_units' .* one string is required"),
    "metres": (
        dict(xcoords=np.linspace(0, 1e-5, M), ycoords=np.linspace(0, 2e-5, M)),
        "looks like metres",
    ),
    "dark": (dict(diff3d=FRAMES * 0), "all 12 frames .* dark"),
    "empty": (
        dict(diff3d=FRAMES[:0], xcoords=np.zeros(0), ycoords=np.zeros(0), scan_index=None),
        "has no positions: 'xcoords' is empty",
    ),
}


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
@pytest.mark.parametrize("case", CONTENT)
def test_bad_content(tmp_path, case, compressed):
    changes, message = CONTENT[case]
    path = write(tmp_path / "scan3.npz", compressed, **changes)
    with pytest.raises(ScanError, match=message) as caught:
        load(path).statistics()
    assert "scan3.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def truncated(path):
    data = write(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flipped(path):
    write(path, compressed=True)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("xcoords.npy").header_offset + 120] ^= 0xFF
    path.write_bytes(data)


def shrunk(path):
    """A zip file whose frames end early: the header promises more than there is."""
    with zipfile.ZipFile(write(path)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data[:-512] if name == "diff3d.npy" else data)


def no_header(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("diff3d.npy", b"not an array at all")


def misplaced(path):
    """The directory points into the middle of the file."""
    data = bytearray(write(path).read_bytes())
    start = data.index(b"PK\x01\x02")
    data[start + 42 : start + 46] = (77).to_bytes(4, "little")
    path.write_bytes(data)


FILES = {
    "text": (lambda p: p.write_text("x,y\n1,2\n"), r"no known format.*begins with b'x,y"),
    "empty": (lambda p: p.touch(), "is empty"),
    "folder": (lambda p: p.mkdir(), "is a folder; name the scan file in it"),
    "missing": (lambda p: None, "does not exist; check the path"),
    "truncated": (truncated, "truncated, copy it again"),
    "zip start only": (lambda p: p.write_bytes(b"PK\x03\x04"), "truncated"),
    "flipped bits": (flipped, "'xcoords' in .* cannot be read"),
    "frames end early": (shrunk, r"'diff3d' .* \(12, 16, 16\) of float32, but holds 11776 bytes"),
    "no npy header": (no_header, "'diff3d' in .* cannot be read"),
    "misplaced member": (misplaced, "'diff3d' in .* cannot be read"),
    "zip of something else": (
        lambda p: zipfile.ZipFile(p, "w").close(),
        "no array 'diff3d' or 'diffraction'.*has: no arrays",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_files(tmp_path, case):
    make, message = FILES[case]
    path = tmp_path / "scan3.npz"
    make(path)
    with pytest.raises(ScanError, match=message) as caught:
        load(path).statistics()
    assert "scan3.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


EXTRA = {
    "probe key": ("probe", dict(image=PROBE), "no array 'probeGuess' or 'probe'; it has: image"),
    "probe size": ("probe", dict(probe=PROBE[:8, :8]), r"\(8, 8\), but \(16, 16\)"),
    "probe objects": ("probe", dict(probe=np.empty((N, N), object)), "never read"),
    "bad pixels key": ("bad_pixels", dict(mask=np.ones((N, N), bool)), "no array 'bad_pixels'"),
    "bad pixels shape": ("bad_pixels", dict(bad_pixels=np.ones(4, bool)), r"\(4,\) of bool"),
}


@pytest.mark.parametrize("case", EXTRA)
def test_bad_extra_files(tmp_path, case):
    option, arrays, message = EXTRA[case]
    np.savez(tmp_path / "extra.npz", **arrays)
    with pytest.raises(ScanError, match=message):
        load(write(tmp_path / "a.npz"), **{option: tmp_path / "extra.npz"})


@pytest.mark.parametrize("option", ["probe", "bad_pixels"])
def test_extra_files_that_are_no_arrays(tmp_path, option):
    path = write(tmp_path / "a.npz")
    extra = tmp_path / "extra.npy"
    with pytest.raises(ScanError, match=r"file .*extra\.npy does not exist"):
        load(path, **{option: extra})
    extra.write_text("hello")
    with pytest.raises(ScanError, match=r"extra\.npy is neither NPZ nor NPY"):
        load(path, **{option: extra})
    np.save(extra, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ScanError, match=r"extra\.npy cannot be read"):
        load(path, **{option: extra})
