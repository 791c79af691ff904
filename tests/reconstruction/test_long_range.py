"""The long-range correction against an object that was multiplied with a known smooth factor.

Frames are those of the simulation's own forward model, in float64 and without noise.
"""

import numpy as np
import pytest

from pinn.ops import windows
from pinn.reconstruction import long_range
from pinn.simulate import SimulateConfig, simulate_arrays
from pinn.simulate.forward import diffract, extract_patches

pytestmark = pytest.mark.one_backend
N = 32


def corrected(measured, predicted, corners, fractions, light, shape):
    """What the canvas is to be multiplied with."""
    bright = long_range.amplitude(measured, predicted, corners, light, shape)
    return bright * long_range.phase(measured, predicted, corners, fractions, light, shape)


class Case:
    """A weak object under a probe whose light stays away from the edge of the detector, so that
    centres of mass are those of the light."""

    def __init__(self):
        arrays = simulate_arrays(
            SimulateConfig(
                N=N, object="lines", n_frames=300, overlap=0.75, probe="gaussian",
                probe_diameter=0.3, contrast=0.1, phase_min=-0.3, phase_max=0.3,
            )
        )  # fmt: skip
        self.truth = arrays["truth"].astype(complex)
        self.positions = arrays["positions_px"]
        self.probe = arrays["probe"].reshape(-1, N, N)
        self.light = np.sum(np.abs(self.probe) ** 2, axis=0)
        self.corners, self.fractions = windows.split(self.positions, N)
        height, width = self.truth.shape
        self.y, self.x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None] - 0.5
        cover = np.zeros(self.truth.shape)
        for y, x in self.corners:
            cover[y : y + N, x : x + N] += self.light
        self.covered = cover > 0.1 * cover.max()

    def moments(self, obj, rows=slice(None)):
        rate = diffract(extract_patches(obj, self.positions[rows], N), self.probe)
        axis = np.arange(N) - N // 2
        parts = rate, rate * axis[:, None], rate * axis
        return np.stack([part.sum((1, 2)) for part in parts], axis=1)

    def correct(self, factor):
        moments = self.moments(self.truth * factor), self.moments(self.truth)
        return corrected(*moments, self.corners, self.fractions, self.light, self.truth.shape)

    def off(self, found, factor):
        """What is left of a factor where the frames are: of the logarithm of the amplitude, and of
        the phase up to a constant, roots of mean squares."""
        ratio = (found / factor)[self.covered]
        phase = np.angle(ratio * np.exp(-1j * np.angle(ratio.mean())))
        return np.sqrt(np.mean(np.log(np.abs(ratio)) ** 2)), np.sqrt(np.mean(phase**2))


@pytest.fixture(scope="module")
def case():
    return Case()


SLOPES = {
    "ramp": lambda y, x: 3.6 * y - 2.7 * x,
    "ramp and wave": lambda y, x: 2.7 * y + 0.8 * np.sin(2 * np.pi * x),
    "none": lambda y, x: 0.0 * y,
}


@pytest.mark.parametrize("name", SLOPES)
def test_a_smooth_factor_is_found_up_to_a_constant_phase(case, name):
    amplitude = 0.2 * case.y - 0.1 * case.x + 0.1
    factor = np.exp(amplitude + 1j * SLOPES[name](case.y, case.x))
    before, left = case.off(np.ones_like(factor), factor), case.off(case.correct(factor), factor)
    # the mean over a patch of what is curved and of what lies at its rim
    assert left[0] < 0.005 and before[0] > 0.1
    # smoothing takes from a wave; a ramp stays
    assert left[1] < (0.15 * before[1] if "wave" in name else 0.01)


def test_nothing_is_corrected_where_the_frames_are_explained(case):
    found = case.correct(np.ones_like(case.truth))
    np.testing.assert_allclose(found, 1.0, atol=1e-6)


def test_frames_without_light_and_frames_without_neighbours_do_not_count(case):
    factor = np.exp(0.2 * case.y + 2j * case.y)
    measured, predicted = case.moments(case.truth * factor), case.moments(case.truth)
    dark = np.arange(0, len(measured), 7)
    kept = np.setdiff1d(np.arange(len(measured)), dark)
    measured[dark], predicted[dark[::2]] = 0.0, 0.0
    places = case.corners, case.fractions, case.light, case.truth.shape
    found = corrected(measured, predicted, *places)
    assert np.all(np.isfinite(found))
    # frames that are dark say nothing, be they there or not
    part = [array[kept] for array in (measured, predicted, case.corners, case.fractions)]
    np.testing.assert_allclose(found, corrected(*part, *places[2:]), rtol=1e-5)
    one = [array[:1] for array in part]
    alone = corrected(*one, *places[2:])
    assert np.all(np.isfinite(alone))
    np.testing.assert_allclose(np.angle(alone), 0, atol=1e-6)
    none = [array[:0] for array in part]
    np.testing.assert_allclose(corrected(*none, *places[2:]), 1.0)
