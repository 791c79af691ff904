"""Archives of the original through the calls of its callers; labels of ptychodus's files."""

import sys
from pathlib import Path

import compat_scans as small
import numpy as np
import pytest

import ptycho.params
from pinn.io.legacy import LEGACY
from ptycho.raw_data import RawData
from ptycho.workflows.components import load_inference_bundle

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "io"))

from old_archives import (  # noqa: E402
    Shape,
    archive_files,
    parameters,
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
