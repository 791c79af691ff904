"""Results as plain numbers for other programs: 32-bit TIFF with its pixel size, and NPY.

A TIFF states the pixel size twice, in agreement: by the resolution tags, in pixels per centimetre,
and in ImageJ's description, whose unit is the centimetre too (ImageJ shows micrometres). Row 0 is
the smallest y, as in every array of ours: y grows downwards, nothing is turned over.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage

from pinn.data.result import Result
from pinn.errors import ArchiveError, ConfigError, InputError, OutputError
from pinn.io.atomic import atomic_path
from pinn.io.product import RESULT_NAME, load_reconstruction
from pinn.quality.register import find_ramp, remove_ramp

TIFF_SUFFIXES, NPY_SUFFIX = (".tif", ".tiff"), ".npy"
SUFFIXES = (*TIFF_SUFFIXES, NPY_SUFFIX)
QUANTITIES = ("amplitude", "phase", "object", "probe", "probe-amplitude", "probe-phase")
_COMPLEX = ("object", "probe")
_MOST_PER_CM = 2**32 - 1  # a TIFF's rational number goes no further: 2.3 pm
_LARGEST = 2**32 - 2**16  # bytes of a TIFF with ImageJ's description, less what else is in it


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        quantity: one of `QUANTITIES`.
        shape: of the array in it.
        notes: sentences about it.
    """

    path: Path
    quantity: str
    shape: tuple[int, ...]
    notes: tuple[str, ...] = ()


def export(
    result: Result | str | Path,
    path: str | Path,
    quantity: str | None = None,
    *,
    unwrap: bool = False,
    remove_phase_ramp: bool = False,
    pixel_size_m: float | None = None,
    force: bool = False,
) -> Exported:
    """Write one quantity of a result as a 32-bit TIFF with the pixel size, or as NPY.

    Amplitude and phase are NaN where the result has no valid pixel; the complex object is written
    as it is. A probe has one page for each mode, its first axis in NPY.

    Args:
        result: a result, or its file or folder (see `pinn.load_reconstruction`).
        path: the file; `.tif` and `.tiff` hold amplitudes and phases, `.npy` everything.
        quantity: one of `QUANTITIES`; default: the last word of the file's name, as in
            `scan7_phase.tif`, or the object for NPY.
        unwrap: takes the jumps of 2 pi out of the object's phase, within the valid pixels.
        remove_phase_ramp: takes mean and linear ramp, which ptychography leaves undetermined, off
            the object's phase.
        pixel_size_m: side of an object pixel, in place of what the result states.
        force: replaces a file that is there.

    Returns:
        The file, with what should be known about it.

    Raises:
        ConfigError: the quantity is not told, unknown, or does not go with an option.
        ArchiveError: no result there, or a damaged one.
        InputError: the result has no probe, or no valid pixel.
        OutputError: the suffix is none of `SUFFIXES`, or the place cannot be written.
    """
    path = Path(path)
    quantity = _quantity(path, quantity)
    changed = {"--unwrap": unwrap, "--remove-phase-ramp": remove_phase_ramp}
    for flag, wanted in changed.items():
        if wanted and quantity != "phase":
            raise ConfigError(f"{flag} is for the phase of the object, not for {quantity}")
    if path.exists() and not force:
        raise OutputError(f"{path} is there already; name another file, or replace it by --force")
    recon = result if isinstance(result, Result) else _load(Path(result))
    if pixel_size_m is not None:
        recon = replace(recon, pixel_size_m=pixel_size_m)
    notes: list[str] = []
    if quantity == "phase":
        values = _phase(recon, unwrap, remove_phase_ramp, notes)
    elif quantity in ("amplitude", "object"):
        values = recon.object if quantity == "object" else _valid_only(recon.amplitude, recon)
    else:
        values = _probe(recon, quantity)
    if "unfinished" in recon.statistics:
        notes.append(f"the result is unfinished, {recon.statistics['unfinished']}")
    with atomic_path(path) as temporary:
        if path.suffix.lower() == NPY_SUFFIX:
            with open(temporary, "wb") as file:
                np.save(file, values)
        else:
            _write_tiff(temporary, values, quantity, recon, notes)
    return Exported(path, quantity, values.shape, tuple(notes))


