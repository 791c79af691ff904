"""CXI and ptychodus writers: what reopens, what other programs find, what a failure leaves."""

import tracemalloc

import h5py
import numpy as np
import pytest
from scan_files import DETECTOR, DISTANCE, ENERGY, PIXEL, WAVELENGTH, M, N, counts, scene

from pinn.data.frames import ArrayFrames
from pinn.data.geometry import electron_wavelength_m
from pinn.data.masks import mask_rows
from pinn.data.measurement import FACTS
from pinn.data.scan import Scan
from pinn.errors import OutputError, ScanError
from pinn.io.formats.cxi_writer import write_cxi
from pinn.io.formats.ptychodus_writer import diffraction_path, write_ptychodus
from pinn.io.formats.ptychovit_writer import write_ptychovit_pair
from pinn.io.load import load
from pinn.io.scan_group import complete_geometry
from pinn.progress import StopRequested

WRITERS = {"cxi": (write_cxi, "s.cxi"), "ptychodus": (write_ptychodus, "s.h5")}
KNOWN = {"pixel_size_m": PIXEL, "energy_ev": ENERGY, "distance_m": DISTANCE}
ALL = np.arange(M)


@pytest.fixture(params=WRITERS)
def written(request, tmp_path):
    """Writes a scan, hands out the path; the file can be opened by content alone."""
    write, name = WRITERS[request.param]

    def action(scan, **options):
        write(tmp_path / name, scan, **options)
        return tmp_path / name

    return action


def example(**changes):
    truth, probe, positions = scene()
    rng = np.random.default_rng(8)
    values = {
        "frames": counts(),
        "positions_px": positions + rng.uniform(-0.5, 0.5, (M, 2)),
        "probe": probe.astype(np.complex64),
        "truth": truth.astype(np.complex64),
        "units": "counts",
        "centre": "centred",
        **KNOWN,
        **changes,
    }
    return Scan(values.pop("frames"), values.pop("positions_px"), **values)


def same(scan, again, rtol=0.0):
    """Values, masks and everything beside them."""
    for ours, theirs in zip(scan.read(ALL), again.read(ALL), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol)
    for name in (
        *("positions_px", "positions_nominal_px", "probe", "probe_variations", "probe_weights"),
        *("truth", "truth_origin_px", "scan_index"),
    ):
        ours, theirs = getattr(scan, name), getattr(again, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
    for name in set(FACTS) - {"saturation"}:  # that is of values, which may be others
        assert getattr(scan, name) == getattr(again, name), name


# -------------------------------------------------------------------------------- round trips


def test_a_scan_reopens_as_it_was(written):
    mask = np.ones((N, N), bool)
    mask[2, 5] = mask[11, 3] = False
    scan = example(
        valid_mask=mask,
        truth_origin_px=(2.5, -3.25),
        positions_nominal_px=scene()[2],
        scan_index=ALL // 4,
        detector_pixel_m=DETECTOR,
        acquisition={"exposure_time_s": 0.25, "tilt_angle_deg": 3.0},
        steps=[{"step": "crop", "row": 4}],
    )
    again = load(written(scan))
    same(scan, again)
    assert again.frames.dtype == np.uint16 and again.units == "counts"
    np.testing.assert_array_equal(again.frames.read(ALL), counts())
    np.testing.assert_array_equal(again.valid_mask, mask)
    assert again.acquisition == scan.acquisition and again.steps == scan.steps


def test_the_physics_of_a_scan_is_kept_with_a_part_of_its_frames_too(written, tmp_path):
    scan = example(propagation="near:0.5", detector_response="blur:1.5")
    path = written(scan)
    same(scan, load(path))
    if path.suffix == ".cxi":  # positions of one file, frames of another
        part = load(path, diffraction=path, pixel_size_m=PIXEL)
    else:
        assert h5py.File(path).attrs["far_field"] == np.False_
        with h5py.File(diffraction_path(path), "a") as h5:
            indexes, patterns = h5["indexes"][1:], h5["patterns"][1:]
            del h5["indexes"], h5["patterns"]
            h5["indexes"], h5["patterns"] = indexes, patterns
        part = load(path)
        assert len(part) == M - 1
    assert (part.propagation, part.detector_response) == ("near:0.5", "blur:1.5")


def test_a_product_of_others_that_is_not_of_the_far_field_is_refused(tmp_path):
    write_ptychodus(tmp_path / "a.h5", example(propagation="near"))
    path = without_group(tmp_path / "a.h5")
    with pytest.raises(ScanError, match=r"far_field. in .*a\.h5 says 0, which is the near field"):
        load(path)
    named = load(path, propagation="near", pixel_size_m=PIXEL)
    assert named.propagation == "near"


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int32, np.uint32, np.int64, np.float32, np.float64, bool]
)
def test_every_type_of_counts_is_kept(written, dtype):
    frames = np.minimum(counts(), 1 if dtype is bool else 200).astype(dtype)
    again = load(written(example(frames=frames)))
    assert again.frames.dtype == (np.uint8 if dtype is bool else dtype)
    np.testing.assert_array_equal(again.frames.read(ALL), frames)


