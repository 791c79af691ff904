"""The calls that ptychodus makes, one after the other, and the workflow functions."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import compat_scans as small
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import ptycho.loader
import ptycho.model_manager
import ptycho.params
from pinn.errors import ArchiveError, ConfigError, ScanError
from ptycho._dictionary import LEGACY
from ptycho.config.config import InferenceConfig, ModelConfig, TrainingConfig, update_legacy_dict
from ptycho.raw_data import RawData
from ptycho.tf_helper import reassemble_position
from ptycho.workflows.components import (
    load_data,
    load_inference_bundle,
    run_cdi_example,
    save_outputs,
)


@pytest.fixture(autouse=True)
def _fresh():
    LEGACY.reset()
    yield
    LEGACY.reset()


def asked(epochs=4, gridsize=1, N=16, architecture=None, **options):
    named = {} if architecture is None else {"architecture": architecture}
    model = ModelConfig(N=N, gridsize=gridsize, **named)
    options = {"batch_size": 8, "nphotons": 1e6, **options}
    return TrainingConfig(model, nepochs=epochs, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model trained as ptychodus 1.7 does it, in the folder it saves to."""
    LEGACY.reset()
    place = tmp_path_factory.mktemp("run")
    found = small.arrays(probe_modes=2)
    bad = np.zeros((16, 16), bool)
    bad[0, :3] = True
    for name in ("train_data.npz", "test_data.npz"):
        small.write(place / name, found, bad_pixels=bad)
    config = asked(N=0)
    test = RawData.from_file(place / "test_data.npz")
    train = RawData.from_file(place / "train_data.npz")
    config.model.N = train.diff3d.shape[-1]
    update_legacy_dict(ptycho.params.cfg, config)
    amplitude, phase, results = run_cdi_example(train, test, config)
    ptycho.model_manager.save(place / "out")
    save_outputs(amplitude, phase, results, str(place / "out"))
    assert amplitude is None and phase is None
    return place / "out"


def reconstruct(folder, found, gridsize=1):
    """The calls of ptychodus 1.7 (`ptychopinn/_subprocess.py`, run_reconstruct)."""
    config = InferenceConfig(
        ModelConfig(N=16, gridsize=gridsize), Path(), Path(), output_dir=Path()
    )
    update_legacy_dict(ptycho.params.cfg, config)
    model, _ = load_inference_bundle(folder)
    raw = small.raw_of(found)
    ptycho.probe.set_probe_guess(None, raw.probeGuess)
    groups = raw.generate_grouped_data(16, K=7, nsamples=1, gridsize=gridsize)
    container = ptycho.loader.load(lambda: groups, raw.probeGuess, which=None, create_split=False)
    scale = ptycho.params.get("intensity_scale")
    patches = model.predict([container.X * scale, container.local_offsets])
    return patches, reassemble_position(patches, container.global_offsets, M=20), container, model


