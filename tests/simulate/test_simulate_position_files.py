"""Positions from files: what is read, where it lies, and what cannot be used."""

import numpy as np
import pytest

from pinn.errors import ConfigError, ScanError
from pinn.simulate import SimulateConfig, recipe_hash, simulate, simulate_to_file
from pinn.simulate.position_files import read_positions

PLACES = np.array([[30.5, 21.0], [33.0, 40.25], [41.75, 28.0], [52.0, 35.5]])
SCAN = dict(N=16, photons_per_frame=1e4, pattern="file")


def scan_of(path, **options):
    return simulate(SimulateConfig(**{**SCAN, "positions_file": path, **options}))


def lines(form, pairs=PLACES, end="\n"):
    return end.join(form.format(y, x) for y, x in pairs)


# Content of a file: an array, arrays by name, or text.
FORMS = {
    "npy": PLACES,
    "positions_px": dict(positions_px=PLACES),
    "positions": dict(positions=PLACES.astype(np.float32), other=1),
    "coords": dict(xcoords=PLACES[:, 1], ycoords=PLACES[:, 0]),
    "plain": lines("{},{}").encode(),
    "named": ("# from the stage\nframe, X ,y\n" + lines("7, {1} , {0}")).encode(),
    "blanks": (lines("  {}   {}") + "\n\n").encode(),
    "tabs": ("ycoords\txcoords\n" + lines("{}\t{}")).encode(),
    "semicolons": b"\xef\xbb\xbf" + lines("{};{}", end="\r\n").encode(),
}


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    elif content is not None:
        np.save(path, content)


@pytest.mark.parametrize("form", FORMS)
def test_positions_are_read_from_any_of_these(tmp_path, form):
    path = tmp_path / {"npy": "p.npy", "plain": "p.csv"}.get(form, "p.npz")
    write(path, FORMS[form])
    np.testing.assert_array_equal(read_positions(path), PLACES)


def test_positions_lie_over_the_middle_unless_they_are_absolute(tmp_path):
    np.save(tmp_path / "p.npy", PLACES)
    scan = scan_of(tmp_path / "p.npy")
    moved = scan.positions_true_px - PLACES
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], (4, 2)), atol=1e-12)
    middle = (scan.positions_true_px.min(0) + scan.positions_true_px.max(0)) / 2
    np.testing.assert_allclose(middle, len(scan.truth) / 2)
    absolute = scan_of(tmp_path / "p.npy", positions_place="absolute", size=80)
    np.testing.assert_array_equal(absolute.positions_px, PLACES)
    assert absolute.truth.shape == (80, 80)
    free = scan_of(tmp_path / "p.npy", positions_place="absolute")
    np.testing.assert_array_equal(free.positions_px, PLACES)
    assert len(free.truth) == 52 + 8 + 2