def test_amplitudes_become_intensities(written):
    amplitude = np.sqrt(counts() * 0.37)
    amplitude[3, 4, 5] = np.nan  # no mask names it
    amplitude[6, 1, 2] = -1
    mask = np.ones((N, N), bool)
    mask[0, 1] = False
    scan = example(frames=amplitude.astype(np.float32), units="amplitude", valid_mask=mask)
    again = load(written(scan))
    assert again.units == "intensity" and again.frames.dtype == np.float32
    same(scan, again, rtol=1e-6)  # a square and a root in single precision
    assert not again.read([3])[1][0, 4, 5] and not again.read([6])[1][0, 1, 2]
    assert np.isfinite(again.frames.read(ALL)[:, 0, 1]).all()


def test_a_stated_dose_is_in_the_counts(written):
    scan = example(frames=counts() * 0.37, units="intensity", photons_per_frame=5000.0)
    again = load(written(scan))
    assert again.units == "counts"
    assert again.statistics().mean_counts == pytest.approx(5000, rel=1e-6)
    same(scan, again, rtol=1e-6)


def test_corner_frames_are_written_centred(written):
    scan = example(frames=np.fft.fftshift(counts(), axes=(1, 2)), centre="corner")
    again = load(written(scan))
    assert again.centre == "centred"
    np.testing.assert_array_equal(again.frames.read(ALL), counts())


@pytest.mark.parametrize("lazily", [False, True])
def test_masks_of_single_frames(written, lazily):
    mask = np.ones((M, N, N), bool)
    mask[4, 2:5, 3] = mask[:, 9, 9] = False
    scan = example(valid_mask=ArrayFrames(mask) if lazily else mask)
    again = load(written(scan))
    np.testing.assert_array_equal(mask_rows(again.valid_mask, ALL), mask)
    same(scan, again)


def test_saturation_and_sentinels_stay_unused(written):
    frames = counts().astype(np.uint32)
    frames[2, 3, 4] = 2**32 - 1
    scan = example(frames=frames, saturation=40.0)
    again = load(written(scan))
    assert again.saturation == 40.0 and not again.read([2])[1][0, 3, 4]
    assert (frames >= 40).sum() > 5  # the option has something to do
    same(scan, again)


def test_saturated_pixels_are_marked_for_others(tmp_path):
    limit = int(np.sort(counts().max(0).ravel())[-40])  # some pixels reach it, in some frames
    over = counts() >= limit
    ever, always = over.any(0), over.all(0)
    assert (ever & ~always).any() and 2 * ever.sum() < ever.size
    scan = example(saturation=float(limit))
    write_cxi(tmp_path / "a.cxi", scan)
    with h5py.File(tmp_path / "a.cxi") as h5:
        np.testing.assert_array_equal(h5["entry_1/instrument_1/detector_1/mask"][()] != 0, over)
    write_ptychodus(tmp_path / "a.h5", scan)
    dp, _ = write_ptychovit_pair(tmp_path / "b", scan)
    for path in (tmp_path / "a_diffraction.h5", dp):
        with h5py.File(path) as h5:
            np.testing.assert_array_equal(h5["bad_pixels"], ever)
    for path in (tmp_path / "a.cxi", tmp_path / "a.h5", dp):
        again = load(path)
        same(scan, again)
        assert again.saturation == limit
        np.testing.assert_array_equal(again.frames.read(ALL), counts())