def correlation(obj, found, shift=0.0):
    """Of the deviations from the mean of object and truth over the scan, both placed on the
    midrange of the positions, without any alignment but one complex factor."""
    y, x = found["ycoords"] - shift, found["xcoords"] - shift
    middle = [(v.min() + v.max()) / 2 for v in (y, x)]
    rows, columns = (np.arange(n) - n // 2 + m for n, m in zip(obj.shape, middle, strict=True))
    grid = np.meshgrid(rows, columns, indexing="ij")
    truth = found["objectGuess"]
    at = [map_coordinates(part, grid, order=1) for part in (truth.real, truth.imag)]
    inside = (grid[0] > y.min()) & (grid[0] < y.max()) & (grid[1] > x.min()) & (grid[1] < x.max())
    one, other = obj[inside], (at[0] + 1j * at[1])[inside]
    one, other = one - one.mean(), other - other.mean()
    return abs(np.vdot(one, other)) / np.linalg.norm(one) / np.linalg.norm(other)


def test_the_calls_of_ptychodus_give_the_object(folder):
    found = small.arrays(probe_modes=2)
    patches, obj, container, _ = reconstruct(folder, found)
    assert patches.shape == (40, 16, 16, 1) and patches.dtype == np.complex64
    obj = np.squeeze(obj)
    assert obj.ndim == 2 and np.iscomplexobj(obj)
    ours = correlation(obj, found)
    plain = reassemble_position(np.array(patches), np.array(container.global_offsets), M=8)
    assert ours > 0.6  # a few epochs; a flat or misplaced object has about 0
    assert ours > correlation(np.squeeze(plain), found) - 0.02


def test_coordinates_of_another_origin_change_nothing(folder):
    found = small.arrays(probe_modes=2)
    obj = reconstruct(folder, found)[1]
    moved = {**found, "xcoords": found["xcoords"] + 7.5, "ycoords": found["ycoords"] - 3.0}
    again = reconstruct(folder, moved)[1]
    assert again.shape == obj.shape
    # positions are split into integer and fraction of single precision
    np.testing.assert_allclose(again, obj, rtol=0, atol=2e-4 * np.abs(obj).max())


def test_a_stitched_object_is_that_of_pinn_alone(folder):
    import pinn

    found = small.arrays(probe_modes=2)
    _, obj, container, model = reconstruct(folder, found)
    scan = pinn.Scan(
        found["diff3d"],
        np.stack([found["ycoords"], found["xcoords"]], axis=1) - container.raw.anchor,
        probe=found["probeGuess"],
        valid_mask=~dead_of(model.model),
    )
    alone = pinn.reconstruct(scan, pinn.load_model(folder))
    y, x = (np.array(obj.shape[:2]) // 2 + alone.origin_px).astype(int)
    part = obj[y : y + alone.object.shape[0], x : x + alone.object.shape[1], 0]
    known = np.where(alone.valid_mask, alone.object, 0)
    difference = np.linalg.norm(part - known) / np.linalg.norm(known)
    assert difference < 1e-4  # two ways of placing patches in single precision


def dead_of(model):
    dead = np.zeros(256, bool)
    dead[model.provenance["dead_pixels"]] = True
    return dead.reshape(16, 16)


def test_pixels_that_training_masked_stay_masked(folder):
    found = small.arrays(probe_modes=2)
    model = load_inference_bundle(folder)[0].model
    np.testing.assert_array_equal(np.flatnonzero(dead_of(model)), [0, 1, 2])
    spoilt = {**found, "diff3d": found["diff3d"].copy()}
    spoilt["diff3d"][:, 0, :2] += 40
    first, second = (reconstruct(folder, part)[0] for part in (found, spoilt))
    scale = [np.sqrt(part["diff3d"].sum()) for part in (found, spoilt)]
    # the exposure of the whole frame is the only thing that changes
    assert np.linalg.norm(first - second) < abs(scale[1] / scale[0] - 1) * 3 * np.linalg.norm(first)


def test_predict_takes_plain_arrays_and_refuses_others(folder):
    found = small.arrays(probe_modes=2)
    patches, _, container, model = reconstruct(folder, found)
    X, offsets = np.array(container.X), np.array(container.local_offsets)
    X[:, 0, :3] = -1.0
    plain = model.predict([X * ptycho.params.get("intensity_scale"), offsets], batch_size=7)
    np.testing.assert_allclose(plain, patches, rtol=0, atol=2e-5 * np.abs(patches).max())
    assert np.asarray(model([X, offsets])).shape == patches.shape
    with pytest.raises(ScanError, match="gridsize 1"):
        model.predict([np.zeros((3, 16, 16, 4)), np.zeros((3, 1, 2, 4))])
    with pytest.raises(ScanError, match="offsets"):
        model.predict([X, offsets[:2]])


def test_a_fresh_process_opens_the_archive(folder, tmp_path):
    found = small.arrays(probe_modes=2)
    obj = reconstruct(folder, found)[1]
    code = (
        "import sys, numpy as np\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import compat_scans as small, test_compat_run as run\n"
        "obj = run.reconstruct(run.Path(sys.argv[2]), small.arrays(probe_modes=2))[1]\n"
        "np.save(sys.argv[3], obj)\n"
    )
    place = tmp_path / "obj.npy"
    subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), str(place)],
        check=True,
        timeout=300,
    )
    np.testing.assert_allclose(np.load(place), obj, rtol=0, atol=1e-5 * np.abs(obj).max())


@pytest.fixture(scope="module")
def of_four(tmp_path_factory):
    """A model that takes groups of four."""
    LEGACY.reset()
    place = tmp_path_factory.mktemp("four")
    run_cdi_example(small.raw_of(small.arrays()), None, asked(gridsize=2))
    ptycho.model_manager.save(place)
    return place


def test_groups_of_four_are_merged_and_stitched(of_four):
    found = small.arrays()
    patches, obj, _, _ = reconstruct(of_four, found, gridsize=2)
    assert patches.shape == (40, 16, 16, 1)
    assert correlation(np.squeeze(obj), found) > 0.6


