"""4D-STEM: files written by RosettaSciIO, or byte by byte, give raster, calibration and frames."""

import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest

from pinn.config import ScanConfig
from pinn.data.geometry import electron_wavelength_m
from pinn.errors import ScanError
from pinn.io.formats.electron import LazyFrames, is_electron, read_electron
from pinn.io.load import load

NY, NX, H, W = 3, 5, 16, 18
M = NY * NX
DATA = np.random.default_rng(7).poisson(5, (NY, NX, H, W)).astype(np.uint16)
RASTER = np.stack(np.divmod(np.arange(M), NX), axis=1)  # [y, x] of each frame
UNITS = ("nm", "nm", "1/nm", "1/nm")
SCALES = (0.2, 0.3, 0.5, 0.5)
MICROSCOPE = {"beam_energy": 300.0, "camera_length": 120.0, "convergence_angle": 21.0}


def signal(data=DATA, scales=SCALES, units=UNITS, navigate=(1, 1, 0, 0), tem=MICROSCOPE):
    """What a library that writes through RosettaSciIO hands over."""
    axes = [
        {
            "name": f"axis{i}",
            "size": n,
            "scale": scales[i],
            "offset": 0.0,
            "units": units[i],
            "navigate": bool(navigate[i]),
            "index_in_array": i,
        }
        for i, n in enumerate(data.shape)
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {
            "General": {"title": "scan"},
            "Signal": {"signal_type": ""},
            "Acquisition_instrument": {"TEM": dict(tem)},
        },
        "original_metadata": {},
        "learning_results": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "models": {},
        "package_info": {},
    }


def write_hspy(path, **changes):
    from rsciio.hspy import file_writer

    file_writer(str(path), signal(**changes), show_progressbar=False)
    return path


def write_emd(path):
    from rsciio.emd import file_writer

    file_writer(str(path), signal())
    return path


def write_blo(path, data):
    from rsciio.blockfile import file_writer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it rounds scales to whole numbers
        file_writer(
            str(path),
            signal(data, (2.0, 2.0, 0.012, 0.012), ("nm", "nm", "cm", "cm")),
            show_progressbar=False,
        )
    return path


def write_py4dstem(path):
    """EMD 1.0 as emdfile 0.0.16 writes it."""
    with h5py.File(path, "w") as h5:
        h5.attrs.update(emd_group_type="file", version_major=1, version_minor=0)
        root = h5.create_group("datacube_root")
        root.attrs.update(emd_group_type="root", python_class="Root")
        cube = root.create_group("datacube")
        cube.attrs.update(emd_group_type="array", python_class="Array")
        cube["data"] = DATA
        cube["data"].attrs["units"] = "counts"
        names, units = ("Rx", "Ry", "Qx", "Qy"), ("nm", "nm", "A^-1", "A^-1")
        for i, step in enumerate((0.2, 0.3, 0.05, 0.05)):
            cube[f"dim{i}"] = np.array([0.0, step])
            cube[f"dim{i}"].attrs.update(name=names[i], units=units[i])
    return path


def write_empad(folder):
    """The description and the raw file: 128 lines of floats and two of footer for each frame."""
    data = np.random.default_rng(1).random((NY, NX, 128, 128)).astype("<f4")
    raw = np.full((NY, NX, 130, 128), -7, "<f4")
    raw[:, :, :128] = data
    (folder / "scan_x5_y3.raw").write_bytes(raw.tobytes())
    path = folder / "scan.xml"
    path.write_text(
        "<root><raw_file filename='scan_x5_y3.raw'/><pix_x>5</pix_x><pix_y>3</pix_y>"
        "<timestamp isoformat='2020-01-01T00:00:00'/>"
        "<iom_measurements><calibrated_pixelsize>0.5</calibrated_pixelsize></iom_measurements>"
        "</root>"
    )
    return path, data


def write_merlin(folder):
    """Frames with a header of 384 characters each, and the description that says the raster."""
    path = folder / "scan.mib"
    with open(path, "wb") as file:
        for number, frame in enumerate(DATA.reshape(M, H, W)):
            head = (
                f"MQ1,{number:06d},00384,01,{W:04d},{H:04d},U16,   1x1,01,"
                "2020-05-07 16:51:10.905800928,0.001000,0,0,0,120,511,000,000,000,000,000,000,"
                "MQ1A,2020-05-07T14:51:10.905800928Z,1000000ns,12"
            )
            file.write((head.ljust(383) + ",").encode())
            file.write(frame.astype(">u2").tobytes())
    (folder / "scan.hdr").write_text(
        "HDR,\t\nTime and Date Stamp (day, mnth, yr, hr, min, s):\t5/7/2020 3:51:10 PM\n"
        f"Frames in Acquisition (Number):\t{M}\nFrames per Trigger (Number):\t{NX}\nEnd\t\n"
    )
    return path


def read(path, **options):
    return read_electron(path, ScanConfig(**options))


