"""Files of version 0.1.0 open, mean what they meant, and interrupted runs are brought to an end."""

import json
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path

import keras  # noqa: F401  (so that nobody runs this without having chosen a backend)
import names
import numpy as np
import pytest
import subject

import pinn
from pinn import cli
from pinn.errors import ArchiveError, ConfigError

HERE = Path(__file__).parent
V010 = HERE / "v010"
OLD = json.loads((HERE / "names.json").read_text())
DECIDED = json.loads((HERE / "decided.json").read_text())
with np.load(V010 / "expected.npz") as _stored:
    EXPECTED = dict(_stored)


@pytest.fixture(scope="module")
def scan():
    return pinn.load(V010 / "scan.npz")


def expected(start):
    return {n.removeprefix(start): a for n, a in EXPECTED.items() if n.startswith(start)}


def same(found, golden, tolerance):
    assert not set(golden) - set(found)
    for name, array in golden.items():
        now = np.asarray(found[name])
        assert now.shape == array.shape, name
        known = np.isfinite(array)
        assert np.array_equal(np.isfinite(now), known), name
        error = np.abs(now[known].astype(complex) - array[known]).max(initial=0.0)
        scale = np.abs(array[known]).max(initial=0.0)
        assert error <= tolerance * scale, f"{name}: {error:.2g} of {scale:.2g}"


def test_an_archive_opens_and_reconstructs_to_the_same_object(scan):
    model = pinn.load_model(V010 / "run")
    same(subject.weights_of(model), expected("run/"), 0.0)
    assert [row["epoch"] for row in model.history] == [1, 2]
    found = subject.arrays_of_result(pinn.reconstruct(scan, model))
    golden = expected("reconstruction/")
    # a root of what is left of two nearly equal numbers: in units of the object, not its own
    spread = found.pop("disagreement") - golden.pop("disagreement")
    assert np.abs(spread).max() <= 2e-5 * np.abs(golden["object"]).max()
    # beyond the covered area the object was continued by the nearest pixel, and is smooth now
    likelihood = {"frame_likelihood": golden.pop("frame_likelihood")}
    same(found, likelihood, 5e-4)
    # float32 through a network, the phases of its patches put together, and a fit of contrast
    same(found, golden, 2e-5)


@pytest.mark.parametrize("name", ["reconstruction", "refined"])
def test_a_result_opens_with_the_same_arrays(name):
    result = pinn.load_reconstruction(V010 / f"{name}.h5")
    golden = expected(f"{name}/")
    assert len(golden) > 8
    same(subject.arrays_of_result(result), golden, 0.0)
    assert result.verdict and result.pixel_size_m == pytest.approx(2e-8)
    if name == "refined":
        assert len(result.statistics["history"]) == len(result.losses) == 6


# Where a backend could matter: test_arrays.py (a step of each), and archives in tests/cross.
@pytest.mark.one_backend
def test_an_interrupted_training_is_brought_to_its_end(scan, tmp_path):
    folder = tmp_path / "training"
    shutil.copytree(V010 / "training", folder)
    before = pinn.load_model(folder)
    assert [row["epoch"] for row in before.history] == [1]
    after = pinn.train(scan, output=folder, resume=True)
    assert [row["epoch"] for row in after.history] == [1, 2, 3]
    assert after.history[0] == before.history[0]
    # Adam divides slopes by their size, so that rounding of small ones moves weights
    same(subject.columns(after.history), expected("training/"), 1e-3)
    written = names.of_archive(folder / "wts.h5.zip") | names.of_config(folder / "config.json")
    assert names.missing(OLD, written, DECIDED) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": "nadam"}, "optimizer nadam is gone since 0.2: take adam, adamw, sgd or"),
        (
            {"schedule": "stages", "rate_stages": "2:0.1"},
            "schedule stages is gone since 0.2: take exponential, cosine or plateau",
        ),
        ({"label_phase": "absolute"}, "option 'label_phase' is gone since 0.2"),
    ],
)
def test_a_training_with_what_is_gone_is_refused_by_a_sentence(
    scan, tmp_path, changes, told, capsys
):
    folder = tmp_path / "training"
    shutil.copytree(V010 / "training", folder)
    config = json.loads((folder / "config.json").read_text())
    config["train"] |= changes
    (folder / "config.json").write_text(json.dumps(config))
    command = ["train", str(V010 / "scan.npz"), "--output", str(folder), "--resume"]
    assert cli.run(command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert told in said and "cannot be resumed: start a new one" in said
    assert str(folder / "config.json") in said and "Input should" not in said
    with zipfile.ZipFile(V010 / "training" / "wts.h5.zip") as source:
        members = {name: source.read(name) for name in source.namelist()}
    provenance = json.loads(members["provenance.json"])
    provenance["train"] |= changes
    members["provenance.json"] = json.dumps(provenance).encode()
    manifest = json.loads(members["manifest.json"])
    manifest["sha256"]["provenance.json"] = sha256(members["provenance.json"]).hexdigest()
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(folder / "wts.h5.zip", "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    with pytest.raises(ConfigError, match=f"the run in .* cannot be resumed: {told}"):
        pinn.train(scan, output=folder, resume=True)
    (folder / "wts.h5.zip").unlink()
    with pytest.raises(ArchiveError, match=f"cannot be used .*{told}.* start it anew"):
        pinn.train(scan, output=folder, resume=True)


@pytest.mark.one_backend
def test_an_interrupted_refinement_is_brought_to_its_end(scan, tmp_path):
    folder = tmp_path / "refinement"
    shutil.copytree(V010 / "refinement", folder)
    result = subject.refine(scan, output=folder, resume=True, **subject.SMALL_REFINEMENT)
    history = result.statistics["history"]
    assert [row["epoch"] for row in history][:4] == [1, 2, 3, 4]
    # From there on steps are those of this version (decision 18), which end no worse.
    assert result.object.shape[0] > 20 and np.isfinite(result.object).all()
    assert (
        history[-1]["held_deviance"] <= 1.02 * expected("refinement/")["history/held_deviance"][-1]
    )