def test_the_gridsize_of_the_model_counts_not_that_of_the_caller(of_four, caplog):
    """ptychodus asks for groups as its settings say, whatever model it has opened."""
    found = small.arrays()
    with caplog.at_level("INFO", "ptycho"):
        patches, obj, container, _ = reconstruct(of_four, found, gridsize=1)
    assert container.X.shape[-1] == 1
    assert "trained with gridsize 2: that counts" in caplog.text
    assert patches.shape == (40, 16, 16, 1)
    # each frame with its nearest, and as good as groups of the right size
    members = patches.context.members
    assert np.array_equal(members[:, 0], np.arange(40)) and members.shape == (40, 4)
    own = reconstruct(of_four, found, gridsize=2)[1]
    ours = correlation(np.squeeze(obj), found)
    assert ours > 0.6 and ours > correlation(np.squeeze(own), found) - 0.02


def test_single_frames_where_groups_of_four_were_asked_for(folder):
    found = small.arrays(probe_modes=2)
    expected = reconstruct(folder, found)[1]
    patches, obj, container, _ = reconstruct(folder, found, gridsize=2)
    assert container.X.shape[-1] == 4 and patches.shape == (40, 16, 16, 1)
    np.testing.assert_allclose(obj, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # offsets that are not those of the container belong to other patches
    with pytest.raises(ScanError, match=r"patches are|belong"):
        reassemble_position(patches, container.global_offsets[:-1])


def test_stitching_at_once_and_the_losses(tmp_path):
    train, test = small.raw_of(small.arrays()), small.raw_of(small.arrays(seed=1))
    amplitude, phase, results = run_cdi_example(
        train, test, asked(mae_weight=0.5, nll_weight=0.5), do_stitching=True
    )
    assert amplitude.shape == phase.shape and amplitude.min() >= 0
    assert correlation(amplitude * np.exp(1j * phase), small.arrays(seed=1)) > 0.4
    history = results["history"]
    for name in (
        *("loss", "train_loss", "val_loss", "nll", "val_nll", "pred_intensity_loss"),
        *("val_pred_intensity_loss", "intensity_scaler_inv_loss", "trimmed_obj_loss"),
    ):
        assert len(history[name]) == 4 and np.isfinite(history[name]).all(), name
    assert history["loss"][-1] < history["loss"][0]
    assert history["pred_intensity_loss"] == history["nll"]
    assert results["recon_amp"] is amplitude and len(results["obj_tensor_full"]) == 40
    assert len(results["train_container"]) == len(results["test_container"]) == 40
    save_outputs(amplitude, phase, results, tmp_path / "new" / "pictures")
    names = {p.name for p in (tmp_path / "new" / "pictures").iterdir()}
    assert {"reconstructed_amplitude.png", "reconstructed_phase.png", "history.csv"} <= names


def test_progress_and_choices_go_to_the_log(caplog):
    from ptycho import _choose

    _choose._told.clear()
    caplog.set_level("INFO", "ptycho")
    raw = small.raw_of(small.arrays())
    run_cdi_example(raw, raw, asked(epochs=2))
    for text in ("epoch 2 of 2: loss", "network is lean", "read as counts", "held out", "device:"):
        assert text in caplog.text


def test_the_network_of_the_original_when_it_is_asked_for(monkeypatch):
    from ptycho._choose import choose

    LEGACY.reset()
    default = choose(asked()).asked.model
    assert (default.architecture, default.n_filters_scale) == ("lean", 1)
    stated = choose(asked(architecture="cnn")).asked.model
    assert (stated.architecture, stated.n_filters_scale) == ("cnn", 2)
    assert choose(asked(), architecture="fno").asked.model.architecture == "fno"
    wide = asked()
    wide.model.n_filters_scale, wide.model.pad_object = 4, False
    assert choose(wide).asked.model.n_filters_scale == 2
    monkeypatch.setenv("PTYCHO_ARCHITECTURE", "cnn")
    assert choose(asked()).asked.model.architecture == "cnn"


def test_supervised_training_learns_from_the_object():
    found = small.arrays()
    raw = small.raw_of(found)
    config = asked()
    config.model.model_type = "supervised"
    results = run_cdi_example(raw, raw, config)[2]
    losses = results["history"]["loss"]
    assert losses[-1] < losses[0]
    raw.objectGuess = np.ones_like(raw.objectGuess)
    with pytest.raises(ScanError, match="constant"):
        run_cdi_example(small.raw_of({**found, "objectGuess": raw.objectGuess}), None, config)


def test_frames_of_an_odd_side_are_refused_in_a_sentence():
    found = small.arrays()
    odd = {**found, "diff3d": found["diff3d"][:, :15, :15], "probeGuess": None}
    with pytest.raises(ScanError, match="15"):
        run_cdi_example(small.raw_of(odd), None, asked())


def test_an_unknown_backend_names_the_known():
    with pytest.raises(ValueError, match="tensorflow"):
        run_cdi_example(small.raw_of(small.arrays()), None, asked(), backend="theano")


# -- archives ------------------------------------------------------------------------------


def test_save_takes_a_folder_or_exactly_a_file(folder, tmp_path):
    load_inference_bundle(folder)
    ptycho.model_manager.save(tmp_path / "a" / "new.folder")
    assert (tmp_path / "a" / "new.folder" / "wts.h5.zip").is_file()
    ptycho.model_manager.save(tmp_path / "model.zip")
    assert zipfile.is_zipfile(tmp_path / "model.zip")
    assert load_inference_bundle(tmp_path / "model.zip")[0].model.config.N == 16


@pytest.mark.parametrize("layout", ["folder", "file", "content", "zip of folder", "base"])
def test_every_layout_opens(folder, tmp_path, layout):
    file = folder / "wts.h5.zip"
    target = {"folder": folder, "file": file}.get(layout, tmp_path)
    if layout == "content":  # ptychodus from 1.5 on unpacks the archive itself
        with zipfile.ZipFile(file) as packed:
            packed.extractall(tmp_path)
    elif layout == "zip of folder":
        target = Path(shutil.make_archive(str(tmp_path / "model"), "zip", folder))
    LEGACY.reset()
    if layout == "base":
        models = ptycho.model_manager.ModelManager.load_multiple_models(folder / "wts.h5")
        model = models["diffraction_to_obj"]
    else:
        model, parameters = load_inference_bundle(target)
        assert parameters["intensity_scale"] == ptycho.params.get("intensity_scale")
    assert model.model.config.N == ptycho.params.get("N") == 16
    assert ptycho.params.get("intensity_scale") > 0


def test_the_folder_above_the_last_save_opens_it(folder, tmp_path):
    load_inference_bundle(folder)
    ptycho.model_manager.save(tmp_path / "output")
    assert load_inference_bundle(tmp_path)[0].model.config.N == 16
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(FileNotFoundError, match="folder a model was saved to"):
        load_inference_bundle(tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["nothing", "nothing.zip"])
def test_a_missing_archive_is_a_sentence(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="there is no archive"):
        load_inference_bundle(tmp_path / name)
    with pytest.raises(ArchiveError, match="not known"):
        load_inference_bundle(tmp_path / name, "decoder")


def test_nothing_to_save_is_a_sentence(tmp_path):
    from ptycho import _bundle

    before, _bundle._last.model = _bundle._last.model, None
    try:
        with pytest.raises(ConfigError, match="no model"):
            ptycho.model_manager.save(tmp_path)
    finally:
        _bundle._last.model = before


def test_load_data_turns_and_thins(tmp_path):
    found = small.arrays()
    path = small.write(tmp_path / "a.npz", found)
    raw = load_data(path, n_subsample=10, subsample_seed=3, flip_x=True, coord_scale=2.0)
    rows = raw.sample_indices
    assert len(raw) == 10 and (np.diff(rows) > 0).all()
    np.testing.assert_allclose(raw.xcoords, -2 * found["xcoords"][rows])
    np.testing.assert_allclose(raw.ycoords, 2 * found["ycoords"][rows])
    np.testing.assert_array_equal(raw.diff3d, found["diff3d"][rows])
    again = load_data(path, n_images=10, subsample_seed=3, swap_xy=True)
    np.testing.assert_allclose(again.xcoords, found["ycoords"][rows])


def test_train_pinn_takes_the_options_of_the_dictionary(tmp_path):
    from ptycho import train_pinn

    update_legacy_dict(ptycho.params.cfg, asked(epochs=2, gridsize=1))
    raw = small.raw_of(small.arrays())
    groups = raw.generate_grouped_data(16, nsamples=40)
    container = ptycho.loader.load(lambda: groups, raw.probeGuess)
    scale = train_pinn.calculate_intensity_scale(container)
    assert scale == pytest.approx(1e3 / 8) == container.norm_Y_I
    model, history = train_pinn.train(container, scale)
    assert len(history.history["loss"]) == 2
    assert model.model.config.architecture == "lean"
    ptycho.model_manager.save(tmp_path)
    found = train_pinn.eval(container, history, model_path=tmp_path)
    assert found["reconstructed_obj"].shape == (40, 16, 16, 1)
    assert np.iscomplexobj(found["stitched_obj"]) and found["stitched_obj"].ndim == 2
    with pytest.raises(ConfigError, match="knows no scan"):
        train_pinn.train(ptycho.loader.PtychoDataContainer(np.ones((2, 16, 16, 1))))
