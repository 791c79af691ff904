"""Objects from files: pictures, arrays and reconstructions, and what cannot be one."""

import numpy as np
import pytest
from PIL import Image

from pinn.errors import ConfigError, ScanError
from pinn.io.product import Reconstruction
from pinn.simulate import SimulateConfig, recipe_hash, simulate
from pinn.simulate.files import read_probe
from pinn.simulate.object_file import read_image, read_reconstruction

SCAN = dict(N=16, n_frames=20, photons_per_frame=1e4)


def ramp(rows=60, columns=60):
    """Asymmetric: brighter downwards, and three times as much to the right."""
    y, x = np.mgrid[:rows, :columns]
    return (y + 3.0 * x) / (rows + 3 * columns - 4)


def scan_of(path, **options):
    return simulate(SimulateConfig(**{**SCAN, "object": "file", "object_file": path, **options}))


def lit(scan):
    """The central square that a resized picture fills."""
    field = np.ptp(scan.positions_true_px, axis=0).max() + scan.diameter_px
    side, size = round(field), len(scan.truth)
    before = (size - side) // 2
    return scan.truth[before : before + side, before : before + side]


@pytest.mark.parametrize(
    ("suffix", "dtype"), [("png", np.uint8), ("png", np.uint16), ("tif", np.float32)]
)
def test_a_picture_fills_the_field_the_right_way_up(tmp_path, suffix, dtype):
    top = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    Image.fromarray(np.asarray(ramp() * top, dtype)).save(tmp_path / f"ramp.{suffix}")
    scan = scan_of(tmp_path / f"ramp.{suffix}")
    seen = np.abs(lit(scan))
    assert seen[0, 0] < seen[-1, 0] < seen[0, -1] < seen[-1, -1]
    expected = np.interp(np.linspace(0, 1, len(seen)), [0, 1], [0.3, 1.0])
    # along the diagonal the ramp is a ramp; half a pixel of 20 at the ends
    np.testing.assert_allclose(np.diagonal(seen), expected, atol=0.04)
    amplitude = np.abs(scan.truth)
    assert (amplitude.min(), amplitude.max()) == pytest.approx((0.3, 1.0), abs=1e-6)
    phase = np.angle(scan.truth)
    np.testing.assert_allclose(np.corrcoef(amplitude.ravel(), phase.ravel())[0, 1], 1, atol=1e-3)
    assert (phase.min(), phase.max()) == pytest.approx((-0.9, 0.9), abs=0.1)


def test_a_palette_is_looked_up(tmp_path):
    picture = Image.fromarray(np.uint8(255 * ramp(16, 16))).convert("RGB").quantize(16)
    assert picture.mode == "P"
    picture.save(tmp_path / "p.png")
    found = read_image(tmp_path / "p.png", "object file")
    assert np.corrcoef(found.ravel(), ramp(16, 16).ravel())[0, 1] > 0.98


def test_colours_become_luminance_and_transparency_is_ignored(tmp_path):
    colours = np.zeros((8, 8, 4), np.uint8)
    colours[..., 3] = 7
    colours[:4, :, 0], colours[4:, :, 1] = 200, 200
    Image.fromarray(colours).save(tmp_path / "c.png")
    found = read_image(tmp_path / "c.png", "object file")
    np.testing.assert_allclose(found[0, 0] / found[7, 0], 0.2125 / 0.7154)
    Image.fromarray(colours[..., :2], "LA").save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "la.png", "object file"), colours[..., 0])


def test_a_second_picture_gives_the_phase(tmp_path):
    Image.fromarray(np.uint8(255 * ramp())).save(tmp_path / "a.png")
    np.save(tmp_path / "p.npy", ramp().T)
    scan = scan_of(tmp_path / "a.png", phase_file=tmp_path / "p.npy")
    other = scan_of(tmp_path / "a.png")
    np.testing.assert_allclose(np.abs(scan.truth), np.abs(other.truth), atol=1e-6)
    np.testing.assert_allclose(lit(scan)[::-1][0, 0], lit(scan)[-1, 0])
    np.testing.assert_allclose(np.angle(lit(scan)), np.angle(lit(other)).T, atol=0.02)
    ranged = scan_of(
        tmp_path / "a.png", phase_file=tmp_path / "p.npy", phase_min=0.0, phase_max=2.0
    )
    phase = np.angle(ranged.truth)
    assert (phase.min(), phase.max()) == pytest.approx((0, 2), abs=1e-6)


