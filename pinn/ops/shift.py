"""A shift by a fraction of a pixel: bilinear, with one sign rule.

Content that moves by `+r` along a line goes from sample `j` to sample `i` with the weight
`max(0, 1 - |i - j - r|)`. The rule is evaluated in two ways, because each is the fast one where it
is used, and both are differentiable without jumps between backends:

- `interpolation_matrix`: as a dense matrix, for the patches of a group, whose offsets are of any
  length. Batched matrix products are faster on every backend than gathering four neighbours, and
  the adjoint is the transpose.
- `sample` and `spread`: the two weights that are not zero for `0 <= r < 1`, for windows of a
  canvas whose whole pixels were gathered before.
"""

from __future__ import annotations

from keras import ops

from pinn.ops.pairs import Tensor


def interpolation_matrix(shift: Tensor, size_in: int, size_out: int) -> Tensor:
    """Matrices that move a line of samples by `+shift` onto a line of another length.

    Both lines share their middle: `T[i, j] = max(0, 1 - |i - j - (size_out - size_in)/2 - shift|)`,
    so an odd difference of the sizes moves by a further half pixel.

    The derivative with respect to `shift` is that of the interpolated line, and the central
    difference at whole pixels where it jumps: the same on all backends, and not zero, so that
    positions that start on whole pixels can be refined.

    Args:
        shift: `(...,)` pixels, float32.
        size_in: length of the given line.
        size_out: length of the result.

    Returns:
        `(..., size_out, size_in)` float32.
    """
    rows = ops.arange(size_out, dtype="float32")[:, None]
    columns = ops.arange(size_in, dtype="float32")[None, :]
    # Whole and half numbers first: this part is exact in float32. (`ops.subtract`, because a
    # tensor on the left of `-` does not know symbolic ones.)
    steps = rows - columns - 0.5 * (size_out - size_in)
    distance = ops.subtract(steps, shift[..., None, None])
    # |x| and max(0, x) by means of `sign`, whose derivative is zero everywhere: the derivatives of
    # `abs` and `relu` at their kinks differ between backends.
    tent = 1.0 - distance * ops.sign(distance)
    return 0.5 * (tent + tent * ops.sign(tent))


def sample(windows: Tensor, fractions: Tensor) -> Tensor:
    """Patches at a fraction of a pixel beyond the corner of their windows.

    Args:
        windows: `(..., N+1, N+1)`.
        fractions: `(..., 2)` in [0, 1), `[y, x]`.

    Returns:
        `(..., N, N)`.
    """
    y, x = _along(fractions)
    return _columns(_rows(windows, y), x)


def sample_gradients(windows: Tensor, fractions: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of `sample` with respect to the fractions.

    Args:
        windows: `(..., N+1, N+1)`.
        fractions: `(..., 2)`.

    Returns:
        `(..., N, N)` along y, and along x: inside a pixel, bilinear interpolation is linear.
    """
    y, x = _along(fractions)
    rows = windows[..., 1:, :] - windows[..., :-1, :]
    columns = windows[..., :, 1:] - windows[..., :, :-1]
    return _columns(rows, x), _rows(columns, y)


def spread(patches: Tensor, fractions: Tensor) -> Tensor:
    """Patches onto the pixels they were sampled from, the adjoint of `sample`.

    That is a shift by `+fractions` onto a patch one pixel wider.

    Args:
        patches: `(..., N, N)`.
        fractions: `(..., 2)`.

    Returns:
        `(..., N+1, N+1)`.
    """
    y, x = _along(fractions)
    before = [(0, 0)] * (len(patches.shape) - 2)
    rows = ops.pad(patches * (1.0 - y), [*before, (0, 1), (0, 0)]) + ops.pad(
        patches * y, [*before, (1, 0), (0, 0)]
    )
    return ops.pad(rows * (1.0 - x), [*before, (0, 0), (0, 1)]) + ops.pad(
        rows * x, [*before, (0, 0), (1, 0)]
    )


def _rows(windows: Tensor, fraction: Tensor) -> Tensor:
    return windows[..., :-1, :] * (1.0 - fraction) + windows[..., 1:, :] * fraction


def _columns(windows: Tensor, fraction: Tensor) -> Tensor:
    return windows[..., :-1] * (1.0 - fraction) + windows[..., 1:] * fraction


def _along(fractions: Tensor) -> tuple[Tensor, Tensor]:
    return fractions[..., 0][..., None, None], fractions[..., 1][..., None, None]
