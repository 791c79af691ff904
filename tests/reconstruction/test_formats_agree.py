"""One scan in every format that can be written gives one picture."""

import numpy as np
import pytest
from small import same, small_model, small_scan

import pinn
from pinn.io.convert import write_scan
from pinn.io.formats.registry import FORMATS

WRITTEN = [known for known in FORMATS if known.write]


@pytest.fixture(scope="module")
def scan():
    plain = small_scan(n_frames=30)
    mask = np.ones((16, 16), bool)
    mask[2, 5:8] = False
    counts = plain.frames.read(np.arange(30)).copy()
    counts[:, ~mask] = 7
    return pinn.Scan(
        counts,
        plain.positions_px + [3.25, -40.5],
        probe=np.concatenate([plain.probe, 0.2j * plain.probe[:, ::-1]]),
        valid_mask=mask,
        units="counts",
        pixel_size_m=2.5e-8,
        energy_ev=8800.0,
        distance_m=1.5,
        name="one",
    )


@pytest.fixture(scope="module")
def model(scan):
    return small_model(scan)


def test_there_are_four_of_them():
    assert {known.name for known in WRITTEN} == {"npz", "ptychodus", "cxi", "ptychovit"}


@pytest.mark.parametrize("known", WRITTEN, ids=lambda known: known.name)
def test_the_object_is_the_same(scan, model, known, tmp_path):
    suffix = known.suffixes[0]
    path = tmp_path / (f"one{suffix}" if suffix.startswith(("_", ".")) else suffix)
    write_scan(scan, path, known.name)
    again = pinn.load(path)
    assert again.pixel_size_m == pytest.approx(scan.pixel_size_m)
    assert again.units in ("counts", "intensity")
    np.testing.assert_allclose(again.positions_px, scan.positions_px, atol=1e-6)
    np.testing.assert_array_equal(again.valid_mask, scan.valid_mask)
    one, two = pinn.reconstruct(scan, model), pinn.reconstruct(again, model)
    same(two.object, one.object, 1e-5)  # positions go through metres in double precision
    np.testing.assert_allclose(two.origin_px, one.origin_px, atol=1e-6)
    same(two.probe, one.probe, 1e-5)
