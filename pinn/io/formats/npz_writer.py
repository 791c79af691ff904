"""Writer of scans in the PtychoPINN NPZ contract, in constant memory and in one step."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
from numpy.lib import format as npy

from pinn.data.frame_values import UNITS
from pinn.data.frames import ArrayFrames, DerivedFrames, FrameSource, pieces
from pinn.errors import OutputError, ScanError
from pinn.io.atomic import atomic_path
from pinn.progress import Progress

if TYPE_CHECKING:
    from pinn.data.scan import Scan

_PIECE_BYTES = 8 << 20


class NpzScanWriter:
    """Writes a scan frame by frame; the file appears when all frames are in it.

    Use as a context manager: `with NpzScanWriter(...) as writer: writer.write(frames)`. When the
    body raises, or frames are missing at its end, what was at `path` stays as it was.

    Args:
        path: the file.
        M: number of frames.
        N: side of a frame.
        dtype: of the stored frames.
        arrays: everything else by key, see `scan_arrays`; no objects. A source is written in
            pieces.
        metadata: JSON-ready dictionary, stored as text under `metadata`.
        frames_units: what the frames are; stored under `frames_units`, unless `arrays` has it.
        compress: deflate the arrays: smaller, but unpacked to disk at every load.

    Raises:
        ScanError: an array of Python objects, or units that are unknown or not said.
        OutputError: the place cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        M: int,
        N: int,
        dtype: np.dtype | type | str,
        arrays: Mapping[str, np.ndarray | FrameSource] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        frames_units: str | None = None,
        compress: bool = False,
    ) -> None:
        self._path, self._shape, self._dtype = Path(path), (M, N, N), np.dtype(dtype)
        self._arrays: dict[str, np.ndarray | FrameSource] = {
            key: value if isinstance(value, FrameSource) else np.asarray(value)
            for key, value in (arrays or {}).items()
        }
        if frames_units is not None:
            self._arrays["frames_units"] = np.asarray(frames_units)
        said = str(self._arrays.get("frames_units"))
        if said not in UNITS:
            raise ScanError(
                f"frames_units for {path} is {said}, but one of {', '.join(UNITS)} is required"
            )
        if metadata is not None:
            self._arrays["metadata"] = np.asarray(json.dumps(metadata, allow_nan=False))
        for key, value in self._arrays.items():
            if value.dtype.hasobject:
                raise ScanError(f"array {key!r} for {path} holds Python objects; give numbers")
        self._compression = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        self._written = 0

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        temporary = self._stack.enter_context(atomic_path(self._path))
        try:
            self._zip = zipfile.ZipFile(temporary, "w", allowZip64=True)
            self._member = self._open("diff3d")
            _write_header(self._member, self._shape, self._dtype)
        except BaseException as error:
            # Removes the temporary file, and turns what the system said into an OutputError.
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, frames: np.ndarray) -> None:
        """Append frames `(n, N, N)`.

        Raises:
            ScanError: another shape, too many frames, or values the stored dtype cannot hold.
            OutputError: the disk is full.
        """
        frames = np.asarray(frames)
        M, N = self._shape[:2]
        if frames.ndim != 3 or frames.shape[1:] != (N, N) or self._written + len(frames) > M:
            raise ScanError(
                f"frames of shape {frames.shape} do not fit {self._path} after {self._written} of "
                f"{M} frames of {N} x {N}"
            )
        if not len(frames):
            return
        self._check_range(frames)
        self._member.write(np.ascontiguousarray(frames, self._dtype).data.cast("B"))
        self._written += len(frames)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._abandon(kind, error, trace)
            return
        try:
            self._finish()
        except BaseException as failure:
            self._abandon(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(None, None, None)

    def _finish(self) -> None:
        self._member.close()
        if self._written != self._shape[0]:
            raise OutputError(
                f"{self._path} was not written: {self._written} of {self._shape[0]} frames came"
            )
        for key, value in self._arrays.items():
            with self._open(key) as member:
                if isinstance(value, np.ndarray):
                    npy.write_array(member, value, allow_pickle=False)
                    continue
                _write_header(member, value.shape, value.dtype)
                for _, block in pieces(value):
                    member.write(np.ascontiguousarray(block, value.dtype).data.cast("B"))
        self._zip.close()

    def _open(self, key: str) -> IO[bytes]:
        # A fixed date: the same arrays give the same bytes.
        entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
        entry.compress_type = self._compression
        return self._zip.open(entry, "w", force_zip64=True)

    def _abandon(self, *failure: Any) -> None:
        # On a full disk closing fails as well; the file is thrown away in any case.
        with suppress(OSError, ValueError):
            self._member.close()
        with suppress(OSError, ValueError):
            self._zip.close()
        self._stack.__exit__(*failure)

    def _check_range(self, frames: np.ndarray) -> None:
        if self._dtype.kind not in "iu" or np.can_cast(frames.dtype, self._dtype, "safe"):
            return
        low, high = frames.min(), frames.max()
        limits = np.iinfo(self._dtype)
        if not (low >= limits.min and high <= limits.max):
            raise ScanError(
                f"frames from {low} to {high} do not fit {self._dtype} in {self._path}; store them "
                "in a wider type"
            )


def _write_header(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> None:
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    npy.write_array_header_1_0(member, header)


def scan_arrays(
    positions_px: np.ndarray,
    *,
    probe: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    valid_mask: np.ndarray | FrameSource | None = None,
    scan_index: np.ndarray | None = None,
    positions_nominal_px: np.ndarray | None = None,
    probe_weights: np.ndarray | None = None,
    label_patches: FrameSource | None = None,
) -> dict[str, Any]:
    """Everything but the frames, under the keys of the contract.

    Args:
        positions_px: `(M, 2)` [y, x].
        probe: `(N, N)`, `(P, N, N)` or `(V, P, N, N)`; a single mode is stored as `(N, N)`.
        truth: `(H, W)`.
        valid_mask: `(N, N)` or `(M, N, N)`, or a source of the latter, True = use; stored inverted
            as `bad_pixels`.
        scan_index: `(M,)`.
        positions_nominal_px: `(M, 2)`; default the positions.
        probe_weights: `(M, V)`.
        label_patches: `(M, N, N)` complex, stored as `Y`.
    """
    positions = np.asarray(positions_px, np.float64)
    nominal = positions if positions_nominal_px is None else np.asarray(positions_nominal_px)
    arrays: dict[str, Any] = {
        "xcoords": positions[:, 1],
        "ycoords": positions[:, 0],
        "xcoords_start": nominal[:, 1].astype(np.float64),
        "ycoords_start": nominal[:, 0].astype(np.float64),
        "scan_index": np.zeros(len(positions), np.int64) if scan_index is None else scan_index,
    }
    if probe is not None:
        probe = np.asarray(probe, np.complex64)
        probe = probe[0] if probe.ndim == 4 and len(probe) == 1 else probe
        arrays["probeGuess"] = probe[0] if probe.ndim == 3 and len(probe) == 1 else probe
    if truth is not None:
        arrays["objectGuess"] = np.asarray(truth, np.complex64)
    if isinstance(valid_mask, FrameSource):
        arrays["bad_pixels"] = DerivedFrames(valid_mask, lambda valid, rows: ~valid)
    elif valid_mask is not None:
        arrays["bad_pixels"] = ~np.asarray(valid_mask, bool)
    if probe_weights is not None:
        arrays["probe_weights"] = np.asarray(probe_weights, np.float64)
    if label_patches is not None:
        arrays["Y"] = label_patches
    return arrays


def write_scan_npz(
    path: str | Path, scan: Scan, *, progress: Callable[[Progress], None] | None = None
) -> None:
    """Write a scan with all that is known of it; frames are read and written in pieces.

    Raises:
        OutputError: the place cannot be written.
    """
    origin = np.asarray(scan.truth_origin_px)
    nominal = scan.positions_nominal_px
    arrays = scan_arrays(
        scan.positions_px - origin,
        probe=scan.probe if scan.probe_variations is None else scan.probe_variations,
        truth=scan.truth,
        valid_mask=scan.valid_mask,
        scan_index=scan.scan_index,
        positions_nominal_px=None if nominal is None else nominal - origin,
        probe_weights=scan.probe_weights,
        label_patches=scan.label_patches,
    ) | _made_with(scan)
    known = {
        "frames_centre": "centred",
        **scan.facts(),
        # Of the frames in the file, which may be a part of those whose mean was stated.
        "nphotons": scan.statistics().mean_counts
        if scan.dose_is_of_more
        else scan.photons_per_frame,
        "positions_offset_px": origin.tolist() if origin.any() else None,
        "acquisition": scan.acquisition or None,
        "steps": list(scan.steps) or None,
    }
    # Counts that were rescaled are counts no more: the file says what they are proportional to.
    rescaled = scan.units == "counts" and scan.photons_per_frame is not None
    with NpzScanWriter(
        path,
        len(scan),
        scan.N,
        scan.frames.dtype,
        arrays,
        {key: value for key, value in known.items() if value is not None},
        frames_units="intensity" if rescaled else scan.units,
    ) as writer:
        for _, block in pieces(scan.frames, progress=progress):
            writer.write(block)


def _made_with(scan: Scan) -> dict[str, Any]:
    made = scan.made_with
    if made is None:
        return {}
    places = made.positions_px
    parts = {
        "positions_true": None if places is None else places - np.asarray(scan.truth_origin_px),
        "probe_true": made.probe,
        "intensity_true": made.intensity,
        "background_true": made.background,
    }
    return {key: value for key, value in parts.items() if value is not None}


def write_npz(
    path: str | Path,
    frames: np.ndarray | FrameSource,
    positions_px: np.ndarray,
    *,
    frames_units: str,
    metadata: Mapping[str, Any] | None = None,
    compress: bool = False,
    **arrays: Any,
) -> Path:
    """Write a whole scan; frames are read and written in pieces. Returns the path.

    Args:
        path: the file.
        frames: `(M, N, N)`, stored in their own dtype.
        positions_px: `(M, 2)` [y, x].
        frames_units: `counts`, `intensity` or `amplitude`.
        metadata: JSON-ready dictionary.
        compress: see `NpzScanWriter`.
        arrays: see `scan_arrays`.

    Raises:
        ScanError: frames or arrays that do not fit the contract.
        OutputError: the place cannot be written.
    """
    source = frames if isinstance(frames, FrameSource) else ArrayFrames(np.asarray(frames))
    if len(source.shape) != 3 or source.shape[1] != source.shape[2]:
        raise ScanError(f"frames for {path} have shape {source.shape}, but (M, N, N) is required")
    M, N = source.shape[:2]
    if len(positions_px) != M:
        raise ScanError(f"{M} frames for {path} came with {len(positions_px)} positions")
    size = max(1, _PIECE_BYTES // math.prod((N, N, source.dtype.itemsize)))
    others = scan_arrays(positions_px, **arrays)
    with NpzScanWriter(
        path,
        M,
        N,
        source.dtype,
        others,
        metadata,
        frames_units=frames_units,
        compress=compress,
    ) as writer:
        for _, chunk in source.chunks(size):
            writer.write(chunk)
    return Path(path)