def test_variations_of_the_probe(written):
    rng = np.random.default_rng(0)
    probe = (rng.normal(size=(3, 2, N, N)) + 1j).astype(np.complex64)
    scan = example(probe=probe, probe_weights=rng.normal(size=(M, 3)))
    again = load(written(scan))
    assert again.probe_variations.shape == (3, 2, N, N)
    same(scan, again)


def test_variations_without_weights_stay_in_cxi(tmp_path):
    rng = np.random.default_rng(0)
    probe = (rng.normal(size=(3, 2, N, N)) + 1j).astype(np.complex64)
    write_cxi(tmp_path / "a.cxi", example(probe=probe))
    again = load(tmp_path / "a.cxi")
    np.testing.assert_array_equal(again.probe_variations, probe)
    again.close()


def test_label_patches(written):
    rng = np.random.default_rng(0)
    labels = (rng.normal(size=(M, N, N)) + 1j).astype(np.complex64)
    again = load(written(example(label_patches=labels)))
    np.testing.assert_array_equal(again.label_patches.read([7, 2]), labels[[7, 2]])
    again.close()


def test_next_to_nothing_is_enough(written):
    scan = example(probe=None, truth=None, pixel_size_m=None, energy_ev=None, distance_m=None)
    again = load(written(scan))
    same(scan, again)
    assert again.probe is None and again.truth is None and again.pixel_size_m is None


# ------------------------------------------------------------- what others find in the files


def without_group(path):
    """The file as another program sees it."""
    with h5py.File(path, "a") as h5:
        del h5["entry_1/pinn_scan" if "entry_1" in h5 else "pinn_scan"]
    return path


def test_the_format_itself_says_nearly_all(written):
    mask = np.ones((N, N), bool)
    mask[2, 5] = False
    scan = example(valid_mask=mask, truth_origin_px=(2.5, -3.25))
    again = load(without_group(written(scan)))
    np.testing.assert_array_equal(again.frames.read(ALL), counts())
    np.testing.assert_array_equal(again.valid_mask, mask)
    np.testing.assert_array_equal(again.probe, scan.probe)
    np.testing.assert_array_equal(again.truth, scan.truth)
    # metres and back in double precision
    np.testing.assert_allclose(
        again.positions_px - again.truth_origin_px,
        scan.positions_px - scan.truth_origin_px,
        atol=1e-9,
    )
    assert again.pixel_size_m == pytest.approx(PIXEL, rel=1e-12)
    assert again.energy_ev == pytest.approx(ENERGY, rel=1e-12)
    assert again.detector_pixel_m == pytest.approx(DETECTOR, rel=1e-12)


def test_names_and_units_in_cxi(tmp_path):
    mask = np.ones((N, N), bool)
    mask[2, 5] = False
    scan = example(valid_mask=mask)
    write_cxi(tmp_path / "a.cxi", scan)
    with h5py.File(tmp_path / "a.cxi") as h5:
        entry = h5["entry_1"]
        assert h5["cxi_version"][()] == 160
        assert entry["instrument_1/source_1/energy"][()] == pytest.approx(ENERGY * 1.602176634e-19)
        assert entry["instrument_1/source_1/wavelength"][()] == pytest.approx(WAVELENGTH)
        detector = entry["instrument_1/detector_1"]
        assert detector["distance"][()] == DISTANCE
        assert detector["x_pixel_size"][()] == pytest.approx(DETECTOR, rel=1e-12)
        assert np.argwhere(detector["mask"][()]).tolist() == [[2, 5]]  # not 0: bad
        np.testing.assert_array_equal(entry["data_1/data"], counts())
        places = entry["data_1/translation"][()]
        assert places.shape == (M, 3) and not places[:, 2].any()
        np.testing.assert_allclose(places[:, 0], scan.positions_px[:, 1] * PIXEL)
        np.testing.assert_array_equal(entry["instrument_1/source_1/illumination"], scan.probe)
        assert "experiment_description" not in entry
    write_cxi(tmp_path / "b.cxi", example(probe=scan.probe[:1], energy_ev=None))
    with h5py.File(tmp_path / "b.cxi") as h5:
        assert h5["entry_1/image_1/data"].shape == (N, N)
        said = h5["entry_1/experiment_description"].asstr()[()]
        assert "nominal: wavelength_m = 1.23984e-10, detector_pixel_m" in said


