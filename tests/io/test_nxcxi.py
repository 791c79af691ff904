"""NXcxi_ptycho: units, rasters, motors with directions, and never the energy of the ring."""

import h5py
import numpy as np
import pytest
from scan_files import DETECTOR, DISTANCE, ENERGY, PIXEL, M, N, counts, refusal, scene

from pinn.config import ScanConfig
from pinn.io.formats.cxi import is_cxi
from pinn.io.formats.nxcxi import is_nxcxi, read_nxcxi

AUTO = ScanConfig()
MOTORS = "sample_1/transformations/"
DET = "instrument_1/detector_1/"
BEAM = "instrument_1/beam_1/"


def write(path, drop=(), attributes=None, name="entry_1", **changes):
    """A file by the definition, lengths in millimetres and micrometres, energy in keV.

    Values are datasets, or pairs of a value and its unit; `__` stands for `/`.
    """
    positions = scene()[2]
    values = {
        "definition": "NXcxi_ptycho",
        DET + "data": counts(),
        DET + "distance": (DISTANCE * 1e3, "mm"),
        DET + "x_pixel_size": (DETECTOR * 1e6, "um"),
        DET + "y_pixel_size": (DETECTOR * 1e6, "um"),
        BEAM + "energy": (ENERGY / 1e3, "keV"),
        "instrument_1/source_1/energy": (3.0, "GeV"),
        MOTORS + "x": (positions[:, 1] * PIXEL * 1e6, "um"),
        MOTORS + "y": (positions[:, 0] * PIXEL * 1e3, "mm"),
        **{key.replace("__", "/"): value for key, value in changes.items()},
    }
    with h5py.File(path, "w") as h5:
        h5["cxi_version"] = 160
        entry = h5.create_group(name)
        for key, value in values.items():
            if key in drop:
                continue
            data, unit = value if isinstance(value, tuple) else (value, None)
            entry[key] = data
            if unit is not None:
                entry[key].attrs["units"] = unit
        for key, value in (attributes or {}).items():
            where, attribute = key.split("@")
            entry[where].attrs[attribute] = value
    return path


def test_a_file_by_the_definition(tmp_path):
    path = write(tmp_path / "a.nxs")
    head = path.read_bytes()[:16]
    assert is_nxcxi(path, head) and not is_cxi(path, head)
    found = read_nxcxi(path, AUTO)
    np.testing.assert_allclose(found.positions_m, scene()[2] * PIXEL, rtol=1e-12)
    np.testing.assert_array_equal(found.frames.read([4, 2]), counts()[[4, 2]])
    assert found.energy_ev == pytest.approx(ENERGY, rel=1e-12)
    assert found.distance_m == pytest.approx(DISTANCE)
    assert found.detector_pixel_m == pytest.approx(DETECTOR)
    assert found.units == "counts" and found.beam_centre is None and found.notes == []


@pytest.mark.parametrize("name", ["NXptycho", np.bytes_(b"NXcxi_ptycho")])
def test_either_name_of_the_definition_in_any_entry(tmp_path, name):
    path = write(tmp_path / "a.nxs", name="measurement", definition=name)
    assert is_nxcxi(path, path.read_bytes()[:16])
    assert read_nxcxi(path, AUTO).frames.shape == (M, N, N)
    other = write(tmp_path / "b.nxs", definition="NXmx")
    assert not is_nxcxi(other, other.read_bytes()[:16]) and is_cxi(other, b"\x89HDF\r\n\x1a\n")
    assert "NXcxi_ptycho" in refusal(read_nxcxi, other, AUTO)


@pytest.mark.parametrize(
    ("value", "energy"),
    [
        ((8000.0, "eV"), 8000),
        ((8.0, "keV"), 8000),
        ((1.602176634e-16, "J"), 1000),
        (8.0, 8000),
        (700.0, 700),
        (1.602176634e-16, 1000),
    ],
)
def test_photon_energy_in_every_unit_and_in_none(tmp_path, value, energy):
    found = read_nxcxi(write(tmp_path / "a.nxs", instrument_1__beam_1__energy=value), AUTO)
    assert found.energy_ev == pytest.approx(energy)
    assert any("has no unit: taken as" in note for note in found.notes) != isinstance(value, tuple)


