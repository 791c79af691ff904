"""`pinn.interop.ptychodus` on the real classes of ptychodus 1.7."""

import dataclasses
import threading
import time

import numpy as np
import pytest
from conftest import apart, far_field, parts
from drive import product_of
from ptychodus.api.object import Object, ObjectCenter
from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
from ptychodus.api.reconstruct import (
    ReconstructInput,
    ReconstructorLibrary,
    TrainableReconstructor,
)
from ptychodus.api.simulate.diffraction import generate_diffraction_data

from pinn.errors import ConfigError, InputError, ScanError
from pinn.interop.ptychodus import PinnReconstructorLibrary, exchange
from pinn.io.product import Reconstruction

# Single precision of our probe, and the shift by a millionth of a pixel that ptychodus makes.
TOLERANCE = 1e-4


def whole_pixels(given):
    """The same product with positions on whole pixels, and its frames by ptychodus itself."""
    product = given.product
    old = product.object_.get_geometry()
    y = np.rint(old.map_probe_positions_to_object_y_px(product.probe_positions) - 7.5) + 7.5
    x = np.rint(old.map_probe_positions_to_object_x_px(product.probe_positions) - 7.5) + 7.5
    tiny = 1e-6  # ptychodus truncates: rounding must not move a patch by a pixel
    middle = np.array([old.height_px - 1, old.width_px - 1]) / 2
    y_m, x_m = ((np.stack([y, x], 1) - middle + tiny) * old.pixel_width_m).T
    points = [
        ProbePosition(i, x_m=b + old.center_x_m, y_m=a + old.center_y_m)
        for i, (a, b) in enumerate(zip(y_m, x_m, strict=True))
    ]
    product = dataclasses.replace(product, probe_positions=ProbePositionSequence(points))
    patterns = generate_diffraction_data(product).get_patterns()
    return ReconstructInput(patterns, given.bad_pixels, product)


# ------------------------------------------------------------------------------- exchange


def test_a_scan_explains_the_frames_that_ptychodus_simulates(given):
    """Positions, half a pixel included, both probe modes and the object; far field in float64.

    Half a pixel more is 5e-2 or more. ptychodus' transform has the Fresnel phase across the
    probe besides, 6e-3 rad at its rim, where there is hardly any light.
    """
    given = whole_pixels(given)
    scan = exchange.scan_of(given)
    assert scan.probe.shape == (2, 16, 16) and scan.units == "counts"
    expected = far_field(scan, np.arange(len(scan)))
    assert apart(given.diffraction_patterns, expected) <= 2e-3


def test_bad_pixels_are_masked_and_their_values_change_nothing(given):
    assert given.bad_pixels.sum() == 3
    scan = exchange.scan_of(given)
    values, valid = scan.read([0, 5])
    assert np.array_equal(~valid, np.broadcast_to(given.bad_pixels, valid.shape))
    other = np.where(given.bad_pixels, 7, given.diffraction_patterns)
    again = exchange.scan_of(ReconstructInput(other, given.bad_pixels, given.product))
    assert np.array_equal(values * valid, again.read([0, 5])[0] * valid)
    assert scan.statistics().mean_counts == again.statistics().mean_counts


def test_a_product_places_the_result_where_ptychodus_needs_it(given):
    """A result that is part of the truth: ptychodus simulates the same frames from its product."""
    given = whole_pixels(given)
    scan = exchange.scan_of(given)
    truth = given.product.object_.get_layer(0)
    rows = [14, 15, 20, 21]  # in the middle
    low = np.floor(scan.positions_px[rows].min(0) - 8).astype(int) - 1
    high = np.ceil(scan.positions_px[rows].max(0) + 8).astype(int) + 1
    part = truth[low[0] : high[0], low[1] : high[1]]
    result = Reconstruction(
        object=part,
        origin_px=low,
        coverage=np.ones(part.shape),
        valid_mask=np.ones(part.shape, bool),
        positions_px=scan.positions_px[rows],
        frame_indices=rows,
        probe=scan.probe,
    )
    product = exchange.product_of(result, given, [{"epoch": 1, "loss": 0.5}])
    assert [(loss.epoch, loss.value) for loss in product.losses] == [(1, 0.5)]
    assert product.object_.get_array().shape == given.product.object_.get_array().shape
    expected = given.diffraction_patterns[rows]
    found = generate_diffraction_data(product).get_patterns()[rows]
    assert apart(found, expected) <= TOLERANCE