def _quantity(path: Path, stated: str | None) -> str:
    """What to write: as stated, else by the file's name."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(
            f"the file extension of {path} is none of {', '.join(SUFFIXES)}, to which a result is "
            "written"
        )
    npy = path.suffix.lower() == NPY_SUFFIX
    if stated is None:
        words = path.stem.lower().replace("_", "-").replace(" ", "-")
        told = [q for q in QUANTITIES if words == q or words.endswith(f"-{q}")]
        stated = max(told, key=len, default="object" if npy else None)
    if stated is None:
        raise ConfigError(
            f"the name {path.name} does not tell what to write; say --quantity with one of "
            f"{', '.join(q for q in QUANTITIES if q not in _COMPLEX)}"
        )
    if stated not in QUANTITIES:
        raise ConfigError(f"{stated!r} is no quantity; known are: {', '.join(QUANTITIES)}")
    if stated in _COMPLEX and not npy:
        first = "" if stated == "object" else "probe-"
        raise ConfigError(
            f"the {stated} is complex, and a TIFF holds real numbers; write {stated}.npy, or "
            f"--quantity {first}amplitude and {first}phase into two TIFFs"
        )
    return stated


def _load(path: Path) -> Result:
    try:
        return load_reconstruction(path)
    except ArchiveError as error:
        beside = path.parent / RESULT_NAME
        if path.name == RESULT_NAME or not (path.is_file() and beside.is_file()):
            raise
        raise ArchiveError(f"{error}; the result beside it is {beside}") from None


def _valid_only(values: np.ndarray, recon: Result) -> np.ndarray:
    return np.where(recon.valid_mask, values, np.float32(np.nan)).astype(np.float32)


def _phase(recon: Result, unwrap: bool, level: bool, notes: list[str]) -> np.ndarray:
    """The phase of the object, NaN where it is not valid."""
    valid = recon.valid_mask & np.isfinite(recon.object)
    if (unwrap or level) and not valid.any():
        raise InputError("the result has no valid pixel, so there is no phase to work on")
    image, phase = recon.object, recon.phase
    if level:
        ramp = find_ramp(image, np.ones(image.shape), valid)
        image = remove_ramp(image, ramp)
        phase = np.angle(image * np.conj(np.sum(image[valid])))
        notes.append(
            f"mean phase and a ramp of ({ramp[0]:.4g}, {ramp[1]:.4g}) rad/px (y, x) removed"
        )
    if unwrap:
        phase = _unwrapped(phase, valid, notes)
    return _valid_only(phase, recon)


def _unwrapped(phase: np.ndarray, valid: np.ndarray, notes: list[str]) -> np.ndarray:
    from skimage.restoration import unwrap_phase  # heavy, and needed here only

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of images one pixel wide
        found = unwrap_phase(np.ma.masked_array(phase.astype(np.float64), ~valid), rng=0)
    flat = np.asarray(np.ma.getdata(found))
    flat = flat - 2 * np.pi * np.round(np.median(flat[valid]) / (2 * np.pi))
    outside, regions = int((~valid).sum()), ndimage.label(valid, np.ones((3, 3)))[1]
    notes.append(
        f"phase unwrapped; {outside} of {valid.size} pixels are outside the valid part and were "
        "left out"
    )
    if regions > 1:
        notes.append(
            f"the valid part is in {regions} pieces: whole turns between them are not known"
        )
    return flat


def _probe(recon: Result, quantity: str) -> np.ndarray:
    """`(P, N, N)`, or `(V, P, N, N)` where the probe varies."""
    probe = recon.probe if recon.probe_variations is None else recon.probe_variations
    if probe is None:
        raise InputError("the result has no probe")
    if quantity == "probe":
        return probe
    return (np.abs(probe) if quantity == "probe-amplitude" else np.angle(probe)).astype(np.float32)


def _write_tiff(
    path: Path, values: np.ndarray, quantity: str, recon: Result, notes: list[str]
) -> None:
    """A TIFF that ImageJ opens with pixel size and a text to read."""
    if values.nbytes > _LARGEST:
        raise OutputError(f"the {quantity} is larger than a TIFF can be; write it to .npy")
    metadata: dict[str, Any] = {"axes": {2: "YX", 3: "ZYX", 4: "TZYX"}[values.ndim]}
    extra: dict[str, Any] = {}
    lines = [f"{quantity} of {recon.scan_name or 'a result'}, written by pinn"]
    if quantity.endswith("phase"):
        lines.append("unit: radian")
    elif quantity == "probe-amplitude":
        lines.append("unit: square root of counts")
    pixel = recon.pixel_size_m
    if pixel is not None and 0.01 / pixel <= _MOST_PER_CM:
        extra = {"resolution": (0.01 / pixel,) * 2, "resolutionunit": "CENTIMETER"}
        metadata |= {"unit": "cm", "pixel_size_m": f"{pixel:.9g}"}
    else:
        why = "it is not known; say it with --pixel-size-m"
        if pixel is not None:
            why = f"{pixel:.9g} m is too small for the tags of a TIFF"
        notes.append(f"the file states no pixel size: {why}")
    if not quantity.startswith("probe"):
        y, x = recon.origin_px
        lines.append(f"pixel (0, 0) lies at y {y:.9g}, x {x:.9g} px of the object's coordinates")
    lines += ["y grows downwards, x to the right", *notes, recon.verdict]
    metadata["Info"] = "\n".join(line for line in lines if line)
    tifffile.imwrite(path, values, imagej=True, metadata=metadata, **extra)
