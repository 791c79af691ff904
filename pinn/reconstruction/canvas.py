"""Canvas on which patches of the object are accumulated: numerator, weight and origin."""

from __future__ import annotations

import numpy as np

from pinn.reconstruction.phases import TOLERANCE, phase_correction


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
        self._sums: np.ndarray | None = None  # (5, H, W): w Re, w Im, w, w |O|^2, w^2
        self._gradient = np.zeros((2, 0, 0), np.complex64)  # along y and x
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
        """Add the patches of one group.

        Args:
            corners: `(C, 2)` int64 from `split`.
            patches: `(C, size, size, 3)`: weight times Re, weight times Im, weight.
        """
        low, high = corners.min(0), corners.max(0) + self.size
        self._grow(low, high, spare=self.GROWTH)
        self._low = np.minimum(self._low, low)
        self._high = np.maximum(self._high, high)
        assert self._sums is not None
        group = np.zeros((*(high - low), 5), patches.dtype)
        weight = patches[..., 2]
        power = np.square(patches[..., 0]) + np.square(patches[..., 1])
        power = np.divide(power, weight, out=np.zeros_like(weight), where=weight > 0)
        squares = np.stack([power, np.square(weight)], axis=-1)
        for (y, x), patch, square in zip(corners - low, patches, squares, strict=True):
            window = group[y : y + self.size, x : x + self.size]
            window[..., :3] += patch
            window[..., 3:] += square
        y, x = low - self._start
        height, width = group.shape[:2]
        self._sums[:, y : y + height, x : x + width] += np.moveaxis(group, -1, 0)
        merged = group[..., 0] + 1j * group[..., 1]
        self._gradient[0, y : y + height - 1, x : x + width] += np.conj(merged[:-1]) * merged[1:]
        self._gradient[1, y : y + height, x : x + width - 1] += (
            np.conj(merged[:, :-1]) * merged[:, 1:]
        )

    @property
    def empty(self) -> bool:
        """Whether nothing was added."""
        return self._sums is None or bool(np.any(self._high <= self._low))

    def less(self, part: Canvas) -> Canvas:
        """This canvas without a part of its patches: all sums are linear."""
        rest = self.copy()
        if part._sums is not None:
            assert rest._sums is not None
            y, x = part._start - rest._start
            height, width = part._sums.shape[1:]
            # the part may have spare room beyond the whole, where it is zero
            y0, x0 = max(y, 0), max(x, 0)
            y1 = min(y + height, rest._sums.shape[1])
            x1 = min(x + width, rest._sums.shape[2])
            there = slice(y0, y1), slice(x0, x1)
            from_ = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
            rest._sums[(slice(None), *there)] -= part._sums[(slice(None), *from_)]
            rest._gradient[(slice(None), *there)] -= part._gradient[(slice(None), *from_)]
        return rest

    def copy(self) -> Canvas:
        """An independent copy."""
        other = Canvas(self.size, (self.anchor[0], self.anchor[1]))
        other._sums = None if self._sums is None else self._sums.copy()
        other._gradient = self._gradient.copy()
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
                were lit by next to nothing.

        Returns:
            object `(H, W)` complex64, coverage `(H, W)` float32 (sum of the weights) and the
            object coordinate `(y, x)` of pixel `[0, 0]`, float64. Cropped to what was added.
        """
        if self._sums is None or self.empty:
            return np.zeros((0, 0), np.complex64), np.zeros((0, 0), np.float32), self.anchor.copy()
        y0, x0 = self._low - self._start
        y1, x1 = self._high - self._start
        re, im, weight = self._sums[:3, y0:y1, x0:x1]
        threshold = floor * float(weight.max())
        covered = weight > threshold
        divisor = np.where(covered, weight, 1.0)
        obj = np.where(covered, (re + 1j * im) / divisor, 0.0).astype(np.complex64)
        coverage = np.where(covered, weight, 0.0).astype(np.float32)
        if synchronise:
            grad_y, grad_x = self._gradient[:, y0:y1, x0:x1]
            obj *= np.exp(1j * phase_correction(obj, grad_y, grad_x, tolerance=tolerance))
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
        y0, x0 = self._low - self._start
        y1, x1 = self._high - self._start
        re, im, weight, power, squares = self._sums[:, y0:y1, x0:x1]
        known = (weight > 0) & (weight**2 >= 1.5 * squares)
        divisor = np.where(known, weight, 1.0)
        variance = power / divisor - (re**2 + im**2) / divisor**2
        spread: np.ndarray = np.sqrt(np.maximum(np.where(known, variance, 0.0), 0.0))
        return spread.astype(np.float32)

    def _grow(self, low: np.ndarray, high: np.ndarray, spare: int) -> None:
        if self._sums is None:
            self._start = low - spare
            shape = high - low + 2 * spare
            self._sums = np.zeros((5, shape[0], shape[1]))
            self._gradient = np.zeros((2, shape[0], shape[1]), np.complex64)
            return
        start, end = self._start, self._start + self._sums.shape[1:]
        if np.all(low >= start) and np.all(high <= end):
            return
        new_start = np.where(low < start, low - spare, start)
        new_end = np.where(high > end, high + spare, end)
        y, x = start - new_start
        height, width = self._sums.shape[1:]
        grown = []
        for old in (self._sums, self._gradient):
            new = np.zeros((len(old), *(new_end - new_start)), old.dtype)
            new[:, y : y + height, x : x + width] = old
            grown.append(new)
        self._sums, self._gradient = grown
        self._start = new_start


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
    for corner, patch in zip(corners, shifted, strict=True):
        canvas.add(corner[None], patch[None])
    total = canvas._sums
    assert total is not None
    full = crop + 2 * pad
    re, im, weight = total[:3, :full, :full]
    return ((re + 1j * im) / (weight + 1e-9)).astype(np.complex64)


def bilinear_shift(patches: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """NumPy twin of the compiled placement: `(K, n, n)` complex to `(K, n+1, n+1, 3)`, weight 1."""
    parts = np.stack([patches.real, patches.imag, np.ones(patches.shape)], -1)
    out = np.zeros((len(patches), patches.shape[1] + 1, patches.shape[2] + 1, 3))
    y = fractions[:, 0, None, None, None].astype(np.float64)
    x = fractions[:, 1, None, None, None].astype(np.float64)
    out[:, :-1, :-1] += (1 - y) * (1 - x) * parts
    out[:, :-1, 1:] += (1 - y) * x * parts
    out[:, 1:, :-1] += y * (1 - x) * parts
    out[:, 1:, 1:] += y * x * parts
    return out
