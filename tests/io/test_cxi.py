"""CXI: signs from the specification, masks, corners, and files that ptychodus 1.7 wrote."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scan_files import DETECTOR, DISTANCE, ENERGY, PIXEL, M, N, counts, far_field, refusal, scene

from pinn.config import ScanConfig
from pinn.io.formats.cxi import is_cxi, read_cxi

AUTO = ScanConfig()
GOLDEN = Path(__file__).parents[1] / "goldens" / "ptychodus_1_7"
E = "entry_1/"
JOULE = ENERGY * 1.602176634e-19


def write(path, drop=(), change=None, **changes):
    """A CXI file by the specification; `change(h5)` may do anything to it."""
    _, probe, positions = scene()
    values = {
        "cxi_version": 160,
        E + "data_1/data": counts(),
        E + "sample_1/geometry_1/translation": np.pad(positions[:, ::-1] * PIXEL, ((0, 0), (0, 1))),
        E + "instrument_1/source_1/energy": JOULE,
        E + "instrument_1/source_1/illumination": probe,
        E + "instrument_1/detector_1/distance": DISTANCE,
        E + "instrument_1/detector_1/x_pixel_size": DETECTOR,
        E + "instrument_1/detector_1/y_pixel_size": DETECTOR,
        **{E + key.replace("__", "/"): value for key, value in changes.items()},
    }
    with h5py.File(path, "w") as h5:
        for key, value in values.items():
            if key.removeprefix(E) not in drop:
                h5[key] = value
        if change is not None:
            change(h5)
    return path


def put(**values):
    """A change that writes datasets of the detector."""

    def change(h5):
        for name, value in values.items():
            h5[f"{E}instrument_1/detector_1/{name}"] = value

    return change


def test_a_file_by_the_specification(tmp_path):
    path = write(tmp_path / "a.cxi")
    assert is_cxi(path, path.read_bytes()[:16])
    found = read_cxi(path, AUTO)
    truth, probe, positions = scene()
    # rows along -y and columns along -x, and the sample moves against the probe: both signs cancel
    np.testing.assert_allclose(found.positions_m, positions * PIXEL, rtol=1e-14)
    np.testing.assert_array_equal(found.frames.read(np.arange(M)), counts())
    np.testing.assert_array_equal(found.probe, probe)
    assert found.energy_ev == pytest.approx(ENERGY, rel=1e-12)
    assert (found.distance_m, found.detector_pixel_m) == (DISTANCE, DETECTOR)
    assert found.units == "counts" and found.centre is None and found.beam_centre is None
    assert found.bad_pixels is None and found.truth is None
    assert any("sample translations" in note and "--orientation" in note for note in found.notes)
    # With these signs the frames are those of the object: the other choice explains them worse.
    model = far_field(truth, probe, found.positions_m / PIXEL)
    other = far_field(truth, probe, scene()[2].mean(0).round() * 2 - found.positions_m / PIXEL)
    error = [np.square(np.sqrt(counts()) - np.sqrt(m)).mean() for m in (model, other)]
    assert error[0] < 0.5 < 5 * error[0] < error[1]  # Poisson noise has variance 1/4


@pytest.mark.parametrize("rank", [(2, 3), (3, 2), (M, 2, 3)])
@pytest.mark.parametrize(
    ("basis", "signs"),
    [
        ([[0, -1, 0], [-1, 0, 0]], "+y+x"),
        ([[0, 1, 0], [1, 0, 0]], "-y-x"),
        ([[0, -1, 0], [1, 0, 0]], "+y-x"),
        ([[-1, 0, 0], [0, -1, 0]], "+x+y"),
        ([[1, 0, 0], [0, -1, 0]], "-x+y"),
    ],
)
def test_basis_vectors_turn_positions(tmp_path, basis, signs, rank):
    vectors = np.array(basis) * DETECTOR
    vectors = vectors.T if rank == (3, 2) else np.broadcast_to(vectors, rank)
    found = read_cxi(write(tmp_path / "a.cxi", change=put(basis_vectors=vectors)), AUTO)
    y, x = (scene()[2] * PIXEL).T
    axes = {"y": y, "x": x}
    expected = [(1 if s == "+" else -1) * axes[a] for s, a in (signs[:2], signs[2:])]
    np.testing.assert_allclose(found.positions_m, np.stack(expected, 1), rtol=1e-12)
    assert not any("--orientation" in note for note in found.notes)


def test_a_rotated_detector_rotates_positions(tmp_path):
    angle = 0.3
    c, s = np.cos(angle), np.sin(angle)
    basis = DETECTOR * np.array([[s, -c, 0], [-c, -s, 0]])
    found = read_cxi(write(tmp_path / "a.cxi", change=put(basis_vectors=basis)), AUTO)
    y, x = (scene()[2] * PIXEL).T
    np.testing.assert_allclose(
        found.positions_m, np.stack([c * y - s * x, s * y + c * x], 1), rtol=1e-12
    )


def test_basis_vectors_stand_in_for_pixel_sizes(tmp_path):
    basis = np.array([[0, -1, 0], [-1, 0, 0]]) * 3e-5
    drop = ("instrument_1/detector_1/x_pixel_size", "instrument_1/detector_1/y_pixel_size")
    found = read_cxi(write(tmp_path / "a.cxi", drop=drop, change=put(basis_vectors=basis)), AUTO)
    assert found.detector_pixel_m == pytest.approx(3e-5)


@pytest.mark.parametrize("where", ["data_1/translation", "instrument_1/detector_1/translation"])
@pytest.mark.parametrize("form", ["xy", "transposed"])
def test_translations_elsewhere_and_in_other_shapes(tmp_path, where, form):
    xyz = np.pad(scene()[2][:, ::-1] * PIXEL, ((0, 0), (0, 1)))
    values = xyz[:, :2] if form == "xy" else xyz.T

    def change(h5):
        h5[E + where] = values

    path = write(tmp_path / "a.cxi", drop=("sample_1/geometry_1/translation",), change=change)
    np.testing.assert_allclose(read_cxi(path, AUTO).positions_m, scene()[2] * PIXEL, rtol=1e-14)


def test_frames_under_the_detector_and_as_a_raster(tmp_path):
    def move(h5):
        h5[E + "instrument_1/detector_1/data"] = counts()
        del h5[E + "data_1"]

    found = read_cxi(write(tmp_path / "a.cxi", change=move), AUTO)
    np.testing.assert_array_equal(found.frames.read([3]), counts()[[3]])
    grid = np.concatenate([counts(), counts()[:1]]).reshape(3, 4, N, N)
    places = np.zeros((3, 4, 3))
    places[2, 1] = 5e-6
    path = write(tmp_path / "b.cxi", data_1__data=grid, sample_1__geometry_1__translation=places)
    found = read_cxi(path, AUTO)
    np.testing.assert_array_equal(found.frames.read([9]), grid[2, 1][None])
    assert np.flatnonzero(found.positions_m[:, 0]).tolist() == [9]


# ------------------------------------------------------------------------------------- masks


def test_masks(tmp_path):
    bits = np.zeros((N, N), np.uint32)
    # invalid; saturated; has signal (no complaint); signal and hot
    bits[1, 2], bits[3, 4], bits[5, 6], bits[7, 8] = 1, 2, 0x1000, 0x1004
    found = read_cxi(write(tmp_path / "a.cxi", change=put(mask=bits)), AUTO)
    assert np.argwhere(found.bad_pixels).tolist() == [[1, 2], [3, 4], [7, 8]]
    for kind in (bool, np.uint8, np.float32):
        found = read_cxi(write(tmp_path / "a.cxi", change=put(mask=(bits == 1).astype(kind))), AUTO)
        assert np.argwhere(found.bad_pixels).tolist() == [[1, 2]]
    each = np.zeros((M, N, N), np.int16)
    each[4, 2, 3] = 8
    found = read_cxi(write(tmp_path / "a.cxi", change=put(mask=each)), AUTO)
    masks = found.bad_pixels.read(np.arange(M))
    assert masks.dtype == bool and np.argwhere(masks).tolist() == [[4, 2, 3]]
    found = read_cxi(write(tmp_path / "b.cxi", change=put(mask=each[4:5])), AUTO)
    assert np.argwhere(found.bad_pixels).tolist() == [[2, 3]]


def test_dark_frames_are_told_and_not_subtracted(tmp_path):
    found = read_cxi(write(tmp_path / "a.cxi", change=put(data_dark=np.ones((2, N, N)))), AUTO)
    assert any("data_dark" in note and "not subtracted" in note for note in found.notes)
    np.testing.assert_array_equal(found.frames.read([0]), counts()[[0]])


# ---------------------------------------------------------------------- geometry and numbers


@pytest.mark.parametrize(
    ("beam", "expected"),
    [
        ((8.0, 8.0), None),
        ((7.5, 8.4), None),
        ((5.0, 9.25), (5.0, 9.25)),
        ((20.0, 8.0), (20.0, 8.0)),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_beam_from_the_corner(tmp_path, beam, expected, turned):
    basis = np.array([[0, 1, 0], [-1, 0, 0]] if turned else [[0, -1, 0], [-1, 0, 0]]) * DETECTOR
    # The middle of pixel (i, j) is half a step beyond its corner, and the beam is at x = y = 0.
    corner = -(beam[0] + 0.5) * basis[0] - (beam[1] + 0.5) * basis[1] + [0, 0, DISTANCE]
    change = put(corner_position=corner, **({"basis_vectors": basis} if turned else {}))
    found = read_cxi(write(tmp_path / "a.cxi", change=change), AUTO)
    assert found.beam_centre == (None if expected is None else pytest.approx(expected))


def test_energy_in_other_guises(tmp_path):
    key = "instrument_1/source_1/"
    by_wavelength = write(
        tmp_path / "a.cxi",
        drop=(key + "energy",),
        instrument_1__source_1__wavelength=1.55e-10,
    )
    assert read_cxi(by_wavelength, AUTO).energy_ev == pytest.approx(12398.42 / 1.55, rel=1e-6)
    in_ev = write(tmp_path / "b.cxi", instrument_1__source_1__energy=8000.0)
    found = read_cxi(in_ev, AUTO)
    assert found.energy_ev == 8000.0 and any("taken as eV" in note for note in found.notes)
    each = write(tmp_path / "c.cxi", instrument_1__source_1__energy=JOULE * np.full(M, 1.001))
    assert read_cxi(each, AUTO).energy_ev == pytest.approx(8008)
    assert read_cxi(write(tmp_path / "d.cxi", drop=(key + "energy",)), AUTO).energy_ev is None


def test_floats_are_intensities_unless_an_option_says_otherwise(tmp_path):
    path = write(tmp_path / "a.cxi", data_1__data=counts() * 0.37)
    assert read_cxi(path, AUTO).units == "intensity"
    assert read_cxi(path, ScanConfig(frames="amplitude")).units is None


def test_several_entries(tmp_path):
    def second(h5):
        h5.copy("entry_1", "entry_10")
        del h5["entry_10/data_1/data"]
        h5["entry_10/data_1/data"] = counts() + 1

    path = write(tmp_path / "a.cxi", change=second)
    found = read_cxi(path, AUTO)
    assert any("entry_1, entry_10" in note for note in found.notes)
    chosen = read_cxi(path, ScanConfig(scan_number=10))
    np.testing.assert_array_equal(chosen.frames.read([0]), counts()[[0]] + 1)
    message = refusal(read_cxi, path, ScanConfig(scan_number=2))
    assert "entry_1, entry_10" in message


def test_the_probe_comes_from_either_place_or_none(tmp_path):
    _, probe, _ = scene()
    key = "instrument_1/source_1/illumination"
    path = write(tmp_path / "a.cxi", drop=(key,), image_1__data=probe[0])
    np.testing.assert_array_equal(read_cxi(path, AUTO).probe, probe[0])
    path = write(tmp_path / "b.cxi", drop=(key,), image_1__data=counts())
    found = read_cxi(path, AUTO)
    assert found.probe is None and any("no complex image" in note for note in found.notes)
    path = write(
        tmp_path / "c.cxi", drop=(key,), image_1__data=probe[:, None], image_2__data=probe[0]
    )
    found = read_cxi(path, AUTO)
    np.testing.assert_array_equal(found.probe, probe[:1])
    assert found.truth is None and any("'image_2' was not read" in note for note in found.notes)


# --------------------------------------------------------------------------- ptychodus files


@pytest.mark.parametrize("frames", ["diffraction.cxi", "diffraction.h5"])
def test_product_and_diffraction_as_ptychodus_writes_them(frames):
    found = read_cxi(GOLDEN / "product.cxi", ScanConfig(diffraction=GOLDEN / frames))
    corners = {7: (3, 5), 3: (10, 20), 5: (22, 9), 1: (17, 28), 2: (1, 13), 9: (8, 2)}
    indexes = [k for k in sorted(corners) if k != 9 or frames.endswith("cxi")]
    pixels = found.positions_m / found.pixel_size_m - found.truth_origin_px
    np.testing.assert_allclose(pixels, [np.add(corners[k], 8.001) for k in indexes], atol=1e-6)
    measured = found.frames.read(np.arange(5))
    model = far_field(found.truth, found.probe, pixels[:5])
    model *= (measured * model).sum() / (model * model).sum()
    np.testing.assert_allclose(measured, model, atol=2e-3 * measured.max())  # see TOLERANCE there
    assert np.argwhere(found.bad_pixels).tolist() == [[2, 11]]
    assert found.energy_ev == pytest.approx(8000) and found.distance_m == 1.5
    assert found.detector_pixel_m == pytest.approx(1.549802e-10 * 1.5 / (16 * 2e-8), rel=1e-6)
    assert found.acquisition["exposure_time_s"] == 0.25


def test_the_diffraction_file_beside_is_found(tmp_path):
    assert any(
        "frames from diffraction.cxi" in note
        for note in read_cxi(GOLDEN / "product.cxi", AUTO).notes
    )
    alone = tmp_path / "alone.cxi"
    alone.write_bytes((GOLDEN / "product.cxi").read_bytes())
    assert "--diffraction" in refusal(read_cxi, alone, AUTO)


def test_diffraction_alone_has_no_translations():
    assert "translation" in refusal(read_cxi, GOLDEN / "diffraction.cxi", AUTO)


def test_variations_of_the_probe_need_weights(tmp_path):
    path = tmp_path / "p.cxi"
    path.write_bytes((GOLDEN / "product.cxi").read_bytes())
    config = ScanConfig(diffraction=GOLDEN / "diffraction.h5")
    rng = np.random.default_rng(0)
    probe, weights = rng.normal(size=(3, 2, 16, 16)) + 1j, rng.normal(size=(6, 3))
    with h5py.File(path, "a") as h5:
        del h5["entry_1/image_1/data"]
        h5["entry_1/image_1/data"] = probe
    found = read_cxi(path, config)
    np.testing.assert_array_equal(found.probe, probe[0])
    assert any("no weights" in note for note in found.notes)
    with h5py.File(path, "a") as h5:
        h5["entry_1/ptychodus/opr_weights"] = weights
    found = read_cxi(path, config)
    # positions have the indexes 7, 3, 5, 1, 2, 9; frames 1, 2, 3, 5, 7
    np.testing.assert_array_equal(found.probe_weights, weights[[3, 4, 1, 2, 0]])
    with h5py.File(path, "a") as h5:
        del h5["entry_1/ptychodus/opr_weights"]
        h5["entry_1/ptychodus/opr_weights"] = weights[:, :2]
    assert "opr_weights" in refusal(read_cxi, path, config)


def test_no_entry_and_recognition(tmp_path):
    with h5py.File(tmp_path / "a.cxi", "w") as h5:
        h5["cxi_version"] = 160
    assert "no group 'entry_1'" in refusal(read_cxi, tmp_path / "a.cxi", AUTO)
    assert not is_cxi(tmp_path / "a.cxi", b"\x89HDF\r\n\x1a\n")
    (tmp_path / "b.cxi").write_bytes(b"cxi")
    assert not is_cxi(tmp_path / "b.cxi", b"cxi")
    assert "truncated" in refusal(read_cxi, _half(write(tmp_path / "c.cxi")), AUTO)


def _half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path
