"""The result file: reopens as it was, states physical coordinates, refuses by sentence."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pinn.config import ScanConfig
from pinn.errors import ArchiveError, InputError, OutputError
from pinn.io import product as module
from pinn.io.formats.ptychodus import read_product as read_ptychodus_product
from pinn.io.product import Reconstruction, load_reconstruction, write_product

GOLDEN = Path(__file__).parents[1] / "goldens" / "ptychodus_1_7"
ARRAYS = ("object", "origin_px", "coverage", "valid_mask", "positions_px", "frame_indices")


def example(**changes):
    """An object of 5 rows and 8 columns, its origin off the axes, two probe modes of side 4."""
    rng = np.random.default_rng(3)
    obj = rng.normal(size=(5, 8)) + 1j * rng.normal(size=(5, 8))
    probe = rng.normal(size=(2, 4, 4)) + 1j * rng.normal(size=(2, 4, 4))
    coverage = rng.uniform(0, 3, (5, 8)).astype(np.float32)
    coverage[0, :3] = 0
    values = {
        "object": obj.astype(np.complex64),
        "origin_px": np.array([-3.25, 10.5]),
        "coverage": coverage,
        "valid_mask": coverage > 0,
        "probe": probe.astype(np.complex64),
        "positions_px": np.array([[-1.25, 12.5], [0.1, 13.7], [0.3, 1 / 3]]),
        "frame_indices": np.array([0, 2, 5]),
        "pixel_size_m": 2e-8,
        "frame_likelihood": np.array([1.0, 0.5, np.nan], np.float32),
        "config": {"reconstruct": {"batch_size": 16}, "long": "x" * 70_000},
        "statistics": {"exposure_ratio": 1.5, "psnr": None},
        "versions": {"pinn": "0.1.0", "keras": "3.15.1"},
        "archive_sha256": "ab" * 32,
        "losses": [0.5, 0.25, 1 / 3],
        "scan_name": "siemens µ",
        "notes": ("The first note.", "The second."),
        "acquisition": {"photon_energy_eV": 8801.5, "detector_object_distance_m": 2.5},
        "disagreement": rng.uniform(0, 0.1, (5, 8)).astype(np.float32),
        "background": rng.uniform(0, 2, (4, 4)).astype(np.float32),
        "frame_factors": np.array([1.0, 0.9, 1.2], np.float32),
        "positions_start_px": np.array([[-1.0, 12.0], [0.0, 14.0], [0.5, 0.25]]),
        "verdict": "One honest sentence µ.",
    }
    return Reconstruction(**{**values, **changes})


OPTIONAL = (
    *("probe", "frame_likelihood", "disagreement", "background", "frame_factors"),
    *("probe_variations", "probe_weights", "positions_start_px"),
)


def varying(variations=3, **changes):
    """As `example`, with a probe that varies between the three frames."""
    rng = np.random.default_rng(4)
    shape = (variations, 2, 4, 4)
    probes = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    weights = rng.normal(size=(3, variations)).astype(np.float32)
    parts = {"probe": None, "probe_variations": probes, "probe_weights": weights}
    return example(**{**parts, **changes})


def same(a, b):
    for name in (*ARRAYS, *OPTIONAL):
        left, right = getattr(a, name), getattr(b, name)
        if left is None or right is None:
            assert left is right, name
        else:
            assert left.dtype == right.dtype and left.shape == right.shape, name
            assert left.tobytes() == right.tobytes(), name
    for name in (
        *("pixel_size_m", "config", "statistics", "versions", "archive_sha256", "losses"),
        *("scan_name", "notes", "acquisition", "verdict"),
    ):
        assert getattr(a, name) == getattr(b, name), name


def refusal(path):
    with pytest.raises(ArchiveError) as caught:
        load_reconstruction(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


# ------------------------------------------------------------------------------ round trips


def test_reopens_exactly(tmp_path):
    recon = example()
    assert recon.save(tmp_path / "r.h5") == tmp_path / "r.h5"
    same(recon, load_reconstruction(tmp_path / "r.h5"))
    assert [p.name for p in tmp_path.iterdir()] == ["r.h5"]


def test_reopens_exactly_with_nothing_optional(tmp_path):
    full = example()
    recon = Reconstruction(**{name: getattr(full, name) for name in ARRAYS})
    write_product(tmp_path, recon)
    again = load_reconstruction(tmp_path)
    same(recon, again)
    assert again.probe is None and again.pixel_size_m is None and again.losses == []
    assert all(getattr(again, name) is None for name in OPTIONAL) and again.verdict == ""
    assert (tmp_path / "reconstruction.h5").is_file()


@pytest.mark.parametrize("variations", [1, 3])
def test_variations_of_the_probe_reopen(tmp_path, variations):
    recon = varying(variations)
    np.testing.assert_array_equal(recon.probe, recon.probe_variations[0])
    same(recon, load_reconstruction(recon.save(tmp_path / "r.h5")))
    unweighted = varying(variations, probe_weights=None)
    same(unweighted, load_reconstruction(unweighted.save(tmp_path / "q.h5")))


def test_a_file_of_before_these_parts_loads(tmp_path):
    """As the first version wrote it: no verdict, no word on variations, none of the arrays."""
    added = ("disagreement", "background", "frame_factors", "positions_start_px")
    path = example().save(tmp_path / "r.h5")
    with h5py.File(path, "a") as h5:
        del h5["pinn"].attrs["verdict"], h5["pinn"].attrs["probe_varies"]
        for name in added:
            del h5["pinn"][name]
    same(example(**dict.fromkeys(added), verdict=""), load_reconstruction(path))


sides = st.integers(1, 6)
finite = {"allow_nan": False, "allow_infinity": False}


@settings(max_examples=15, deadline=None)
@given(st.data(), sides, sides, st.integers(0, 5), st.integers(1, 3), sides, st.text(max_size=4))
def test_any_shapes_reopen(tmp_path_factory, data, rows, columns, frames, modes, n, name):
    def draw(dtype, shape, **elements):
        return data.draw(npst.arrays(dtype, shape, elements={**finite, **elements}))

    recon = Reconstruction(
        object=draw("c8", (rows, columns)),
        origin_px=draw("f8", (2,)),
        coverage=draw("f4", (rows, columns), min_value=0),
        valid_mask=data.draw(npst.arrays("?", (rows, columns))),
        probe=draw("c8", (modes, n, n), max_magnitude=1e3),
        positions_px=draw("f8", (frames, 2)),
        frame_indices=data.draw(npst.arrays("i8", (frames,))),
        pixel_size_m=data.draw(st.none() | st.floats(1e-12, 1e-3)),
        losses=data.draw(st.lists(st.floats(-1e30, 1e30), max_size=3)),
        scan_name=name.replace("\0", ""),
    )
    path = tmp_path_factory.mktemp("h") / "r.h5"
    recon.save(path)
    same(recon, load_reconstruction(path))


# ----------------------------------------------------------------------- the product layout


def test_physical_coordinates_by_hand(tmp_path):
    """Rows 5, columns 8, origin (-3.25, 10.5), pixel 2e-8 m.

    Centre: -3.25 + 5/2 = -0.75 px = -1.5e-8 m in y, 10.5 + 8/2 = 14.5 px = 2.9e-7 m in x (half a
    pixel beyond the coordinate of the middle, see `pinn.io.product`). The first position
    (-1.25, 12.5) px is y = -2.5e-8 m, x = 2.5e-7 m.
    """
    example().save(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r") as h5:
        obj = h5["object"]
        assert obj.shape == (1, 5, 8) and obj.dtype == np.complex64
        assert obj.attrs["center_y_m"] == pytest.approx(-1.5e-8, rel=1e-15)
        assert obj.attrs["center_x_m"] == pytest.approx(2.9e-7, rel=1e-15)
        assert obj.attrs["pixel_width_m"] == obj.attrs["pixel_height_m"] == 2e-8
        assert h5["probe_position_y_m"][0] == pytest.approx(-2.5e-8, rel=1e-15)
        assert h5["probe_position_x_m"][0] == pytest.approx(2.5e-7, rel=1e-15)
        np.testing.assert_array_equal(h5["probe_position_indexes"], [0, 2, 5])
        assert h5["probe"].shape == (1, 2, 4, 4)
        assert h5["probe"].attrs["pixel_width_m"] == h5["probe"].attrs["pixel_height_m"] == 2e-8
        assert h5["object_layer_spacing_m"].shape == (0,)
        np.testing.assert_array_equal(h5["loss_epochs"], [1, 2, 3])
        np.testing.assert_array_equal(h5["loss_values"], [0.5, 0.25, 1 / 3])


def test_variations_lie_where_ptychodus_has_them(tmp_path):
    """Read back by the reader of scans, which knows the product of ptychodus 1.7 only."""
    recon = varying()
    recon.save(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r") as h5:
        np.testing.assert_array_equal(h5["probe"], recon.probe_variations)
        np.testing.assert_array_equal(h5["opr_weights"], recon.probe_weights)
        assert h5["opr_weights"].dtype == np.float64
    with h5py.File(tmp_path / "diffraction.h5", "w") as h5:
        h5["patterns"], h5["indexes"] = np.ones((3, 4, 4), np.uint16), recon.frame_indices
    found = read_ptychodus_product(tmp_path / "r.h5", ScanConfig())
    np.testing.assert_array_equal(found.probe, recon.probe_variations)
    np.testing.assert_allclose(found.probe_weights, recon.probe_weights, rtol=1e-6)


def test_the_verdict_is_in_the_comments(tmp_path):
    example().save(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r") as h5:
        assert "One honest sentence µ. The first note." in h5.attrs["comments"]


def test_attributes_of_new_and_old_names(tmp_path):
    recon = example(acquisition={"photon_energy_eV": 8801.5, "mass_attenuation_m2_per_kg": 3.0})
    recon.save(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r") as h5:
        assert h5.attrs["name"] == "siemens µ"
        assert "The first note." in h5.attrs["comments"] and "0.1.0" in h5.attrs["comments"]
        assert "not known" not in h5.attrs["comments"]
        assert h5.attrs["photon_energy_eV"] == h5.attrs["probe_energy_eV"] == 8801.5
        assert h5.attrs["mass_attenuation_m2_per_kg"] == h5.attrs["mass_attenuation_m2_kg"] == 3.0
        for name in (
            *("detector_object_distance_m", "focus_object_distance_m", "exposure_time_s"),
            *("tomography_angle_deg", "tilt_angle_deg"),
        ):
            assert h5.attrs[name] == 0.0
        assert h5.attrs["far_field"]
        # the probe is in square root of counts: its energy is the photons of a frame
        energy = np.sum(recon.probe.real.astype(float) ** 2 + recon.probe.imag.astype(float) ** 2)
        assert h5.attrs["probe_photon_count"] == pytest.approx(energy, rel=1e-12)


def test_unknown_pixel_size_is_nominal_and_said(tmp_path):
    example(pixel_size_m=None).save(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r") as h5:
        assert h5["object"].attrs["pixel_width_m"] == 1e-8
        assert h5["object"].attrs["center_x_m"] == pytest.approx(14.5e-8, rel=1e-15)
        assert not h5["pinn"].attrs["physical_units_known"]
        assert "Physical units are not known" in h5.attrs["comments"]
    assert load_reconstruction(tmp_path / "r.h5").pixel_size_m is None


def test_group_of_ours(tmp_path):
    recon = example()
    recon.save(tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r") as h5:
        group = h5["pinn"]
        assert group.attrs["physical_units_known"] and group.attrs["archive_sha256"] == "ab" * 32
        assert json.loads(group["configuration"].asstr()[()]) == recon.config
        for name in ("coverage", "valid_mask", "origin_px", "positions_px", "frame_likelihood"):
            np.testing.assert_array_equal(group[name], getattr(recon, name))


def test_awkward_names_do_not_lose_a_result(tmp_path):
    example(scan_name="a\udce9\0b", notes=("bad \udce9",)).save(tmp_path / "r.h5")
    again = load_reconstruction(tmp_path / "r.h5")
    assert again.scan_name == "a?b" and again.notes == ("bad \udce9",)


def test_numbers_that_are_not_finite_do_not_lose_a_result(tmp_path):
    recon = example(statistics={"psnr": np.inf}, acquisition={"exposure_time_s": np.nan})
    recon.save(tmp_path / "r.h5")
    again = load_reconstruction(tmp_path / "r.h5")
    assert again.statistics == {"psnr": None} and again.acquisition == {}


# ------------------------------------------------------------------------ plain products


def plain(path, drop=(), **changes):
    """A product as ptychodus or an older program writes it: no group of ours."""
    values = {
        "object": np.arange(1, 13).reshape(3, 4).astype(np.complex128) * (1 - 2j),
        "probe": np.full((2, 2), 1 + 1j),
        "probe_position_x_m": np.array([6e-8, 2e-8]),
        "probe_position_y_m": np.array([-4e-8, 8e-8]),
        "probe_position_indexes": np.array([4, 7]),
        "costs": np.array([3.0, 2.0]),
        **changes,
    }
    with h5py.File(path, "w") as h5:
        for name, value in values.items():
            if name not in drop:
                h5[name] = value
        h5.attrs["name"] = "old"
        h5.attrs["probe_energy_eV"] = 1e4
        if "object" in h5:
            h5["object"].attrs.update(
                pixel_width_m=2e-8, pixel_height_m=4e-8, center_x_m=1e-7, center_y_m=2e-7
            )
    return path


def test_plain_product_of_lower_rank(tmp_path):
    """Pixels 4e-8 m high and 2e-8 m wide; 3 rows, 4 columns; centre (2e-7, 1e-7) m.

    Origin: 2e-7 / 4e-8 - 3/2 = 3.5 px in y, 1e-7 / 2e-8 - 4/2 = 3 px in x.
    """
    recon = load_reconstruction(plain(tmp_path / "p.h5"))
    np.testing.assert_allclose(recon.origin_px, [3.5, 3.0], rtol=1e-13)
    np.testing.assert_allclose(recon.positions_px, [[-1, 3], [2, 1]], rtol=1e-13)
    np.testing.assert_array_equal(recon.frame_indices, [4, 7])
    expected = np.arange(1, 13).reshape(3, 4) * (1 - 2j)
    np.testing.assert_array_equal(recon.object, expected.astype(np.complex64))
    assert recon.probe.shape == (1, 2, 2) and recon.valid_mask.all() and recon.losses == [3.0, 2.0]
    assert recon.scan_name == "old" and recon.acquisition == {"photon_energy_eV": 1e4}
    assert recon.pixel_size_m is None
    assert any("not square" in note for note in recon.notes)
    assert any("no coverage" in note for note in recon.notes)


def test_a_product_of_ptychodus_lies_as_ptychodus_places_it(tmp_path):
    """Its README lists the lower corners of patches of 16 pixels by scan index (rows, columns)."""
    recon = load_reconstruction(GOLDEN / "product.h5")
    corners = {7: (3, 5), 3: (10, 20), 5: (22, 9), 1: (17, 28), 2: (1, 13), 9: (8, 2)}
    found = recon.positions_px - recon.origin_px - 8
    once = [row for row, i in enumerate(recon.frame_indices) if i in corners]
    assert len(once) >= 5
    wrong = [
        abs(found[row] - corners[recon.frame_indices[row]]).max()
        for row in once
        if np.count_nonzero(recon.frame_indices == recon.frame_indices[row]) == 1
    ]
    assert max(wrong) < 2e-3  # they are a thousandth of a pixel beyond


def test_plain_product_of_square_pixels_knows_them_and_can_be_saved(tmp_path):
    path = plain(tmp_path / "p.h5")
    with h5py.File(path, "a") as h5:
        h5["object"].attrs["pixel_height_m"] = 2e-8
    recon = load_reconstruction(path)
    assert recon.pixel_size_m == 2e-8
    same(recon, load_reconstruction(recon.save(tmp_path / "q.h5")))


def test_ranks_of_probe_and_object(tmp_path):
    rng = np.random.default_rng(0)
    probe = rng.normal(size=(3, 2, 4, 4)) + 1j
    layers = rng.normal(size=(2, 3, 4)) + 1j
    recon = load_reconstruction(plain(tmp_path / "p.h5", probe=probe, object=layers))
    np.testing.assert_array_equal(recon.probe, probe[0].astype(np.complex64))
    np.testing.assert_allclose(recon.object, layers[0] * layers[1], rtol=1e-6)
    assert any("2 layers" in note for note in recon.notes)
    assert any("3 coherent variations" in note for note in recon.notes)
    weights = rng.normal(size=(2, 3))
    both = load_reconstruction(plain(tmp_path / "p.h5", probe=probe, opr_weights=weights))
    np.testing.assert_array_equal(both.probe_variations, probe.astype(np.complex64))
    np.testing.assert_array_equal(both.probe_weights, weights.astype(np.float32))
    assert not any("variations" in note for note in both.notes)
    modes = load_reconstruction(plain(tmp_path / "p.h5", probe=probe[0], object=layers[:1]))
    np.testing.assert_array_equal(modes.probe, probe[0].astype(np.complex64))
    np.testing.assert_array_equal(modes.object, layers[0].astype(np.complex64))


# ------------------------------------------------------------------------------- refusals


def test_missing_and_foreign(tmp_path):
    assert "there is no result file" in refusal(tmp_path / "none.h5")
    assert "reconstruction.h5" in refusal(tmp_path)
    path = tmp_path / "a.h5"
    path.write_bytes(b"PK\x03\x04")
    assert "is not an HDF5 file" in refusal(path)
    with h5py.File(path, "w") as h5:
        h5["patterns"] = np.zeros((2, 4, 4))
    assert "is no result of pinn or ptychodus" in refusal(path)


def test_truncated_anywhere(tmp_path):
    whole = example().save(tmp_path / "r.h5").read_bytes()
    cut = tmp_path / "cut.h5"
    for length in [*range(8, len(whole), 4999), len(whole) - 1]:
        cut.write_bytes(whole[:length])
        refusal(cut)


@pytest.mark.parametrize(
    "name", ["object", "probe", "probe_position_x_m", "probe_position_y_m", "pinn/coverage"]
)
def test_missing_dataset_is_named(tmp_path, name):
    path = example().save(tmp_path / "r.h5")
    with h5py.File(path, "a") as h5:
        del h5[name]
    assert f"no dataset '/{name}'" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"object": np.ones((3, 4))}, "'/object' in"),
        ({"object": np.ones(4, complex)}, "shape (4,)"),
        ({"probe": np.ones((1, 1, 1, 2, 2), complex)}, "shape (1, 1, 1, 2, 2)"),
        ({"probe": np.ones((2, 2))}, "holds float64"),
        ({"probe": np.ones((2, 3), complex)}, "contradicts itself: probe"),
        ({"probe_position_x_m": np.zeros(3)}, "has shape (3,), but (2,)"),
        ({"probe_position_indexes": np.arange(3)}, "contradicts itself: frame_indices"),
        ({"probe_position_y_m": np.array([0, np.nan])}, "positions_px of a reconstruction has"),
        (
            {"probe": np.ones((2, 1, 2, 2), complex), "opr_weights": np.ones((2, 3))},
            "contradicts itself: probe_weights",
        ),
    ],
)
def test_contradictions(tmp_path, changes, said):
    assert said in refusal(plain(tmp_path / "p.h5", **changes))


@pytest.mark.parametrize("value", [0.0, -1e-8, np.nan, np.inf])
def test_pixel_size_that_cannot_be(tmp_path, value):
    path = plain(tmp_path / "p.h5")
    with h5py.File(path, "a") as h5:
        h5["object"].attrs["pixel_width_m"] = value
    assert "pixel_width_m of the object is" in refusal(path)
    with pytest.raises(InputError, match="pixel_size_m"):
        example(pixel_size_m=value)


def test_centre_is_needed_without_our_group(tmp_path):
    path = plain(tmp_path / "p.h5")
    with h5py.File(path, "a") as h5:
        del h5["object"].attrs["center_x_m"]
    assert "lacks center_x_m" in refusal(path)


def test_newer_and_broken_group(tmp_path):
    path = example().save(tmp_path / "r.h5")
    with h5py.File(path, "a") as h5:
        h5["pinn"].attrs["format_version"] = 2
    assert "newer pinn (format 2; this one reads up to 1)" in refusal(path)
    path = example().save(tmp_path / "r.h5")
    with h5py.File(path, "a") as h5:
        del h5["pinn/configuration"]
        h5["pinn/configuration"] = "{"
    assert "is damaged" in refusal(path)
    with h5py.File(path, "a") as h5:
        h5["pinn"].attrs["format"] = "other"
    assert "was not written by pinn" in refusal(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_interrupted_writing_keeps_the_old_file(tmp_path, monkeypatch, error):
    path = example().save(tmp_path / "r.h5")
    before = path.read_bytes()

    def broken(*_):
        raise error

    monkeypatch.setattr(module, "_write_group", broken)
    with pytest.raises(OutputError if isinstance(error, OSError) else error):
        example(scan_name="other").save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["r.h5"]


# -------------------------------------------------------------------------- Reconstruction


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"object": np.zeros(5)}, r"object .* \(5,\), but \(H, W\)"),
        ({"object": np.zeros((0, 4))}, "object"),
        ({"coverage": np.zeros((8, 5))}, r"coverage .* \(8, 5\), but \(5, 8\)"),
        ({"valid_mask": np.ones(40)}, "valid_mask"),
        ({"origin_px": [0.0]}, "origin_px"),
        ({"origin_px": [0.0, np.nan]}, "origin_px .* not finite"),
        ({"positions_px": np.zeros((3, 3))}, "positions_px"),
        ({"positions_px": np.zeros((2, 2))}, "frame_indices"),
        ({"frame_likelihood": np.zeros(2)}, "frame_likelihood"),
        ({"probe": np.zeros((4, 5))}, "probe"),
        ({"probe": np.zeros((1, 1, 4, 4))}, "probe"),
        ({"coverage": np.full((5, 8), -1.0)}, "coverage .* negative"),
        ({"object": "text"}, "no array of numbers"),
        ({"disagreement": np.zeros((8, 5))}, r"disagreement .* \(8, 5\), but \(5, 8\)"),
        ({"disagreement": np.full((5, 8), np.nan)}, "disagreement .* undefined"),
        ({"background": np.zeros((4, 5))}, "background"),
        ({"background": np.zeros((8, 8))}, "background"),
        ({"background": np.full((4, 4), -1.0)}, "background .* negative"),
        ({"frame_factors": np.ones(2)}, "frame_factors"),
        ({"frame_factors": np.full(3, -1.0)}, "frame_factors .* negative"),
        ({"positions_start_px": np.zeros((2, 2))}, "positions_start_px"),
        ({"positions_start_px": np.full((3, 2), np.inf)}, "positions_start_px .* not finite"),
        ({"probe_variations": np.ones((1, 4, 4))}, r"probe_variations .* \(V, P, N, N\)"),
        ({"probe_variations": np.ones((2, 2, 4, 4))}, "not the first of its probe_variations"),
        ({"probe_weights": np.ones((3, 2))}, "need probe_variations"),
        (
            {
                "probe": None,
                "probe_variations": np.ones((2, 2, 4, 4)),
                "probe_weights": np.ones((3, 3)),
            },
            r"probe_weights .* \(3, 2\)",
        ),
    ],
)
def test_reconstruction_refuses_contradictions(changes, said):
    with pytest.raises(InputError, match=said):
        example(**changes)


def test_amplitude_phase_and_dtypes():
    values = [[3 + 4j, -1 + 0j], [complex(-1, -0.0), -2j]]
    recon = example(
        object=values,
        coverage=np.ones((2, 2), np.int8),
        valid_mask=np.ones((2, 2), np.uint8),
        disagreement=None,
        probe=np.ones((4, 4)),
    )
    np.testing.assert_array_equal(recon.amplitude, [[5, 1], [1, 2]])
    pi = np.float32(np.pi)
    np.testing.assert_allclose(recon.phase, [[np.arctan2(4, 3), pi], [pi, -pi / 2]], rtol=1e-6)
    assert recon.amplitude.dtype == recon.phase.dtype == np.float32
    assert recon.valid_mask.dtype == bool and recon.coverage.dtype == np.float32
    assert recon.probe.shape == (1, 4, 4) and recon.probe.dtype == np.complex64
    with pytest.raises(AttributeError):
        recon.scan_name = "other"
