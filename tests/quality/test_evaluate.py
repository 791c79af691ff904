"""The whole comparison: gauge freedom changes nothing, everything is reported."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pinn.errors import InputError
from pinn.quality.evaluate import evaluate
from pinn.quality.frames import Placed

RNG = np.random.default_rng(5)


def smooth(shape, sigma, seed):
    image = gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return image / image.std()


SHAPE = (150, 170)
TRUTH = (2 + 0.3 * smooth(SHAPE, 2, 1)) * np.exp(0.4j * smooth(SHAPE, 3, 2))
BLURRED = gaussian_filter(TRUTH.real, 3) + 1j * gaussian_filter(TRUTH.imag, 3)
POSITIONS = RNG.uniform((30, 32), (120, 140), (300, 2))


def test_the_truth_itself_is_perfect():
    result = evaluate(TRUTH, TRUTH, positions_px=POSITIONS)
    assert result.metrics["nrmse"] == pytest.approx(0, abs=1e-12)
    assert result.metrics["phase_mae_rad"] == pytest.approx(0, abs=1e-12)
    assert result.metrics["amplitude_ssim"] == pytest.approx(1)
    assert result.metrics["frc50"] == pytest.approx(0.5, abs=0.01)
    assert result.frc_crossed == {"0.5": False, "1/7": False, "half-bit": False}
    assert any("up to Nyquist" in note for note in result.notes)
    json.dumps(result.to_dict(), allow_nan=False)


@given(
    factor=st.complex_numbers(min_magnitude=0.2, max_magnitude=5),
    ramp=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    cut=st.tuples(st.integers(0, 14), st.integers(0, 14)),
    origin=st.tuples(st.integers(-99, 99), st.integers(-99, 99)),
)
@settings(max_examples=8, deadline=None)
def test_gauge_and_place_do_not_count(factor, ramp, cut, origin):
    plain = evaluate(BLURRED, TRUTH, positions_px=POSITIONS)
    rows, columns = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1])[None, :]
    recon = factor * BLURRED * np.exp(1j * (ramp[0] * rows + ramp[1] * columns))
    other = evaluate(
        Placed(recon[cut[0] :, cut[1] :], np.add(origin, cut).astype(float)),
        TRUTH,
        truth_origin_px=origin,
        positions_px=POSITIONS + origin,
    )
    assert other.region.shape == plain.region.shape
    for name, value in plain.metrics.items():
        assert other.metrics[name] == pytest.approx(value, rel=1e-5, abs=1e-7), name
    np.testing.assert_allclose(other.steps["ramp_rad_per_px"], ramp, atol=1e-3)


def test_a_fractional_origin_is_honoured_without_registration():
    y, x = np.arange(100.0), np.arange(110.0)

    def scene(oy, ox):
        a = (
            2
            + 0.5 * np.sin(0.4 * (y[:, None] + oy))
            + 0.3 * np.cos(0.3 * (x + ox) + y[:, None] / 9)
        )
        return a + 0j

    moved = Placed(
        2
        + 0.5 * np.sin(0.4 * (y[:, None] + 0.4))
        + 0.3 * np.cos(0.3 * (x - 0.7) + (y[:, None] + 0.4) / 9)
        + 0j,
        np.array([0.4, -0.7]),
    )
    truth = scene(0.0, 0.0)
    good = evaluate(moved, truth, register=False, ramp=False)
    bad = evaluate(moved.object, truth, register=False, ramp=False)
    assert good.metrics["nrmse"] < 1e-5 < 0.01 < bad.metrics["nrmse"]
    assert good.steps["resampling"].startswith("quintic")
    assert bad.steps["resampling"].startswith("none")


def test_figures_agree_with_formulas_on_the_reported_images():
    result = evaluate(BLURRED, TRUTH, positions_px=POSITIONS)
    recon, truth = result.recon, result.truth
    assert result.metrics["nrmse"] == pytest.approx(
        np.linalg.norm(recon - truth) / np.linalg.norm(truth)
    )
    error = np.mean((abs(recon) - abs(truth)) ** 2)
    assert result.metrics["amplitude_psnr_db"] == pytest.approx(
        10 * np.log10(np.ptp(abs(truth)) ** 2 / error)
    )
    assert result.ranges["amplitude"] == pytest.approx(np.ptp(abs(truth)))
    y0, y1, x0, x1 = result.region.bounds_px
    low, high = np.floor(POSITIONS.min(0)), np.ceil(POSITIONS.max(0))
    border = result.border_px
    assert (y0, x0) == tuple(low + border) and (y1, x1) == tuple(high - border)
    np.testing.assert_array_equal(truth, TRUTH[int(y0) : int(y1), int(x0) : int(x1)])


def test_the_border_is_16_or_an_eighth_of_a_small_area():
    large = np.array([[0.0, 0.0], [149.0, 169.0]])
    assert evaluate(TRUTH, TRUTH, positions_px=large).border_px == 16
    small = np.array([[30.0, 30.0], [94.0, 130.0]])
    assert evaluate(TRUTH, TRUTH, positions_px=small).border_px == 8
    assert evaluate(TRUTH, TRUTH, positions_px=small, border=3).region.shape == (58, 94)


def test_without_positions_the_covered_pixels_are_compared():
    coverage = np.zeros(SHAPE)
    coverage[10:140, 20:160] = 1
    item = SimpleNamespace(object=BLURRED, origin_px=np.zeros(2), coverage=coverage)
    result = evaluate(item, TRUTH, border=4)
    assert result.region.bounds_px == (14, 136, 24, 156)
    assert result.area == "covered pixels less border"


def test_holes_are_left_out_and_told():
    coverage = np.ones(SHAPE)
    coverage[70:80, 60:90] = 0
    spoiled = TRUTH.copy()
    spoiled[70:80, 60:90] = 50.0
    item = SimpleNamespace(
        object=spoiled, origin_px=np.zeros(2), coverage=coverage, positions_px=POSITIONS
    )
    result = evaluate(item, TRUTH)
    assert result.metrics["nrmse"] == pytest.approx(0, abs=1e-12)
    assert result.metrics["amplitude_ssim"] == pytest.approx(1)
    assert any("not covered" in note for note in result.notes)
    assert result.to_dict()["pixels_used"] == pytest.approx(1 - 300 / result.truth.size)


def test_an_explicit_region_is_compared_as_it_is():
    result = evaluate(BLURRED, TRUTH, region=(40, 100, 50, 130), positions_px=POSITIONS)
    assert result.region.bounds_px == (40, 100, 50, 130) and result.border_px == 0


def test_a_constant_is_measured_but_never_resolves():
    flat = np.full(SHAPE, 3.0 + 1.0j)
    result = evaluate(flat, TRUTH, positions_px=POSITIONS, pixel_size_m=1e-8)
    assert 0 < result.metrics["nrmse"] < 1
    assert result.metrics["frc50"] < 0.05
    assert result.resolution == {}
    assert any("no variance" in note for note in result.notes)
    without = evaluate(flat, TRUTH, positions_px=POSITIONS, ramp=False)
    assert without.metrics["frc50"] is None and without.frc is None
    assert any("no Fourier ring correlation" in note for note in without.notes)
    json.dumps(without.to_dict(), allow_nan=False)


def test_a_constant_truth_has_no_ranges():
    result = evaluate(TRUTH, np.ones(SHAPE), positions_px=POSITIONS)
    for name in ("amplitude_psnr_db", "amplitude_ssim", "phase_psnr_db", "phase_ssim", "frc50"):
        assert result.metrics[name] is None
    assert len(result.notes) == 3
    zero = evaluate(TRUTH, np.zeros(SHAPE), positions_px=POSITIONS)
    assert zero.metrics["nrmse"] is None


def test_resolution_is_the_full_period_and_needs_a_truth():
    result = evaluate(BLURRED, TRUTH, positions_px=POSITIONS, pixel_size_m=2e-8)
    period = 1 / result.metrics["frc50"]
    assert result.resolution["0.5"] == pytest.approx({"px": period, "nm": 20 * period})
    assert result.kind == "against truth"
    second = SimpleNamespace(object=TRUTH, origin_px=np.zeros(2), coverage=np.ones(SHAPE))
    halves = evaluate(BLURRED, second, positions_px=POSITIONS, pixel_size_m=2e-8)
    assert halves.resolution == {} and "consistency" in halves.kind
    assert "consistency" in halves.to_dict()["frc"]["images"]
    told = evaluate(BLURRED, second, positions_px=POSITIONS, kind="truth")
    assert told.kind == "against truth" and "0.5" in told.resolution


def test_the_report_states_its_units():
    report = evaluate(BLURRED, TRUTH, positions_px=POSITIONS).to_dict()
    assert "Nyquist 0.5" in report["frc"]["unit"] and len(report["frc"]["frequency"]) > 5
    assert report["data_range"]["amplitude"] > 0 and "truth" in report["data_range"]["of"]
    assert set(report["steps"]) >= {"shift_px", "ramp_rad_per_px", "complex_factor"}
    assert report["area"] == "scan positions less border"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"register": "phase"}, "register is 'phase'"),
        ({"kind": "half"}, "kind is 'half'"),
        ({"region": (5, 5, 0, 40)}, "region is"),
        ({"border": -1}, "border is -1"),
        ({"border": float("nan")}, "border is nan"),
        ({"border": 80}, "pixels are common along y"),
        ({"truth_origin_px": (500, 0)}, "check the origins"),
        ({"positions_px": np.zeros((0, 2))}, "positions have shape"),
        ({"positions_px": np.array([[0.0, np.nan]])}, "not finite"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        evaluate(BLURRED, TRUTH, **{"positions_px": POSITIONS, **options})