def test_names_and_units_in_a_product(tmp_path):
    scan = example(acquisition={"exposure_time_s": 0.5, "mass_attenuation_m2_per_kg": 2.0})
    write_ptychodus(tmp_path / "product.h5", scan)
    with h5py.File(tmp_path / "product.h5") as h5, h5py.File(tmp_path / "diffraction.h5") as d:
        assert h5.attrs["photon_energy_eV"] == pytest.approx(ENERGY)
        assert h5.attrs["detector_object_distance_m"] == DISTANCE
        assert h5.attrs["exposure_time_s"] == 0.5 and h5.attrs["far_field"]
        assert h5.attrs["mass_attenuation_m2_per_kg"] == h5.attrs["mass_attenuation_m2_kg"] == 2.0
        assert h5.attrs["probe_photon_count"] == pytest.approx(counts().sum() / M)
        assert h5.attrs["comments"] == "Written by pinn."
        assert h5["probe"].shape == (1, 2, N, N) and h5["object"].shape == (1, *scan.truth.shape)
        # centre of the object, and of its patches, as ptychodus 1.7 counts them
        centre = [h5["object"].attrs[f"center_{axis}_m"] / PIXEL for axis in "yx"]
        places = np.stack([h5["probe_position_y_m"], h5["probe_position_x_m"]], 1) / PIXEL
        middle = places - centre + (np.array(scan.truth.shape) - 1) / 2
        np.testing.assert_allclose(middle - (N - 1) / 2, scan.positions_px - N / 2, atol=1e-9)
        np.testing.assert_array_equal(d["indexes"], h5["probe_position_indexes"])
        assert d["patterns"].attrs["detector_pixel_width_m"] == pytest.approx(DETECTOR)
        assert d["patterns"].attrs["detector_pixel_height_m"] == pytest.approx(DETECTOR)
        assert d["bad_pixels"].dtype == bool and not d["bad_pixels"][()].any()


def test_a_scan_without_truth_gets_an_object_that_covers_it(tmp_path):
    scan = example(truth=None, probe=None)
    write_ptychodus(tmp_path / "p.h5", scan)
    with h5py.File(tmp_path / "p.h5") as h5:
        image = h5["object"][0]
        centre = [h5["object"].attrs[f"center_{axis}_m"] / PIXEL for axis in "yx"]
        low = np.array(centre) - np.array(image.shape) / 2
        assert (image == 1).all() and h5["probe"].size == 0
    assert (scan.positions_px - N / 2 >= low).all()
    assert (scan.positions_px + N / 2 <= low + image.shape).all()


def test_the_mask_ptychodus_sees_of_masks_of_frames(tmp_path):
    mask = np.ones((M, N, N), bool)
    mask[4, 2, 3] = mask[:, 9, 9] = False
    write_ptychodus(tmp_path / "a.h5", example(valid_mask=mask))
    with h5py.File(tmp_path / "a_diffraction.h5") as h5:
        assert np.argwhere(h5["bad_pixels"][()]).tolist() == [[2, 3], [9, 9]]
    mask[5, :9] = False  # more than half of the detector in one frame
    write_ptychodus(tmp_path / "b.h5", example(valid_mask=mask))
    with h5py.File(tmp_path / "b_diffraction.h5") as h5:
        assert np.argwhere(h5["bad_pixels"][()]).tolist() == [[9, 9]]


