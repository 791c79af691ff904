"""ptychodus products, patterns and training files: what ptychodus 1.7 wrote, and what is wrong.

The golden files come from ptychodus itself (see tests/goldens/ptychodus_1_7). The forward model of
`scan_files` and the parts as read must give its simulated frames.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest
from readers import claims
from scan_files import far_field, refusal

from pinn.config import ScanConfig
from pinn.io.formats.flat import read_training
from pinn.io.formats.ptychodus import is_patterns, is_product, read_patterns, read_product

GOLDEN = Path(__file__).parents[1] / "goldens" / "ptychodus_1_7"
AUTO = ScanConfig()
CORNERS = {7: (3, 5), 3: (10, 20), 5: (22, 9), 1: (17, 28), 2: (1, 13), 9: (8, 2)}
JOINED = (1, 2, 3, 5, 7)
# Single precision of the stored frames, and the Fourier shift of a probe by a thousandth of a
# pixel that ptychodus makes.
TOLERANCE = 2e-3


def head(path):
    return path.read_bytes()[:16]


def places(found):
    """Positions in pixels of the truth array."""
    pixels = found.positions_px
    if pixels is None:
        pixels = found.positions_m / found.pixel_size_m
    return pixels - np.asarray(found.truth_origin_px)


def check_against_simulator(found, indexes=JOINED):
    np.testing.assert_allclose(
        places(found), [np.add(CORNERS[k], 8.001) for k in indexes], atol=1e-6
    )
    good = ~found.bad_pixels  # the training file has zeros there
    frames = found.frames.read(np.arange(len(indexes)))[:, good]
    model = far_field(found.truth, found.probe, places(found))[:, good]
    model *= (frames * model).sum() / (model * model).sum()
    np.testing.assert_allclose(frames, model, atol=TOLERANCE * frames.max())


@pytest.mark.parametrize("product", ["product.h5", "flat.npz"])
@pytest.mark.parametrize("patterns", ["diffraction.h5", "flat_patterns.npz"])
def test_product_and_patterns_as_ptychodus_writes_them(product, patterns):
    path = GOLDEN / product
    assert is_product(path, head(path))
    found = read_product(path, ScanConfig(diffraction=GOLDEN / patterns))
    check_against_simulator(found)
    assert np.argwhere(found.bad_pixels).tolist() == [[2, 11]]
    assert (found.energy_ev, found.distance_m, found.pixel_size_m) == (8000.0, 1.5, 2e-8)
    if patterns.endswith("h5"):
        wavelength = 1.549802e-10  # 12.39842 keV Å / 8 keV
        expected = wavelength * 1.5 / (16 * 2e-8)
        assert found.detector_pixel_m == pytest.approx(expected, rel=1e-6)
    assert found.units == "counts" and found.centre == "centred"
    assert found.probe.shape == (2, 16, 16) and found.probe_weights is None
    assert found.acquisition == {
        "probe_photon_count": 1e4,
        "exposure_time_s": 0.25,
        "tomography_angle_deg": 12.0,
    }
    assert any("frames without a position, left out: 1" in note for note in found.notes)
    assert any("positions without a frame, left out: 1" in note for note in found.notes)
    assert any("taken as the truth" in note for note in found.notes)
    found.close()


def test_the_diffraction_file_beside_is_found_and_told():
    found = read_product(GOLDEN / "product.h5", AUTO)
    assert found.notes[0] == "frames from diffraction.h5 beside the product"
    check_against_simulator(found)


def test_training_file_as_ptychodus_writes_it():
    path = GOLDEN / "training.h5"
    assert claims("ptychodus-training", path) and not is_product(path, head(path))
    found = read_training(path, AUTO)
    check_against_simulator(found, CORNERS)
    assert found.truth_origin_px == (0.0, 0.0) and found.probe.shape == (2, 16, 16)
    assert np.argwhere(found.bad_pixels).tolist() == [[2, 11]]
    assert (found.energy_ev, found.distance_m, found.pixel_size_m) == (8000.0, 1.5, 2e-8)


def test_patterns_alone_are_refused_with_what_is_needed():
    for name in ("diffraction.h5", "flat_patterns.npz"):
        path = GOLDEN / name
        assert is_patterns(path, head(path))
        assert not is_product(path, head(path))
        message = refusal(read_patterns, path, AUTO)
        assert "without positions" in message and f"--diffraction {name}" in message
    for name in ("product.h5", "training.h5", "flat.npz"):
        assert not is_patterns(GOLDEN / name, head(GOLDEN / name))


def test_options_overrule_what_the_format_means():
    found = read_product(GOLDEN / "product.h5", ScanConfig(frames="amplitude", centre="corner"))
    assert found.units is None and found.centre is None


# --------------------------------------------------------------------- files made by hand


def product(folder, name="p.h5", drop=(), attributes=None, patterns=None, **changes):
    """A product of four positions and its frames, changed; returns the path of the product."""
    rng = np.random.default_rng(4)
    values = {
        "probe_position_indexes": np.array([10, 11, 12, 13]),
        "probe_position_x_m": np.array([1.0, 2, 3, 5]) * 1e-6,
        "probe_position_y_m": np.array([-1.0, 0, 4, 7]) * 1e-6,
        "probe": rng.normal(size=(1, 1, 16, 16)) + 1j,
        "object": rng.normal(size=(1, 30, 20)) + 1j,
        **changes,
    }
    with h5py.File(folder / name, "w") as h5:
        for key, value in values.items():
            if key not in drop:
                h5[key] = value
        h5.attrs.update(detector_object_distance_m=2.0, photon_energy_eV=9000.0)
        if isinstance(values["object"], np.ndarray) and "object" not in drop:
            h5["object"].attrs.update(
                pixel_width_m=1e-7, pixel_height_m=1e-7, center_x_m=2e-6, center_y_m=3e-6
            )
        for key, value in (attributes or {}).items():
            where, _, attribute = key.rpartition("/")
            target = h5[where] if where else h5
            if value is None:
                del target.attrs[attribute]
            else:
                target.attrs[attribute] = value
    frames = {
        "patterns": np.arange(5 * 256, dtype=np.uint32).reshape(5, 16, 16),
        "indexes": np.array([13, 12, 11, 10, 99]),
        "bad_pixels": np.zeros((16, 16), bool),
        **(patterns or {}),
    }
    with h5py.File(folder / f"{Path(name).stem}_diffraction.h5", "w") as h5:
        for key, value in frames.items():
            if value is not None:
                h5[key] = value
    return folder / name


def test_frames_follow_their_index_and_repeated_positions_are_averaged(tmp_path):
    path = product(tmp_path, probe_position_indexes=np.array([12, 11, 12, 13]))
    found = read_product(path, AUTO)
    # indexes of the frames that have a position: 13, 12, 11
    np.testing.assert_allclose(
        found.positions_m, np.array([[7, 5], [(-1 + 4) / 2, (1 + 3) / 2], [0, 2]]) * 1e-6
    )
    np.testing.assert_array_equal(found.frames.read([0, 1, 2])[:, 0, 0], [0, 256, 512])
    assert any("4 positions have 3 indexes" in note for note in found.notes)


def test_object_layers_multiply_and_a_placeholder_is_no_truth(tmp_path):
    rng = np.random.default_rng(0)
    layers = rng.normal(size=(3, 30, 21)) + 1j
    found = read_product(product(tmp_path, object=layers), AUTO)
    np.testing.assert_allclose(found.truth, layers[0] * layers[1] * layers[2])
    # centre / pixel - half the shape
    np.testing.assert_allclose(found.truth_origin_px, [30 - 15, 20 - 10.5])
    assert any("3 layers" in note for note in found.notes)
    for dull in (np.ones((1, 5, 5), complex), np.zeros((1, 0, 0), complex)):
        found = read_product(product(tmp_path, object=dull), AUTO)
        assert found.truth is None and any("not taken as the truth" in n for n in found.notes)


def test_probes_of_every_rank(tmp_path):
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(3, 2, 16, 16)) + 1j
    weights = rng.normal(size=(4, 3))
    found = read_product(product(tmp_path, probe=probe, opr_weights=weights), AUTO)
    assert found.probe.shape == probe.shape
    np.testing.assert_allclose(found.probe_weights, weights[::-1])  # in the order of the frames
    found = read_product(product(tmp_path, probe=probe), AUTO)
    np.testing.assert_array_equal(found.probe, probe[0])
    assert found.probe_weights is None and any("no weights" in note for note in found.notes)
    found = read_product(product(tmp_path, probe=probe[0, 0]), AUTO)
    np.testing.assert_array_equal(found.probe, probe[0, 0])
    for changes in ({"drop": ("probe",)}, {"probe": np.zeros((1, 0, 0), complex)}):
        assert read_product(product(tmp_path, **changes), AUTO).probe is None


def test_pixels_that_are_not_square(tmp_path):
    path = product(tmp_path, attributes={"object/pixel_height_m": 2e-7})
    found = read_product(path, AUTO)
    assert found.positions_m is None
    np.testing.assert_allclose(found.positions_px[0], [7e-6 / 2e-7, 5e-6 / 1e-7])
    assert any("not square" in note for note in found.notes)


def test_unknown_lengths_are_none_and_old_names_are_read(tmp_path):
    attributes = {
        "photon_energy_eV": None,
        "probe_energy_eV": 7000.0,
        "mass_attenuation_m2_kg": 3.0,
        "detector_object_distance_m": 0.0,
    }
    found = read_product(product(tmp_path, attributes=attributes), AUTO)
    assert found.energy_ev == 7000.0 and found.distance_m is None
    assert found.acquisition == {"mass_attenuation_m2_per_kg": 3.0}


def test_patterns_without_indexes_count_from_zero(tmp_path):
    path = product(
        tmp_path,
        probe_position_indexes=np.arange(4),
        patterns={"indexes": None, "bad_pixels": None},
    )
    found = read_product(path, AUTO)
    np.testing.assert_array_equal(found.frames.read([3])[0, 0, 0], 3 * 256)
    assert found.bad_pixels is None and any("count from 0" in note for note in found.notes)


def test_a_result_of_ours_says_where_its_object_lies(tmp_path):
    path = product(tmp_path)
    with h5py.File(path, "a") as h5:
        h5["pinn/origin_px"] = [3.25, -4.5]
    assert read_product(path, AUTO).truth_origin_px == (3.25, -4.5)


def test_missing_and_foreign_diffraction_files(tmp_path):
    path = product(tmp_path)
    (tmp_path / "p_diffraction.h5").unlink()
    message = refusal(read_product, path, AUTO)
    assert "diffraction.h5" in message and "--diffraction" in message
    gone = ScanConfig(diffraction=tmp_path / "gone.h5")
    assert "gone.h5 does not exist" in refusal(read_product, path, gone)
    assert "is no file" in refusal(read_product, path, ScanConfig(diffraction=tmp_path))
    (tmp_path / "words.h5").write_text("not HDF5")
    foreign = ScanConfig(diffraction=tmp_path / "words.h5")
    assert "not an HDF5 file" in refusal(read_product, path, foreign)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patterns": np.zeros((4, 16))}, "3 axes"),
        ({"indexes": np.zeros(4)}, "'indexes'"),
        ({"indexes": np.arange(4)}, "(4,)"),
        ({"bad_pixels": np.zeros(4, bool)}, "'bad_pixels'"),
    ],
)
def test_broken_patterns_in_npz(tmp_path, changes, said):
    path = product(tmp_path)
    arrays = {"patterns": np.zeros((5, 16, 16)), "indexes": np.arange(5), **changes}
    np.savez(tmp_path / "d.npz", **arrays)
    config = ScanConfig(diffraction=tmp_path / "d.npz")
    assert said in refusal(read_product, path, config)


def test_recognition_never_raises(tmp_path):
    for name, content in (
        ("a", b""),
        ("b", b"PK\x03\x04"),
        ("c", b"\x89HDF\r\n\x1a\n" + b"x" * 90),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        for known in ("ptychodus", "ptychodus-patterns", "ptychodus-training"):
            assert claims(known, path) is False
