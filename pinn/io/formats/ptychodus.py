"""Reader of a ptychodus product together with its diffraction file; each may be HDF5 or NPZ.

A product holds positions in metres, probe and object; the frames (counts, centred) are in a second
file, joined on the scan indexes. Of several positions with one index the mean counts, as in
ptychodus; frames without a position, and positions without a frame, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames
from pinn.data.prepare import as_source
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.data_file import DataFile
from pinn.io.hdf5 import holds, holds_arrays, open_data
from pinn.io.layout import (
    frame_masks,
    meant,
    read_numbers,
    read_probe,
    read_truth,
    square_pixel,
)
from pinn.io.near_field import refuse_as_near
from pinn.io.product_layout import (
    ACQUISITION,
    INDEXES,
    NUMBERS,
    OBJECT,
    POSITIONS,
    PROBE,
    WEIGHTS,
    object_centre,
    object_origin,
    pixel_sizes,
)
from pinn.io.scan_group import GROUP, ours, read_scan_group, read_words

PATTERNS = "patterns"
TRAINING = (PATTERNS, "probe_position_x_px", "probe_position_y_px")


def is_product(path: Path, head: bytes) -> bool:
    """True for HDF5 or NPZ with positions in metres by the names of ptychodus."""
    return holds_arrays(path, head, *POSITIONS)


def is_patterns(path: Path, head: bytes) -> bool:
    """True for HDF5 or NPZ with `patterns`, `indexes` or `bad_pixels`, and no positions."""
    if is_product(path, head) or holds(path, head, *TRAINING):
        return False
    return any(holds_arrays(path, head, PATTERNS, name) for name in ("indexes", "bad_pixels"))


def read_patterns(path: Path, config: ScanConfig) -> Contents:
    """Refuse a diffraction file on its own, and say what is needed.

    Raises:
        ScanError: always.
    """
    raise ScanError(
        f"{path} holds diffraction patterns without positions; open the product that belongs to "
        f"it, with this file as an option: PRODUCT --diffraction {path.name}"
    )


def read_product(path: Path, config: ScanConfig) -> Contents:
    """Read a product and the frames that belong to it.

    The diffraction file is `config.diffraction`; else, beside the product, the file that our
    writer put there, or `diffraction.h5`, `.npz`.

    Raises:
        ScanError: a file or part is missing, damaged, of the wrong shape or type, or the indexes
            have nothing in common.
    """
    with open_data(path) as file:
        indexes, positions = _positions(file)
        beside = config.diffraction or _diffraction_path(path)
        contents, numbers = open_patterns(beside)
        try:
            if config.diffraction is None:
                contents.notes.insert(0, f"frames from {beside.name} beside the product")
            join = Join.of(indexes, numbers, path)
            join.apply(contents)
            contents.positions_m = join.mean(positions)
            contents.units = meant("counts", config.frames)
            contents.centre = meant("centred", config.centre)
            read_numbers(file, contents, NUMBERS, ACQUISITION)
            read_probe(file, contents, PROBE, kind="iufc", weights=WEIGHTS, count=len(indexes))
            if contents.probe_weights is not None:
                contents.probe_weights = join.mean(contents.probe_weights)
            _object(file, contents)
            _scale(file, contents)
            if (group := ours(file)) is not None:
                if len(join.rows) == len(indexes) == len(numbers):
                    read_scan_group(group, contents)
                else:
                    contents.notes.append(
                        f"only {len(join.rows)} frames of {path.name} were found: positions are "
                        "those in metres"
                    )
                    read_words(group, contents)
            elif file.number("@far_field") == 0:
                refuse_as_near(file, "@far_field", 0, config)
        except BaseException:
            contents.close()
            raise
    return contents


def _positions(file: DataFile) -> tuple[np.ndarray, np.ndarray]:
    """`(K,)` indexes and `(K, 2)` [y, x] in metres."""
    y, x = (file.array(name, 1).astype(np.float64) for name in POSITIONS)
    indexes = np.arange(len(x))
    if file.has(INDEXES):
        indexes = file.array(INDEXES, 1, "iu").astype(np.int64)
    lengths = dict(zip((INDEXES, *POSITIONS), map(len, (indexes, y, x)), strict=True))
    if len(set(lengths.values())) > 1 or not len(indexes):
        named = ", ".join(f"{name!r} {n}" for name, n in lengths.items())
        raise ScanError(
            f"the positions of {file.path} have different lengths ({named}), or none; there must "
            "be one of each for every position"
        )
    return indexes, np.stack([y, x], axis=1)


def _diffraction_path(path: Path) -> Path:
    tried = [
        path.with_name(f"{path.stem}_diffraction.h5"),
        *(path.with_name(f"diffraction{suffix}") for suffix in (".h5", ".hdf5", ".npz")),
    ]
    for candidate in tried:
        if candidate.is_file() and candidate != path:
            return candidate
    raise ScanError(
        f"{path} is a ptychodus product, which holds no frames, and beside it there is neither "
        f"{' nor '.join(one.name for one in tried)}; name its diffraction file (--diffraction)"
    )


def _object(file: DataFile, contents: Contents) -> None:
    """The object as a truth to compare with, where the product says where it lies."""
    truth = read_truth(file, OBJECT, contents)
    if truth is None:
        return
    pixels, centre = pixel_sizes(file), object_centre(file)
    if pixels is None or centre is None:
        contents.notes.append("the product does not say where its object lies: it was left out")
        return
    contents.truth = truth
    contents.truth_origin_px = object_origin(centre, pixels, truth.shape)
    if file.has("pinn/origin_px"):  # a result of `pinn reconstruct` says it in pixels
        y, x = file.array("pinn/origin_px", 1).tolist()
        contents.truth_origin_px = (y, x)
    if ours(file) is None:
        contents.notes.append("the object of the product is taken as the truth")


def _scale(file: DataFile, contents: Contents) -> None:
    """Pixel size; where pixels are not square the positions go into pixels here."""
    if (pixels := pixel_sizes(file)) is None:
        return
    height, width = pixels
    contents.pixel_size_m = width
    if abs(height - width) > 1e-6 * width and contents.positions_m is not None:
        contents.positions_px = contents.positions_m / [height, width]
        contents.positions_m = None
        contents.notes.append(f"object pixels are not square ({height:g} m high, {width:g} m wide)")


# ----------------------------------------------------------------------- frames and indexes


def open_patterns(path: Path) -> tuple[Contents, np.ndarray]:
    """Frames of a diffraction file, their mask and detector pixel, and `(K,)` their indexes.

    Raises:
        ScanError: missing, foreign or damaged; a part is missing, of the wrong shape or type.
    """
    if not path.is_file():
        raise ScanError(
            f"the diffraction file {path} does not exist, or is no file; name the right one "
            "(--diffraction)"
        )
    with open_data(path) as file:
        contents = Contents(file.frames(PATTERNS))
        try:
            K = contents.frames.shape[0]
            indexes = np.arange(K)
            if file.has("indexes"):
                indexes = file.array("indexes", 1, "iu").astype(np.int64)
            else:
                contents.notes.append(f"{path.name} has no 'indexes': its frames count from 0")
            if len(indexes) != K:
                raise file.wrong("indexes", indexes.shape, f"one number for each of {K} patterns")
            if file.has("bad_pixels"):
                contents.bad_pixels = file.array("bad_pixels", 2, "biu") != 0
            height, width = (
                file.positive(f"{PATTERNS}@detector_pixel_{side}_m") for side in ("height", "width")
            )
            contents.detector_pixel_m = square_pixel(height, width, path)
            if ours(file) is not None and file.has(f"{GROUP}/bad_pixels"):
                contents.bad_pixels = frame_masks(file.frames(f"{GROUP}/bad_pixels"))
        except BaseException:
            contents.close()
            raise
    return contents, indexes


@dataclass(frozen=True, eq=False)
class Join:
    """Frames and positions that have the same index.

    Attributes:
        rows: `(M,)` numbers of the frames that have a position.
        which: `(M,)` index of their position among the distinct ones.
        inverse: `(K,)` the same of each position.
        notes: what was left out or averaged.
    """

    rows: np.ndarray
    which: np.ndarray
    inverse: np.ndarray
    notes: tuple[str, ...]

    @classmethod
    def of(cls, positions: np.ndarray, frames: np.ndarray, path: Path) -> Self:
        """Join by index.

        Args:
            positions: `(K,)` index of each position.
            frames: index of each frame; below zero: of none.
            path: of the positions, for messages.

        Raises:
            ScanError: they have none in common.
        """
        distinct, inverse = np.unique(positions, return_inverse=True)
        which = np.minimum(np.searchsorted(distinct, frames), len(distinct) - 1)
        rows = np.flatnonzero((distinct[which] == frames) & (frames >= 0))
        if not len(rows):
            raise ScanError(
                f"no frame belongs to a position of {path}: positions have the indexes "
                f"{distinct[0]} to {distinct[-1]}, frames {frames.min()} to {frames.max()}; is "
                "this the diffraction file of that product?"
            )
        notes = []
        if len(distinct) < len(positions):
            notes.append(
                f"{len(positions)} positions have {len(distinct)} indexes: means were taken"
            )
        if len(rows) < len(frames):
            notes.append(f"frames without a position, left out: {len(frames) - len(rows)}")
        if missing := len(distinct) - len(np.unique(frames[rows])):
            notes.append(f"positions without a frame, left out: {missing}")
        return cls(rows, which[rows], inverse, tuple(notes))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """`(M, n)` values of each frame from `(K, n)` of each position."""
        sums = np.zeros((self.inverse.max() + 1, values.shape[1]))
        np.add.at(sums, self.inverse, values)
        return (sums / np.bincount(self.inverse)[:, None])[self.which]

    def apply(self, contents: Contents) -> None:
        """Leave out the frames, and the masks of frames, that have no position."""
        contents.notes += self.notes
        if len(self.rows) == contents.frames.shape[0]:
            return
        contents.frames = DerivedFrames(contents.frames, rows=self.rows)
        bad = contents.bad_pixels
        if bad is not None and len(bad.shape) == 3:
            contents.bad_pixels = DerivedFrames(as_source(bad), rows=self.rows)