def test_a_result_larger_than_the_object_makes_it_larger_and_stays_in_place(given):
    given = whole_pixels(given)
    scan = exchange.scan_of(given)
    truth = given.product.object_.get_layer(0)
    # the same object with 3 rows and 2 columns less, its centre moved with it
    old = given.product.object_.get_geometry()
    centre = ObjectCenter(
        x_m=old.center_x_m + 1.0 * old.pixel_width_m, y_m=old.center_y_m + 1.5 * old.pixel_height_m
    )
    cut = Object(truth[3:, 2:], given.product.object_.get_pixel_geometry(), centre)
    smaller = dataclasses.replace(given.product, object_=cut)
    moved = exchange.scan_of(ReconstructInput(given.diffraction_patterns, None, smaller))
    np.testing.assert_allclose(moved.positions_px, scan.positions_px - [3, 2], atol=1e-9)
    result = Reconstruction(
        object=truth,
        origin_px=(-3, -2),
        coverage=np.ones(truth.shape),
        valid_mask=np.ones(truth.shape, bool),
        positions_px=moved.positions_px,
        frame_indices=np.arange(len(moved)),
        probe=moved.probe,
    )
    product = exchange.product_of(
        result, ReconstructInput(given.diffraction_patterns, None, smaller), []
    )
    assert product.object_.get_array().shape == (1, *truth.shape)
    found = generate_diffraction_data(product).get_patterns()
    assert apart(found, given.diffraction_patterns) <= TOLERANCE


@pytest.mark.parametrize("name", ["train_data.h5", "train_data.npz"])
def test_exported_files_come_back_as_the_same_scan(given, tmp_path, name):
    """Frames but for filled pixels, mask, modes, and labels that lie where they should."""
    exchange.export(tmp_path / name, given)
    [scan], watched = exchange.training_scans(tmp_path)
    expected = exchange.scan_of(given)
    assert watched == []
    assert np.array_equal(~np.asarray(scan.valid_mask), given.bad_pixels)
    good = ~given.bad_pixels
    np.testing.assert_allclose(scan.read([3])[0][0][good], expected.read([3])[0][0][good])
    np.testing.assert_allclose(scan.probe, expected.probe, rtol=1e-6)
    np.testing.assert_allclose(scan.truth, expected.truth, rtol=1e-6)
    np.testing.assert_allclose(
        scan.positions_px - scan.truth_origin_px,
        expected.positions_px - expected.truth_origin_px,
        atol=1e-9,
    )


def test_test_data_are_watched_unless_they_are_the_same(given, tmp_path):
    exchange.export(tmp_path / "train_data.h5", given)
    exchange.export(tmp_path / "test_data.h5", given)
    assert exchange.training_scans(tmp_path)[1] == []
    brighter = dataclasses.replace(given, diffraction_patterns=given.diffraction_patterns * 2)
    exchange.export(tmp_path / "test_data.h5", brighter)
    learned, watched = exchange.training_scans(tmp_path)
    assert len(learned) == len(watched) == 1


def test_a_folder_with_nothing_in_it(tmp_path):
    with pytest.raises(ScanError, match=r"holds nothing to train on; export.*train_data"):
        exchange.training_scans(tmp_path)


# ------------------------------------------------------------------------------ algorithms


