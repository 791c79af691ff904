"""A scan as a description in JSON and plain files, from which another process has it exactly.

Frames keep their stored values and type. Those that are mapped from a file are read where they
lie; everything else is written once, in pieces, into a folder of the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data.dose import Dose
from pinn.data.fingerprint import digest
from pinn.data.frames import ArrayFrames, FrameSource, pieces
from pinn.data.made_with import MadeWith
from pinn.data.scan import Scan
from pinn.errors import ConfigError, OutputError, ScanError

ScanLike = Scan | str | Path | tuple[str | Path, ScanConfig]

# What of a scan is plain data, by the names of its constructor and of its attributes.
_PLAIN = (
    *("units", "truth_origin_px", "photons_per_frame", "pixel_size_m", "name", "energy_ev"),
    *("distance_m", "detector_pixel_m", "particle", "acquisition", "saturation"),
    *("positions_from_m", "propagation", "detector_response"),
)
_ARRAYS = ("positions_px", "positions_nominal_px", "probe_weights", "scan_index", "truth")


_MADE = "made_with."  # before the names of its parts


def as_list(scans: ScanLike | Sequence[ScanLike]) -> list[ScanLike]:
    """One scan, or several, as a list."""
    if isinstance(scans, Scan | str | Path):
        return [scans]
    if isinstance(scans, tuple) and len(scans) == 2 and isinstance(scans[1], ScanConfig):
        return [scans]
    return list(scans)


def describe(scan: ScanLike, folder: Path, labels: bool = True) -> dict[str, Any]:
    """What `rebuild` makes the same scan of.

    Args:
        scan: in memory or backed by a file; or a file's path, alone or with how to read it, which
            is then loaded where it is used.
        folder: gets the arrays; made if need be.
        labels: pass truth and label patches on.

    Raises:
        ScanError: frames that cannot be read.
        OutputError: no room for the arrays.
    """
    if isinstance(scan, str | Path):
        return {"path": str(scan), "options": ScanConfig().to_dict()}
    if isinstance(scan, tuple):
        path, config = scan
        return {"path": str(path), "options": config.to_dict()}
    if not isinstance(scan, Scan):
        raise ConfigError(
            f"a scan is a {type(scan).__name__}, but a pinn.Scan, a path, or a path with its "
            "ScanConfig is required"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _describe(scan, folder, labels)
    except OSError as error:
        raise OutputError(
            f"scan {scan.name} cannot be handed to the worker process through {folder}: "
            f"{(error.strerror or type(error).__name__).lower()}; make room, or set TMPDIR to a "
            "larger disk"
        ) from error


def _describe(scan: Scan, folder: Path, labels: bool) -> dict[str, Any]:
    rescale = None
    if scan.dose_is_of_more or (not scan.units_given and scan.frames.dtype.kind == "f"):
        # The dose is that of frames which are not passed on; and only here is it known that the
        # units were found out, which a look at all frames may refute.
        rescale = scan.statistics().rescale
    arrays: dict[str, Any] = {
        "frames": scan.frames,
        "probe": scan.probe if scan.probe_variations is None else scan.probe_variations,
        "valid_mask": scan.valid_mask,
        **{name: getattr(scan, name) for name in _ARRAYS if labels or name != "truth"},
    }
    if labels:
        arrays["label_patches"] = scan.label_patches
        made = scan.made_with
        arrays |= {} if made is None else {f"{_MADE}{k}": v for k, v in vars(made).items()}
    return {
        "plain": {name: getattr(scan, name) for name in _PLAIN},
        "source": None if scan.source is None else str(scan.source),
        "files": [str(file) for file in scan.files],
        "notes": list(scan.notes),
        "steps": list(scan.steps),
        "rescale": rescale if scan.dose_is_of_more else None,
        "found": {"centre": scan.centre, "units_given": scan.units_given},
        "arrays": {
            name: _stored(value, folder / f"{name}.npy")
            for name, value in arrays.items()
            if value is not None
        },
        "digest": digest(scan),
    }


def rebuild(described: dict[str, Any]) -> Scan:
    """The scan of a description.

    Raises:
        ScanError: a file it is mapped from has changed.
        ConfigError: the options of a file that cannot be read with them.
    """
    if "path" in described:
        from pinn.io.load import load

        return load(described["path"], ScanConfig(**described["options"]))
    arrays: dict[str, Any] = {name: opened(at) for name, at in described["arrays"].items()}
    frames = ArrayFrames(arrays.pop("frames"))
    names = [name for name in arrays if name.startswith(_MADE)]
    made = {name.removeprefix(_MADE): arrays.pop(name) for name in names}
    plain = described["plain"]
    mask = arrays.pop("valid_mask", None)
    dose = None
    if described["rescale"] is not None:
        photons, where = plain["photons_per_frame"], plain["name"]
        dose = Dose(frames, mask, plain["saturation"], photons, where)
        dose.settle(described["rescale"])
    scan = Scan(
        frames,
        arrays.pop("positions_px"),
        valid_mask=mask,
        centre="centred",
        source=described["source"],
        files=described["files"],
        notes=described["notes"],
        steps=described["steps"],
        dose=dose,
        made_with=MadeWith(**made) if made else None,
        **arrays,
        **plain,
    )
    scan.centre = described["found"]["centre"]
    scan.units_given = described["found"]["units_given"]
    if digest(scan) != described["digest"]:
        raise ScanError(
            f"the file of scan {scan.name} has changed since it was loaded "
            f"({described['source'] or 'its frames'}); load it again"
        )
    return scan


# -- arrays ------------------------------------------------------------------------------


def write_array(array: np.ndarray, path: Path, name: str | None = None) -> dict[str, Any]:
    """Write an array as `.npy`; the place for `opened`.

    Args:
        name: for messages; default that of the file.

    Raises:
        ConfigError: an array of Python objects.
    """
    if array.dtype.hasobject:
        raise ConfigError(
            f"array {name or path.stem!r} holds Python objects, which no other process can read; "
            "give numbers"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=False)
    return {"npy": str(path)}


def opened(place: dict[str, Any]) -> np.ndarray:
    """The array at a place, mapped and not to be written to."""
    if "npy" in place:
        array: np.ndarray = np.load(place["npy"], allow_pickle=False)
        return array
    dtype, shape = np.dtype(place["dtype"]), tuple(place["shape"])
    try:
        return np.memmap(place["file"], dtype, "r", place["offset"], shape)
    except (OSError, ValueError) as error:
        raise ScanError(
            f"the frames in {place['file']} cannot be mapped ({error}); load the scan again"
        ) from None


def _stored(value: np.ndarray | FrameSource, path: Path) -> dict[str, Any]:
    """Where the values lie as they are: in the file they are mapped from, or written to `path`."""
    if isinstance(value, np.ndarray):
        if value.ndim < 3:
            return write_array(value, path)
        value = ArrayFrames(value)
    if _mapped(next(value.chunks(1))[1]) is not None:  # then a view of all frames costs nothing
        everything = next(value.chunks(value.shape[0]))[1]
        place = _mapped(everything)
        if place is not None and everything.shape == tuple(value.shape):
            return place
    return _written(value, path)


def _written(source: FrameSource, path: Path) -> dict[str, Any]:
    dtype = source.dtype
    path = path.with_suffix(".raw")
    with open(path, "wb") as file:
        for _, block in pieces(source):
            file.write(np.ascontiguousarray(block, dtype).view(np.uint8).data)
    return {"file": str(path), "offset": 0, "dtype": dtype.str, "shape": list(source.shape)}


def _mapped(array: np.ndarray) -> dict[str, Any] | None:
    """File and offset of an array that is a whole stretch of a mapped file; else None."""
    root: Any = array
    while isinstance(root, np.ndarray) and isinstance(root.base, np.ndarray):
        root = root.base
    if not isinstance(root, np.memmap) or not array.flags.c_contiguous or not array.size:
        return None
    if root.filename is None or root.mode == "c" or not Path(root.filename).is_file():
        return None  # a file without a name, or a map whose changes are in memory only
    if root.mode != "r":
        root.flush()
    offset = int(root.offset) + int(array.ctypes.data) - int(root.ctypes.data)
    file = str(Path(root.filename).absolute())
    return {"file": file, "offset": offset, "dtype": array.dtype.str, "shape": list(array.shape)}
