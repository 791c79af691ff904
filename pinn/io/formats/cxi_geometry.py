"""What CXI and NXcxi_ptycho files have in common: entries, mask bits, geometry, probe.

Geometry. A translation is that of the sample; a probe position is its negative. The basis vectors
of the detector say along which direction of space its rows and columns run, and in the far field
the object has the same directions. Where a file has none, those of the CXI specification count:
rows run towards -y, columns towards -x (zero at the top left, seen along the beam). Both signs
cancel then, so that a position is `[+translation_y, +translation_x]`. Programs that wrote stage
readings instead need the option orientation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5File
from pinn.io.layout import read_probe as read_probe_array

DETECTOR = "instrument_1/detector_1"
TRANSLATIONS = (
    "sample_1/geometry_1/translation",
    "data_1/translation",
    f"{DETECTOR}/translation",
    "sample_1/geometry/translation",
)
PROBES = ("instrument_1/source_1/illumination", "image_1/data")
# "The pixel has signal above the background": the one mask bit that is no complaint.
HAS_SIGNAL = 0x1000
DEFAULT_BASIS = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])  # rows, columns; in x, y, z
# A zero frequency this near to [N//2, N//2] is there: half a pixel is a matter of convention.
_NEAR = 0.51


def choose_entry(
    file: Hdf5File, entries: Mapping[int, str], config: ScanConfig, notes: list[str]
) -> Hdf5File:
    """The entry that the option scan_number names, or else the first.

    Args:
        file: the whole file.
        entries: their names by number.
        config: the options.
        notes: told which one of several was read.

    Raises:
        ScanError: there is none of this number.
    """
    number = config.scan_number
    if number is None:
        number = next(iter(entries))
        if len(entries) > 1:
            named = ", ".join(entries.values())
            notes.append(f"the file has {named}: {entries[number]} was read; see --scan-number")
    if number not in entries:
        raise ScanError(
            f"{file.path} has no entry number {number}, only {', '.join(entries.values())}; choose "
            "one of them with scan_number (--scan-number)"
        )
    return file.below(entries[number])


def read_translation(entry: Hdf5File, M: int | None) -> np.ndarray:
    """`(M, 3)` translations x, y, z, from `(M, 2)`, `(M, 3)` or transposed arrays.

    Args:
        entry: where they are.
        M: number of frames; None: any.

    Raises:
        ScanError: there are none, or of another shape.
    """
    name = entry.need("positions", *TRANSLATIONS)
    values = entry.array(name, (2, 3)).astype(np.float64)
    if values.ndim == 3:  # a raster of them
        values = values.reshape(-1, values.shape[-1])
    if values.shape[1] not in (2, 3) and values.shape[0] in (2, 3):
        values = values.T  # early files of PyNX
    rows, columns = values.shape
    if columns not in (2, 3) or M not in (None, rows):
        of = "" if M is None else f" of the {M} frames"
        raise entry.wrong(name, values.shape, f"(M, 3), x, y, z of each{of},")
    return values if columns == 3 else np.pad(values, ((0, 0), (0, 1)))


def read_basis(detector: Hdf5File) -> np.ndarray | None:
    """`(2, 3)` steps in metres from row to row and from column to column, or None.

    Raises:
        ScanError: another shape, vectors of length zero or parallel ones.
    """
    name = "basis_vectors"
    if not detector.has(name):
        return None
    vectors = detector.array(name, (2, 3)).astype(np.float64)
    if vectors.ndim == 3:
        if not np.allclose(vectors, vectors[:1], rtol=1e-6, atol=0):
            raise ScanError(
                f"{detector.full(name)!r} in {detector.path} differ from frame to frame, but the "
                "detector must stay where it is"
            )
        vectors = vectors[0]
    if vectors.shape == (3, 2):
        vectors = vectors.T
    usable = vectors.shape == (2, 3) and np.isfinite(vectors).all()
    if not usable or np.linalg.matrix_rank(vectors[:, :2], 1e-3 * abs(vectors).max()) < 2:
        raise ScanError(
            f"{detector.full(name)!r} in {detector.path} are "
            f"{vectors.tolist() if vectors.size == 6 else vectors.shape}, but two vectors "
            "(x, y, z) across the beam are required, from row to row and from column to column"
        )
    return vectors


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


def read_mask(detector: Hdf5File, name: str, frames: FrameSource) -> np.ndarray | FrameSource:
    """Mask of the detector or of each frame, True = BAD: any bit but `HAS_SIGNAL`.

    Raises:
        ScanError: another shape or type.
    """
    M, H, W = frames.shape
    shape = detector.dataset(name, kind="biuf").shape
    if shape == (H, W):
        return bad_bits(detector.array(name, kind="biuf"))
    if len(shape) in (3, 4) and shape[-2:] == (H, W):
        masks = detector.frames(name)
        if masks.shape[0] == M:
            return DerivedFrames(masks, lambda raw, _: bad_bits(raw), dtype=bool)
        if masks.shape[0] == 1:
            return bad_bits(masks.read(np.array([0])))[0]
    raise detector.wrong(name, shape, f"({H}, {W}) or {(M, H, W)}, as the frames are,")


def bad_bits(mask: np.ndarray) -> np.ndarray:
    """True where a mask value complains about its pixel."""
    wide = mask.dtype.kind in "iu" and mask.dtype.itemsize > 1
    return (mask & ~np.array(HAS_SIGNAL, mask.dtype)) != 0 if wide else mask != 0


def read_probe(entry: Hdf5File, contents: Contents, **options: Any) -> None:
    """The first of several places that holds complex images.

    Args:
        entry: where they are.
        contents: gets the probe.
        options: of `pinn.io.layout.read_probe`.
    """
    for name in PROBES:
        if not entry.has(name):
            continue
        data = entry.dataset(name)
        # Other files keep measured images under these names.
        pairs_of_numbers = data.dtype.kind == "c" or data.dtype.names is not None
        if pairs_of_numbers and data.ndim in (2, 3, 4) and data.size:
            read_probe_array(entry, contents, name, **options)
            return
        contents.notes.append(f"{entry.full(name)!r} is no complex image: not taken as the probe")
