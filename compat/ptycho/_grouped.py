"""The dictionary of groups that `generate_grouped_data` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pinn.errors import ScanError

if TYPE_CHECKING:
    from pinn.data.scan import Scan


class Grouped(dict[str, Any]):
    """The dictionary of groups; it remembers the scan they were made from.

    Attributes:
        raw: that scan.
        members: int64 `(B, C)`, numbers of its frames.
    """

    def __init__(self, values: dict[str, Any], raw: Any, members: np.ndarray) -> None:
        super().__init__(values)
        self.raw, self.members = raw, members

    @classmethod
    def of(cls, raw: Any, members: np.ndarray, kind: type) -> Grouped:
        """From groups `(B, C)` of frames; indices of type `kind`.

        Raises:
            ScanError: these frames are dark.
        """
        scan = raw.scan()
        frames, inverse = np.unique(members, return_inverse=True)
        inverse = inverse.reshape(members.shape)
        amplitude = scan.read(frames)[0]
        energy = np.sum(amplitude.astype(np.float64) ** 2, axis=(1, 2))
        mean = float(energy[inverse].mean())
        if not mean > 0:
            raise ScanError(
                f"the frames of {scan.name} that were asked for are dark: they have no counts"
            )
        factor = scan.N / 2 / np.sqrt(mean)
        start = np.stack([raw.ycoords_start, raw.xcoords_start], axis=1).astype(np.float64)
        found: dict[str, Any] = {
            "nn_indices": members.astype(kind),
            "diffraction": _last(scan.frames.read(frames)[inverse]),
            "X_full": _last(amplitude[inverse]) * np.float32(factor),
            "Y": _labels(raw, scan, members),
            "objectGuess": raw.objectGuess,
            **_coordinates("coords", raw.positions[members]),
            **_coordinates("coords_start", start[members]),
        }
        if raw.sample_indices is not None:
            found["sample_indices"] = raw.sample_indices
        return cls(found, raw, members)


def _labels(raw: Any, scan: Scan, members: np.ndarray) -> np.ndarray | None:
    """Object under each member `(B, N, N, C)`, at its own position; or None."""
    if scan.label_patches is not None:
        rows = scan.label_patches.read(members.reshape(-1)).astype(np.complex64)
    elif raw.objectGuess is not None and raw.objectGuess.ndim == 2:
        from pinn.data.labels import sample_patches

        places = raw.positions[members].reshape(-1, 2) - np.asarray(scan.truth_origin_px)
        rows, _ = sample_patches(raw.objectGuess, places, scan.N)
    else:
        return None
    return _last(rows.reshape(*members.shape, scan.N, scan.N))


def _last(stack: np.ndarray) -> np.ndarray:
    """`(B, C, N, N)` to `(B, N, N, C)`."""
    return np.ascontiguousarray(np.moveaxis(stack, 1, -1))


def _coordinates(name: str, places: np.ndarray) -> dict[str, np.ndarray]:
    """Positions `(B, C, 2)` [y, x] in the original's order [x, y], sign and shape."""
    xy = np.moveaxis(places[..., ::-1], 1, 2)[:, None]
    centres = xy.mean(axis=3, keepdims=True)
    return {f"{name}_offsets": centres, f"{name}_relative": -(xy - centres), f"{name}_nn": xy}
