"""Random fields: the spectrum that was asked for, and noise that is smooth between its octaves."""

import numpy as np
import pytest
from simulated import obj_of

from pinn.simulate.random_fields import gaussian_field, gradient_noise


def rng(seed=0):
    return np.random.default_rng(seed)


def spectrum_of(field):
    """Radially averaged power over (cycles per pixel); a Hann window against the open sides."""
    n = len(field)
    window = np.hanning(n)[:, None] * np.hanning(n)
    power = np.abs(np.fft.fft2((field - field.mean()) * window)) ** 2
    q = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), indexing="ij"))
    ring = (q * n).astype(int)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    return (np.arange(len(mean)) + 0.5) / n, mean


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.5])
@pytest.mark.parametrize("correlation", [4.0, 12.0])
def test_the_spectrum_of_a_gaussian_field_falls_as_asked(exponent, correlation):
    fields = [gaussian_field(256, correlation, exponent, rng(s)) for s in range(6)]
    q = spectrum_of(fields[0])[0]
    power = np.mean([spectrum_of(f)[1] for f in fields], axis=0)
    knee = 1 / (2 * np.pi * correlation)
    steep = (q > 4 * knee) & (q < 0.4)
    slope = np.polyfit(np.log(q[steep]), np.log(power[steep]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.25)
    # even below the knee: half way down to zero frequency it has lost less than a third
    low = power[(q > 0.02 * knee) & (q < 0.25 * knee) & (q > 2 / 256)]
    if len(low):
        model = (1 + (q / knee) ** 2) ** (-exponent / 2)
        ratio = low.mean() / power[steep][0]
        assert ratio == pytest.approx(1 / model[steep][0], rel=0.5)


@pytest.mark.parametrize(("correlation", "exponent"), [(3.0, 3.0), (8.0, 5.0), (5.0, 0.0)])
def test_a_gaussian_field_has_the_stated_variance_and_no_mean(correlation, exponent):
    fields = np.stack([gaussian_field(128, correlation, exponent, rng(s)) for s in range(20)])
    assert fields.shape == (20, 128, 128)
    cells = fields[0].size * 20 / max(1.0, (np.pi * 2 * correlation) ** 2)  # independent ones
    assert fields.var() == pytest.approx(1, abs=5 * np.sqrt(2 / cells))
    assert abs(fields.mean()) < 5 / np.sqrt(cells)
    # Gaussian: fourth moment three times the squared variance
    assert np.mean(fields**4) / fields.var() ** 2 == pytest.approx(3, abs=0.4)


def test_exponent_zero_is_white():
    field = gaussian_field(128, 6.0, 0.0, rng(3))
    neighbours = np.mean(field[:, 1:] * field[:, :-1])
    assert abs(neighbours) < 5 / 128  # 5 sigma of 128^2 products


def test_opposite_sides_of_a_gaussian_field_differ():
    fields = [gaussian_field(64, 8.0, 4.0, rng(s)) for s in range(40)]
    across = np.mean([np.mean(f[:, 0] * f[:, -1]) for f in fields])
    along = np.mean([np.mean(f[:, 0] * f[:, 1]) for f in fields])
    assert along > 0.8
    assert abs(across) < 0.35  # a periodic field would have almost `along`


def test_gradient_noise_is_bounded_and_smooth():
    field = gradient_noise(200, 20.0, 1, rng(1))
    assert np.abs(field).max() <= 1 / np.sqrt(2)
    assert field.std() > 0.15
    # a unit gradient over 20 pixels, and the fade of slope 15/8: no step between lattice cells
    assert np.abs(np.diff(field, axis=0)).max() < 3.0 / 20
    assert np.abs(np.diff(field, axis=1)).max() < 3.0 / 20


def test_gradient_noise_vanishes_on_its_lattice():
    spacing = 16
    field = gradient_noise(161, spacing, 1, rng(2))
    # the offset is random: some row and column residue is nearest to the lattice
    rms = [[np.sqrt(np.mean(field[r::16, c::16] ** 2)) for c in range(16)] for r in range(16)]
    assert np.min(rms) < 0.05
    assert np.max(rms) > 0.25


def test_octaves_add_finer_noise_of_half_the_strength():
    one, two, many, more = (gradient_noise(256, 32.0, n, rng(5)) for n in (1, 2, 5, 12))
    fine = two - one
    assert fine.std() == pytest.approx(0.5 * one.std(), rel=0.2)
    q, power = spectrum_of(one)
    assert (
        np.sum(q * power) / power.sum()
        < np.sum(q * spectrum_of(two)[1]) / spectrum_of(two)[1].sum()
    )
    assert not np.allclose(two, many)
    np.testing.assert_array_equal(many, more)  # 32 / 2^5 is below two pixels: left out


def test_strips_make_no_seam():
    # 256 rows are computed at once; the step over that seam is as any other
    field = gradient_noise(520, 40.0, 2, rng(6))
    steps = np.abs(np.diff(field, axis=0)).max(1)
    assert steps[255] <= np.sort(steps)[-2]


def test_the_features_of_an_object_have_the_size_asked():
    def coarseness(**options):
        a = np.abs(obj_of(128, 90.0, seed=4, object="grf", **options))
        a = a - a.mean()
        return np.mean(a[:, 3:] * a[:, :-3]) / a.var()

    assert coarseness(feature_px=12.0) > coarseness(feature_px=2.0)
