"""Archives of the reference's TensorFlow side become ours; those made to do harm are refused."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from npz_files import write_npz
from old_archives import (
    Shape,
    archive_files,
    call,
    golden_weights,
    made_order,
    model_h5,
    parameters,
    pickled,
    small_probe,
    write_files,
    zip_bytes,
)

import pinn
import pinn_archives
from pinn import cli
from pinn.config import ModelConfig
from pinn.errors import ArchiveError, OutputError
from pinn.io.archive import Archive, read_archive, write_archive
from pinn.io.convert_archive import GROUP, archive_kind, convert_archive
from pinn_archives import read

SMALL = Shape(N=16)


@pytest.fixture
def old(tmp_path):
    return write_files(tmp_path / "old.h5.zip", archive_files(SMALL))


def converted(path, **options) -> Archive:
    return read_archive(convert_archive(path, path.parent / "new", **options).path)


def layers_of(archive):
    """Kernel and bias of each of our layers, by its name; checks that they are numbered."""
    found = {}
    keys = sorted(key for key in archive.weights if key.startswith("network/"))
    for number, key in enumerate(keys):
        _, place, layer, part = key.split("/")
        assert int(place) == number
        assert part == ("kernel", "bias")[number % 2]
        found.setdefault(layer, []).append(archive.weights[key])
    return found


@pytest.mark.parametrize("note_names", [True, False])
@pytest.mark.parametrize(
    "shape",
    [
        SMALL,
        Shape(N=16, ring=False, gridsize=2),
        Shape(N=16, pad=False, scale=2),
        Shape(N=32, gridsize=2, object_big=False, activation="swish"),
        Shape(N=64, gridsize=3),
    ],
)
def test_every_weight_goes_to_its_layer(tmp_path, shape, note_names):
    path = write_files(tmp_path / "a.zip", archive_files(shape, note_names=note_names))
    archive = converted(path)
    weights, found = golden_weights(shape), layers_of(archive)
    assert set(found) == set(weights) == set(made_order(shape))
    for layer, (kernel, bias) in weights.items():
        np.testing.assert_array_equal(found[layer][0], kernel)
        np.testing.assert_array_equal(found[layer][1], bias)
    config = ModelConfig(**archive.config["model"])
    assert (config.N, config.gridsize, config.n_filters_scale) == (
        shape.N,
        shape.gridsize,
        shape.scale,
    )
    assert (config.pad_object, config.object_big) == (shape.pad, shape.object_big)
    assert config.probe_big == (shape.ring or not shape.pad)
    assert (config.amp_activation, config.ring_activation) == (shape.activation, "swish")
    assert (config.input_transform, config.merge, config.head) == ("none", "probe", "polar")


def test_probe_and_scale_keep_their_product(tmp_path, old):
    """The reference predicts with s P; we with e^(log_scale / 2) times the probe in our gauge."""
    archive = converted(old)
    pair = archive.weights["probe"]
    assert pair.shape == (1, 1, 1, 16, 16, 2)
    ours = pair[0, 0, 0, ..., 0] + 1j * pair[0, 0, 0, ..., 1]
    assert np.sum(np.abs(ours) ** 2) == pytest.approx(64, rel=1e-6)  # (N/2)^2
    s = 1e9**0.5 / 8
    counts = np.exp(archive.weights["log_scale"][0] / 2) * ours
    np.testing.assert_allclose(counts, s * small_probe(16), rtol=2e-6)  # float32
    assert np.all(archive.weights["input/mean"] == 0)
    assert np.all(archive.weights["input/gain"] == 1)
    assert archive.statistics["exposure_factor"] == pytest.approx(1 / s)
    assert archive.statistics["mean_counts"] == pytest.approx(1e9)


def test_the_probe_mask_is_multiplied_into_the_probe(tmp_path):
    options = parameters(SMALL, **{"probe.mask": True})
    archive = converted(write_files(tmp_path / "a.zip", archive_files(SMALL, options=options)))
    dark = archive.weights["probe"][0, 0, 0, ..., 0] == 0
    axis = np.arange(16) - 7.5
    np.testing.assert_array_equal(dark, np.hypot(axis[:, None], axis) >= 4)


def test_softplus_is_ours_after_a_shift_of_the_bias(tmp_path):
    shape = Shape(N=16, activation="softplus")
    found = layers_of(converted(write_files(tmp_path / "a.zip", archive_files(shape))))
    weights = golden_weights(shape)
    shift = np.log(np.e - 1)
    for layer, (_, bias) in weights.items():
        moved = shift if layer == "amplitude_centre_out" else 0.0
        np.testing.assert_allclose(found[layer][1], bias - moved, atol=1e-7)


def test_both_models_and_what_each_carries(tmp_path, old):
    first = convert_archive(old, tmp_path / "1")
    assert "from the model diffraction_to_obj" in first.carried[0]
    assert not any("optimiser" in line for line in first.lost)
    second = convert_archive(old, tmp_path / "2", role="autoencoder")
    assert any("state of the optimiser" in line for line in second.lost)
    assert "from the model autoencoder" in second.carried[0]


def test_what_was_done_is_told_and_kept(tmp_path):
    options = parameters(SMALL, gaussian_smoothing_sigma=1.5, gridsize=2)
    path = write_files(tmp_path / "a.zip", archive_files(SMALL, options=options))
    done = convert_archive(path, tmp_path / "new", merge="legacy")
    assert any("smoothing of the exit wave by 1.5" in line for line in done.lost)
    assert any("gridsize = 2, but the network was built with 1" in line for line in done.notes)
    assert any("--weighting crop" in line for line in done.notes)
    archive = read_archive(done.path)
    assert archive.config["model"]["merge"] == "legacy"
    kept = archive.provenance["conversion"]
    assert kept["not_carried"] == list(done.lost)
    assert kept["parameters"]["nphotons"] == 1e9
    assert kept["parameters"]["probe"] == "array (16, 16, 1) complex64"
    assert len(kept["sha256"]) == 64
    assert archive.manifest["backend"] == "tensorflow"


def test_a_scale_beside_that_differs_is_told(tmp_path):
    files = archive_files(SMALL)
    files["diffraction_to_obj/model.h5"] = model_h5(3.0)
    done = convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")
    assert any("model.h5 says the intensity scale is 3, but" in line for line in done.notes)
    del files["diffraction_to_obj/model.h5"]
    assert not any(
        "model.h5" in line
        for line in convert_archive(write_files(tmp_path / "b.zip", files), tmp_path / "2").notes
    )


def test_a_probe_from_a_file(tmp_path, old):
    light = np.ones((2, 16, 16), "complex64") * [[[1]], [[1j]]]
    np.savez(tmp_path / "probe.npz", probeGuess=light)
    archive = converted(old, probe=tmp_path / "probe.npz")
    assert archive.config["model"]["probe_modes"] == 2
    assert archive.weights["probe"].shape == (1, 1, 2, 16, 16, 2)
    np.savez(tmp_path / "other.npz", x=light)
    with pytest.raises(ArchiveError, match="has no array 'probeGuess' or 'probe'"):
        convert_archive(old, tmp_path / "n", probe=tmp_path / "other.npz")


def unpack(files, folder):
    for member, data in files.items():
        (folder / member).parent.mkdir(parents=True, exist_ok=True)
        (folder / member).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    "layout", ["folder with it", "unpacked", "zip of the folder", "zip in zip"]
)
def test_the_wrappings_that_ptychodus_makes(tmp_path, old, layout):
    plain = converted(old).weights
    files = archive_files(SMALL)
    match layout:
        case "folder with it":
            path = unpack({"wts.h5.zip": zip_bytes(files), "loss.png": b""}, tmp_path / "d")
        case "unpacked":
            path = unpack(files, tmp_path / "d")
        case "zip of the folder":
            path = write_files(tmp_path / "m.zip", {f"run/{n}": d for n, d in files.items()})
        case "zip in zip":
            path = write_files(tmp_path / "m.zip", {"out/wts.h5.zip": zip_bytes(files)})
    assert archive_kind(path) == "old"
    again = converted(path).weights
    assert again.keys() == plain.keys()
    for key in plain:
        np.testing.assert_array_equal(again[key], plain[key])


def test_no_framework_and_no_pickle_is_loaded(tmp_path, old):
    code = (
        "import sys\nfrom pinn.io.convert_archive import convert_archive\n"
        f"convert_archive({str(old)!r}, {str(tmp_path / 'x')!r})\n"
        "bad = {'keras', 'jax', 'torch', 'tensorflow', 'dill'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_nothing_that_is_read_is_overwritten(tmp_path, old):
    folder = unpack({"wts.h5.zip": old.read_bytes()}, tmp_path / "d")
    before = old.read_bytes()
    for source, target in [
        (old, old),
        (folder, folder),
        (folder / "wts.h5.zip", folder),
        (folder, folder / "inside"),
    ]:
        with pytest.raises(OutputError, match="it is, or lies in, what is read"):
            convert_archive(source, target)
    assert old.read_bytes() == (folder / "wts.h5.zip").read_bytes() == before
    assert not (folder / "inside").exists()


def test_what_is_an_archive_and_what_is_not(tmp_path, old):
    scan = write_npz(
        tmp_path / "s.npz", np.ones((3, 8, 8)), np.zeros((3, 2)), frames_units="counts"
    )
    assert archive_kind(old) == "old"
    assert archive_kind(scan) is None
    assert archive_kind(tmp_path / "nothing") is None
    assert archive_kind(tmp_path) is None
    ours = convert_archive(old, tmp_path / "new").path
    assert archive_kind(ours) == archive_kind(ours.parent) == "ours"
    with pytest.raises(ArchiveError, match="is an archive of pinn already"):
        convert_archive(ours, tmp_path / "again")


def test_the_distribution_is_in_step_and_stands_beside_ptychopinn():
    text = (Path(__file__).parents[2] / "compat" / "archives" / "pyproject.toml").read_text("utf-8")
    document = tomllib.loads(text)
    major, minor = pinn.__version__.split(".")[:2]
    assert pinn_archives.__version__ == pinn.__version__
    bounds = f">={major}.{minor},<{major}.{int(minor) + 1}"
    assert f"pinn-ptycho{bounds}" in document["project"]["dependencies"]
    assert document["project"]["entry-points"][GROUP] == {
        "ptychopinn": f"{read.read_archive.__module__}:{read.read_archive.__name__}"
    }
    packages = document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["pinn_archives"]


# ------------------------------------------------------------------------------ command line


def test_the_command_tells_what_went_over(tmp_path, old, capsys):
    assert cli.run(["convert", str(old), str(tmp_path / "new")]) == 0
    told = capsys.readouterr().err
    assert f"{old} is an archive of PtychoPINN (TensorFlow)" in told
    assert "carried over: 20 weights of the network" in told
    assert "not carried over: the history of the training" in told
    assert f"wrote {tmp_path / 'new' / 'wts.h5.zip'}" in told
    line = ["convert", str(old), str(tmp_path / "b.zip"), "--quiet", "--merge", "legacy"]
    assert cli.run([*line, "--model-role", "autoencoder"]) == 0
    assert capsys.readouterr().err == ""
    archive = read_archive(tmp_path / "b.zip")
    assert archive.config["model"]["merge"] == "legacy"
    assert "from the model autoencoder" in archive.provenance["conversion"]["carried"][0]
    assert cli.run(["info", str(tmp_path / "b.zip")]) == 0
    assert "archive of PtychoPINN (TensorFlow)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (
            ["old.h5.zip", "new", "--frame-size", "32", "--to", "npz"],
            "--to, --frame-size is for sc",
        ),
        (["old.h5.zip", "old.h5.zip"], "it is, or lies in, what is read"),
        (["old.h5.zip", "new", "--input-gain", "2"], "is a TensorFlow archive"),
        (["old.h5.zip", "new", "--input-gain", "-1"], "not in the range"),
        (["old.h5.zip", "new", "--merge", "sum"], "'sum' is not one of"),
        (["s.npz", "t.npz", "--merge", "legacy"], "--merge is for old model archives"),
        (["s.npz", "t.npz", "--model-role", "autoencoder"], "--model-role is for old model"),
        (["bad.zip", "new"], "asks for posix.system, and only plain data and arrays are read"),
    ],
)
def test_wrong_lines_end_in_one_sentence(tmp_path, old, monkeypatch, capsys, rest, message):
    write_npz(tmp_path / "s.npz", np.ones((3, 16, 16)), np.zeros((3, 2)), frames_units="counts")
    bad = {"manifest.dill": pickled(call("posix", "system", f"touch {tmp_path / 'witness'}"))}
    write_files(tmp_path / "bad.zip", bad)
    monkeypatch.chdir(tmp_path)
    assert cli.run(["convert", *rest]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "witness").exists()


def test_reading_our_own_archive_says_how_to_convert(tmp_path, old):
    with pytest.raises(ArchiveError, match="convert it first with `pinn convert"):
        read_archive(old)


def test_our_writer_refuses_nothing_that_was_converted(tmp_path, old):
    """What was converted can be read and written again without a change."""
    archive = converted(old)
    again = read_archive(write_archive(tmp_path / "w.zip", archive, backend="x", versions={}))
    assert json.dumps(again.config) == json.dumps(archive.config)
    assert again.provenance == archive.provenance
