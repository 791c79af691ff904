"""Diffraction files of ptychodus, HDF5 or NPZ: `patterns`, `indexes`, `bad_pixels`.

They hold counts, centred, and no positions: those are in a product, joined on the indexes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from pinn.data.frames import FrameSource, NpyInZipFrames
from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import ScanError
from pinn.io.hdf5 import Hdf5Frames, array, attribute, dataset, has, reading
from pinn.io.opened import opened
from pinn.io.scan_group import ours
from pinn.io.shared import above_zero

PATTERNS = "patterns"


@dataclass(eq=False)
class Patterns:
    """Frames without positions.

    Attributes:
        frames: `(K, H, W)`.
        indexes: `(K,)` number of each frame in the scan.
        bad_pixels: `(H, W)`, True = bad, or None.
        frame_masks: `(K, H, W)`, not 0 = bad, where a file of ours has them.
        detector_pixel_m: where the file says it.
        notes: sentences about what was read.
    """

    frames: FrameSource
    indexes: np.ndarray
    bad_pixels: np.ndarray | None = None
    frame_masks: FrameSource | None = None
    detector_pixel_m: float | None = None
    notes: list[str] = field(default_factory=list)


def open_patterns(path: Path) -> Patterns:
    """Open a diffraction file; frames stay in it.

    Raises:
        ScanError: missing, foreign or damaged; a part is missing, of the wrong shape or type.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise ScanError(
            f"the diffraction file {path} does not exist; name the right one (--diffraction)"
        ) from None
    except OSError as error:
        raise ScanError(
            f"the diffraction file {path} cannot be read ({error.strerror}); name the right one "
            "(--diffraction)"
        ) from None
    found = _from_npz(path) if head.startswith(b"PK") else _from_hdf5(path)
    K, H, W = found.frames.shape
    if len(found.indexes) != K:
        raise ScanError(
            f"'indexes' in {path} has {len(found.indexes)} entries, but there are {K} patterns; "
            "each needs one"
        )
    if found.bad_pixels is not None and found.bad_pixels.shape != (H, W):
        raise ScanError(
            f"'bad_pixels' in {path} has shape {found.bad_pixels.shape}, but the patterns are "
            f"{H} x {W}; both must agree"
        )
    return found


def _from_hdf5(path: Path) -> Patterns:
    with reading(path) as h5:
        patterns = dataset(h5, PATTERNS, path, ndim=3, kind="biuf")
        frames = Hdf5Frames(path, PATTERNS)
        found = Patterns(frames, np.arange(frames.shape[0]))
        if has(h5, "indexes"):
            found.indexes = array(h5, "indexes", path, ndim=1, kind="iu").astype(np.int64)
        else:
            found.notes.append(f"{path.name} has no 'indexes': its frames count from 0")
        if has(h5, "bad_pixels"):
            found.bad_pixels = array(h5, "bad_pixels", path, ndim=2, kind="biu") != 0
        found.detector_pixel_m = _detector_pixel(patterns, path)
        group = ours(h5, path)
        if group is not None and has(group, "bad_pixels"):
            found.frame_masks = Hdf5Frames(path, f"{group.name}/bad_pixels")
            found.bad_pixels = None
    return found


def _detector_pixel(patterns: h5py.Dataset, path: Path) -> float | None:
    """Side of a detector pixel, or None where it is not known (0 in the file)."""
    width, height = (
        above_zero(attribute(patterns, f"detector_pixel_{side}_m")) for side in ("width", "height")
    )
    if width is not None and height is not None and abs(width - height) > 1e-3 * width:
        raise ScanError(
            f"{path} has detector pixels of {width:g} x {height:g} m, but pinn needs square ones; "
            "resample the frames"
        )
    return width if width is not None else height


def _from_npz(path: Path) -> Patterns:
    opened(path)
    members = read_members(path)
    if PATTERNS not in members:
        raise ScanError(
            f"{path} has no array {PATTERNS!r}; it has: {', '.join(sorted(members)) or 'no arrays'}"
        )
    member = members[PATTERNS]
    if len(member.shape) != 3 or member.dtype.kind not in "biufO" or 0 in member.shape:
        raise ScanError(
            f"{PATTERNS!r} in {path} is {member.shape} of {member.dtype}, but real numbers "
            "(K, H, W) are required"
        )
    found = Patterns(NpyInZipFrames(path, member), np.arange(member.shape[0]))
    try:
        if "indexes" in members:
            found.indexes = _member(path, members["indexes"], 1, "iu").astype(np.int64)
        else:
            found.notes.append(f"{path.name} has no 'indexes': its frames count from 0")
        if "bad_pixels" in members:
            found.bad_pixels = _member(path, members["bad_pixels"], 2, "biu") != 0
    except BaseException:
        found.frames.close()
        raise
    return found


def _member(path: Path, member: Member, ndim: int, kind: str) -> np.ndarray:
    if len(member.shape) != ndim or member.dtype.kind not in kind + "O":
        raise ScanError(
            f"{member.key!r} in {path} is {member.shape} of {member.dtype}, but {ndim} axes of "
            "whole numbers or booleans are required"
        )
    return load_member(path, member)
