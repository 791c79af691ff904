"""Results as TIFF and NPY, read back by other programs' means: tifffile, Pillow, NumPy."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import pinn
from pinn import cli
from pinn.errors import InputError
from pinn.io.product import Reconstruction

PIXEL = 1.234567e-8
# A phase that rises over several turns, steeper in x than in y, with a notch that has no left or
# right, nor top or bottom, alike; the corner is not valid.
Y, X = np.mgrid[:12, :20]
TRUE_PHASE = 0.4 * X + 0.15 * Y + 0.8 * ((X - 5) ** 2 + (Y - 3) ** 2 < 6)
AMPLITUDE = 1 + 0.01 * X + 0.03 * Y
VALID = (Y + X > 4) & (Y < 11)


def result(**changes):
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(2, 8, 8)) + 1j * rng.normal(size=(2, 8, 8))
    values = {
        "object": AMPLITUDE * np.exp(1j * TRUE_PHASE),
        "origin_px": (-3.25, 10.5),
        "coverage": VALID.astype(float),
        "valid_mask": VALID,
        "probe": probe,
        "positions_px": [[1.0, 14.0], [2.0, 18.0]],
        "frame_indices": [0, 1],
        "pixel_size_m": PIXEL,
        "scan_name": "siemens µ",
        "verdict": "One honest sentence.",
    }
    return Reconstruction(**{**values, **changes})


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return result().save(tmp_path / "reconstruction.h5")


def test_amplitude_is_a_tiff_with_its_pixel_size_and_not_turned_over(file, tmp_path, capsys):
    assert cli.run(["convert", "reconstruction.h5", "a/scan7_amplitude.tif"]) == 0
    assert "wrote a/scan7_amplitude.tif: amplitude, 12 x 20 px" in capsys.readouterr().err
    with tifffile.TiffFile("a/scan7_amplitude.tif") as tiff:
        (page,) = tiff.pages
        assert page.dtype == np.float32
        np.testing.assert_allclose(page.asarray(), np.where(VALID, AMPLITUDE, np.nan), rtol=1e-6)
        assert page.tags["ResolutionUnit"].value == 3  # centimetre
        for axis in "XY":
            number, parts = page.tags[f"{axis}Resolution"].value
            assert parts / number / 100 == pytest.approx(PIXEL, rel=1e-8)
        told = tiff.imagej_metadata
        assert told["unit"] == "cm" and float(told["pixel_size_m"]) == pytest.approx(PIXEL)
        assert "siemens µ" in told["Info"] and "One honest sentence." in told["Info"]
        assert "y -3.25, x 10.5" in told["Info"]
    image = Image.open("a/scan7_amplitude.tif")  # top to bottom, as a viewer shows it
    assert image.mode == "F" and image.size == (20, 12)
    assert image.getpixel((19, 2)) == pytest.approx(AMPLITUDE[2, 19])


def test_phase_wraps_unless_it_is_unwrapped_within_the_valid_part(file, capsys):
    assert cli.run(["convert", ".", "phase.tif"]) == 0
    plain = tifffile.imread("phase.tif")
    np.testing.assert_array_equal(np.isnan(plain), ~VALID)
    np.testing.assert_allclose(plain[VALID], np.angle(np.exp(1j * TRUE_PHASE))[VALID], atol=1e-6)
    capsys.readouterr()
    line = ["convert", ".", "phase.tif", "--unwrap"]
    assert cli.run(line) == 2
    assert "phase.tif is there already; name another file, or replace it by --force" in (
        capsys.readouterr().err
    )
    np.testing.assert_array_equal(tifffile.imread("phase.tif"), plain)
    assert cli.run([*line, "--force"]) == 0
    told = capsys.readouterr().err
    assert f"{(~VALID).sum()} of 240 pixels are outside the valid part" in told
    whole = tifffile.imread("phase.tif")
    turns = (whole - TRUE_PHASE)[VALID] / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns[0]), atol=1e-6)
    assert np.isnan(whole[~VALID]).all() and abs(np.median(whole[VALID])) <= np.pi


def test_pieces_that_do_not_touch_and_an_unfinished_result_are_told(tmp_path):
    apart = result(valid_mask=VALID & (X != 9), statistics={"unfinished": "epoch 3"})
    notes = " ".join(pinn.export(apart, tmp_path / "phase.tif", unwrap=True).notes)
    assert "in 2 pieces: whole turns between them are not known" in notes
    assert "unfinished, epoch 3" in notes
    with tifffile.TiffFile(tmp_path / "phase.tif") as tiff:
        assert "epoch 3" in tiff.imagej_metadata["Info"]


def test_mean_and_ramp_are_taken_off(tmp_path):
    done = pinn.export(result(), tmp_path / "phase.npy", remove_phase_ramp=True, unwrap=True)
    found, notes = np.load(done.path), " ".join(done.notes)
    slope = np.polyfit(X[VALID], found[VALID], 1)[0]
    assert abs(slope) < 0.03 and np.ptp(found[VALID]) < 1.5  # of 0.4 rad/px and 9 rad
    assert "ramp of (0.1" in notes


def test_arrays_of_the_complex_object_and_of_the_probe(file, tmp_path):
    recon = pinn.load_reconstruction(file)
    for name in ("object", "probe"):
        assert cli.run(["convert", "reconstruction.h5", f"{name}.npy"]) == 0
        np.testing.assert_array_equal(np.load(f"{name}.npy"), getattr(recon, name))
    assert cli.run(["convert", str(file), "all.npy"]) == 0
    np.testing.assert_array_equal(np.load("all.npy"), recon.object)
    assert cli.run(["convert", str(file), "x.tiff", "--quantity", "probe-amplitude"]) == 0
    with tifffile.TiffFile("x.tiff") as tiff:
        assert tiff.series[0].shape == (2, 8, 8) and tiff.imagej_metadata["slices"] == 2
        np.testing.assert_allclose(tiff.asarray(), np.abs(recon.probe), rtol=1e-6)
    variations = np.stack([recon.probe, 2j * recon.probe, 3 * recon.probe])
    varying = result(probe=None, probe_variations=variations, probe_weights=np.ones((2, 3)))
    pinn.export(varying, tmp_path / "probe_phase.tif")
    with tifffile.TiffFile(tmp_path / "probe_phase.tif") as tiff:
        assert tiff.series[0].axes == "TZYX"
        np.testing.assert_allclose(tiff.asarray(), np.angle(variations), atol=1e-6)


@pytest.mark.parametrize("pixel", [None, 1e-12])
def test_without_a_pixel_size_none_is_written(tmp_path, pixel):
    done = pinn.export(result(pixel_size_m=pixel), tmp_path / "amplitude.tif")
    with tifffile.TiffFile(done.path) as tiff:
        assert "unit" not in tiff.imagej_metadata
        assert tiff.pages[0].tags["XResolution"].value in ((1, 1), None)
    assert any("no pixel size" in note for note in done.notes)


def test_a_pixel_size_can_be_stated(tmp_path):
    result(pixel_size_m=None).save(tmp_path)
    line = ["convert", str(tmp_path), str(tmp_path / "phase.tif"), "--pixel-size-m", "2e-8"]
    assert cli.run(line) == 0
    with tifffile.TiffFile(tmp_path / "phase.tif") as tiff:
        assert tiff.pages[0].tags["XResolution"].value == (500_000, 1)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (["reconstruction.h5", "picture.tif"], "picture.tif does not tell what to write; say --q"),
        (["reconstruction.h5", "object.tif"], "write object.npy, or --quantity amplitude and ph"),
        (["reconstruction.h5", "probe.tif"], "--quantity probe-amplitude and probe-phase into two"),
        (["reconstruction.h5", "amplitude.tif", "--unwrap"], "--unwrap is for the phase of the ob"),
        (["reconstruction.h5", "phase.png"], "a result goes to .tif, .tiff or .npy"),
        (["reconstruction.h5", "phase.png", "--unwrap"], "--unwrap is for results, but OUT (phas"),
        (["reconstruction.h5", "phase.tif", "--bin-frames", "2"], "--bin-frames is for scans, but"),
        (["reconstruction.h5", "phase.tif", "--merge", "probe"], "--merge is for old model archiv"),
        (["refinement.h5", "phase.tif"], "; the result beside it is reconstruction.h5"),
        (["none.h5", "phase.tif"], "there is no result file none.h5"),
    ],
)
def test_wrong_use_ends_with_two_and_a_sentence(file, capsys, rest, message):
    (file.parent / "refinement.h5").write_bytes(b"no result")
    assert cli.run(["convert", *rest]) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert sorted(p.name for p in file.parent.iterdir()) == ["reconstruction.h5", "refinement.h5"]


def test_a_result_without_probe_or_valid_pixel_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no probe"):
        pinn.export(result(probe=None), tmp_path / "probe.npy")
    nothing = result(valid_mask=np.zeros_like(VALID))
    with pytest.raises(InputError, match="no valid pixel"):
        pinn.export(nothing, tmp_path / "phase.tif", unwrap=True)
    assert not list(tmp_path.iterdir())
