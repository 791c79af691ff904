"""What CXI and NXcxi_ptycho files have in common: mask bits, geometry, probe and object.

Geometry. A translation is that of the sample; a probe position is its negative. The basis vectors
of the detector say along which direction of space its rows and columns run, and in the far field
the object has the same directions. Where a file has none, those of the CXI specification count:
rows run towards -y, columns towards -x (zero at the top left, seen along the beam). Both signs
cancel then, so that a position is `[+translation_y, +translation_x]`. Programs that wrote stage
readings instead need the option orientation.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pinn.data.frames import DerivedFrames, FrameSource
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5Frames, array, dataset, has, numbers

# "The pixel has signal above the background": the one mask bit that is no complaint.
HAS_SIGNAL = 0x1000
DEFAULT_BASIS = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])  # rows, columns; in x, y, z
# A zero frequency this near to [N//2, N//2] is there: half a pixel is a matter of convention.
_NEAR = 0.51


def read_translation(
    entry: h5py.Group, path: Path, names: tuple[str, ...], M: int | None
) -> np.ndarray:
    """`(M, 3)` translations x, y, z, from `(M, 2)`, `(M, 3)` or transposed arrays.

    Args:
        names: places to look at, the first counts.
        M: number of frames; None: any.

    Raises:
        ScanError: none of the names, or another shape.
    """
    name = next((name for name in names if has(entry, name)), None)
    if name is None:
        # The error lists what there is.
        dataset(entry, names[0], path)
        raise AssertionError
    found = numbers(entry, name, path, ndim=(2, 3))
    if found.ndim == 3:  # a raster of them
        found = found.reshape(-1, found.shape[-1])
    rows, columns = found.shape
    if columns not in (2, 3) and rows in (2, 3):
        found = found.T  # early files of PyNX
        rows, columns = columns, rows
    if columns not in (2, 3) or M not in (None, rows):
        raise ScanError(
            f"'{entry.name}/{name}' in {path} has shape {found.shape}, but (M, 3) is "
            f"required: x, y, z of each{'' if M is None else f' of the {M} frames'}"
        )
    return found if found.shape[1] == 3 else np.pad(found, ((0, 0), (0, 1)))


def read_basis(detector: h5py.Group, path: Path) -> np.ndarray | None:
    """`(2, 3)` steps in metres from row to row and from column to column, or None.

    Raises:
        ScanError: another shape, vectors of length zero or parallel ones.
    """
    if not has(detector, "basis_vectors"):
        return None
    found = numbers(detector, "basis_vectors", path, ndim=(2, 3))
    if found.ndim == 3:
        if not np.allclose(found, found[:1], rtol=1e-6, atol=0):
            raise ScanError(
                f"'{detector.name}/basis_vectors' in {path} differ from frame to frame, but the "
                "detector must stay where it is"
            )
        found = found[0]
    if found.shape == (3, 2):
        found = found.T
    if found.shape != (2, 3) or np.linalg.matrix_rank(found[:, :2], 1e-3 * abs(found).max()) < 2:
        raise ScanError(
            f"'{detector.name}/basis_vectors' in {path} are "
            f"{found.tolist() if found.size == 6 else found.shape}, but two vectors "
            "(x, y, z) across the beam are required, from row to row and from column to column"
        )
    return found


def probe_positions(translation: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    """Positions of the probe, `(M, 2)` [y, x] along rows and columns.

    Args:
        translation: `(M, 3)` of the sample.
        basis: `(2, 3)` of the detector; None for that of the specification.
    """
    vectors = DEFAULT_BASIS if basis is None else basis
    directions = vectors[:, :2] / np.linalg.norm(vectors[:, :2], axis=1, keepdims=True)
    # Plus zero: minus zero is nobody's coordinate.
    return -translation[:, :2] @ directions.T + 0.0


def square_pixel(
    detector: h5py.Group, y: float | None, x: float | None, path: Path
) -> float | None:
    """Side of a detector pixel from both sides.

    Raises:
        ScanError: pixels that are not square.
    """
    if y is not None and x is not None and abs(y - x) > 1e-3 * x:
        raise ScanError(
            f"detector pixels in {path} ('{detector.name}') are {x:g} m wide and {y:g} m high, but "
            "pinn needs square ones; resample the frames"
        )
    return x if x is not None else y


def centre_from_corner(
    corner: np.ndarray, basis: np.ndarray | None, pixel: float | None, image: tuple[int, int]
) -> tuple[float, float] | None:
    """(row, column) where the beam hits the detector, or None if it says nothing.

    Args:
        corner: `(3,)` x, y, z of the outer corner of pixel [0, 0], metres.
        basis: of the detector.
        pixel: side of a detector pixel, for the default basis.
        image: (H, W).
    """
    if basis is None:
        if pixel is None:
            return None
        basis = DEFAULT_BASIS * pixel
    row, column = np.linalg.solve(basis[:, :2].T, -corner[:2]) - 0.5
    return off_middle((float(row), float(column)), image)


def off_middle(centre: tuple[float, float], image: tuple[int, int]) -> tuple[float, float] | None:
    """The place of the beam, or None where it is that of centred frames."""
    near = all(abs(c - n // 2) <= _NEAR for c, n in zip(centre, image, strict=True))
    return None if near else centre


def read_mask(
    detector: h5py.Group, name: str, path: Path, frames: FrameSource
) -> np.ndarray | FrameSource:
    """Mask of the detector or of each frame, True = BAD: any bit but `HAS_SIGNAL`.

    Raises:
        ScanError: another shape or type.
    """
    data = dataset(detector, name, path, kind="biuf")
    full = str(data.name)
    M, H, W = frames.shape
    if data.shape == (H, W):
        return bad_bits(array(detector, name, path, kind="biuf"))
    if data.ndim in (3, 4) and data.shape[-2:] == (H, W):
        masks = Hdf5Frames(path, full)
        if masks.shape[0] == M:
            return DerivedFrames(masks, lambda raw, _: bad_bits(raw), dtype=bool)
        if masks.shape[0] == 1:
            return bad_bits(masks.read(np.array([0])))[0]
    raise ScanError(
        f"{full!r} in {path} has shape {data.shape}, but the frames are {(M, H, W)}; ({H}, {W}) or "
        f"({M}, {H}, {W}) is required"
    )


def bad_bits(mask: np.ndarray) -> np.ndarray:
    """True where a mask value complains about its pixel."""
    return (mask & ~np.array(HAS_SIGNAL, mask.dtype)) != 0 if _wide(mask) else mask != 0


def _wide(mask: np.ndarray) -> bool:
    return mask.dtype.kind in "iu" and mask.dtype.itemsize > 1


def read_probe(entry: h5py.Group, path: Path, names: tuple[str, ...], found: Contents) -> None:
    """The first of several places that holds complex images.

    Raises:
        ScanError: values that are not finite.
    """
    for name in names:
        if not has(entry, name):
            continue
        data = dataset(entry, name, path, kind="iufc")
        # Other files keep measured images under these names.
        if data.dtype.kind != "c" or data.ndim not in (2, 3, 4) or data.size == 0:
            found.notes.append(f"'{data.name}' is no complex image: not taken as the probe")
            continue
        probe = array(entry, name, path, kind="c")
        if not np.isfinite(probe).all():
            raise ScanError(
                f"'{data.name}' in {path} has values that are not finite; correct or remove it"
            )
        found.probe = probe[0] if probe.ndim == 4 and len(probe) == 1 else probe
        return
