"""Reader of the PtychoPINN NPZ contract, in all its variants.

Needed are frames (`diff3d` or `diffraction`) and positions (`xcoords`, `ycoords`). Frames are
never loaded here, arrays that are not used cost nothing, and pickled ones are never decoded.
The writer lives in `pinn.io.npz_writer` and is offered here too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pinn.data.frames import NpyInZipFrames
from pinn.data.interpret import CENTRES, UNITS
from pinn.data.validation import LARGEST, SMALLEST
from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.npz_writer import NpzScanWriter, scan_arrays, write_npz

__all__ = ["NpzScanWriter", "is_npz", "read_npz", "scan_arrays", "write_npz"]

FRAME_KEYS = ("diff3d", "diffraction")
UNITS_KEY = "frames_units"
METADATA_KEYS = ("metadata", "_metadata")
# Known, and of no use here: patches of the truth, true positions of a simulation.
_PASSED_OVER = ("Y", "ground_truth_patches", "norm_Y_I", "positions_true")
_USED = (
    *FRAME_KEYS,
    *METADATA_KEYS,
    *("xcoords", "ycoords", "xcoords_start", "ycoords_start", "scan_index"),
    *("probeGuess", "objectGuess", "bad_pixels", UNITS_KEY),
)


def is_npz(path: Path, head: bytes) -> bool:
    """True for a file that begins as a zip file does."""
    return head.startswith(b"PK")


def read_npz(path: Path) -> Contents:
    """Read a scan.

    Raises:
        ScanError: a file, key, shape or dtype breaks the contract.
    """
    members = read_members(path)
    read = _Reader(path, members)
    frames, M = read.frames()
    found = Contents(frames, positions_px=read.positions("", M))
    if "xcoords_start" in members and "ycoords_start" in members:
        nominal = read.positions("_start", M)
        if not np.array_equal(nominal, found.positions_px):
            found.positions_nominal_px = nominal
    found.probe = read.complex_array("probeGuess", 3)
    found.truth = read.truth(found.notes)
    found.bad_pixels = read.array("bad_pixels")
    found.scan_index = read.line("scan_index", M)
    metadata = read.metadata(found.notes)
    found.units = read.units(metadata)
    _apply_metadata(found, metadata, path)
    ignored = sorted(key for key in members if key not in _USED and key not in _PASSED_OVER)
    if ignored:
        found.notes.append(f"arrays that are not used: {', '.join(map(repr, ignored))}")
    if set(FRAME_KEYS) <= set(members):
        found.notes.append("the file has both 'diff3d' and 'diffraction': 'diff3d' was read")
    return found


class _Reader:
    """The arrays of one file, each fetched with its own checks."""

    def __init__(self, path: Path, members: Mapping[str, Member]) -> None:
        self._path, self._members = path, members

    def frames(self) -> tuple[NpyInZipFrames, int]:
        """The frames, first axis M, and M, which the positions tell."""
        key = next((key for key in FRAME_KEYS if key in self._members), None)
        if key is None:
            self._missing(*FRAME_KEYS)
        member = self._members[key]
        M = self._length("xcoords")
        if M == 0:
            raise ScanError(f"{self._path} has no positions: 'xcoords' is empty; no frame was kept")
        shape = member.shape[:-1] if len(member.shape) == 4 else member.shape
        if len(shape) != 3 or (len(member.shape) == 4 and member.shape[-1] != 1):
            raise ScanError(
                f"{key!r} in {self._path} has shape {member.shape}, but (M, N, N), (M, N, N, 1) "
                "or (N, N, M) is required"
            )
        if M not in (shape[0], shape[2]):
            raise ScanError(
                f"{key!r} in {self._path} has shape {member.shape}, but 'xcoords' has {M} "
                "positions; one of its outer axes must count the frames"
            )
        axis = 0 if shape[0] == M else 2
        height, width = (shape[1], shape[2]) if axis == 0 else (shape[0], shape[1])
        # Before anything is unpacked: what `Scan` would refuse afterwards.
        if height != width or height % 2 or not SMALLEST <= height <= LARGEST:
            raise ScanError(
                f"{key!r} in {self._path} has frames of {height} x {width} pixels, but they must "
                f"be square with an even side from {SMALLEST} to {LARGEST}; crop or pad them"
            )
        if member.dtype.kind not in "biuf" and not member.objects:
            raise ScanError(
                f"{key!r} in {self._path} has dtype {member.dtype}, but real numbers are required; "
                "store counts, or amplitudes as absolute values"
            )
        return NpyInZipFrames(self._path, member, axis), M

    def positions(self, suffix: str, M: int) -> np.ndarray:
        """`(M, 2)` [y, x] float64."""
        columns = []
        for key in (f"ycoords{suffix}", f"xcoords{suffix}"):
            column = self.line(key, M)
            if column is None:
                self._missing(key)
            if column.dtype.kind not in "iuf":
                raise ScanError(
                    f"{key!r} in {self._path} has dtype {column.dtype}, but real numbers in object "
                    "pixels are required"
                )
            columns.append(column)
        return np.stack(columns, axis=1).astype(np.float64)

    def line(self, key: str, M: int) -> np.ndarray | None:
        """An array of one number per frame, or None."""
        if key not in self._members:
            return None
        if (length := self._length(key)) != M:
            raise ScanError(
                f"{key!r} in {self._path} has {length} entries, but there are {M} positions in "
                "'xcoords'; each frame needs one"
            )
        return load_member(self._path, self._members[key]).reshape(-1)

    def array(self, key: str) -> np.ndarray | None:
        """An array as it is, or None."""
        return load_member(self._path, self._members[key]) if key in self._members else None

    def complex_array(self, key: str, most: int) -> np.ndarray | None:
        """An image, or a stack of at most `most` axes, of numbers; or None."""
        if key not in self._members:
            return None
        member = self._members[key]
        if not 2 <= len(member.shape) <= most or member.dtype.kind not in "iufcO":
            raise ScanError(
                f"{key!r} in {self._path} is {member.shape} of {member.dtype}, but a complex array "
                f"of {'2' if most == 2 else f'2 to {most}'} axes is required; take one of its "
                "parts, or leave it out"
            )
        return load_member(self._path, member)

    def truth(self, notes: list[str]) -> np.ndarray | None:
        """`objectGuess`, unless it is a placeholder."""
        found = self.complex_array("objectGuess", 2)
        if found is None:
            return None
        if not np.isfinite(found).all():
            notes.append("'objectGuess' has values that are not finite: not taken as the truth")
            return None
        if found.size == 0 or np.all(found == found.flat[0]):
            notes.append("'objectGuess' is constant: a placeholder, not taken as the truth")
            return None
        return found

    def metadata(self, notes: list[str]) -> dict[str, Any]:
        """The JSON text of the file, ours or the reference's, as a dictionary."""
        found: dict[str, Any] = {}
        for key in METADATA_KEYS:
            member = self._members.get(key)
            if member is None:
                continue
            if member.objects:
                notes.append(
                    f"{key!r} is pickled and was not read: say photons_per_frame "
                    "(--photons-per-frame) if the dose matters"
                )
                continue
            text = self._text(key)
            try:
                value = json.loads(text)
            except ValueError:
                value = None
            if isinstance(value, dict):
                found.update(value)
            else:
                notes.append(f"{key!r} is not a JSON object and was not read")
        return found

    def units(self, metadata: dict[str, Any]) -> str | None:
        """What the file says its frames are."""
        said = self._text(UNITS_KEY) if UNITS_KEY in self._members else metadata.get(UNITS_KEY)
        if said is not None and said not in UNITS:
            raise ScanError(
                f"{UNITS_KEY!r} in {self._path} is {said!r}, but one of {', '.join(UNITS)} is "
                "required; correct the file"
            )
        return said

    def _text(self, key: str) -> str:
        member = self._members[key]
        if member.dtype.kind not in "US" or member.shape not in ((), (1,)):
            raise ScanError(
                f"{key!r} in {self._path} is {member.shape} of {member.dtype}, but one string is "
                "required; correct the file"
            )
        value = load_member(self._path, member).reshape(-1)[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _length(self, key: str) -> int:
        if key not in self._members:
            self._missing(key)
        shape = self._members[key].shape
        if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)):
            raise ScanError(f"{key!r} in {self._path} has shape {shape}, but (M,) is required")
        return shape[0]

    def _missing(self, *keys: str) -> NoReturn:
        raise ScanError(
            f"{self._path} has no array {' or '.join(map(repr, keys))}, which a scan needs; it "
            f"has: {', '.join(sorted(self._members)) or 'no arrays'}"
        )


def _apply_metadata(found: Contents, metadata: dict[str, Any], path: Path) -> None:
    centre = metadata.get("frames_centre")
    if centre is not None and centre not in CENTRES:
        raise ScanError(
            f"'frames_centre' in the metadata of {path} is {centre!r}, but one of "
            f"{', '.join(CENTRES)} is required; correct the file"
        )
    found.centre = centre
    found.pixel_size_m = _number(metadata.get("pixel_size_m"))
    physics = metadata.get("physics_parameters")
    photons = physics.get("nphotons") if isinstance(physics, dict) else metadata.get("nphotons")
    found.photons_per_frame = _number(photons)


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and 0 < value < float("inf") else None
