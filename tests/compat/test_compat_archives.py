"""Archives of the original through the calls of its callers; labels of ptychodus's files."""

import tempfile
import zipfile
from pathlib import Path

import compat_scans as small
import numpy as np
import pytest

import ptycho.params
from pinn.errors import ArchiveError
from ptycho._dictionary import LEGACY
from ptycho.raw_data import RawData
from ptycho.workflows.components import load_inference_bundle

HERE = Path(__file__).parent

from old_archives import (  # noqa: E402
    Shape,
    archive_files,
    call,
    golden_weights,
    parameters,
    pickled,
    torch_bytes,
    torch_state,
    write_files,
)

GOLDEN = HERE.parent / "goldens" / "forward.npz"


@pytest.fixture(autouse=True)
def _fresh():
    LEGACY.reset()
    yield
    LEGACY.reset()


@pytest.mark.parametrize("layout", ["folder", "content"])
def test_an_archive_of_the_original_keeps_its_network_and_its_outputs(tmp_path, layout):
    with np.load(GOLDEN) as arrays:
        golden = dict(arrays)
    shape = Shape(N=64, gridsize=1, ring=True)
    probe = golden["probe_normalized"].astype("complex64")
    scale = float(golden["intensity_scale"])
    options = parameters(shape, probe=probe, intensity_scale=scale)
    files = archive_files(shape, options=options)
    if layout == "folder":
        write_files(tmp_path / "wts.h5.zip", files)
    else:  # ptychodus unpacks the archive itself
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    model, legacy = load_inference_bundle(tmp_path)
    assert model.model.config.architecture == legacy["architecture"] == "cnn"
    assert model.half
    assert ptycho.params.get("intensity_scale") == pytest.approx(scale, rel=1e-6)
    X = 0.25 * (1 + np.sin(0.013 * np.arange(2 * 64 * 64).reshape(2, 64, 64, 1)))
    found = model.predict([X * scale, golden["gs1_probebig1_pos"]])
    # the central half, of which the stored copy keeps every fourth row; the original's mean of one
    # patch is low by 1/1.001; float32 through 14 convolutions
    ours = found[:, 20:44:4, 20:44, 0]
    expected = golden["gs1_probebig1_obj"][:, 5:11, 20:44] * 1.001
    assert np.linalg.norm(ours - expected) <= 1e-5 * np.linalg.norm(expected)


def test_labels_of_ptychodus_lie_half_a_pixel_before_ours(tmp_path):
    found = small.arrays(12)
    bad = np.zeros((16, 16), bool)
    of_ptychodus = RawData.from_file(small.write(tmp_path / "a.npz", found, bad_pixels=bad))
    assert of_ptychodus.scan().truth_origin_px == (-0.5, -0.5)
    other = RawData.from_file(small.write(tmp_path / "b.npz", found))
    assert other.scan().truth_origin_px == (0.0, 0.0)


def _torch_files():
    shape = Shape(N=16)
    roles = ["autoencoder", "diffraction_to_obj"]
    files = {"manifest.dill": pickled({"models": roles, "version": "2.0-pytorch"})}
    for role in roles:
        state = torch_state(shape, golden_weights(shape))
        files[f"{role}/model.pth"] = torch_bytes(state)
        files[f"{role}/params.dill"] = pickled({"N": 16, "gridsize": 1})
    return files


def _zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


@pytest.mark.parametrize("layout", ["file", "folder", "content", "zip", "zip of a folder"])
@pytest.mark.parametrize("kind", ["tensorflow", "pytorch"])
def test_a_payload_is_refused_and_not_run_in_every_layout(tmp_path, kind, layout):
    witness = tmp_path / "witness"
    files = archive_files(Shape(N=16)) if kind == "tensorflow" else _torch_files()
    # in the model that is not loaded: whoever opens it would have to look
    files["autoencoder/params.dill"] = pickled({"N": call("posix", "system", f"touch {witness}")})
    place = tmp_path / "run"
    place.mkdir()
    archive = write_files(tmp_path / "wts.h5.zip", files)
    if layout == "file":
        place = archive
    elif layout == "folder":
        archive.rename(place / "wts.h5.zip")
    elif layout == "content":
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    else:
        inside = "out/wts.h5.zip" if layout == "zip of a folder" else "wts.h5.zip"
        place = _zip(tmp_path / "model.zip", {inside: archive.read_bytes()})
    with pytest.raises(ArchiveError, match=r"asks for posix\.system.*nothing of it was run"):
        load_inference_bundle(place)
    assert not witness.exists()


def test_a_wrapped_archive_is_unpacked_within_limits(tmp_path, monkeypatch):
    bomb = _zip(tmp_path / "model.zip", {"wts.h5.zip": bytes(300 << 20)})
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        load_inference_bundle(bomb)
    assert not list(place.iterdir())


def test_a_damaged_wrapping_is_a_sentence(tmp_path):
    path = _zip(tmp_path / "model.zip", {"wts.h5.zip": bytes(range(256)) * 400})
    content = bytearray(path.read_bytes())
    content[60:160] = b"\xff" * 100
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"model\.zip is damaged"):
        load_inference_bundle(path)
    _zip(path, {"wts.h5.zip": b"x" * 999}, zipfile.ZIP_LZMA)
    with pytest.raises(ArchiveError, match="by a method that no archive uses"):
        load_inference_bundle(path)
    _zip(path, {"wts.h5.zip": b"x" * 999})
    with pytest.raises(ArchiveError, match=r"model\.zip is not a zip file"):  # not a temporary name
        load_inference_bundle(path)
