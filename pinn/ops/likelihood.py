"""How well predicted rates explain measured counts.

All functions take `counts` and `rate`, both `(B, ...)` in counts per pixel, a mask `valid` (1 = use
the pixel, 0 = ignore it; None = use all) and `weight` `(B,)` per leading index. Whatever a pixel
that is not used holds (NaN, 4294967295) changes neither the value nor a gradient.

`rate_floor` is added to the rate where a logarithm or root of it is taken. The default, 1e-6
counts, is one photon in a million frames: no scan can tell it from darkness, so it biases nothing,
yet it bounds what a pixel that counted but is predicted dark can do: the derivative of its deviance
by the far-field amplitude is at most `2 counts / sqrt(rate_floor)`. It is added, not a lower limit,
because a limit would remove the gradient of exactly the pixels that are predicted worst.

Where scans are mixed, `weight` is what makes them comparable: `brightness` says how many counts a
pixel of each scan has on average, and dividing by it gives a scan of a thousandth of the dose the
same say in a ratio of sums.
"""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Tensor

RATE_FLOOR = 1e-6

# No dose has so few counts per pixel: such numbers are in arbitrary units.
FAINT = 1e-4

# Counts up to this are no count: their deviance is 2 rate to better than 1e-10, and without the
# limit rate / counts overflows for the rounding residues of simulated noise-free frames.
_NO_COUNT = 1e-12

# Between the series and the logarithm in `_h`. Measured in float32 for counts 1e-3 to 1e8: with
# five terms the worst relative error is 7e-7 for the series and 1.1e-6 for the logarithm; a lower
# switch point makes the logarithm worse (5e-5 at 0.05), a higher one needs more terms.
_SWITCH = 0.5
_TERMS = 5


def brightness(exposure: Tensor) -> tuple[Tensor, Tensor]:
    """How bright scans are, from their exposure factors alone.

    Args:
        exposure: `(B,)` factors that bring the amplitude of a frame to a mean energy of (N/2)^2.

    Returns:
        Counts per unit of the data, `(B,)`: 1, but where the numbers are too small to be counts
        such that a pixel has 1 on average, since the floors here are meant in counts; and the
        mean counts per pixel in these units, `(B,)`.
    """
    per_pixel = ops.square(0.5 / exposure)
    faint = per_pixel < FAINT
    unit = ops.where(faint, ops.square(2.0 * exposure), ops.ones_like(per_pixel))
    return unit, ops.where(faint, ops.ones_like(per_pixel), per_pixel)


def poisson_deviance_per_pixel(
    counts: Tensor, rate: Tensor, valid: Tensor | None = None, rate_floor: float = RATE_FLOOR
) -> Tensor:
    """Poisson deviance of every pixel, `2 (rate - k + k log(k / rate))`; `2 rate` at k = 0.

    Never computed as that difference of large terms, which float32 cannot hold at 1e8 counts, but
    as `2 k h((rate - k) / k)` with `h(x) = x - log(1 + x)` (after Loader 2000, "Fast and accurate
    computation of binomial probabilities"): relative error below 1e-5 for counts up to 1e8.

    Args:
        counts: `(B, ...)` measured.
        rate: `(B, ...)` predicted, not negative.
        valid: broadcasts with them; 0 where the pixel must not be used.
        rate_floor: see the module.

    Returns:
        The shape of `rate`, 0 at unused pixels. About 1 on average at the noise floor where
        counts are well above 1.
    """
    counts, rate, _ = _used(counts, rate, valid, None)
    return _deviance(counts, rate, rate_floor)


def deviance_loss(
    counts: Tensor,
    rate: Tensor,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    rate_floor: float = RATE_FLOOR,
) -> Tensor:
    """Training loss: sum of the Poisson deviance over the sum of the counts it explains.

    Its gradient does not change with the dose; its lowest value does (about pixels per count).

    Args:
        counts: `(B, ...)` measured.
        rate: `(B, ...)` predicted.
        valid: mask, see the module.
        weight: `(B,)`, multiplies deviance and counts of each leading index; 0 ignores it.
        rate_floor: see the module.

    Returns:
        Scalar; if no count was measured at all, the plain sum of the deviance.
    """
    counts, rate, factor = _used(counts, rate, valid, weight)
    return _ratio(factor * _deviance(counts, rate, rate_floor), factor * counts)