def test_other_names_of_the_energy_and_the_ring_is_none(tmp_path):
    drop = (BEAM + "energy",)
    found = read_nxcxi(write(tmp_path / "a.nxs", drop=drop), AUTO)
    assert found.energy_ev is None and any("that of the ring" in note for note in found.notes)
    wavelength = write(
        tmp_path / "b.nxs", drop=drop, instrument_1__beam_1__incident_wavelength=(1.55, "angstrom")
    )
    assert read_nxcxi(wavelength, AUTO).energy_ev == pytest.approx(12398.42 / 1.55, rel=1e-6)
    other = write(
        tmp_path / "c.nxs", drop=drop, instrument_1__beam_1__incident_beam_energy=(710.0, "eV")
    )
    assert read_nxcxi(other, AUTO).energy_ev == 710.0


# --------------------------------------------------------------------------------- positions

GRID = (3, 4)


def raster(path, x, y, drop=(), **others):
    """Frames (3, 4, N, N) numbered by their value, with motors in micrometres."""
    frames = np.arange(12, dtype=np.uint16).reshape(*GRID, 1, 1) * np.ones((N, N), np.uint16)
    values = {DET + "data": frames, MOTORS + "x": (x, "um"), MOTORS + "y": (y, "um")}
    values |= others.pop("values", {})
    return write(path, drop, **{k.replace("/", "__"): v for k, v in values.items()}, **others)


def test_raster_with_motors_of_every_shape(tmp_path):
    x, y = np.array([0.0, 1.0, 3.0, 6.0]), np.array([5.0, 7.0, 8.0])
    yy, xx = np.meshgrid(y, x, indexing="ij")
    expected = np.stack([yy.ravel(), xx.ravel()], 1) * 1e-6
    for px, py in ((xx, yy), (xx.ravel(), yy.ravel()), (x, y), (x[None], y[:, None])):
        found = read_nxcxi(raster(tmp_path / "a.nxs", px, py), AUTO)
        assert found.frames.shape == (12, N, N)
        np.testing.assert_allclose(found.positions_m, expected, rtol=1e-12)
        np.testing.assert_array_equal(found.frames.read(np.arange(12))[:, 3, 2], np.arange(12))
        found.close()
    # the slow motor is x: as many as there are rows
    found = read_nxcxi(raster(tmp_path / "b.nxs", y, x), AUTO)
    np.testing.assert_allclose(found.positions_m, expected[:, ::-1], rtol=1e-12)


@pytest.mark.parametrize("axes", [None, ["x", "y", ".", "."], ["y", "x", ".", "."]])
def test_square_raster_asks_for_the_slow_axis(tmp_path, axes):
    frames = np.zeros((3, 3, N, N), np.uint16)
    x, y = np.array([0.0, 1.0, 3.0]), np.array([5.0, 7.0, 8.0])
    attributes = {} if axes is None else {"data@axes": axes, "data@signal": "data"}
    values = {DET + "data": frames, "data/data": frames}
    path = raster(tmp_path / "a.nxs", x, y, values=values, attributes=attributes)
    found = read_nxcxi(path, AUTO)
    slow = "x" if axes is not None and axes[0] == "x" else "y"
    yy, xx = np.meshgrid(y, x, indexing="ij")
    if slow == "x":
        yy, xx = yy.T, xx.T
    expected = np.stack([yy.ravel(), xx.ravel()], 1) * 1e-6
    np.testing.assert_allclose(found.positions_m, expected, rtol=1e-12)
    assert any("y is taken for it" in note for note in found.notes) == (axes is None)