def complex_object(rows=70, columns=80):
    y, x = np.mgrid[:rows, :columns]
    return (0.7 + 0.2 * np.sin(0.3 * y)) * np.exp(1j * (0.05 * x - 0.01 * y))


@pytest.mark.parametrize("key", [None, "objectGuess", "anything"])
def test_a_complex_array_is_taken_as_it_is(tmp_path, key):
    mine = complex_object()
    path = tmp_path / ("o.npy" if key is None else "o.npz")
    np.save(path, mine) if key is None else np.savez(path, **{key: mine})
    scan = scan_of(path)  # its size and the frames fix the spacing
    np.testing.assert_allclose(scan.truth, mine[:, 5:75], atol=1e-6)  # the middle square
    assert len(scan) == 20
    assert np.ptp(scan.positions_true_px, axis=0).max() == pytest.approx(70 - 16 - 4)
    smaller = scan_of(path, size=40)
    np.testing.assert_allclose(smaller.truth, mine[15:55, 20:60], atol=1e-6)
    planned = scan_of(path, overlap=0.5)
    side = len(planned.truth)
    assert side < 60
    assert planned.overlap == pytest.approx(0.5)
    ranged = np.abs(scan_of(path, amplitude_min=0.2, amplitude_max=0.5).truth)
    assert (ranged.min(), ranged.max()) == pytest.approx((0.2, 0.5), abs=1e-6)
    half = scan_of(path, contrast=0.5)
    amplitude = np.abs(mine[:, 5:75])
    middle = (amplitude.min() + amplitude.max()) / 2
    np.testing.assert_allclose(np.abs(half.truth), middle + 0.5 * (amplitude - middle), atol=1e-6)


