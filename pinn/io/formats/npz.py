"""Reader of the PtychoPINN NPZ contract, in all its variants.

Needed are frames (`diff3d` or `diffraction`) and positions (`xcoords`, `ycoords`). Frames are
never loaded here, arrays that are not used cost nothing, and pickled ones are never decoded.
Frames of any size are taken: what to do with those that are not square is for `pinn.io.load`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frame_values import CENTRES, UNITS
from pinn.data.frames import FrameSource, NpyInZipFrames, OnDemandFrames
from pinn.data.geometry import PARTICLES
from pinn.data.measurement import FACTS, WORDS
from pinn.data.simulated_parts import SimulatedParts
from pinn.data.zipped import Member
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.data_file import NpzFile
from pinn.io.formats.npz_axes import frame_axis
from pinn.io.layout import line, read_truth

FRAMES = ("diff3d", "diffraction")
PATCHES = ("Y", "ground_truth_patches")
UNITS_KEY = "frames_units"
METADATA = ("metadata", "_metadata")
# Of what the frames of a simulation were made with: key, kind, last axes (None: any; M: frames).
MADE_WITH: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "positions_px": ("positions_true", "f", ("M", 2)),
    "probe": ("probe_true", "c", (None, None)),
    "intensity": ("intensity_true", "f", ("M",)),
    "background": ("background_true", "f", (None, None)),
}
_USED = (
    *(*FRAMES, *PATCHES, *METADATA, UNITS_KEY),
    *("xcoords", "ycoords", "xcoords_start", "ycoords_start", "scan_index"),
    *("probeGuess", "probe_weights", "objectGuess", "bad_pixels"),
    *(key for key, _, _ in MADE_WITH.values()),
    "norm_Y_I",  # known, and of no use here: the scale of the patches
)


def is_npz(path: Path, head: bytes) -> bool:
    """True for a file that begins as a zip file does."""
    return head.startswith(b"PK")


def read_npz(path: Path, config: ScanConfig) -> Contents:
    """Read a scan.

    Raises:
        ScanError: a file, key, shape or dtype breaks the contract.
    """
    file = NpzFile(path)
    notes: list[str] = []
    key, frames = _frames(file, notes)
    M = frames.shape[0]
    # How many positions there are may differ: `pinn.io.load` says what is to be done.
    K = file.member("xcoords").shape[0]
    contents = Contents(frames, frames_key=key, notes=notes)
    contents.positions_px = _positions(file, "", K)
    contents.positions_key = "'ycoords' and 'xcoords'"
    if file.has("xcoords_start") and file.has("ycoords_start"):
        nominal = _positions(file, "_start", K)
        if not np.array_equal(nominal, contents.positions_px):
            contents.positions_nominal_px = nominal
    if file.has("probeGuess"):
        contents.probe = file.array("probeGuess", (2, 3, 4), "iufc")
    if file.has("probe_weights"):
        contents.probe_weights = file.array("probe_weights", kind="biuf")
    contents.truth = _truth(file, contents)
    contents.bad_pixels = _bad_pixels(file)
    contents.label_patches = _patches(file, notes)
    contents.made_with = _made_with(file, M)
    if file.has("scan_index"):
        size = math.prod(file.shape("scan_index"))
        contents.scan_index = line(file, "scan_index", K if size == K else M)
    _apply_metadata(contents, _metadata(file, notes), file)
    ignored = sorted(set(file.members) - set(_USED))
    if ignored:
        notes.append(f"arrays that are not used: {', '.join(map(repr, ignored))}")
    if all(map(file.has, FRAMES)):
        notes.append("the file has both 'diff3d' and 'diffraction': 'diff3d' was read")
    return contents


# ---------------------------------------------------------------------------------- arrays


def _frames(file: NpzFile, notes: list[str]) -> tuple[str, FrameSource]:
    """Key of the frames, and the frames, first axis M, which the positions tell."""
    key = file.need("frames", *FRAMES)
    member = file.member(key, kind="biuf")
    M = file.member(file.need("positions", "xcoords"), (1, 2)).shape[0]
    if M == 0:
        raise ScanError(f"{file.path} has no positions: 'xcoords' is empty; no frame was kept")
    shape = member.shape[:-1] if member.shape[3:] == (1,) else member.shape
    if len(shape) == 3 and M not in (shape[0], shape[2]) and shape[1] in (shape[0], shape[2]):
        # Another number of frames than of positions: square frames tell the axis all the same.
        M = shape[0] if shape[1] == shape[2] else shape[2]
    if len(shape) != 3 or M not in (shape[0], shape[2]):
        raise file.wrong(
            key,
            member.shape,
            f"(M, N, N), (M, N, N, 1) or (N, N, M) with the {M} positions of 'xcoords' for M",
        )
    if member.objects:
        NpyInZipFrames(file.path, member)  # says why that is never read
    axis = 0 if shape[0] == M else 2
    if shape[0] == shape[2] == M and len(member.shape) == 3:
        axis, why = frame_axis(file.path, member)
        notes.append(
            f"{key!r} is {member.shape} and there are {M} positions: its "
            f"{'first' if axis == 0 else 'last'} axis was taken to count the frames, {why}"
        )
    image = shape[1:] if axis == 0 else shape[:2]
    return key, _on_demand(file, member, (M, *image), axis)


def _on_demand(
    file: NpzFile, member: Member, shape: tuple[int, ...], axis: int = 0
) -> OnDemandFrames:
    """Frames that are not unpacked before it is known that their size can be used."""
    path = file.path
    return OnDemandFrames(shape, member.dtype, lambda: NpyInZipFrames(path, member, axis))


def _positions(file: NpzFile, suffix: str, M: int) -> np.ndarray:
    """`(M, 2)` [y, x] float64."""
    keys = (file.need("positions", f"{axis}coords{suffix}") for axis in "yx")
    return np.stack([line(file, key, M) for key in keys], axis=1)


def _truth(file: NpzFile, contents: Contents) -> np.ndarray | None:
    """`objectGuess`, unless it is a placeholder."""
    if file.has("objectGuess"):
        file.member("objectGuess", 2)
    return read_truth(file, "objectGuess", contents)


def _bad_pixels(file: NpzFile) -> np.ndarray | FrameSource | None:
    """`bad_pixels`; one for each frame stays in the file."""
    if not file.has("bad_pixels"):
        return None
    member = file.member("bad_pixels")
    if len(member.shape) == 3:
        return NpyInZipFrames(file.path, member)
    return file.array("bad_pixels", kind=member.dtype.kind)


def _patches(file: NpzFile, notes: list[str]) -> FrameSource | None:
    """The object under each frame, left in the file; nothing where it is of no use."""
    key = file.first(*PATCHES)
    if key is None:
        return None
    member = file.member(key)
    shape = member.shape[:-1] if member.shape[3:] == (1,) else member.shape
    if len(shape) != 3 or member.dtype.kind not in "fc":
        notes.append(f"{key!r} is {member.shape} of {member.dtype}: not taken as label patches")
        return None
    return _on_demand(file, member, shape)


def _made_with(file: NpzFile, M: int) -> SimulatedParts | None:
    """What a simulation's frames were made with; arrays of another form are left out."""
    arrays = {}
    for name, (key, kind, axes) in MADE_WITH.items():
        if not file.has(key) or file.members[key].dtype.kind != kind:
            continue
        shape = file.shape(key)
        end = shape[-2:] if name == "probe" else shape
        wanted = [M if n == "M" else n for n in axes]
        if len(end) == len(wanted) and all(
            n in (None, m) for n, m in zip(wanted, end, strict=True)
        ):
            arrays[name] = file.array(key, kind=kind)
    return SimulatedParts(**arrays) if arrays else None


