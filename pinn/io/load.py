"""From a scan file of any known format to a `Scan`: `load`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.data.zipped import load_member, read_members
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.npz import is_npz, read_npz


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: for messages.
        matches: `(path, first 16 bytes)` to whether the file is of this format, by content.
        read: path to what the file holds.
    """

    name: str
    matches: Callable[[Path, bytes], bool]
    read: Callable[[Path], Contents]


FORMATS = (Format("PtychoPINN NPZ", is_npz, read_npz),)


def load(path: str | Path, config: ScanConfig | None = None, **options: Any) -> Scan:
    """Open a scan file. Frames stay in the file until they are needed.

    Args:
        path: the file; its format is told from its content, not from its name.
        config: how to read it.
        options: single fields of `ScanConfig`, for instance `frames="counts"`.

    Raises:
        ScanError: the file is missing, foreign, damaged, breaks the contract, or says something
            else than the options do.
        ConfigError: an unknown option.
    """
    path = Path(path)
    config = (config or ScanConfig()).replace(**options)
    found = _format(path).read(path)
    try:
        return _scan(path, found, config)
    except BaseException:
        found.frames.close()
        raise


def _format(path: Path) -> Format:
    head = _head(path, "scan file")
    for known in FORMATS:
        if known.matches(path, head):
            return known
    names = ", ".join(known.name for known in FORMATS)
    raise ScanError(
        f"scan file {path} is of no known format, whatever its name says: it begins with "
        f"{head[:8]!r}; known are: {names}"
    )


def _head(path: Path, what: str) -> bytes:
    try:
        if path.is_dir():
            raise ScanError(f"{path} is a folder; name the {what} in it")
        with open(path, "rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise ScanError(f"{what} {path} does not exist; check the path") from None
    except OSError as error:
        raise ScanError(f"{what} {path} cannot be read ({error.strerror})") from None
    if not head:
        raise ScanError(f"{what} {path} is empty; copy or write it again")
    return head


def _scan(path: Path, found: Contents, config: ScanConfig) -> Scan:
    notes = list(found.notes)
    units = _agree(path, "frames", config.frames, found.units)
    centre = _agree(path, "centre", config.centre, found.centre)
    probe = found.probe
    if config.probe is not None:
        probe = _extra_array(config.probe, ("probeGuess", "probe"), "probe file")
        notes.append(f"probe from {config.probe}")
    bad = found.bad_pixels
    M, N = found.frames.shape[:2]
    if bad is not None:
        _check_bad(bad, ((N, N), (M, N, N)), f"'bad_pixels' in {path}")
    if config.bad_pixels is not None:
        extra = _extra_array(config.bad_pixels, ("bad_pixels",), "bad pixel file")
        _check_bad(extra, ((N, N),), str(config.bad_pixels))
        bad = extra != 0 if bad is None else (bad != 0) | (extra != 0)
    valid = None if bad is None or not bad.any() else bad == 0
    if valid is not None and not valid.any():
        raise ScanError(
            f"the bad pixels of {path} cover all frames; True means BAD, so invert the mask if it "
            "marks the good ones"
        )
    parts: dict[str, Any] = {
        "probe": probe,
        "valid_mask": valid,
        "units": units,
        "centre": centre,
        "truth": found.truth,
        "scan_index": found.scan_index,
        "pixel_size_m": found.pixel_size_m,
        "name": path.stem,
        "source": path,
        "positions_nominal_px": found.positions_nominal_px,
    }
    photons = config.photons_per_frame
    scan = Scan(found.frames, found.positions_px, **parts, photons_per_frame=photons, notes=notes)
    if photons is None and found.photons_per_frame is not None and scan.units != "counts":
        # Only now it is known that the frames carry no dose of their own.
        photons = found.photons_per_frame
        notes.append(f"the file says {photons:.4g} photons per frame: frames scaled to that")
        scan = Scan(
            found.frames, found.positions_px, **parts, photons_per_frame=photons, notes=notes
        )
    return scan


def _agree(path: Path, option: str, wanted: str, tag: str | None) -> str:
    """What the option or else the file says."""
    if tag is None:
        return wanted
    if wanted not in ("auto", tag):
        raise ScanError(
            f"{path} says that its frames are {tag}, but the option {option} says {wanted}; which "
            f"is it? Leave out --{option} to believe the file, or correct the file"
        )
    return tag


def _check_bad(bad: np.ndarray, shapes: tuple[tuple[int, ...], ...], what: str) -> None:
    if bad.shape not in shapes or bad.dtype.kind not in "biu":
        wanted = " or ".join(map(str, shapes))
        raise ScanError(
            f"{what} is {bad.shape} of {bad.dtype}, but bool {wanted}, True = bad, is required to "
            "match the frames"
        )


def _extra_array(path: Path, keys: tuple[str, ...], what: str) -> np.ndarray:
    """One array from an NPY file, or from an NPZ file by key."""
    head = _head(path, what)
    if head.startswith(b"PK"):
        members = read_members(path)
        key = next((key for key in keys if key in members), None)
        if key is None:
            raise ScanError(
                f"{what} {path} has no array {' or '.join(map(repr, keys))}; it has: "
                f"{', '.join(sorted(members)) or 'no arrays'}"
            )
        return load_member(path, members[key])
    if head.startswith(npy.MAGIC_PREFIX):
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ScanError(f"{what} {path} cannot be read ({error}); write it again") from None
    raise ScanError(f"{what} {path} is neither NPZ nor NPY: it begins with {head[:8]!r}")
