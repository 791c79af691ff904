"""Several reconstructions against one truth: all numbers are of the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from pinn.errors import InputError
from pinn.quality.compare import compare
from pinn.quality.evaluate import evaluate
from pinn.quality.frames import Placed, sample


def truth(n=96):
    y, x = np.mgrid[:n, :n] / 20
    return (1 + 0.3 * np.sin(3 * y + x**2)) * np.exp(0.5j * np.cos(2 * x - y))


def noisy(image, seed, size=0.1):
    rng = np.random.default_rng(seed)
    return image + size * (rng.normal(size=image.shape) + 1j * rng.normal(size=image.shape))


def test_masks_and_regions_are_those_that_all_have_in_common():
    right, whole = Placed(truth(), np.zeros(2)), noisy(truth(), 0)
    hidden = np.ones((96, 96), bool)
    hidden[:, 40:60] = False  # a gap inside, so that the boxes do not tell of it
    half = Placed(np.where(hidden, noisy(truth(), 1), 0), np.zeros(2), hidden)
    small = Placed(noisy(truth(), 2)[10:, 5:], np.array([10.0, 5.0]))
    items = {"whole": Placed(whole, np.zeros(2)), "half": half, "small": small}
    found = compare(items, right, border=0, register=False)
    for item in found.values():
        assert item.region.bounds_px == (10, 96, 5, 96)
        np.testing.assert_array_equal(item.valid, hidden[10:, 5:])
    # by hand: the same pixels of the first, its factor and ramp fitted on these alone
    direct = evaluate(
        Placed(whole, np.zeros(2), hidden),
        right,
        region=(10, 96, 5, 96),
        register=False,
        kind="truth",
    )
    for name in ("nrmse", "amplitude_ssim", "phase_mae_rad"):
        assert found["whole"].metrics[name] == pytest.approx(direct.metrics[name], rel=1e-6)
    alone = compare({"whole": items["whole"]}, right, border=0, register=False)
    assert alone["whole"].metrics["nrmse"] != found["whole"].metrics["nrmse"]


def test_the_steps_that_are_told_give_the_image_that_was_compared():
    """Sampled anew, ramp about the centre and factor applied: float64, so to rounding."""
    rows = np.arange(96)[:, None]
    item = Placed(noisy(truth(), 3) * np.exp(0.05j * rows), np.zeros(2))
    small = Placed(noisy(truth(), 4)[30:], np.array([30.0, 0.0]))
    right = Placed(truth(), np.zeros(2))
    found = compare({"a": item, "small": small}, right, border=0, register=False)["a"]
    image, _ = sample(item, found.region)
    ramp, (h, w) = found.steps["ramp_rad_per_px"], found.region.shape
    y, x = np.arange(h)[:, None] - (h - 1) / 2, np.arange(w) - (w - 1) / 2
    factor = complex(*found.steps["complex_factor"])
    np.testing.assert_allclose(
        image * np.exp(-1j * (ramp[0] * y + ramp[1] * x)) * factor, found.recon, atol=1e-9
    )


def test_pixels_of_other_sizes_and_too_much_border_are_refused():
    right = Placed(truth(), np.zeros(2), pixel_size_m=1e-8)
    same = Placed(noisy(truth(), 0), np.zeros(2), pixel_size_m=1e-8)
    other = Placed(noisy(truth(), 1), np.zeros(2), pixel_size_m=2e-8)
    with pytest.raises(InputError, match="b has pixels of 20 nm and the truth of 10 nm"):
        compare({"a": Placed(same.object, np.zeros(2)), "b": other}, right)
    with pytest.raises(InputError, match="a has pixels of 10 nm and b of 20 nm"):
        compare({"a": same, "b": other}, right)
    with pytest.raises(InputError, match=r"border 45 leaves 6 of 96 pixels.*give 40 or less"):
        compare({"a": same}, right, border=45)
    assert compare({"a": same}, right, border=40)["a"].region.shape == (16, 16)


def test_a_shift_that_is_too_large_is_told():
    rng = np.random.default_rng(5)
    image = 1 + 0.3 * np.kron(rng.uniform(size=(24, 24)), np.ones((4, 4))) + 0j
    far = Placed(np.roll(image, (34, 30), (0, 1)), np.zeros(2))
    found = compare({"far": far}, Placed(image, np.zeros(2)), border=0)["far"]
    assert found.steps["shift_px"] == [0, 0]
    assert any("more than a quarter of the region" in note for note in found.notes)


# -- images without light -----------------------------------------------------------------


def test_a_dark_reconstruction_has_no_phase_and_its_whole_error():
    found = evaluate(np.zeros((96, 96), complex), truth(), border=0)
    assert found.metrics["nrmse"] == 1
    for name in ("phase_mae_rad", "phase_psnr_db", "phase_ssim"):
        assert found.metrics[name] is None
    assert any("zero wherever it is compared: it has no phase" in note for note in found.notes)


def test_dark_pixels_count_as_phase_zero_and_not_as_right():
    right = truth()
    dark = right.copy()
    dark[:48] = 0
    found = evaluate(dark, right, border=0, register=False, ramp=False)
    good = evaluate(right, right, border=0, register=False, ramp=False)
    assert good.metrics["phase_mae_rad"] == pytest.approx(0, abs=1e-9)
    assert found.metrics["phase_mae_rad"] > 0.1
