"""A few small regions of a scan, with frames cut down to where the signal is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft
from scipy.spatial import cKDTree

from pinn.check.symmetry import CLASS_MATRICES, act
from pinn.data.fourier import corner, fft2c, ifft2c
from pinn.data.scan import Scan

SMALLEST_SIDE, LARGEST_SIDE = 32, 192
_SHARE = 0.998  # of the power, within the central square that is kept
_CANDIDATES = 6
_PROBED = 16  # frames that tell how much structure a candidate has
_HELD = 0.25
_COMPACT = 0.7  # held-out frames lie within this share of the region, nearest to its middle


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
    def places(self) -> np.ndarray:
        """Positions of the frames `(F, 2)` in pixels of their own size, from the smallest."""
        return self.corners + self.fractions

    def at(self, places: np.ndarray) -> Region:
        """The same frames at other places `(F, 2)`."""
        places = places - places.min(0)
        corners = np.rint(places).astype(np.int64)
        return replace(self, corners=corners, fractions=places - corners)

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
    data, use = corner(amplitude), corner(valid)
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


def central_side(mean: np.ndarray, smallest: int = SMALLEST_SIDE) -> int:
    """Side of the central square of a mean pattern `(N, N)` that holds nearly all its power.

    Even, and of small prime factors. Weak surroundings cost time and tell little; leaving them
    out makes the object's pixels larger in proportion.
    """
    N = len(mean)
    for side in range(min(smallest, N), N + 1, 2):
        if central(mean, side).sum() >= _SHARE * mean.sum():
            break
    while side < N and fft.next_fast_len(side) != side:
        side += 2
    return min(side, N, LARGEST_SIDE)


def central(images: np.ndarray, side: int) -> np.ndarray:
    """The square of this side around index `[N/2, N/2]` of images `(..., N, N)`."""
    low = images.shape[-1] // 2 - side // 2
    return images[..., low : low + side, low : low + side]


def coarser(probe: np.ndarray, side: int) -> np.ndarray:
    """A probe `(P, N, N)` on the larger pixels that belong to frames cropped to this side."""
    far = central(fft2c(probe), side).copy()
    far[..., 0, :] = far[..., :, 0] = 0.0  # has no partner at +side/2: a shift would break symmetry
    return ifft2c(far)


def finer(probe: np.ndarray, side: int) -> np.ndarray:
    """A probe `(P, n, n)` on the smaller pixels that belong to frames of this side, both centred.

    The far field of the larger side is dark around that of the smaller.
    """
    far = fft2c(probe)
    low = side // 2 - far.shape[-1] // 2
    high = side - low - far.shape[-1]
    return ifft2c(np.pad(far, [(0, 0), (low, high), (low, high)]))


def choose_frames(scan: Scan, usable: np.ndarray, count: int, regions: int) -> list[np.ndarray]:
    """Numbers of neighbouring frames, where the patterns differ most from each other.

    Args:
        scan: the scan.
        usable: `(n,)`, frames to choose from, of one scan index.
        count: frames in a region.
        regions: wanted; fewer if the scan is small.

    Returns:
        Arrays of at most `count` numbers; the first frames of each lie nearest to its middle.
    """
    places = scan.positions_px[usable]
    tree = cKDTree(places)
    count = min(count, len(usable))
    rng = np.random.default_rng(0)
    if len(usable) < 2 * count:
        middle = np.median(places, axis=0)
        return [usable[np.argsort(((places - middle) ** 2).sum(1), kind="stable")[:count]]]
    seeds = rng.choice(len(usable), min(len(usable), 4 * _CANDIDATES), replace=False)
    reach = tree.query(places[seeds], k=[count])[0][:, 0]
    # Those in the thick of the scan rather than at its rim.
    seeds = seeds[np.argsort(reach, kind="stable")[:_CANDIDATES]]
    found = [usable[tree.query(places[seed], k=count)[1]] for seed in seeds]
    order = np.argsort([-_structure(scan, rows) for rows in found], kind="stable")
    chosen: list[np.ndarray] = []
    for number in order:
        rows = found[number]
        if all(len(np.intersect1d(rows, other)) < count // 2 for other in chosen):
            chosen.append(rows)
        if len(chosen) == regions:
            break
    return chosen


def _structure(scan: Scan, rows: np.ndarray) -> float:
    """Variance of the amplitudes between frames relative to their power, less that of noise."""
    amplitude, valid = scan.read(rows[:: max(1, len(rows) // _PROBED)])
    amplitude = amplitude.astype(np.float64)
    noise = 0.25 * np.minimum(1.0, 4 * (amplitude**2).mean(0)) if scan_counts(scan) else 0.0
    varying = np.where(valid.all(0), amplitude.var(0) - noise, 0.0)
    power = float((amplitude**2).mean(0).sum())
    return float(varying.sum()) / power if power > 0 else 0.0


def scan_counts(scan: Scan) -> bool:
    """True if the numbers of a scan are photons, so that their noise is known."""
    return scan.units == "counts" or scan.photons_per_frame is not None


def noise_of(region: Region) -> float:
    """Squared difference of amplitudes of a frame that counting noise alone makes, on average.

    A quarter for each pixel, less where hardly a count arrives.
    """
    counts = np.mean(region.amplitude[0].astype(np.float64) ** 2, 0)
    used = region.valid[0].mean(0)
    return float(np.sum(0.25 * np.minimum(1.0, 4 * counts) * used))


def read_region(scan: Scan, rows: np.ndarray, side: int, seed: int, good: np.ndarray) -> Region:
    """Read a region, cropped to `side`, and draw the frames to hold out.

    Args:
        scan: the scan.
        rows: of `choose_frames`.
        side: of `central_side`.
        seed: of the draw.
        good: bool `(N, N)`, pixels to use of those that are valid.
    """
    rng = np.random.default_rng(seed)
    inner = max(1, int(_COMPACT * len(rows)))
    held = np.zeros(len(rows), bool)
    held[rng.choice(inner, max(1, int(_HELD * len(rows))), replace=False)] = True
    order = np.argsort(rows, kind="stable")  # in the order of the file
    rows, held = rows[order], held[order]
    amplitude, valid = scan.read(rows)
    amplitude, valid = amplitude * good, valid & good
    return make_region(
        central(amplitude, side),
        central(valid, side),
        scan.positions_px[rows] * (side / scan.N),
        held,
        rows,
    )
