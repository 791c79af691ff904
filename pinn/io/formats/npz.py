"""Reader of the PtychoPINN NPZ contract, in all its variants.

Needed are frames (`diff3d` or `diffraction`) and positions (`xcoords`, `ycoords`). Frames are
never loaded here, arrays that are not used cost nothing, and pickled ones are never decoded.
Frames of any size are taken: what to do with those that are not square is for `pinn.io.load`.
The writer lives in `pinn.io.formats.npz_writer` and is offered here too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frame_values import CENTRES, UNITS
from pinn.data.frames import FrameSource, NpyInZipFrames, OnDemandFrames
from pinn.data.geometry import PARTICLES
from pinn.data.measurement import FACTS
from pinn.data.simulated_parts import SimulatedParts
from pinn.data.zipped import Member, load_member, read_members
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.npz_axes import frame_axis
from pinn.io.formats.npz_writer import NpzScanWriter, scan_arrays, write_npz, write_scan_npz

__all__ = ["NpzScanWriter", "is_npz", "read_npz", "scan_arrays", "write_npz", "write_scan_npz"]

FRAME_KEYS = ("diff3d", "diffraction")
PATCH_KEYS = ("Y", "ground_truth_patches")
UNITS_KEY = "frames_units"
METADATA_KEYS = ("metadata", "_metadata")
_PASSED_OVER = (*PATCH_KEYS, "norm_Y_I")  # known, and of no use here: the scale of the patches
_USED = (
    *FRAME_KEYS,
    *METADATA_KEYS,
    *("xcoords", "ycoords", "xcoords_start", "ycoords_start", "scan_index"),
    *("probeGuess", "probe_weights", "objectGuess", "bad_pixels", UNITS_KEY),
    *("positions_true", "probe_true", "intensity_true", "background_true"),
)


def is_npz(path: Path, head: bytes) -> bool:
    """True for a file that begins as a zip file does."""
    return head.startswith(b"PK")


def read_npz(path: Path, config: ScanConfig) -> Contents:
    """Read a scan.

    Raises:
        ScanError: a file, key, shape or dtype breaks the contract.
    """
    members = read_members(path)
    read = _Reader(path, members)
    notes: list[str] = []
    key, frames, M = read.frames(notes)
    positions = read.positions("", M)
    found = Contents(frames, frames_key=key, positions_px=positions, notes=notes)
    if "xcoords_start" in members and "ycoords_start" in members:
        nominal = read.positions("_start", M)
        if not np.array_equal(nominal, positions):
            found.positions_nominal_px = nominal
    found.probe = read.complex_array("probeGuess", 4)
    found.probe_weights = read.array("probe_weights")
    found.truth = read.truth(found.notes)
    found.bad_pixels = read.bad_pixels()
    found.label_patches = read.patches(found.notes)
    found.made_with = read.made_with(M)
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

    def frames(self, notes: list[str]) -> tuple[str, FrameSource, int]:
        """Key of the frames, the frames, first axis M, and M, which the positions tell."""
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
        if member.dtype.kind not in "biuf" and not member.objects:
            raise ScanError(
                f"{key!r} in {self._path} has dtype {member.dtype}, but real numbers are required; "
                "store counts, or amplitudes as absolute values"
            )
        path = self._path
        if member.objects:
            NpyInZipFrames(path, member, axis)  # says why that is never read
        if shape[0] == shape[2] == M and len(member.shape) == 3:
            axis, why = frame_axis(path, member)
            notes.append(
                f"{key!r} is {member.shape} and there are {M} positions: its "
                f"{'first' if axis == 0 else 'last'} axis was taken to count the frames, {why}"
            )
        image = shape[1:] if axis == 0 else shape[:2]
        # Not unpacked before it is known that its size can be used.
        source = OnDemandFrames(
            (M, *image), member.dtype, lambda: NpyInZipFrames(path, member, axis)
        )
        return key, source, M

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

    def bad_pixels(self) -> np.ndarray | FrameSource | None:
        """`bad_pixels`; one for each frame stays in the file."""
        member = self._members.get("bad_pixels")
        if member is None or len(member.shape) != 3:
            return self.array("bad_pixels")
        return NpyInZipFrames(self._path, member)

    def patches(self, notes: list[str]) -> FrameSource | None:
        """The object under each frame, left in the file; nothing where it is of no use."""
        key = next((key for key in PATCH_KEYS if key in self._members), None)
        if key is None:
            return None
        member = self._members[key]
        shape = member.shape[:-1] if member.shape[3:] == (1,) else member.shape
        if len(shape) != 3 or member.dtype.kind not in "fc":
            notes.append(f"{key!r} is {member.shape} of {member.dtype}: not taken as label patches")
            return None
        path = self._path
        return OnDemandFrames(shape, member.dtype, lambda: NpyInZipFrames(path, member))

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

    def made_with(self, M: int) -> SimulatedParts | None:
        """What a simulation's frames were made with; parts of another form are left out."""
        shapes: dict[str, tuple[str, tuple[int | None, ...]]] = {
            "positions_px": ("positions_true", (M, 2)),
            "probe": ("probe_true", (None, None)),
            "intensity": ("intensity_true", (M,)),
            "background": ("background_true", (None, None)),
        }
        parts = {}
        for name, (key, shape) in shapes.items():
            member = self._members.get(key)
            if member is None or member.dtype.kind not in ("c" if name == "probe" else "f"):
                continue
            end = member.shape[-2:] if name == "probe" else member.shape
            if len(end) == len(shape) and all(
                n in (None, m) for n, m in zip(shape, end, strict=True)
            ):
                parts[name] = load_member(self._path, member)
        return SimulatedParts(**parts) if parts else None

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
            except (ValueError, RecursionError):
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
                f"{UNITS_KEY!r} in {self._path} is {str(said)[:40]!r}, but one of "
                f"{', '.join(UNITS)} is required; correct the file"
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
    found.centre = _word(metadata, "frames_centre", CENTRES, path)
    found.particle = _word(metadata, "particle", PARTICLES, path) or "photon"
    for name in FACTS:
        if name != "particle":
            setattr(found, name, _number(metadata.get(name)))
    physics = metadata.get("physics_parameters")
    photons = physics.get("nphotons") if isinstance(physics, dict) else metadata.get("nphotons")
    found.photons_per_frame = _number(photons)
    acquisition = metadata.get("acquisition")
    if isinstance(acquisition, dict):
        numbers = {str(name): _number(value, signed=True) for name, value in acquisition.items()}
        found.acquisition = {name: value for name, value in numbers.items() if value is not None}
    steps = metadata.get("steps")
    if isinstance(steps, list) and all(isinstance(s, dict) and "step" in s for s in steps):
        found.steps = [{**step, "step": str(step["step"])} for step in steps]
    offset = _offset(metadata)
    if offset != (0.0, 0.0) and found.positions_px is not None:
        found.positions_px = found.positions_px + offset
        found.truth_origin_px = offset
        if found.positions_nominal_px is not None:
            found.positions_nominal_px = found.positions_nominal_px + offset
        if found.made_with is not None and found.made_with.positions_px is not None:
            there = found.made_with.positions_px + offset
            found.made_with = replace(found.made_with, positions_px=there)


def positions_offset(path: Path, members: Mapping[str, Member]) -> tuple[float, float]:
    """How far (y, x) the positions of a file were moved for the object to begin at (0, 0).

    The contract wants it there; our writer keeps in the metadata where it was.
    """
    return _offset(_Reader(path, members).metadata([]))


def _offset(metadata: dict[str, Any]) -> tuple[float, float]:
    said = metadata.get("positions_offset_px")
    if isinstance(said, list) and len(said) == 2:
        y, x = (_number(value, signed=True) for value in said)
        if y is not None and x is not None:
            return y, x
    return 0.0, 0.0


def _word(metadata: dict[str, Any], name: str, known: tuple[str, ...], path: Path) -> str | None:
    said = metadata.get(name)
    if said is not None and said not in known:
        raise ScanError(
            f"{name!r} in the metadata of {path} is {str(said)[:40]!r}, but one of "
            f"{', '.join(known)} is required; correct the file"
        )
    return said


def _number(value: Any, signed: bool = False) -> float | None:
    """A finite number, above zero unless `signed`; or None."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # JSON has whole numbers of any length
        number = math.inf
    usable = math.isfinite(number) and (signed or number > 0) and not isinstance(value, bool)
    return number if usable else None