def test_ptychodus_lists_the_algorithms_and_reads_their_settings(core, tmp_path):
    names = set(core.workflow_api.available_reconstructors())
    assert {"pinn_pinn", "pinn_supervised", "pinn_fit", "pinn_refine"} <= names
    assert issubclass(PinnReconstructorLibrary, ReconstructorLibrary)
    file = tmp_path / "settings.ini"
    file.write_text(
        "[Processing]\nAlgorithm = pinn_fit\n[Pinn]\nNumEpochs = 7\nOptions = n_groups = 9; "
        'loss = "poisson + 0.1 mae"\nRefineOptions = update_positions = true; epochs = 9\n'
    )
    core.settings_registry.open_settings(file)
    assert core.processing_core.algorithm_parameter.get_current_reconstructor().name == "Fit"
    assert core.processing_core.algorithm_parameter.get_value() == "pinn_fit"
    found = core.pinn_settings.training()
    assert found["epochs"] == 7 and found["n_groups"] == 9
    assert found["loss"] == "poisson + 0.1 mae"
    refined = core.pinn_settings.refinement()
    assert refined.update_positions and refined.epochs == 9 and not refined.split_half
    assert parts(core, "refine").get_progress_goal() == 9 + refined.lbfgs_iterations


def test_training_tells_both_losses_and_its_progress(core, given, tmp_path):
    algorithm = parts(core, "pinn")
    assert isinstance(algorithm, TrainableReconstructor) and not algorithm.is_model_loaded()
    algorithm.export_training_data(tmp_path / "train_data.h5", given)
    assert algorithm.get_progress_goal() == 3
    told = list(algorithm.train(tmp_path, tmp_path / "out"))
    assert [report.progress for report in told] == sorted(report.progress for report in told)
    last = told[-1]
    assert last.progress == 3
    for losses in (last.training_loss, last.validation_loss):
        assert [loss.epoch for loss in losses] == [1, 2, 3]
        assert all(np.isfinite(loss.value) for loss in losses)
    assert last.training_loss[-1].value < last.training_loss[0].value
    assert algorithm.is_model_loaded() and (tmp_path / "out" / "wts.h5.zip").is_file()


def test_a_model_infers_saves_and_opens(core, given, tmp_path):
    algorithm = parts(core, "pinn")
    core.pinn_settings.reconstruct_options.set_value("batch_size = 8")
    algorithm.export_training_data(tmp_path / "train_data.h5", given)
    list(algorithm.train(tmp_path, tmp_path / "out"))
    pictures = list(algorithm.reconstruct(given))
    told = [picture.progress for picture in pictures]
    assert len(told) > 2 and told == sorted(set(told)) and told[-1] == 100
    product = pictures[-1].product
    assert product.probes.get_array().shape == (1, 2, 16, 16)
    assert [loss.epoch for loss in product.losses] == [1, 2, 3]
    shape = given.product.object_.get_array().shape
    assert all(picture.product.object_.get_array().shape == shape for picture in pictures)
    first, last = (picture.product.object_.get_layer(0) for picture in (pictures[0], pictures[-1]))
    assert np.abs(first - last).max() > 1e-3  # more patches, another object

    algorithm.save_model(tmp_path / "model.zip")
    other = parts(core, "supervised")
    other.load_model_from_file(tmp_path / "model.zip")
    again = list(other.reconstruct(given))[-1].product.object_.get_layer(0)
    assert np.linalg.norm(again - last) <= 1e-6 * np.linalg.norm(last)


def test_inference_does_not_see_bad_pixels(core, given, tmp_path):
    algorithm = parts(core, "pinn")
    algorithm.export_training_data(tmp_path / "train_data.h5", given)
    list(algorithm.train(tmp_path, tmp_path / "out"))

    def inferred(patterns, bad):
        outputs = list(algorithm.reconstruct(ReconstructInput(patterns, bad, given.product)))
        return outputs[-1].product.object_.get_layer(0)

    patterns, bad = given.diffraction_patterns, given.bad_pixels
    masked = inferred(patterns, bad)
    other = np.where(bad, 3, patterns)
    assert np.array_equal(masked, inferred(other, bad))
    seen = inferred(patterns, np.zeros_like(bad))
    assert np.linalg.norm(seen - masked) > 1e-3 * np.linalg.norm(masked)


def test_supervised_learns_from_the_object_of_the_product(core, given, tmp_path):
    algorithm = parts(core, "supervised")
    algorithm.export_training_data(tmp_path / "train_data.h5", given)
    told = list(algorithm.train(tmp_path, tmp_path / "out"))
    assert told[-1].training_loss[-1].value < told[-1].training_loss[0].value
    algorithm.export_training_data(tmp_path / "train_data.h5", flat(given))
    with pytest.raises(InputError):
        list(algorithm.train(tmp_path, tmp_path / "out"))


