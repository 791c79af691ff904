"""From stored values to trained weights: what a masked pixel holds changes nothing, bit for bit."""

import keras
import numpy as np
import pytest
from small import small_model, small_scan

import pinn


def filled(value, dtype, how):
    """The small scan with a value in pixels that are bad in all frames, or also in some only."""
    scan = small_scan()
    rows = np.arange(len(scan))
    counts = np.rint(scan.read(rows)[0].astype(np.float64) ** 2).astype(dtype)
    bad = np.zeros(counts.shape, bool)
    bad[:, 3:5, 9] = True
    if how != "detector":
        bad[::3, 8, 6:9] = True
    counts[bad] = value
    mask = None if how == "value" else ~bad[0] if how == "detector" else ~bad
    return pinn.Scan(
        counts, scan.positions_px, probe=scan.probe, valid_mask=mask, units="counts", name="filled"
    )


def outcome(scan):
    """Everything that leaves a training and a reconstruction."""
    model = small_model(scan, epochs=2, n_groups=16, deterministic=True)
    recon = pinn.reconstruct(scan, model)
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.network.weights]
    losses = np.array([row["loss"] for row in model.history])
    return [*weights, losses, recon.object, recon.coverage, recon.probe]


PAIRS = {
    "a mask of the detector": (("detector", 7, "i4"), ("detector", np.nan, "f8")),
    "masks of frames, or a sentinel": (("frames", np.nan, "f8"), ("value", 2**32 - 1, "u4")),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_no_value_under_a_mask_reaches_weights_loss_or_picture(pair):
    one, other = (outcome(filled(value, dtype, how)) for how, value, dtype in PAIRS[pair])
    assert all(np.isfinite(part).all() for part in one)
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)
