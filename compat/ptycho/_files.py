"""Scans from files with the original's options, and images to files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from pinn.io.atomic import atomic_path, atomic_write_csv
from ptycho._raw import RawData

_log = logging.getLogger("ptycho")


def load_data(
    file_path: str | Path,
    n_images: int | None = None,
    n_subsample: int | None = None,
    flip_x: bool = False,
    flip_y: bool = False,
    swap_xy: bool = False,
    n_samples: int = 1,
    coord_scale: float = 1.0,
    subsample_seed: int | None = None,
) -> RawData:
    """A scan from its file.

    Args:
        file_path: NPZ or any other format that `pinn` reads.
        n_images: an old name of `n_subsample`.
        n_subsample: keep this many frames, drawn at random and in their order; default all.
        flip_x, flip_y: change the sign of a coordinate (frames stay as they are).
        swap_xy: exchange the coordinates.
        n_samples: not used.
        coord_scale: factor of the coordinates.
        subsample_seed: of the draw; without one it is the same every time.

    Raises:
        ScanError: the file is missing, foreign, damaged, or breaks its contract.
    """
    raw = RawData.from_file(file_path)
    for x, y in (("xcoords", "ycoords"), ("xcoords_start", "ycoords_start")):
        across, down = getattr(raw, x), getattr(raw, y)
        if swap_xy:
            across, down = down, across
        setattr(raw, x, across * (-coord_scale if flip_x else coord_scale))
        setattr(raw, y, down * (-coord_scale if flip_y else coord_scale))
    wanted = n_images if n_subsample is None else n_subsample
    if wanted is None or wanted >= len(raw):
        return raw
    draw = np.random.RandomState(subsample_seed or 0)  # the original's draw
    rows = np.sort(draw.choice(len(raw), wanted, replace=False))
    chosen = raw.select(rows)
    chosen.subsample_seed = subsample_seed
    return chosen


def save_outputs(
    amplitude: np.ndarray | None,
    phase: np.ndarray | None,
    results: dict[str, Any] | None,
    output_prefix: str | Path,
) -> None:
    """Write `reconstructed_amplitude.png`, `reconstructed_phase.png`, and the object itself.

    Args:
        amplitude, phase: `(H, W)`, or None where nothing was reconstructed.
        results: with a `history`, `history.csv` is written.
        output_prefix: the folder; it is made.

    Raises:
        OutputError: the place cannot be written.
    """
    folder = Path(output_prefix)
    folder.mkdir(parents=True, exist_ok=True)
    rows = (results or {}).get("history_epochs")
    if rows:
        atomic_write_csv(folder / "history.csv", rows)
    if amplitude is None or phase is None:
        return
    from pinn.plots.pictures import write_amplitude, write_phase

    obj = np.squeeze(amplitude) * np.exp(1j * np.squeeze(phase))
    write_arrays(folder / "reconstructed_object.npz", {"object": obj.astype(np.complex64)})
    write_amplitude(folder / "reconstructed_amplitude.png", obj)
    write_phase(folder / "reconstructed_phase.png", obj)
    _log.info("wrote %s", folder)


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as NPZ, in one step.

    Raises:
        OutputError: the place cannot be written.
    """
    path = Path(path)
    with atomic_path(path.with_suffix(".npz")) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
