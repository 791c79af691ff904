"""Writer of scans in the PtychoPINN NPZ contract, in constant memory and in one step."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from pinn.data.frame_values import UNITS
from pinn.data.frames import DerivedFrames, FrameSource, pieces
from pinn.errors import OutputError, ScanError
from pinn.io.atomic import atomic_path
from pinn.progress import Progress

if TYPE_CHECKING:
    from pinn.data.scan import Scan


def write_npz(
    path: str | Path,
    blocks: Iterable[np.ndarray],
    shape: tuple[int, int],
    dtype: np.dtype | type | str,
    arrays: Mapping[str, np.ndarray | FrameSource],
    metadata: Mapping[str, Any] | None = None,
    *,
    frames_units: str,
    compress: bool = False,
) -> None:
    """Write a scan block by block; the file appears when all frames are in it.

    When a block cannot be made or written, or frames are missing at the end, what was at `path`
    stays as it was.

    Args:
        path: the file.
        blocks: frames `(n, N, N)`, one block after the other.
        shape: `(M, N)`, number and side of the frames.
        dtype: of the stored frames.
        arrays: everything else by key, see `scan_arrays`; no objects. A source is written in
            pieces.
        metadata: JSON-ready dictionary, stored as text under `metadata`.
        frames_units: what the frames are.
        compress: deflate the arrays: smaller, but unpacked to disk at every load.

    Raises:
        ScanError: an array of Python objects, unknown units, frames of another shape or number, or
            values that the stored type cannot hold.
        OutputError: the place cannot be written, or frames are missing.
    """
    if frames_units not in UNITS:
        raise ScanError(
            f"frames_units for {path} is {frames_units}, but one of {', '.join(UNITS)} is required"
        )
    members: dict[str, np.ndarray | FrameSource] = {
        key: value if isinstance(value, FrameSource) else np.asarray(value)
        for key, value in arrays.items()
    }
    members["frames_units"] = np.asarray(frames_units)
    if metadata is not None:
        members["metadata"] = np.asarray(json.dumps(metadata, allow_nan=False))
    for key, value in members.items():
        if value.dtype.hasobject:
            raise ScanError(f"array {key!r} for {path} holds Python objects; give numbers")
    (M, N), stored = shape, np.dtype(dtype)
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", allowZip64=True) as archive,
    ):
        archive.compression = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        with _member(archive, "diff3d") as member:
            count = 0
            _write_header(member, (M, N, N), stored)
            for block in blocks:
                if block.ndim != 3 or block.shape[1:] != (N, N) or count + len(block) > M:
                    raise ScanError(
                        f"frames of shape {block.shape} do not fit {path} after {count} of {M} "
                        f"frames of {N} x {N}"
                    )
                _write_block(member, block, stored, path)
                count += len(block)
        if count != M:
            raise OutputError(f"{path} was not written: {count} of {M} frames came")
        for key, value in members.items():
            with _member(archive, key) as member:
                if not isinstance(value, FrameSource):
                    npy.write_array(member, value, allow_pickle=False)
                    continue
                _write_header(member, value.shape, value.dtype)
                for _, block in pieces(value):
                    _write_block(member, block, value.dtype, path)


def _member(archive: zipfile.ZipFile, key: str) -> IO[bytes]:
    """A new `.npy` member."""
    # A fixed date: the same arrays give the same bytes.
    entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = archive.compression
    return archive.open(entry, "w", force_zip64=True)


def _write_header(member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> None:
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    npy.write_array_header_1_0(member, header)


def _write_block(member: IO[bytes], frames: np.ndarray, dtype: np.dtype, path: str | Path) -> None:
    """Raises:
    ScanError: values that the type cannot hold.
    """
    if not frames.size:
        return
    if dtype.kind in "iu" and not np.can_cast(frames.dtype, dtype, "safe"):
        low, high, limits = frames.min(), frames.max(), np.iinfo(dtype)
        if not (low >= limits.min and high <= limits.max):
            raise ScanError(
                f"frames from {low} to {high} do not fit {dtype} in {path}; store them in a wider "
                "type"
            )
    member.write(np.ascontiguousarray(frames, dtype).data.cast("B"))


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
    stated = {
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
    write_npz(
        path,
        (block for _, block in pieces(scan.frames, progress=progress)),
        (len(scan), scan.N),
        scan.frames.dtype,
        arrays,
        {key: value for key, value in stated.items() if value is not None},
        frames_units="intensity" if rescaled else scan.units,
    )


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