def test_fit_shows_pictures_and_losses_on_the_way(core, given):
    core.pinn_settings.epochs.set_value(4)
    core.pinn_settings.picture_every.set_value(2)
    algorithm = parts(core, "fit")
    assert not isinstance(algorithm, TrainableReconstructor)
    assert algorithm.get_progress_goal() == 4
    pictures = list(algorithm.reconstruct(given))
    assert [picture.progress for picture in pictures] == [2, 4]
    assert [len(picture.product.losses) for picture in pictures] == [2, 4]
    first, last = (picture.product.object_.get_layer(0) for picture in pictures)
    assert not np.array_equal(first, last)


def with_object(given, array):
    """The same with another object in the same place."""
    old = given.product.object_
    new = Object(array, old.get_pixel_geometry(), old.get_center())
    return dataclasses.replace(given, product=dataclasses.replace(given.product, object_=new))


def flat(given):
    return with_object(given, np.ones_like(given.product.object_.get_array()))


def refined(core, given, start="object", options="", epochs=8, every=100):
    """All products that Refine yields, and their progress."""
    settings = core.pinn_settings
    settings.epochs.set_value(epochs)
    settings.picture_every.set_value(every)
    settings.refine_start.set_value(start)
    settings.refine_options.set_value(f"batch_size = 12; {options}".rstrip("; "))
    algorithm = parts(core, "refine")
    assert not isinstance(algorithm, TrainableReconstructor)
    outputs = list(algorithm.reconstruct(given))
    return [output.product for output in outputs], [output.progress for output in outputs]


def seen(product, given):
    """What `ptychodus` simulates from a product against the frames, on the good pixels."""
    good = ~given.bad_pixels
    found = generate_diffraction_data(product).get_patterns()[:, good]
    return apart(np.sqrt(found), np.sqrt(given.diffraction_patterns[:, good]))


def test_refine_explains_the_frames_and_shows_pictures_and_losses_on_the_way(core, given):
    """From a flat object; ptychodus' own forward model says how well, both probe modes included."""
    given = whole_pixels(given)
    products, progress = refined(
        core, flat(given), options="lbfgs_iterations = 0", epochs=24, every=10
    )
    assert progress == [10, 20, 24]
    assert [[loss.epoch for loss in one.losses] for one in products] == [
        list(range(1, n + 1)) for n in progress
    ]
    losses = [loss.value for loss in products[-1].losses]
    assert losses[-1] < 0.2 * losses[0]
    last = products[-1]
    assert seen(last, given) < 0.1 < seen(flat(given).product, given)
    assert last.probes.get_array().shape == (1, 2, 16, 16)
    assert not np.array_equal(last.probes.get_array(), given.product.probes.get_array())
    assert last.probe_positions is given.product.probe_positions  # they were not refined
    assert last.object_.get_array().shape == given.product.object_.get_array().shape


def test_refine_begins_where_it_is_told(core, given, tmp_path):
    """The object of `given` is the truth; a second run goes on from the first."""
    first = {}
    for start in ("object", "flat"):
        [product], _ = refined(core, given, start, "update_probe = false", epochs=1)
        first[start] = product
    losses = {start: product.losses[0].value for start, product in first.items()}
    assert losses["object"] < 0.2 * losses["flat"]
    on = dataclasses.replace(given, product=first["flat"])
    [again], _ = refined(core, on, "object", "update_probe = false", epochs=1)
    assert again.losses[0].value < 0.8 * losses["flat"]

    with pytest.raises(ConfigError, match="no network to begin with; train one or open one"):
        refined(core, given, "network")
    core.pinn_settings.epochs.set_value(2)
    algorithm = parts(core, "pinn")
    algorithm.export_training_data(tmp_path / "train_data.h5", given)
    list(algorithm.train(tmp_path, tmp_path / "out"))
    [pictured], _ = refined(core, given, "network", "update_probe = false", epochs=1)
    assert pictured.losses[0].value not in losses.values()


