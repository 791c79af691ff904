"""Reader of NPZ files in the layout of tike: `data`, `scan`, `probe`.

Frames are intensities with the zero frequency in the corner, positions are the (row, column) of
the corner of a patch in object pixels, probes have six axes of which most are one long.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import NpyInZipFrames
from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.shared import counting_units, meant

_USED = ("data", "scan", "probe", "psi")


def is_tike(path: Path, head: bytes) -> bool:
    """True for an NPZ file with `data` and `scan`, the last axis of which is two long."""
    if not head.startswith(b"PK"):
        return False
    try:
        members = read_members(path)
    except (ScanError, OSError, ValueError):
        return False
    if not {"data", "scan"} <= set(members) or {"diff3d", "xcoords"} & set(members):
        return False
    return len(members["data"].shape) >= 3 and members["scan"].shape[-1:] == (2,)


def read_tike(path: Path, config: ScanConfig) -> Contents:
    """Read a scan; several of them (first axis longer than one) are told apart by `scan_index`.

    Raises:
        ScanError: an array is missing, or of a shape or type that the layout does not have.
    """
    members = read_members(path)
    for key in ("data", "scan"):
        if key not in members:
            raise ScanError(
                f"{path} has no array {key!r}, which the tike layout needs; it has: "
                f"{', '.join(sorted(members)) or 'no arrays'}"
            )
    frames, scans = _frames(path, members["data"])
    M, H, W = frames.shape
    if M == 0:
        raise ScanError(f"'data' in {path} has shape {members['data'].shape}: there are no frames")
    found = Contents(
        NpyInZipFrames(path, frames),
        frames_key="data",
        positions_px=_positions(path, members["scan"], M) + (H / 2, W / 2),
        centre=meant("corner", config.centre),
        units=counting_units(frames.dtype, config),
    )
    try:
        if scans > 1:
            found.scan_index = np.repeat(np.arange(scans), M // scans)
            found.notes.append(f"the file holds {scans} scans of {M // scans} frames")
        if "probe" in members:
            found.probe = _probe(path, members["probe"], found.notes)
        ignored = sorted(set(members) - set(_USED))
        if ignored:
            found.notes.append(f"arrays that are not used: {', '.join(map(repr, ignored))}")
    except BaseException:
        found.frames.close()
        raise
    return found


def _frames(path: Path, member: Member) -> tuple[Member, int]:
    """The member as `(M, H, W)`, which has the same bytes, and the number of scans in it."""
    shape = member.shape
    if not member.objects and member.dtype.kind not in "biuf":
        raise ScanError(
            f"'data' in {path} has dtype {member.dtype}, but real numbers (intensities) are "
            "required"
        )
    scans = shape[0] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or (member.fortran and scans > 1):
        order = " in Fortran order" if member.fortran else ""
        raise ScanError(
            f"'data' in {path} has shape {shape}{order}, but (M, H, W) or (scans, M, H, W) in C "
            "order is required; save a C-ordered copy"
        )
    return replace(member, shape=(math.prod(shape[:-2]), *shape[-2:])), scans


def _positions(path: Path, member: Member, M: int) -> np.ndarray:
    shape = member.shape
    if shape[-1:] != (2,) or math.prod(shape[:-1]) != M:
        raise ScanError(
            f"'scan' in {path} has shape {shape}, but (1, {M}, 2) is required, a (row, column) for "
            f"each of the {M} frames in 'data'"
        )
    if not member.objects and member.dtype.kind not in "iuf":
        raise ScanError(
            f"'scan' in {path} has dtype {member.dtype}, but real numbers in object pixels are "
            "required"
        )
    return load_member(path, member).astype(np.float64).reshape(M, 2)


def _probe(path: Path, member: Member, notes: list[str]) -> np.ndarray:
    """`(modes, H, W)`: variations need weights, which this layout does not hold."""
    shape = member.shape
    if len(shape) < 2 or 0 in shape or (not member.objects and member.dtype.kind not in "iufc"):
        raise ScanError(
            f"'probe' in {path} is {shape} of {member.dtype}, but complex (1, 1, variations, "
            "modes, N, N) is required; correct it or leave it out"
        )
    probe = load_member(path, member)
    modes = shape[-3] if len(shape) > 2 else 1
    probe = probe.reshape(-1, modes, *shape[-2:])
    if len(probe) > 1:
        notes.append(f"of {len(probe)} variations of the probe the first was taken")
    return probe[0]