def test_a_complex_array_is_resized_on_request(tmp_path):
    np.save(tmp_path / "o.npy", complex_object(200, 200))
    scan = scan_of(tmp_path / "o.npy", object_fit="resize", overlap=0.5)
    seen = lit(scan)
    factor = 200 / len(seen)
    index = ((np.arange(len(seen)) + 0.5) * factor - 0.5)[4:-4]
    rows = np.exp(1j * np.angle(seen[len(seen) // 2, 4:-4]))
    expected = np.exp(1j * 0.05 * index)
    turn = np.vdot(rows, expected)
    assert abs(turn) / len(index) > 0.999
    with pytest.raises(ConfigError, match="pixel for pixel"):
        scan_of(tmp_path / "o.npy", field_px=30.0)
    wide = scan_of(tmp_path / "o.npy", object_fit="resize", overlap=0.5, field_px=20.0)
    assert not np.allclose(wide.truth, scan.truth)


def test_a_real_picture_is_cropped_on_request(tmp_path):
    np.save(tmp_path / "a.npy", ramp(50, 64))
    scan = scan_of(tmp_path / "a.npy", object_fit="crop")
    middle = ramp(50, 64)[:, 7:57]
    np.testing.assert_allclose(
        np.corrcoef(np.abs(scan.truth).ravel(), middle.ravel())[0, 1], 1, atol=1e-3
    )
    free = scan_of(tmp_path / "a.npy", object_fit="crop", phase="independent")
    assert not np.allclose(np.angle(free.truth), np.angle(scan.truth))
    with pytest.raises(ConfigError, match="must be equal"):
        np.save(tmp_path / "b.npy", ramp(50, 60))
        scan_of(tmp_path / "a.npy", object_fit="crop", phase_file=tmp_path / "b.npy")


def reconstruction(**changes):
    obj = complex_object().astype(np.complex64)
    valid = np.ones(obj.shape, bool)
    valid[:6] = False
    obj[:6] = np.nan
    parts = dict(
        object=obj,
        origin_px=np.array([100.25, -20.5]),
        coverage=valid.astype(np.float32),
        valid_mask=valid,
        positions_px=np.array([[130.0, 10.0], [140.5, 20.25]]),
        frame_indices=np.arange(2),
        probe=np.exp(1j * np.arange(256.0).reshape(16, 16)).astype(np.complex64),
    )
    return Reconstruction(**{**parts, **changes})


def test_a_reconstruction_is_the_object_and_the_probe(tmp_path):
    reconstruction().save(tmp_path / "reconstruction.h5")
    obj, origin = read_reconstruction(tmp_path)  # the folder will do
    np.testing.assert_allclose(origin, [100.25, -20.5])
    np.testing.assert_allclose(obj[6:], complex_object()[6:], atol=1e-6)
    # continued by the nearest valid pixels, smoothed
    np.testing.assert_allclose(obj[:6], np.broadcast_to(obj[6], (6, 80)), atol=0.15)
    path = tmp_path / "reconstruction.h5"
    scan = scan_of(path, object="reconstruction", probe="file", probe_file=path)
    np.testing.assert_allclose(scan.truth, obj[:, 5:75], atol=1e-6)
    ratio = scan.probe[0] / reconstruction().probe[0]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)
    assert recipe_hash(scan.config) == recipe_hash(
        scan.config.replace(object_file=tmp_path / "." / "reconstruction.h5")
    )


def test_a_measured_scan_is_simulated_again_where_it_was(tmp_path):
    reconstruction().save(tmp_path / "r.h5")
    places = reconstruction().positions_px
    np.save(tmp_path / "p.npy", places)
    files = dict(object_file=tmp_path / "r.h5", positions_file=tmp_path / "p.npy")
    kinds = dict(object="reconstruction", pattern="file", positions_place="absolute")
    scan = simulate(SimulateConfig(N=16, **kinds, **files))
    # the truth of a file has its pixel [0, 0] at (0, 0)
    np.testing.assert_allclose(scan.positions_px, places - [100.25, -20.5])
    assert scan.truth.shape == (70, 80)  # all of it, not the middle square
    np.testing.assert_allclose(scan.truth, read_reconstruction(tmp_path / "r.h5")[0], atol=1e-6)


def test_a_reconstruction_without_probe_or_light_is_refused(tmp_path):
    reconstruction(probe=None).save(tmp_path / "r.h5")
    with pytest.raises(ScanError, match="without a probe"):
        read_probe(tmp_path / "r.h5", 16)
    reconstruction(valid_mask=np.zeros((70, 80), bool)).save(tmp_path / "dark.h5")
    with pytest.raises(ScanError, match="no valid pixel"):
        read_reconstruction(tmp_path / "dark.h5")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("gone.png", None, "does not exist"),
        ("cut.png", b"\x89PNG\r\n\x1a\n cut", "no image that can be read"),
        ("text.png", b"hello", "no image that can be read"),
        ("empty.tif", b"", "is empty"),
        ("cut.tif", b"II*\0 cut", "no image that can be read"),
        ("a.npy", np.ones((3, 8, 8)) * np.arange(8), "at least 4 each way"),
        ("a.npy", np.ones((8, 3)), "at least 4 each way"),
        ("a.npy", np.ones((8, 8)), "same value everywhere"),
        ("a.npy", np.full((8, 8), np.nan), "not finite"),
        ("a.npy", np.array([["a"] * 8] * 8), "numbers of shape"),
        ("a.npy", b"\x93NUMPY cut", "cannot be read"),
        ("a.npz", b"PK\x03\x04 cut", "truncated"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "take object reconstruction"),
    ],
)
def test_object_files_that_cannot_be_used(tmp_path, name, content, text):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(ScanError, match=text) as caught:
        scan_of(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_reconstruction_files_that_cannot_be_used(tmp_path):
    (tmp_path / "r.h5").write_bytes(b"no HDF5")
    for path in (tmp_path / "r.h5", tmp_path / "gone.h5", tmp_path):
        with pytest.raises(ScanError, match="object file"):
            scan_of(path, object="reconstruction")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(size=90), "has 70 pixels"),
        (dict(n_frames=400, overlap=0.5), "has 70; ask for fewer frames"),
        (dict(amplitude_min=0.1), "both amplitude_min and amplitude_max"),
        (dict(phase_file="x.png"), "a phase of its own"),
    ],
)
def test_options_that_a_complex_file_does_not_go_with(tmp_path, options, text):
    np.save(tmp_path / "o.npy", complex_object())
    with pytest.raises(ConfigError, match=text):
        scan_of(tmp_path / "o.npy", **options)


def test_a_complex_phase_file_is_refused(tmp_path):
    np.save(tmp_path / "o.npy", complex_object())
    np.save(tmp_path / "a.npy", ramp())
    with pytest.raises(ConfigError, match="is complex, but an image"):
        scan_of(tmp_path / "a.npy", phase_file=tmp_path / "o.npy")