def test_refine_returns_corrected_positions(core, given):
    """Known errors of 0.6 pixels rms, in metres of the product; object and probe are known."""
    given = whole_pixels(given)
    true, pixel = given.product.probe_positions, given.product.object_.get_pixel_geometry().width_m
    errors = np.random.default_rng(3).normal(0, 0.4, (len(true), 2))
    errors -= errors.mean(0)
    wrong = [
        dataclasses.replace(
            place, x_m=place.x_m + x * pixel, y_m=place.y_m + y * pixel, probe_photon_count=7.0
        )
        for place, (y, x) in zip(true, errors, strict=True)
    ]
    product = dataclasses.replace(given.product, probe_positions=ProbePositionSequence(wrong))
    moved = dataclasses.replace(given, product=product)
    options = (
        "update_positions = true; update_object = false; update_probe = false; "
        "lbfgs_iterations = 0; likelihood = 'amplitude'"
    )
    [found], _ = refined(core, moved, "object", options, epochs=20)

    def error_px(places):
        """Of nine in ten: one or two patches show nothing that would tell where they lie."""
        y = places.get_coordinates_y_m() - true.get_coordinates_y_m()
        x = places.get_coordinates_x_m() - true.get_coordinates_x_m()
        return np.quantile(np.hypot(y - y.mean(), x - x.mean()) / pixel, 0.9)

    assert error_px(found.probe_positions) < 0.15 * error_px(product.probe_positions)
    assert np.array_equal(found.probe_positions.get_indexes(), true.get_indexes())
    assert np.all(found.probe_positions.get_probe_photon_counts() == 7.0)


def test_refine_returns_more_modes_and_variations_of_the_probe(core, given):
    [found], _ = refined(
        core, given, options="probe_modes = 3; opr_modes = 2; lbfgs_iterations = 3", epochs=5
    )
    assert found.probes.get_array().shape == (2, 3, 16, 16)
    assert found.probes.get_opr_weights().shape == (36, 2)


def test_refine_does_not_see_bad_pixels(core, given):
    other = np.where(given.bad_pixels, 3, given.diffraction_patterns)
    arrays = [
        refined(core, one, "flat", epochs=3)[0][-1].object_.get_array()
        for one in (given, dataclasses.replace(given, diffraction_patterns=other))
    ]
    assert np.array_equal(*arrays)


def test_refine_with_halves_counts_its_own_epochs(core, given):
    products, progress = refined(
        core, given, options="split_half = true; lbfgs_iterations = 0", epochs=2, every=1
    )
    assert progress == [1, 2, 2] and len(products[-1].losses) == 2


def test_refine_shows_and_counts_its_polishing(core, given):
    products, progress = refined(
        core, flat(given), options="lbfgs_iterations = 6", epochs=3, every=2
    )
    assert progress[:2] == [2, 4] and progress == sorted(progress) and progress[-1] > 5
    assert [loss.epoch for loss in products[-1].losses][:4] == [1, 2, 3, 4]


def test_an_object_between_the_pixels_of_the_product_keeps_its_place(given):
    """A common shift of positions moves the origin of the object by a fraction of a pixel."""
    obj = given.product.object_.get_layer(0)
    scan = exchange.scan_of(given)
    result = Reconstruction(
        object=obj,
        origin_px=[0.3, -0.4],
        coverage=np.ones(obj.shape),
        valid_mask=np.ones(obj.shape, bool),
        positions_px=scan.positions_px,
        frame_indices=np.arange(len(scan)),
        probe=scan.probe,
    )
    product = exchange.product_of(result, given, [])
    again = exchange.scan_of(dataclasses.replace(given, product=product))
    inside = again.positions_px - np.asarray(again.truth_origin_px)
    wanted = scan.positions_px - [0.3, -0.4]
    np.testing.assert_allclose(inside, wanted, atol=1e-6)


def test_who_stops_listening_stops_the_refinement(core, given):
    core.pinn_settings.epochs.set_value(5000)
    core.pinn_settings.refine_options.set_value("patience = 5000; lbfgs_iterations = 0")
    pictures = parts(core, "refine").reconstruct(given)
    assert next(pictures).progress == 1
    pictures.close()
    assert pinn_threads() == []