# ---------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("missing", ["pixel_size_m", "energy_ev", "distance_m", "detector_pixel_m"])
def test_the_fourth_length_follows_from_three(missing):
    known = {**KNOWN, "detector_pixel_m": DETECTOR, missing: None}
    found = complete_geometry(example(**known))
    assert found.nominal == () and found.sentence() == ""
    assert found.pixel_size_m == pytest.approx(PIXEL, rel=1e-12)
    assert found.photon_energy_ev == pytest.approx(ENERGY, rel=1e-12)
    assert found.distance_m == pytest.approx(DISTANCE, rel=1e-12)
    assert found.detector_pixel_m == pytest.approx(DETECTOR, rel=1e-12)


def test_a_length_that_follows_in_the_far_field_only_is_nominal_elsewhere():
    found = complete_geometry(example(**KNOWN, propagation="near"))
    assert found.nominal == ("detector_pixel_m",)


@pytest.mark.parametrize("known", [(), ("pixel_size_m",), ("energy_ev", "detector_pixel_m")])
def test_nominal_lengths_fit_each_other_and_are_named(known):
    lengths = {**KNOWN, "detector_pixel_m": DETECTOR}
    found = complete_geometry(example(**{k: lengths[k] if k in known else None for k in lengths}))
    assert found.pixel_size_m * found.detector_pixel_m * N == pytest.approx(
        found.wavelength_m * found.distance_m, rel=1e-12
    )
    assert len(found.nominal) == 4 - len(known)
    assert all(name in found.sentence() for name in found.nominal)
    assert "pixel_size_m" in found.nominal or found.pixel_size_m == PIXEL


def test_electrons_are_written_by_their_wavelength(written):
    scan = example(energy_ev=300e3, particle="electron", distance_m=None, detector_pixel_m=None)
    path = written(scan)
    same(scan, load(path))
    geometry = complete_geometry(scan)
    assert geometry.wavelength_m == pytest.approx(electron_wavelength_m(300e3))
    assert geometry.photon_energy_ev == pytest.approx(12398.42 * 1e-10 / 1.9687e-12, rel=1e-4)


# ---------------------------------------------------------------------------------- failures


class Failing(ArrayFrames):
    """Frames that end with an error half way."""

    def chunks(self, size):
        for first, block in super().chunks(4):
            if first == 8:
                raise OSError(28, "No space left on device")
            yield first, block


def test_a_failure_leaves_the_old_files(written):
    path = written(example())
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(OutputError, match="no space left"):
        written(example(frames=Failing(counts())))
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_stopping_leaves_nothing(written, tmp_path):
    def stop(report):
        raise StopRequested

    with pytest.raises(StopRequested):
        written(example(), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(written):
    told = []
    written(example(), progress=told.append)
    assert told[-1].done == told[-1].total == M and told[-1].stage == "convert"


def test_a_measurement_of_others_is_not_overwritten(tmp_path):
    with h5py.File(tmp_path / "diffraction.h5", "w") as h5:
        h5["patterns"] = counts()
    before = (tmp_path / "diffraction.h5").read_bytes()
    with pytest.raises(OutputError, match="pinn did not write"):
        write_ptychodus(tmp_path / "product.h5", example())
    assert (tmp_path / "diffraction.h5").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["diffraction.h5"]


def test_the_name_of_the_second_file():
    assert diffraction_path("a/product.h5").name == "diffraction.h5"
    assert diffraction_path("a/run7.h5").name == "run7_diffraction.h5"


def test_a_file_may_be_written_over_the_one_it_comes_from(written):
    path = written(example())
    again = load(path)
    written(again)
    same(example(), load(path))


@pytest.mark.parametrize("name", WRITERS)
def test_memory_does_not_grow_with_the_frames(tmp_path, name):
    write, file = WRITERS[name]
    n, side = 600, 128  # 20 MB of frames, in a map
    frames = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.uint16, (n, side, side))
    frames[:] = 3
    rng = np.random.default_rng(0)
    scan = Scan(frames, rng.uniform(80, 160, (n, 2)), units="counts", centre="centred")

    def peak(rows):
        part = scan.select(np.arange(rows))
        tracemalloc.start()
        write(tmp_path / file, part)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # Twice the frames cost a few positions more, not 10 MB.
    assert peak(600) < peak(300) + 1e6
