"""Reader of `.ptyd`, the prepared data of ptypy.

A scan lies in groups `chunks/0`, `chunks/1`, ... with `data` (counts), `positions` (row, column in
metres) and perhaps `weights` (0 = bad pixel); a chunk may be a link to a file of its own. `meta`
holds energy (keV), distance, detector pixel and the pixel of the zero frequency.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import ArrayFrames, DerivedFrames, FrameSource, pieces
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5File, Hdf5Frames, holds, reading
from pinn.io.layout import meant, pairs, square_pixel, stated_units
from pinn.io.near_field import refuse_near_field
from pinn.io.stacks import JoinedFrames

# A centre nearer than this to pixel [0, 0] is that of frames whose zero frequency is in the corner.
_CORNER = 0.51
_PROPAGATION = ("info/propagation", "meta/propagation")
_GROUPS = ("chunks", "meta")
# `info` may say only whether there is one.
_COMMON_WEIGHTS = ("meta/weight2d", "info/weight2d")


def is_ptyd(path: Path, head: bytes) -> bool:
    """True for an HDF5 file with the groups `chunks` and `meta`."""
    return holds(path, head, *_GROUPS, if_so=_has_groups)


def _has_groups(file: Hdf5File) -> bool:
    return all(isinstance(file.group[name], h5py.Group) for name in _GROUPS)


def read_ptyd(path: Path, config: ScanConfig) -> Contents:
    """Read a scan; its chunks are shown as one stack.

    Raises:
        ScanError: chunks are missing, lead nowhere or do not fit each other.
    """
    with reading(path) as file:
        shapes = _chunks(file)
        image = next(iter(shapes.values()))[1:]
        dtype = np.result_type(*(file.dataset(f"{name}/data").dtype for name in shapes))
        positions = [pairs(file, f"{name}/positions", shape[0]) for name, shape in shapes.items()]
        sources = [
            (shape[0], partial(Hdf5Frames, path, f"{name}/data")) for name, shape in shapes.items()
        ]
        contents = Contents(
            JoinedFrames(sources, image, dtype),
            frames_key="chunks/0/data",
            positions_m=np.concatenate(positions),
            bad_pixels=_bad(file, shapes),
            units=stated_units("intensity", dtype, config),
        )
        _meta(file, config, contents)
    return contents


def _chunks(file: Hdf5File) -> dict[str, tuple[int, int, int]]:
    """Shape of the frames of each chunk, in the order of their numbers.

    Raises:
        ScanError: there are none, or frames of different sizes.
    """
    numbered = sorted((int(key), key) for key in file.group["chunks"] if str(key).isdecimal())
    if not numbered:
        raise ScanError(
            f"'/chunks' in {file.path} is empty, so the file holds no frames; ptypy writes them "
            f"with save='append'; the file has: {file.listing()}"
        )
    shapes: dict[str, tuple[int, int, int]] = {}
    for _, key in numbered:
        name = f"chunks/{key}/data"
        M, H, W = file.dataset(name, 3, "biuf").shape
        if 0 in (M, H, W):
            raise file.wrong(name, (M, H, W), "at least one frame")
        first = next(iter(shapes.values()), (M, H, W))
        if first[1:] != (H, W):
            raise file.wrong(name, (M, H, W), f"frames of {first[1:]} pixels, as the first has,")
        shapes[f"chunks/{key}"] = (M, H, W)
    return shapes


def _bad(
    file: Hdf5File, shapes: dict[str, tuple[int, int, int]]
) -> np.ndarray | FrameSource | None:
    """Bad pixels: `(H, W)` if all frames share them, a source `(M, H, W)` if not, None if none."""
    image = next(iter(shapes.values()))[1:]
    common = np.ones(image)
    for key in _COMMON_WEIGHTS:
        if file.has(key) and getattr(file.group[key], "shape", None) == image:
            common = file.array(key, kind="biuf")
            break
    sources = []
    for name, shape in shapes.items():
        key = f"{name}/weights"
        opener: Callable[[], FrameSource] = partial(ArrayFrames, np.broadcast_to(common, shape))
        if file.has_array(key):
            stored = file.dataset(key, 3, "biuf").shape
            if stored != shape:
                raise file.wrong(key, stored, f"{shape}, as the frames have,")
            opener = partial(Hdf5Frames, file.path, key)
        sources.append((shape[0], opener))
    weights = JoinedFrames(sources, image, np.dtype(np.float64))
    bad = DerivedFrames(weights, lambda raw, rows: ~(raw > 0), dtype=bool)  # NaN is bad as well
    first = bad.read(np.array([0]))[0]
    if any(not (block == first).all() for _, block in pieces(bad)):
        return bad
    bad.close()
    return first if first.any() else None


def _meta(file: Hdf5File, config: ScanConfig, contents: Contents) -> None:
    energy_kev, distance = (_values(file, f"meta/{name}")[:1] for name in ("energy", "distance"))
    contents.energy_ev = energy_kev[0] * 1e3 if energy_kev and energy_kev[0] > 0 else None
    contents.distance_m = distance[0] if distance and distance[0] > 0 else None
    pixel = _values(file, "meta/psize")
    if pixel and min(pixel) > 0:
        where = f"{file.path} ('/meta/psize')"
        contents.detector_pixel_m = square_pixel(pixel[0], pixel[-1], where)
    centre = _values(file, "meta/center")
    if len(centre) == 2 and max(map(abs, centre)) >= _CORNER:
        contents.beam_centre = (centre[0], centre[1])
    elif len(centre) == 2 or file.text("meta/center") == "fft":
        contents.centre = meant("corner", config.centre)
    for name in _PROPAGATION:
        refuse_near_field(file, name, config)


def _values(file: Hdf5File, key: str) -> list[float]:
    """Numbers of a dataset, or of a list that ptypy stores as a group of them; none: not said."""
    if not file.has(key):
        return []
    item = file.group[key]
    if isinstance(item, h5py.Group):
        inside = [_values(file, f"{key}/{name}") for name in sorted(item)]
        return [value for values in inside for value in values] if all(inside) else []
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf" or not item.size:
        return []  # the words 'fftshift' and 'None'
    values = file.array(key).astype(np.float64).reshape(-1)
    return values.tolist() if np.isfinite(values).all() else []