def pinn_threads():
    return [thread for thread in threading.enumerate() if thread.name == "pinn"]


def test_who_stops_listening_stops_the_training_and_keeps_its_model(core, given, tmp_path):
    core.pinn_settings.epochs.set_value(5000)
    algorithm = parts(core, "pinn")
    algorithm.export_training_data(tmp_path / "train_data.h5", given)
    reports = algorithm.train(tmp_path, tmp_path / "out")
    for report in reports:
        if report.progress >= 1:
            break
    reports.close()
    assert pinn_threads() == []
    assert algorithm.is_model_loaded()
    assert 0 < report.progress < 5000
    assert list(algorithm.reconstruct(given))


@pytest.mark.parametrize("name", ["fit", "refine"])
def test_the_stop_button_of_ptychodus(core, small, name):
    """Through its task manager: the run ends long before its last epoch, without an error."""
    core.pinn_settings.epochs.set_value(5000)
    core.pinn_settings.refine_options.set_value("patience = 5000; lbfgs_iterations = 0")
    workflow = core.workflow_api
    data = workflow.load_assembled_diffraction_data(small / "diffraction.h5")
    product = workflow.load_product(small / "product.h5", diffraction=data)
    monitor = core.processing_core.processing_api.task_monitor
    before = monitor.get_completed_runs()
    result = product.reconstruct_local(algorithm=f"pinn_{name}")
    until = time.monotonic() + 120
    while monitor.get_progress() < 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert monitor.get_progress_goal() == 5000
    monitor.stop_processing()
    assert monitor.wait_for_completion_after(before, timeout=120)
    assert monitor.get_last_error() is None and pinn_threads() == []
    core.run_tasks()
    found = result.get_product()
    assert 2 <= len(found.losses) < 5000
    assert not np.all(found.object_.get_array() == 1)


def test_errors_are_sentences(core, given, tmp_path):
    algorithm = parts(core, "pinn")
    with pytest.raises(ConfigError, match="has no model; train one or open one"):
        list(algorithm.reconstruct(given))
    with pytest.raises(ConfigError, match="no model to save"):
        algorithm.save_model(tmp_path / "model.zip")
    core.pinn_settings.options.set_value("n_groups 4")
    with pytest.raises(ConfigError, match=r"Pinn\.Options of the ptychodus settings"):
        list(algorithm.train(tmp_path, tmp_path))
    core.pinn_settings.options.set_value("no_such = 4")
    algorithm.export_training_data(tmp_path / "train_data.h5", given)
    with pytest.raises(ConfigError, match="unknown option 'no_such'"):
        list(algorithm.train(tmp_path, tmp_path / "out"))
    assert pinn_threads() == []
    odd = ReconstructInput(given.diffraction_patterns[:, :-1], given.bad_pixels[:-1], given.product)
    for name in ("fit", "refine"):
        with pytest.raises(ScanError):
            list(parts(core, name).reconstruct(odd))


def test_errors_of_refine_are_sentences(core, given):
    with pytest.raises(ConfigError, match=r"RefineStart of .* is 'round'; known: object, flat, "):
        refined(core, given, "round")
    with pytest.raises(ConfigError, match=r"Pinn\.RefineOptions of the ptychodus settings"):
        refined(core, given, options="epochs 4")
    with pytest.raises(ConfigError, match="unknown option 'no_such'"):
        refined(core, given, options="no_such = 4")
    assert pinn_threads() == []


def test_all_coherent_variations_but_the_first_are_left_out_and_it_is_said(given):
    array = np.concatenate([given.product.probes.get_array()] * 2)
    weights = np.ones((len(given.product.probe_positions), 2))
    plain = product_of(np.ones((40, 40), complex), np.zeros((36, 2)), array, 1e-8, "opr")
    probes = type(plain.probes)(array, weights, plain.probes.get_pixel_geometry())
    varied = dataclasses.replace(given.product, probes=probes)
    scan = exchange.scan_of(dataclasses.replace(given, product=varied))
    assert scan.probe.shape == (2, 16, 16)
    assert any("coherent variations" in note for note in scan.notes)