def test_positions_of_a_simulated_scan_come_back(tmp_path):
    first = simulate_to_file(
        SimulateConfig(N=16, n_frames=30, pattern="spiral", photons_per_frame=1e4),
        tmp_path / "a.npz",
    )
    config = SimulateConfig(
        **SCAN, positions_file=tmp_path / "a.npz", positions_place="absolute", size=len(first.truth)
    )
    simulate_to_file(config, tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        for key in ("xcoords", "ycoords", "diff3d"):
            np.testing.assert_array_equal(a[key], b[key])


def test_metres_become_pixels_by_the_optics(tmp_path):
    lengths = dict(energy_ev=12398.42, distance_m=1.0, detector_pixel_m=1e-4 / 16)  # 1 um a pixel
    np.save(tmp_path / "m.npy", PLACES * 1e-6)
    np.save(tmp_path / "um.npy", PLACES)
    metres = scan_of(tmp_path / "m.npy", positions_unit="m", **lengths)
    microns = scan_of(tmp_path / "um.npy", positions_unit="um", **lengths)
    pixel = metres.metadata()["pixel_size_m"]
    assert pixel == pytest.approx(1e-6, rel=1e-6)
    np.testing.assert_allclose(
        metres.positions_px - metres.positions_px[0], (PLACES - PLACES[0]) * 1e-6 / pixel
    )
    np.testing.assert_allclose(metres.positions_px, microns.positions_px)


def test_the_hash_is_of_the_positions_not_of_their_file(tmp_path):
    np.save(tmp_path / "p.npy", PLACES)
    (tmp_path / "b").mkdir()
    np.savez(tmp_path / "b" / "p.npy.npz", positions=PLACES)
    (tmp_path / "b" / "p.npy.npz").rename(tmp_path / "b" / "p.npy")
    hashes = [
        recipe_hash(SimulateConfig(**SCAN, positions_file=path))
        for path in (tmp_path / "p.npy", tmp_path / "b" / "p.npy")
    ]
    np.save(tmp_path / "p.npy", PLACES + 1e-9)
    hashes.append(recipe_hash(SimulateConfig(**SCAN, positions_file=tmp_path / "p.npy")))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("gone.csv", None, "does not exist"),
        ("p.csv", b"", "is empty"),
        ("p.csv", b"# y, x\n", "has no lines"),
        ("p.csv", b"\xff\xfe\x00binary", "neither NPY, NPZ nor text"),
        ("p.csv", b"1,2,3\n", "3 columns"),
        ("p.csv", b"a,b\n1,2\n", "must be named"),
        ("p.csv", b"y,x\n1,2\n3\n", "position 1"),
        ("p.csv", b"1,2\n3,four\n", "position 1"),
        ("p.csv", b"y,x\n", "shape"),
        ("p.csv", b"1,2\n3,inf\n", "position 1"),
        ("p.npy", np.zeros((3, 3)), "columns y and x"),
        ("p.npy", np.zeros((0, 2)), "columns y and x"),
        ("p.npy", np.zeros((3, 2), complex), "complex"),
        ("p.npy", np.full((2, 2), np.nan), "position 0"),
        ("p.npy", b"\x93NUMPY", "cannot be read"),
        ("p.npz", dict(x=np.zeros(3)), "it has: x"),
        ("p.npz", dict(xcoords=np.zeros(3), ycoords=np.zeros(4)), "4 ycoords and 3"),
        ("p.npz", dict(positions=np.array([{}], object)), "never read"),
    ],
)
def test_position_files_that_cannot_be_used(tmp_path, name, content, text):
    path = tmp_path / name
    write(path, content)
    with pytest.raises(ScanError, match=text) as caught:
        scan_of(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("places", "options", "text"),
    [
        (PLACES, dict(size=30), "need an object of"),
        (PLACES, dict(positions_place="absolute", size=50), "8 px are needed on every side"),
        (PLACES - 30, dict(positions_place="absolute"), "leave out positions_place"),
        (PLACES * 1e4, {}, "positions_unit"),
    ],
)
def test_positions_off_the_object_are_said(tmp_path, places, options, text):
    np.save(tmp_path / "p.npy", places)
    with pytest.raises((ConfigError, ScanError), match=text) as caught:
        scan_of(tmp_path / "p.npy", **options)
    assert "\n" not in str(caught.value)


def test_absolute_positions_on_a_cropped_file(tmp_path):
    np.save(tmp_path / "p.npy", PLACES)
    y, x = np.mgrid[:64, :50]
    np.save(tmp_path / "o.npy", (1 + y) * np.exp(0.01j * x))
    options = dict(object="file", object_file=tmp_path / "o.npy", positions_place="absolute")
    scan = scan_of(tmp_path / "p.npy", **options)
    assert scan.truth.shape == (64, 50)
    np.testing.assert_array_equal(scan.positions_px, PLACES)
    with pytest.raises(ConfigError, match="size has no meaning"):
        scan_of(tmp_path / "p.npy", size=40, **options)
    centred = scan_of(tmp_path / "p.npy", **{**options, "positions_place": "centre"})
    assert centred.truth.shape == (50, 50)


def test_one_position_is_a_scan(tmp_path):
    np.save(tmp_path / "p.npy", PLACES[:1])
    scan = scan_of(tmp_path / "p.npy")
    assert len(scan) == 1 and scan.overlap is None
