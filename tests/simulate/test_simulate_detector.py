"""Counts: Poisson statistics, lost pixels, saturation and number types."""

import numpy as np
import pytest

from pinn.simulate import SimulateConfig, simulate
from pinn.simulate.detector import STUCK_FLOAT, beamstop_mask, make_detector


def detector(brightest=1e4, **options):
    return make_detector(SimulateConfig(N=16, **options), brightest, np.random.default_rng(0), 0.0)


def test_poisson_mean_and_variance():
    rate = np.linspace(0.0, 40.0, 256).reshape(16, 16)
    device, rng, n = detector(background=2.0), np.random.default_rng(7), 4000
    frames = np.stack([device.expose(rate, rng) for _ in range(n)]).astype(np.float64)
    expected = rate + 2.0
    # 5 sigma over 256 pixels: chance 1.5e-4. The variance of a variance of Poisson counts is
    # (lambda + 2 lambda^2) / n
    assert np.all(np.abs(frames.mean(0) - expected) < 5 * np.sqrt(expected / n))
    spread = np.sqrt((expected + 2 * expected**2) / n)
    assert np.all(np.abs(frames.var(0, ddof=1) - expected) < 5.5 * spread)
    # pixels are independent of each other
    z = (frames - expected) / np.sqrt(expected)
    neighbours = np.mean(z[:, :, :-1] * z[:, :, 1:])
    assert abs(neighbours) < 5 / np.sqrt(n * 240)


def test_a_dark_pixel_stays_dark():
    frame = detector().expose(np.zeros((16, 16)), np.random.default_rng(0))
    assert not frame.any()


def test_without_noise_the_rate_is_written():
    rate = np.random.default_rng(0).uniform(0, 9, (16, 16))
    device = detector(poisson=False, background=1.5)
    assert device.dtype == np.float32
    np.testing.assert_allclose(device.expose(rate, np.random.default_rng(0)), rate + 1.5, rtol=1e-6)
    rounded = detector(poisson=False, frames_dtype="uint16").expose(rate, np.random.default_rng(0))
    np.testing.assert_array_equal(rounded, np.rint(rate))


def test_amplitude_is_the_square_root():
    rate = np.full((16, 16), 50.0)
    counts = detector().expose(rate, np.random.default_rng(3))
    amplitude = detector(frames="amplitude").expose(rate, np.random.default_rng(3))
    assert amplitude.dtype == np.float32
    np.testing.assert_allclose(amplitude, np.sqrt(counts.astype(np.float64)), rtol=1e-6)


def test_bad_pixels_and_beamstop_are_flagged_and_read_nonsense():
    device = detector(bad_pixels=0.25, beamstop=3.0)
    stop = beamstop_mask(16, 3.0)
    assert stop[8, 8] and stop[8, 10] and not stop[8, 11] and not stop[5, 8] and stop[6, 8]
    assert np.all(device.bad[stop])
    open_pixels = 256 - stop.sum()
    assert (device.bad & ~stop).sum() == round(0.25 * open_pixels)
    assert device.stuck.sum() == round(0.25 * open_pixels) // 2
    frame = device.expose(np.full((16, 16), 100.0), np.random.default_rng(0))
    assert np.all(frame[device.stuck] == 65535)
    assert np.all(frame[device.bad & ~device.stuck] == 0)
    assert np.all((frame[device.valid_mask] > 40) & (frame[device.valid_mask] < 160))
    np.testing.assert_array_equal(device.valid_mask, ~device.bad)
    floats = detector(bad_pixels=0.25, poisson=False)
    frame = floats.expose(np.full((16, 16), 100.0), np.random.default_rng(0))
    assert np.all(frame[floats.stuck] == STUCK_FLOAT)


def test_counts_above_the_type_saturate_and_never_wrap():
    rate = np.full((16, 16), 70000.0)
    frame = detector(frames_dtype="uint16").expose(rate, np.random.default_rng(0))
    assert np.all(frame == 65535)


@pytest.mark.parametrize(
    ("brightest", "dtype"),
    [(6e4, np.uint16), (6.6e4, np.uint32), (4e9, np.uint32), (5e9, np.float32)],
)
def test_auto_takes_a_type_that_cannot_saturate(brightest, dtype):
    assert detector(brightest).dtype == dtype
    assert detector(brightest, frames_dtype="uint16").dtype == np.uint16


def test_no_valid_pixel_saturates_under_auto():
    # the worst case: all photons of a frame in a few pixels
    flat = dict(object="star", contrast=0.01, probe_diameter=0.9)
    scan = simulate(SimulateConfig(N=16, n_frames=9, photons_per_frame=6e4, **flat))
    frames = scan.frames()
    assert frames[:, scan.valid_mask].max() < np.iinfo(frames.dtype).max


@pytest.mark.parametrize(
    ("options", "dtype", "level"),
    [
        ({}, np.uint16, 60),
        (dict(poisson=False), np.float32, 60.5),
        (dict(frames_dtype="uint32"), np.uint32, 60),
        (dict(frames="amplitude"), np.float32, np.float32(np.sqrt(60.5))),
    ],
)
def test_saturated_pixels_read_the_level_and_the_file_says_so(options, dtype, level):
    config = SimulateConfig(N=32, n_frames=6, photons_per_frame=1e5, bad_pixels=0.05, **options)
    scan, free = simulate(config.replace(saturation=60.5)), simulate(config)
    frames, all_counts = scan.frames(), free.frames()
    assert frames.dtype == dtype
    stated = scan.metadata()["saturation"]
    assert frames.max() == stated == level
    clipped = frames[:, scan.valid_mask] == level
    assert 0.01 < clipped.mean() < 0.9
    np.testing.assert_array_equal(clipped, all_counts[:, free.valid_mask] >= level)
    below = ~clipped
    np.testing.assert_array_equal(
        frames[:, scan.valid_mask][below], all_counts[:, free.valid_mask][below]
    )
    assert np.all(frames[:, scan.detector.stuck] == level)  # stuck as high as it goes
    assert "saturation" not in free.metadata()


def test_saturation_allows_a_smaller_type():
    assert detector(1e9).dtype == np.uint32
    assert detector(1e9, saturation=5e4).dtype == np.uint16
