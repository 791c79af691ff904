"""As much detail as frames can tell: the object is smoothed as long as hidden pixels agree.

Where counts are few, an object that explains the fitted pixels best holds their noise. Wiener's
filter takes out what noise is stronger than: of an object whose spectrum falls with the fourth
power of frequency, and noise that does not fall, it is `1 / (1 + (k / limit)^4)`; of a smooth
object it is nearer to a Gaussian. Shape and limit are those that make held-out pixels most likely.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from pinn.refinement.engine import Engine
from pinn.refinement.loop import TOLERANCE
from pinn.refinement.state import State

_FIRST, _RATIO = 0.6, 2.0**-0.5  # limits in cycles per pixel, and of each to the one before
_LAST, _WORSE = 0.02, 1.01  # no further where held-out pixels are so much less likely
MOST_LOOKS = 12  # as a rule, each at all frames of the sample
# Of the light of one frame where it is brightest: the least weight of a pixel, and what it takes to
# be smoothed itself; elsewhere stands what the start has.
_DIM, _KNOWN = 1e-3, 0.01


@dataclass(frozen=True)
class Smoothed:
    """A state with a smoothed object.

    Attributes:
        state: with that object.
        limit: frequency of which half is left, in cycles per pixel.
        note: a sentence.
    """

    state: State
    limit: float
    note: str


def smooth(
    engine: Engine,
    state: State,
    most: int,
    time_for: Callable[[int], bool] = lambda frames: True,
) -> Smoothed | None:
    """The state with its object smoothed; None where held-out pixels are not more likely so.

    Args:
        engine: of the scan, with held-out pixels.
        state: not changed.
        most: frames to look at, spread over the scan.
        time_for: whether there is time to look at so many frames; where not, the best by then is
            the answer.
    """
    rows = engine.frames.spread(most)
    if not time_for(2 * len(rows)):
        return None

    def held_deviance(one: State) -> float:
        return engine.look(one, rows, fitted=True).per_pixel(held=True)

    weight = np.maximum(state.illumination() / state.brightest, _DIM)
    before = held_deviance(state)
    best, least, chosen = None, before * (1.0 - TOLERANCE), 0.0
    for response in (wiener, gaussian):
        limit, deviance = _FIRST, before
        while limit > _LAST and deviance < _WORSE * least and time_for(len(rows)):
            trial = state.copy()
            smoothed = low_pass(state.object, weight, limit, response)
            trial.object = np.where(weight > _KNOWN, smoothed, state.object)
            deviance = held_deviance(trial)
            if deviance < least:
                best, least, chosen = trial, deviance, limit
            limit *= _RATIO
    if best is None:
        return None
    note = (
        f"the object is smoothed: half of its detail is left at {chosen:.2g} cycles per pixel, "
        f"and pixels that were held out are more likely (deviance {before:.4g} to {least:.4g})"
    )
    return Smoothed(best, chosen, note)


def wiener(relative: np.ndarray) -> np.ndarray:
    """What is left at a frequency relative to the limit, of an object with edges."""
    return 1.0 / (1.0 + relative**4)


def gaussian(relative: np.ndarray) -> np.ndarray:
    """The same, of an object that is smooth by itself."""
    return np.asarray(0.5 ** (relative**2))


def low_pass(
    obj: np.ndarray,
    weight: np.ndarray,
    limit: float,
    response: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """An object `(H, W)` without detail far above a limit in cycles per pixel, complex64.

    Args:
        weight: `(H, W)`, how well each pixel is known: neighbours count by it.
        limit: frequency of which half is left.
        response: what is left at frequencies relative to the limit.
    """
    ky, kx = fft.fftfreq(obj.shape[0])[:, None], fft.fftfreq(obj.shape[1])[None]
    left = response(np.hypot(ky, kx) / limit).astype(np.float32)
    mean = np.sum(weight * obj) / np.sum(weight)
    field = fft.ifft2(fft.fft2(weight * (obj - mean)) * left)
    # the filter's response has small negative parts in space
    spread = np.maximum(fft.ifft2(fft.fft2(weight) * left).real, 0.1 * weight.min())
    return np.asarray(mean + field / spread, np.complex64)