def test_directions_of_the_motors(tmp_path):
    # x moves the sample along -x, y along (x - y): what the detector sees of it
    attributes = {MOTORS + "x@vector": [-2.0, 0, 0], MOTORS + "y@vector": [3.0, -3.0, 0]}
    found = read_nxcxi(write(tmp_path / "a.nxs", attributes=attributes), AUTO)
    y, x = (scene()[2] * PIXEL).T
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        found.positions_m, np.stack([-y * half, -x + y * half], 1), rtol=1e-12
    )


def test_translations_when_there_are_no_motors(tmp_path):
    xyz = np.pad(scene()[2][:, ::-1] * PIXEL, ((0, 0), (0, 1)))
    drop = (MOTORS + "x", MOTORS + "y")
    for unit, factor in (("nm", 1e9), (None, 1.0)):
        value = xyz * factor if unit is None else (xyz * factor, unit)
        path = write(
            tmp_path / f"{unit}.nxs", drop=drop, instrument_1__detector_1__translation=value
        )
        found = read_nxcxi(path, AUTO)
        np.testing.assert_allclose(found.positions_m, scene()[2] * PIXEL, rtol=1e-12)
        assert found.positions_unit_m == pytest.approx(1 / factor)
        assert any("taken as metres" in note for note in found.notes) == (unit is None)


def test_the_unit_of_the_file_is_told(tmp_path):
    values = {f"sample_1__transformations__{a}": (np.arange(M) * 1.0, "um") for a in "xy"}
    assert read_nxcxi(write(tmp_path / "a.nxs", **values), AUTO).positions_unit_m == 1e-6
    # two units: metres, which `positions_m` is in
    assert read_nxcxi(write(tmp_path / "b.nxs"), AUTO).positions_unit_m == 1.0


# ------------------------------------------------------------------------ detector and probe


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ((9.5, "pixels"), (3.0, "px"), (3.0, 9.5)),
        ((9.5 * DETECTOR * 1e3, "mm"), (3.0 * DETECTOR, "m"), (3.0, 9.5)),
        (9.5, 3.0, (3.0, 9.5)),
        (9.5 * DETECTOR, 3.0 * DETECTOR, (3.0, 9.5)),
        ((8.0, "pixel"), (8.4, "pixel"), None),
    ],
)
def test_beam_centre(tmp_path, x, y, expected):
    path = write(
        tmp_path / "a.nxs",
        instrument_1__detector_1__beam_center_x=x,
        instrument_1__detector_1__beam_center_y=y,
    )
    found = read_nxcxi(path, AUTO)
    assert found.beam_centre == (None if expected is None else pytest.approx(expected))


def test_pixel_mask_and_probe(tmp_path):
    mask = np.zeros((N, N), np.uint32)
    mask[3, 5] = 2
    _, probe, _ = scene()
    path = write(
        tmp_path / "a.nxs",
        instrument_1__detector_1__pixel_mask=mask,
        instrument_1__source_1__illumination=probe,
    )
    found = read_nxcxi(path, AUTO)
    assert np.argwhere(found.bad_pixels).tolist() == [[3, 5]]
    np.testing.assert_array_equal(found.probe, probe)


def test_several_entries(tmp_path):
    path = write(tmp_path / "a.nxs")
    with h5py.File(path, "a") as h5:
        h5.copy("entry_1", "entry_2")
        del h5["entry_2/" + BEAM + "energy"]
        h5["entry_2/" + BEAM + "energy"] = 500.0
    found = read_nxcxi(path, AUTO)
    assert any("entry_1, entry_2" in note for note in found.notes)
    assert read_nxcxi(path, ScanConfig(scan_number=2)).energy_ev == 500.0
    assert "entry_1, entry_2" in refusal(read_nxcxi, path, ScanConfig(scan_number=7))


def test_a_raster_with_places_of_another_number(tmp_path):
    path = raster(tmp_path / "a.nxs", np.zeros(5), np.zeros(3))
    assert "raster of 3 x 4" in refusal(read_nxcxi, path, AUTO)


def test_recognition_never_raises(tmp_path):
    (tmp_path / "a").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(60))
    assert not is_nxcxi(tmp_path / "a", b"\x89HDF\r\n\x1a\n")
    assert not is_nxcxi(tmp_path / "none", b"")