def poisson_nll(
    counts: Tensor,
    rate: Tensor,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    rate_floor: float = RATE_FLOOR,
) -> Tensor:
    """Raw negative log-likelihood `rate - k log(rate)`, mean over used pixels (scalar).

    The constant `log k!` is left out, as is usual, so the value is comparable within one data set
    only. For reports; train on `deviance_loss`, whose digits survive large counts.
    """
    counts, rate, factor = _used(counts, rate, valid, weight)
    return _ratio(factor * (rate - counts * ops.log(rate + rate_floor)), factor)


def amplitude_mse(
    counts: Tensor,
    rate: Tensor,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    rate_floor: float = RATE_FLOOR,
) -> Tensor:
    """Gaussian loss on amplitudes, `sum 4 (sqrt(rate) - sqrt(k))^2 / sum k` (scalar).

    The root stabilises the variance of Poisson counts at 1/4, so this approximates
    `deviance_loss` and has its scale.
    """
    counts, rate, factor = _used(counts, rate, valid, weight)
    difference = _amplitude_difference(counts, rate, rate_floor)
    return _ratio(4.0 * factor * difference * difference, factor * counts)


def amplitude_mae(
    counts: Tensor,
    rate: Tensor,
    valid: Tensor | None = None,
    weight: Tensor | None = None,
    rate_floor: float = RATE_FLOOR,
) -> Tensor:
    """Fourier R-factor, `sum |sqrt(rate) - sqrt(k)| / sum sqrt(k)` (scalar)."""
    counts, rate, factor = _used(counts, rate, valid, weight)
    difference = _amplitude_difference(counts, rate, rate_floor)
    # x sign(x), not abs(x): the gradient at 0 is 0 on every backend.
    return _ratio(factor * difference * ops.sign(difference), factor * ops.sqrt(counts))


def _used(
    counts: Tensor, rate: Tensor, valid: Tensor | None, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Counts and rate with 0 in place of unused pixels, and the factor of every pixel."""
    factor = ops.ones_like(rate)
    if valid is not None:
        factor = factor * ops.cast(ops.cast(valid, "bool"), rate.dtype)
    if weight is not None:
        factor = factor * ops.reshape(weight, (-1,) + (1,) * (len(rate.shape) - 1))
    # Replaced before anything is computed from them, since 0 * NaN is NaN in every gradient.
    use = factor > 0.0
    zero = ops.zeros_like(rate)
    return ops.where(use, counts, zero), ops.where(use, rate, zero), factor


def _deviance(counts: Tensor, rate: Tensor, rate_floor: float) -> Tensor:
    counted = counts > _NO_COUNT
    one = ops.ones_like(rate)
    k = ops.where(counted, counts, one)
    r = ops.where(counted, rate, one)
    # The difference first, which is exact where it matters; rate + floor would round it.
    x = ((r - k) + rate_floor) / k
    return ops.where(counted, 2.0 * k * _h(x, (r + rate_floor) / k), 2.0 * rate)


def _h(x: Tensor, ratio: Tensor) -> Tensor:
    """`x - log(1 + x)` for `ratio = 1 + x > 0`.

    The ratio is given apart, since `1 + x` has no digits left where the rate is far below the
    counts. With `y = x / (2 + x)`, `log(1 + x) = 2 artanh y`, hence near zero
    `h = x y - 2 y^3 (1/3 + y^2/5 + y^4/7 + ...)`, where nothing cancels.
    """
    near = x * ops.sign(x) < _SWITCH
    x_near = ops.where(near, x, ops.zeros_like(x))
    y = x_near / (2.0 + x_near)
    y2 = y * y
    tail = ops.zeros_like(y)
    for term in range(_TERMS, 0, -1):
        tail = tail * y2 + 1.0 / (2 * term + 1)
    far_log = ops.log(ops.where(near, ops.ones_like(ratio), ratio))
    return ops.where(near, x_near * y - 2.0 * y * y2 * tail, x - far_log)


def _amplitude_difference(counts: Tensor, rate: Tensor, rate_floor: float) -> Tensor:
    """`sqrt(rate + rate_floor) - sqrt(k)`, through `(a^2 - b^2) / (a + b)`, which keeps digits."""
    total = ops.sqrt(rate + rate_floor) + ops.sqrt(counts)
    return ((rate - counts) + rate_floor) / total


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Ratio of sums; a denominator of zero (all dark, or nothing used) counts as 1."""
    total = ops.sum(denominator)
    return ops.sum(numerator) / ops.where(total > 0.0, total, ops.ones_like(total))
