"""Exit waves: the object seen through the modes of the probe."""

from __future__ import annotations

from pinn.ops import pairs
from pinn.ops.pairs import Pair


def illuminate(patches: Pair, probe: Pair) -> Pair:
    """Exit waves `P_m O`, thin-object approximation.

    Args:
        patches: object `(B, C, N, N)`.
        probe: `(P, N, N)` incoherent modes; or with leading axes that broadcast with `(B, C)`,
            as `(B, 1, P, N, N)` for a probe of its own for every group.

    Returns:
        `(B, C, P, N, N)`.
    """
    return pairs.multiply((patches[0][..., None, :, :], patches[1][..., None, :, :]), probe)