# -------------------------------------------------------------------------------- metadata


def _metadata(file: NpzFile, notes: list[str]) -> dict[str, Any]:
    """The JSON text of the file, ours or the reference's, as a dictionary."""
    merged: dict[str, Any] = {}
    for key in filter(file.has, METADATA):
        if file.members[key].objects:
            notes.append(
                f"{key!r} is pickled and was not read: say photons_per_frame "
                "(--photons-per-frame) if the dose matters"
            )
            continue
        try:
            value = json.loads(_text(file, key))
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            merged.update(value)
        else:
            notes.append(f"{key!r} is not a JSON object and was not read")
    return merged


def _text(file: NpzFile, key: str) -> str:
    text = file.text(key)
    if text is None:
        member = file.members[key]
        raise ScanError(
            f"{key!r} in {file.path} is {member.shape} of {member.dtype}, but one string is "
            "required; correct the file"
        )
    return text


def _apply_metadata(contents: Contents, metadata: dict[str, Any], file: NpzFile) -> None:
    if file.has(UNITS_KEY):
        metadata = {**metadata, UNITS_KEY: _text(file, UNITS_KEY)}
    contents.units = _word(metadata, UNITS_KEY, UNITS, file.path)
    contents.centre = _word(metadata, "frames_centre", CENTRES, file.path)
    _word(metadata, "particle", PARTICLES, file.path)
    for name in FACTS:
        said = metadata.get(name, WORDS.get(name))
        setattr(contents, name, said if name in WORDS else _number(said))
    physics = metadata.get("physics_parameters")
    photons = physics.get("nphotons") if isinstance(physics, dict) else metadata.get("nphotons")
    contents.photons_per_frame = _number(photons)
    acquisition = metadata.get("acquisition")
    if isinstance(acquisition, dict):
        numbers = {str(name): _number(value, signed=True) for name, value in acquisition.items()}
        contents.acquisition = {name: value for name, value in numbers.items() if value is not None}
    steps = metadata.get("steps")
    if isinstance(steps, list) and all(isinstance(s, dict) and "step" in s for s in steps):
        contents.steps = [{**step, "step": str(step["step"])} for step in steps]
    _move(contents, _offset(metadata))


def _move(contents: Contents, offset: tuple[float, float]) -> None:
    """Positions and truth back to where they were before the writer moved them."""
    if offset == (0.0, 0.0) or contents.positions_px is None:
        return
    contents.positions_px = contents.positions_px + offset
    contents.truth_origin_px = offset
    if contents.positions_nominal_px is not None:
        contents.positions_nominal_px = contents.positions_nominal_px + offset
    made = contents.made_with
    if made is not None and made.positions_px is not None:
        contents.made_with = replace(made, positions_px=made.positions_px + offset)


def positions_offset(path: Path) -> tuple[float, float]:
    """How far (y, x) the positions of a file were moved for the object to begin at (0, 0).

    The contract wants it there; our writer keeps in the metadata where it was.

    Raises:
        ScanError: the file cannot be read.
    """
    return _offset(_metadata(NpzFile(path), []))


def _offset(metadata: Mapping[str, Any]) -> tuple[float, float]:
    said = metadata.get("positions_offset_px")
    if isinstance(said, list) and len(said) == 2:
        y, x = (_number(value, signed=True) for value in said)
        if y is not None and x is not None:
            return y, x
    return 0.0, 0.0


def _word(metadata: dict[str, Any], name: str, words: tuple[str, ...], path: Path) -> str | None:
    said = metadata.get(name)
    if said is not None and said not in words:
        raise ScanError(
            f"{name!r} in {path} is {str(said)[:40]!r}, but one of {', '.join(words)} is "
            "required; correct the file"
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
