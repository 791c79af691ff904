"""Which pixels of a refined object are known, and what stands in the others."""

import numpy as np
import pytest
from refining import scan_of

import pinn

pytestmark = pytest.mark.one_backend  # a decision on the host


ONE = {"epochs": 1, "update_probe": False, "lbfgs_iterations": 0, "split_half": False}


def test_frames_at_one_place_take_nothing_away(arrays):
    once = pinn.refine(scan_of(arrays), **ONE)
    M = len(arrays["positions_px"])
    rows = np.concatenate([np.arange(M), np.zeros(150, int)])
    many = scan_of({**arrays, **{k: arrays[k][rows] for k in ("counts", "positions_px")}})
    often = pinn.refine(many, **ONE)
    assert often.valid_mask.sum() >= once.valid_mask.sum()  # light that adds up makes more known


def test_the_object_goes_on_where_it_is_not_known(arrays):
    recon = pinn.refine(scan_of(arrays), **{**ONE, "epochs": 2})
    unknown = ~recon.valid_mask
    assert unknown.any()
    known = np.abs(recon.object[recon.valid_mask])
    beyond = np.abs(recon.object[unknown])
    assert known.min() * 0.99 <= beyond.min() and beyond.max() <= known.max() * 1.01
    given = pinn.refine(scan_of(arrays), recon, **ONE)
    assert np.abs(given.object[~given.valid_mask]).min() > 0.5 * known.min()
