"""Writer of a scan as the pair `NAME_dp.hdf5`, `NAME_para.hdf5` (pty-chi, PtychoViT).

The second file is a ptychodus product. What neither holds is in the group `pinn_scan` of both,
from which the scan reopens as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pinn.data.scan import Scan
from pinn.io.atomic import atomic_path
from pinn.io.formats.ptychodus_writer import keep_foreign, write_frames_and_product
from pinn.io.formats.ptychovit import FRAMES
from pinn.progress import Progress

SUFFIX = ".hdf5"


def pair_paths(path: str | Path) -> tuple[Path, Path]:
    """Files of the frames and of the rest, for the name of either or of neither."""
    path = Path(path)
    suffix = path.suffix or SUFFIX
    stem = path.stem.removesuffix("_dp").removesuffix("_para")
    return path.with_name(f"{stem}_dp{suffix}"), path.with_name(f"{stem}_para{suffix}")


def write_ptychovit_pair(
    path: str | Path, scan: Scan, *, progress: Callable[[Progress], None] | None = None
) -> tuple[Path, Path]:
    """Write a scan as two files, each whole or not at all, in constant memory.

    Frames are intensities `(M, N, N)`, centred, in the type of the scan where that holds counts.
    Lengths that are not known are nominal.

    Args:
        path: NAME, or the name of either file.
        scan: what to write.
        progress: told about a hundred times.

    Returns:
        The files of the frames and of the rest.

    Raises:
        OutputError: the place cannot be written, or a file beside the named one is not ours.
        ScanError: the scan cannot be read.
    """
    frames_path, para_path = pair_paths(path)
    for beside in {frames_path, para_path} - {Path(path)}:
        keep_foreign(beside)
    with atomic_path(para_path) as para, atomic_path(frames_path) as frames:
        write_frames_and_product(frames, FRAMES, {}, para, scan, progress)
    return frames_path, para_path