def taken(path):
    with open(path, "rb") as file:
        return is_electron(path, file.read(16))


def check_frames(found, data=DATA):
    order = np.random.default_rng(0).permutation(M)
    wanted = data.reshape(M, *data.shape[2:])
    np.testing.assert_array_equal(found.frames.read(order), wanted[order])
    twice = np.array([4, 4, 0, 14, 5])
    np.testing.assert_array_equal(found.frames.read(twice), wanted[twice])
    firsts, chunks = zip(*found.frames.chunks(4), strict=True)
    assert firsts == (0, 4, 8, 12)
    np.testing.assert_array_equal(np.concatenate(chunks), wanted)
    assert found.frames.dtype == data.dtype and found.frames.shape == wanted.shape


@pytest.mark.parametrize("write", [write_hspy, write_emd, write_py4dstem])
def test_a_raster_with_its_calibration(tmp_path, write):
    suffix = {write_hspy: "hspy", write_emd: "emd", write_py4dstem: "h5"}[write]
    path = write(tmp_path / f"a.{suffix}")
    assert taken(path)
    found = read(path)
    check_frames(found)
    np.testing.assert_allclose(found.positions_m, RASTER * [0.2e-9, 0.3e-9], rtol=1e-12)
    # A frame of 18 pixels of 0.5 cycles per nanometre.
    assert found.pixel_size_m == pytest.approx(1e-9 / (18 * 0.5))
    assert found.particle == "electron" and found.units == "counts"
    assert any("rotation" in note for note in found.notes)
    assert read(path, frames="intensity").units is None
    found.close()
    with pytest.raises(ScanError, match="closed"):
        found.frames.read(np.array([0]))


def test_the_microscope(tmp_path):
    path = write_hspy(tmp_path / "a.hspy")
    found = read(path)
    assert found.energy_ev == 300e3 and found.distance_m == pytest.approx(0.12)
    assert any("21 mrad" in note for note in found.notes)
    assert read(path, energy_ev=80e3).energy_ev == 80e3


def test_blockfile_with_lengths_on_the_detector(tmp_path):
    square = DATA[..., :16].astype(np.uint8)
    path = write_blo(tmp_path / "a.blo", square)
    assert taken(path)
    found = read(path)
    check_frames(found, square)
    np.testing.assert_allclose(found.positions_m, RASTER * 2e-9, rtol=1e-6)
    assert found.pixel_size_m is None  # follows from energy, camera length and this:
    assert found.detector_pixel_m == pytest.approx(1.2e-4, rel=0.01)  # stored in steps of 1 %


def test_empad(tmp_path):
    path, data = write_empad(tmp_path)
    assert taken(path)
    with pytest.raises(ScanError, match=r"scan\.xml have no step .* --step-m"):
        read(path)
    found = read(path, step_m=4e-11)
    check_frames(found, data)
    np.testing.assert_allclose(found.positions_m, RASTER * 4e-11, rtol=1e-14)
    assert found.units == "intensity"


def test_merlin(tmp_path):
    path = write_merlin(tmp_path)
    assert taken(path)
    found = read(path, step_m=1e-9)
    check_frames(found, DATA[:, :, ::-1])  # the library turns Merlin frames upside down
    (tmp_path / "scan.hdr").unlink()
    with pytest.raises(ScanError, match=r"holds \(15, 16, 18\), but a raster"):
        read(path, step_m=1e-9)


def test_the_step_of_the_option_wins(tmp_path):
    found = read(write_hspy(tmp_path / "a.hspy"), step_m=1e-10)
    np.testing.assert_allclose(found.positions_m, RASTER * 1e-10, rtol=1e-14)
    assert any("step_m replaces" in note for note in found.notes)


@pytest.mark.parametrize(
    ("unit", "radians"), [("mrad", 1e-3), ("rad", 1.0), ("deg", np.pi / 180)], ids=str
)
def test_angles_need_the_wavelength(tmp_path, unit, radians):
    units, scales = ("nm", "nm", unit, unit), (0.2, 0.3, 0.7, 0.7)
    found = read(write_hspy(tmp_path / "a.hspy", units=units, scales=scales))
    wanted = electron_wavelength_m(300e3) / (18 * 0.7 * radians)
    assert found.pixel_size_m == pytest.approx(wanted)
    path = write_hspy(tmp_path / "b.hspy", units=units, scales=scales, tem={})
    with pytest.raises(ScanError, match=r"0\.7 \w+ per detector pixel but not the energy .*300e3"):
        read(path)
    assert read(path, energy_ev=300e3).pixel_size_m == pytest.approx(wanted)
    assert read(path, pixel_size_m=1e-11).pixel_size_m is None  # `load` takes the option


RECIPROCAL = {"1/nm": 1e9, "nm^-1": 1e9, "1/Å": 1e10, "A^-1": 1e10, "1 / um": 1e6, "nm⁻¹": 1e9}


