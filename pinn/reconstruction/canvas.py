"""Canvas on which patches of the object are accumulated: numerator, weight and origin."""

from __future__ import annotations

import numpy as np

from pinn.data.shift import spread
from pinn.reconstruction.phases import TOLERANCE, phase_correction

# What is summed for each pixel; the gradients are those of `w O` along y and x.
_WEIGHTED = slice(0, 3)  # w Re O, w Im O, w
_POWER, _SQUARE = 3, 4  # w |O|^2, w^2
_GRADIENT_Y, _GRADIENT_X = slice(5, 7), slice(7, 9)
_SUMS = 9


class Canvas:
    """Sum of weighted complex patches on a growing grid of object pixels (NumPy, float64).

    Pixel `[0, 0]` of the grid has the object coordinate `origin + anchor`; `anchor` is zero except
    for the reference's mean-anchored frame. Patches arrive already shifted by the fractional part
    of their position, one pixel larger than the frame, so that adding one is a slice addition and
    the memory is that of the canvas alone, however many patches are added. Beside the sums of the
    average it keeps those of the phase gradient (`phases`) and of the spread of the
    patches around the average (`disagreement`).

    Args:
        size: side of an arriving (shifted) patch, N + 1.
        anchor: object coordinate (y, x) subtracted from every position before it is split into
            integer and fraction.
    """

    GROWTH = 64  # spare pixels on each side that grows, so that a scan in steps rarely reallocates

    def __init__(self, size: int, anchor: tuple[float, float] = (0.0, 0.0)) -> None:
        self.size = size
        self.anchor = np.asarray(anchor, np.float64)
        self._sums: np.ndarray | None = None  # (H, W, 9), see above
        self._start = np.zeros(2, np.int64)
        self._low = np.full(2, np.iinfo(np.int64).max)
        self._high = np.full(2, np.iinfo(np.int64).min)

    def split(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions `(..., 2)` to the patch's first pixel (int64) and fraction (float32)."""
        shifted = np.asarray(positions, np.float64) - self.anchor
        whole = np.floor(shifted)
        corner = whole.astype(np.int64) - (self.size - 1) // 2
        return corner, (shifted - whole).astype(np.float32)

    def reserve(self, positions: np.ndarray) -> None:
        """Make room for patches at `positions` `(K, 2)` at once."""
        corners, _ = self.split(np.asarray(positions).reshape(-1, 2))
        self._grow(corners.min(0), corners.max(0) + self.size, spare=0)

    def add(self, corners: np.ndarray, patches: np.ndarray) -> None:
        """Add the patches of one group, whose phases belong together.

        Args:
            corners: `(C, 2)` int64 from `split`.
            patches: `(C, size, size, 3)`: weight times Re, weight times Im, weight.
        """
        low, high = self._cover(corners)
        group = np.zeros((*(high - low), _SUMS), patches.dtype)
        squares = _squares(patches)
        for (y, x), patch, square in zip(corners - low, patches, squares, strict=True):
            window = group[y : y + self.size, x : x + self.size]
            window[..., _WEIGHTED] += patch
            window[..., _POWER : _SQUARE + 1] += square
        _add_gradients(group[None])
        self._window(low, high)[...] += group

    def add_each(self, corners: np.ndarray, patches: np.ndarray) -> None:
        """Add patches that are a group each; arguments as of `add`."""
        if not len(corners):
            return
        self._cover(corners)
        sums = np.zeros((*patches.shape[:3], _SUMS), patches.dtype)
        sums[..., _WEIGHTED] = patches
        sums[..., _POWER : _SQUARE + 1] = _squares(patches)
        _add_gradients(sums)
        for corner, patch in zip(corners, sums, strict=True):
            self._window(corner, corner + self.size)[...] += patch

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return self._sums is None or bool(np.any(self._high <= self._low))

    def plus(self, other: Canvas) -> Canvas:
        """The canvas of the patches of both: all sums are linear."""
        whole = self.copy()
        if other._sums is not None and not other.empty:
            whole._grow(other._low, other._high, spare=0)
            whole._low = np.minimum(self._low, other._low)
            whole._high = np.maximum(self._high, other._high)
            whole._window(other._low, other._high)[...] += other._window(other._low, other._high)
        return whole

    def copy(self) -> Canvas:
        """An independent copy."""
        other = Canvas(self.size, (self.anchor[0], self.anchor[1]))
        other._sums = None if self._sums is None else self._sums.copy()
        other._start = self._start.copy()
        other._low, other._high = self._low.copy(), self._high.copy()
        return other

    def result(
        self, floor: float = 1e-2, synchronise: bool = False, tolerance: float = TOLERANCE
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The object so far.

        Args:
            synchronise: restore the long-range phase (`phases.phase_correction`).
            tolerance: of that phase.
            floor: pixels whose weight is below this share of the largest are left at zero: they
                were hardly illuminated.

        Returns:
            object `(H, W)` complex64, coverage `(H, W)` float32 (sum of the weights) and the
            object coordinate `(y, x)` of pixel `[0, 0]`, float64. Cropped to what was added.
        """
        if self._sums is None or self.empty:
            return np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32), self.anchor.copy()
        sums = self._window(self._low, self._high)
        re, im, weight = np.moveaxis(sums[..., _WEIGHTED], -1, 0)
        threshold = floor * float(weight.max())
        covered = weight > threshold
        divisor = np.where(covered, weight, 1.0)
        obj = np.where(covered, (re + 1j * im) / divisor, 0.0).astype(np.complex64)
        coverage = np.where(covered, weight, 0.0).astype(np.float32)
        if synchronise:
            along_y, along_x = (
                sums[..., part][..., 0] + 1j * sums[..., part][..., 1]
                for part in (_GRADIENT_Y, _GRADIENT_X)
            )
            obj *= np.exp(1j * phase_correction(obj, along_y, along_x, tolerance=tolerance))
        return obj, coverage, self._low.astype(np.float64) + self.anchor

    def disagreement(self) -> np.ndarray:
        """Spread `(H, W)` float32 of what the patches say of a pixel, cropped as `result`.

        The standard deviation `sqrt(sum w |O|^2 / sum w - |mean|^2)` in units of the object. The
        constant phase that no group knows of its patches counts as disagreement, as it does for
        the average. 0 where fewer than two patches weigh, by the effective number
        `(sum w)^2 / sum w^2 < 1.5`.
        """
        if self._sums is None or self.empty:
            return np.zeros((0, 0), np.float32)
        sums = self._window(self._low, self._high)
        re, im, weight, power, squares = np.moveaxis(sums[..., : _SQUARE + 1], -1, 0)
        several = (weight > 0) & (weight**2 >= 1.5 * squares)
        divisor = np.where(several, weight, 1.0)
        variance = power / divisor - (re**2 + im**2) / divisor**2
        spread: np.ndarray = np.sqrt(np.maximum(np.where(several, variance, 0.0), 0.0))
        return spread.astype(np.float32)

    def _cover(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make room for patches; the first and the last pixel (exclusive) of them all."""
        low, high = corners.min(0), corners.max(0) + self.size
        self._grow(low, high, spare=self.GROWTH)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        return low, high

    def _window(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The sums `(h, w, 9)` from one pixel to another, a view."""
        assert self._sums is not None
        (y0, x0), (y1, x1) = low - self._start, high - self._start
        return self._sums[y0:y1, x0:x1]

    def _grow(self, low: np.ndarray, high: np.ndarray, spare: int) -> None:
        if self._sums is None:
            self._start = low - spare
            self._sums = np.zeros((*(high - low + 2 * spare), _SUMS))
            return
        start, end = self._start, self._start + self._sums.shape[:2]
        if np.all(low >= start) and np.all(high <= end):
            return
        new_start = np.where(low < start, low - spare, start)
        new_end = np.where(high > end, high + spare, end)
        old, self._sums = self._sums, np.zeros((*(new_end - new_start), _SUMS))
        self._start = new_start
        self._window(start, end)[...] = old


def _squares(patches: np.ndarray) -> np.ndarray:
    """`w |O|^2` and `w^2` `(..., 2)` of patches `(..., 3)`."""
    weight = patches[..., 2]
    power = np.square(patches[..., 0]) + np.square(patches[..., 1])
    power = np.divide(power, weight, out=np.zeros_like(weight), where=weight > 0)
    return np.stack([power, np.square(weight)], axis=-1)


def _add_gradients(sums: np.ndarray) -> None:
    """Put `conj(q) q'` of each pixel q = w O and its neighbour q' below, and right, into `sums`
    `(n, H, W, 9)`."""
    re, im = sums[..., 0], sums[..., 1]
    down, right = np.s_[:, :-1], np.s_[:, :, :-1]
    for pixel, neighbour, columns in (
        (down, np.s_[:, 1:], _GRADIENT_Y),
        (right, np.s_[:, :, 1:], _GRADIENT_X),
    ):
        (a, b), (c, d) = (re[pixel], im[pixel]), (re[neighbour], im[neighbour])
        sums[pixel][..., columns.start] = a * c + b * d
        sums[pixel][..., columns.start + 1] = a * d - b * c


def legacy_reassemble(
    patches: np.ndarray,
    positions: np.ndarray,
    crop: int = 20,
    anchor: np.ndarray | None = None,
) -> np.ndarray:
    """The reference's global stitching: crop, mean anchor, uniform average, fixed square canvas.

    Args:
        patches: `(n, N, N)` complex.
        positions: `(n, 2)` float64 (y, x) in pixels.
        crop: side of the central crop (even).
        anchor: position (y, x) that comes to lie at pixel side/2; default the mean, as in the
            reference.

    Returns:
        `(side, side)` complex64 with `side = crop + 2 pad`, centred on the anchor.
    """
    side = patches.shape[-1]
    first = side // 2 - crop // 2
    patches = patches[:, first : first + crop, first : first + crop]
    offsets = np.asarray(positions, np.float64)
    offsets = offsets - (offsets.mean(0) if anchor is None else anchor)
    pad = int(np.ceil(np.abs(offsets).max()))
    pad += pad % 2
    canvas = Canvas(crop + 1)
    corners, fractions = canvas.split(offsets)
    shifted = bilinear_shift(patches, fractions)
    canvas.reserve(np.array([[-pad, -pad], [pad, pad]], np.float64))
    canvas.add_each(corners, shifted)
    total = canvas._sums
    assert total is not None
    full = crop + 2 * pad
    re, im, weight = np.moveaxis(total[:full, :full, _WEIGHTED], -1, 0)
    return ((re + 1j * im) / (weight + 1e-9)).astype(np.complex64)


def bilinear_shift(patches: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """NumPy twin of the compiled placement: `(K, n, n)` complex to `(K, n+1, n+1, 3)`, weight 1."""
    re, im = patches.real.astype(np.float64), patches.imag.astype(np.float64)
    parts = np.stack([re, im, np.ones(patches.shape)], axis=1)
    return np.moveaxis(spread(parts, np.asarray(fractions)[:, None]), 1, -1)
