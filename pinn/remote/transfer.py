"""A scan as bytes and plain files, from which another process has it exactly.

Frames keep their stored values and type. Those that are mapped from a file are read where they
lie; all others are written once, in pieces, into a folder of the call.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pinn.config import ScanConfig
from pinn.data.dose import Dose
from pinn.data.fingerprint import digest
from pinn.data.frames import ArrayFrames, FrameSource, pieces
from pinn.data.measurement import LABELS
from pinn.data.scan import Scan
from pinn.errors import ConfigError, OutputError, ScanError
from pinn.io.load import load

ScanLike: TypeAlias = Scan | str | Path | tuple[str | Path, ScanConfig]
Described: TypeAlias = bytes | tuple[Path, ScanConfig]


def as_list(scans: ScanLike | Sequence[ScanLike]) -> list[ScanLike]:
    """One scan, or several, as a list."""
    if isinstance(scans, Scan | str | Path):
        return [scans]
    if isinstance(scans, tuple) and len(scans) == 2 and isinstance(scans[1], ScanConfig):
        return [scans]
    return list(scans)


def describe(scan: ScanLike, folder: Path, labels: bool = True) -> Described:
    """What `rebuild` makes the same scan of.

    Args:
        scan: in memory or backed by a file; or a file's path, alone or with how to read it, which
            is then loaded where it is used.
        folder: gets the frames; made if need be.
        labels: pass truth, label patches and what the frames were made with on.

    Raises:
        ScanError: frames that cannot be read.
        OutputError: no room for the frames.
    """
    if isinstance(scan, str | Path):
        return Path(scan), ScanConfig()
    if isinstance(scan, tuple):
        return Path(scan[0]), scan[1]
    if not isinstance(scan, Scan):
        raise ConfigError(
            f"a scan is a {type(scan).__name__}, but a pinn.Scan, a path, or a path with its "
            "ScanConfig is required"
        )
    if scan.photons_per_frame is not None or not scan.units_given:
        # The dose may be that of frames which are not passed on; and units that were found out
        # may be refuted by a look at all frames, which says more here.
        scan.statistics()
    passed = copy.copy(scan)
    for name in () if labels else LABELS:
        setattr(passed, name, None)
    data = io.BytesIO()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _Pickler(data, folder).dump((passed, digest(scan)))
    except OSError as error:
        raise OutputError(
            f"scan {scan.name} cannot be handed to the worker process through {folder}: "
            f"{(error.strerror or type(error).__name__).lower()}; make room, or set TMPDIR to a "
            "larger disk"
        ) from error
    return data.getvalue()


def rebuild(described: Described) -> Scan:
    """The scan of a description.

    Raises:
        ScanError: a file it is mapped from has changed.
        ConfigError: the options of a file that cannot be read with them.
    """
    if isinstance(described, tuple):
        return load(*described)
    scan: Scan
    scan, before = ForkingPickler.loads(described)
    if digest(scan) != before:
        raise ScanError(
            f"the file of scan {scan.name} has changed since it was loaded "
            f"({scan.source or 'its frames'}); load it again"
        )
    return scan


@dataclass(frozen=True)
class Stretch:
    """An array in a file: where it begins there, and what it is."""

    file: str
    offset: int
    dtype: str
    shape: tuple[int, ...]

    def frames(self) -> ArrayFrames:
        """The array, mapped and not to be written to.

        Raises:
            ScanError: the file is not there, or too short.
        """
        try:
            return ArrayFrames(
                np.memmap(self.file, np.dtype(self.dtype), "r", self.offset, self.shape)
            )
        except (OSError, ValueError) as error:
            raise ScanError(
                f"the frames in {self.file} cannot be mapped ({error}); load the scan again"
            ) from None


class _Pickler(ForkingPickler):
    """Passes frames on by file, and a dose that is known without the frames it is of."""

    def __init__(self, stream: io.BytesIO, folder: Path) -> None:
        super().__init__(stream)
        self._folder, self._count = folder, 0

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Dose) and value.known:
            return object.__new__, (Dose,), {**vars(value), "frames": None, "mask": None}
        if isinstance(value, FrameSource):
            self._count += 1
            return Stretch.frames, (_stored(value, self._folder / f"{self._count}.raw"),)
        return NotImplemented


def _stored(source: FrameSource, path: Path) -> Stretch:
    """Where the values lie as they are: in the file they are mapped from, or written to `path`."""
    shape = tuple(source.shape)
    if _mapped(next(source.chunks(1))[1]) is not None:  # then a view of all frames costs nothing
        stretch = _mapped(next(source.chunks(shape[0]))[1])
        if stretch is not None and stretch.shape == shape:
            return stretch
    dtype = source.dtype
    with open(path, "wb") as file:
        for _, block in pieces(source):
            file.write(np.ascontiguousarray(block, dtype).view(np.uint8).data)
    return Stretch(str(path), 0, dtype.str, shape)


def _mapped(array: np.ndarray) -> Stretch | None:
    """Where an array lies that is a whole stretch of a mapped file; else None."""
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
    return Stretch(str(Path(root.filename).absolute()), offset, array.dtype.str, array.shape)