@pytest.mark.parametrize("unit", RECIPROCAL)
def test_reciprocal_units(tmp_path, unit):
    path = write_hspy(tmp_path / "a.hspy", units=("um", "Å", unit, unit))
    found = read(path)
    assert found.pixel_size_m == pytest.approx(1 / (18 * 0.5 * RECIPROCAL[unit]))
    np.testing.assert_allclose(found.positions_m, RASTER * [0.2e-6, 0.3e-10], rtol=1e-12)


@pytest.mark.parametrize("unit", ["px", "", "furlong", "1/furlong"])
def test_a_detector_without_calibration(tmp_path, unit):
    found = read(write_hspy(tmp_path / "a.hspy", units=("nm", "nm", unit, unit)))
    assert found.pixel_size_m is None and found.detector_pixel_m is None


def test_scan_axes_that_do_not_come_first(tmp_path):
    turned = np.ascontiguousarray(DATA.transpose(2, 3, 0, 1))
    path = write_hspy(
        tmp_path / "a.hspy",
        data=turned,
        scales=SCALES[2:] + SCALES[:2],
        units=UNITS[2:] + UNITS[:2],
        navigate=(0, 0, 1, 1),
    )
    found = read(path)
    check_frames(found)
    np.testing.assert_allclose(found.positions_m, RASTER * [0.2e-9, 0.3e-9], rtol=1e-12)


def test_the_description_of_a_merlin_acquisition_stands_for_its_frames(tmp_path):
    options = {"energy_ev": 3e5, "step_m": 1e-9, "pixel_size_m": 1e-10, "frame_size": 16}
    path = write_merlin(tmp_path)
    assert path.read_bytes().startswith(b"MQ1,000000,00384,") and taken(path)
    beside = path.with_suffix(".hdr")
    assert taken(beside)
    for named in (path, beside):
        found = read(named, **options)
        check_frames(found, DATA[:, :, ::-1])  # see above
        found.close()
        scan = load(named, **options)
        assert {path, beside} <= set(scan.files)
        scan.close()
    path.unlink()
    with pytest.raises(ScanError, match=r"scan\.hdr describes .* scan\.mib, are not beside it"):
        read(beside)


def test_damaged_files(tmp_path):
    path = write_merlin(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ScanError, match=r"RosettaSciIO cannot read .*scan\.mib as quantumdetector"):
        read(path)
    xml = tmp_path / "b.xml"
    xml.write_text("<root><raw_file filename='gone.raw'/><pix_x>5</pix_x>")
    with pytest.raises(ScanError, match=r"cannot read .*b\.xml as empad"):
        read(xml)
    foreign = tmp_path / "c.dat"
    foreign.write_text("nothing of the kind")
    with pytest.raises(ScanError, match=r"c\.dat is of no electron microscopy format"):
        read(foreign)


def test_a_file_that_breaks_while_it_is_read(tmp_path):
    class Failing:
        shape, dtype, ndim = (NY, NX, H, W), np.dtype(np.uint8), 4

        def __getitem__(self, key):
            return self

        def compute(self, scheduler):
            raise OSError("disk gone")

    frames = LazyFrames(Failing(), tmp_path / "a.emd")
    with pytest.raises(ScanError, match=r"a\.emd cannot be read \(disk gone\)"):
        frames.read(np.array([0]))
    with pytest.raises(ScanError, match="frame 15 was asked for"):
        frames.read(np.array([15]))


def test_without_the_library_the_sentence_says_what_to_install(tmp_path):
    path = write_hspy(tmp_path / "a.hspy")
    code = (
        "import sys; sys.modules['rsciio'] = None\n"
        "from pathlib import Path\n"
        "from pinn.config import ScanConfig\n"
        "from pinn.io.formats.electron import read_electron\n"
        f"read_electron(Path({str(path)!r}), ScanConfig())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ScanError" in result.stderr
    assert "needs rosettasciio: pip install 'pinn-ptycho[formats]'" in result.stderr


def test_recognised_by_the_first_bytes(tmp_path):
    heads = {
        b"IMGBLO\x00\x00": True,
        b"MQ1,000001,00384": True,
        b"HDR,\t\nTime and D": True,  # beside frames of Merlin
        b"\x00\x00\x00\x03\x00\x00\x10\x00\x00\x00\x00\x01\x00\x00\x00\x00": True,  # .dm3
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x01": True,  # .dm4
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x07": False,
        b"<html><body>": False,
        b"PK\x03\x04": False,
        b"": False,
    }
    path = tmp_path / "a.bin"
    for head, wanted in heads.items():
        path.write_bytes(head.ljust(64, b"\x00"))
        assert is_electron(path, head[:16]) is wanted, head
    with h5py.File(tmp_path / "b.h5", "w") as h5:
        h5["Experiments"] = 1
    assert not taken(tmp_path / "b.h5")
    assert not is_electron(tmp_path / "none.xml", b"<root>")
