"""A short reconstruction of a few neighbouring frames under several hypotheses at once.

ePIE (Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009)) with incoherent modes, frame by frame,
vectorised over the hypotheses: they share the positions and differ in how the frames lie and in
the probe they start from. Frames that are held out are predicted and not fitted: what tells a
right geometry from a wrong one is the prediction, for a wrong one can be fitted too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from pinn.check.symmetry import CLASS_MATRICES, act

FIRST_STEP, LAST_STEP = 1.0, 0.3


@dataclass(frozen=True, eq=False)
class Region:
    """Neighbouring frames, their zero frequency moved to index [0, 0].

    Attributes:
        amplitude: float32 `(4, F, n, n)`, square root of counts, as each class would have them.
        valid: bool, same shape.
        corners: int64 `(F, 2)`, pixel of the canvas where the patch of a frame begins.
        fractions: float64 `(F, 2)`, what is missing to the position, within half a pixel.
        held: bool `(F,)`, frames that are predicted only.
        rows: int64 `(F,)`, their numbers in the scan.
    """

    amplitude: np.ndarray
    valid: np.ndarray
    corners: np.ndarray
    fractions: np.ndarray
    held: np.ndarray
    rows: np.ndarray

    @property
    def side(self) -> int:
        """Side n of a frame in pixels."""
        return int(self.amplitude.shape[-1])

    @property
    def energy(self) -> np.ndarray:
        """Counts of each frame `(F,)`."""
        return np.asarray(np.sum(self.amplitude[0].astype(np.float64) ** 2, (-1, -2)))


def make_region(
    amplitude: np.ndarray,
    valid: np.ndarray,
    positions: np.ndarray,
    held: np.ndarray,
    rows: np.ndarray,
) -> Region:
    """Prepare frames `(F, n, n)` (centred) at positions `(F, 2)` in pixels of their own size."""
    axes = (-2, -1)
    data, use = fft.ifftshift(amplitude, axes), fft.ifftshift(valid, axes)
    places = positions - positions.min(0)
    corners = np.rint(places).astype(np.int64)
    return Region(
        np.stack([act(m, data) for m in CLASS_MATRICES]).astype(np.float32),
        np.stack([act(m, use) for m in CLASS_MATRICES]),
        corners,
        places - corners,
        held,
        rows,
    )


@dataclass(frozen=True, eq=False)
class Fit:
    """What came of it.

    Attributes:
        errors: float64 `(H, F)`, sum over valid pixels of the squared difference of amplitudes,
            about a quarter of the Poisson deviance; of held-out frames after the last sweep.
        probes: complex64 `(H, P, n, n)`, centre at index [0, 0].
        objects: complex64 `(H, A, B)`.
    """

    errors: np.ndarray
    probes: np.ndarray
    objects: np.ndarray


def fit(
    region: Region,
    classes: np.ndarray,
    probes: np.ndarray,
    sweeps: int,
    *,
    fixed: bool = False,
    seed: int = 0,
) -> Fit:
    """Fit object and probe of each hypothesis.

    Args:
        region: the frames.
        classes: `(H,)`, number of the class of each hypothesis.
        probes: complex `(H, P, n, n)`, centre at index [0, 0], in square root of counts.
        sweeps: how often each frame is visited.
        fixed: keep the probe; otherwise it moves after the first sweep.
        seed: of the order of the frames.
    """
    n, corners = region.side, region.corners
    fields = fft.fft2(fft.fftshift(probes.astype(np.complex64), (-2, -1)))  # as patches lie
    objects = np.ones((len(classes), *(corners.max(0) + n)), np.complex64)
    errors = np.zeros((len(classes), len(corners)))
    seen = np.flatnonzero(~region.held)
    rng = np.random.default_rng(seed)
    tiny = 1e-5 * float(np.sqrt(np.mean(region.amplitude[0] ** 2))) + 1e-30
    # Steps grow shorter: the last sweeps average over the noise of single frames.
    steps = np.geomspace(FIRST_STEP, LAST_STEP, sweeps).astype(np.float32)
    # Instead of the object by -r the probe is shifted by +r: the same wave, elsewhere.
    cycles = np.exp(-2j * np.pi * region.fractions[..., None] * fft.fftfreq(n))
    ramps = cycles.astype(np.complex64)

    def model(j: int) -> tuple[np.ndarray, ...]:
        y, x = corners[j]
        patch = objects[:, None, y : y + n, x : x + n]
        light = fft.ifft2(fields * (ramps[j, 0][:, None] * ramps[j, 1]))
        far = fft.fft2(light * patch, norm="ortho")
        modulus = np.sqrt(np.sum(far.real**2 + far.imag**2, 1))
        missing = region.amplitude[classes, j] - modulus
        missing[~region.valid[classes, j]] = 0
        errors[:, j] = np.sum(missing**2, (-1, -2))
        return patch, light, far, missing / (modulus + tiny)

    for sweep, step in enumerate(steps):
        for j in rng.permutation(seen):
            patch, light, far, lacking = model(j)
            change = fft.ifft2(far * lacking[:, None], norm="ortho")
            brightest = np.sum(light.real**2 + light.imag**2, 1).max((-1, -2))
            move = np.sum(light.conj() * change, 1) * (step / brightest)[:, None, None]
            if not fixed and sweep:
                densest = (patch.real**2 + patch.imag**2).max((-1, -2))
                moved = fft.fft2(patch.conj() * change * (step / densest)[..., None, None])
                fields += moved * (ramps[j, 0][:, None] * ramps[j, 1]).conj()
            y, x = corners[j]
            objects[:, y : y + n, x : x + n] += move
    for j in np.flatnonzero(region.held):
        model(int(j))
    return Fit(errors, fft.ifftshift(fft.ifft2(fields), (-2, -1)), objects)
