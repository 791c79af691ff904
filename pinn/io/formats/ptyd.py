"""Reader of `.ptyd`, the prepared data of ptypy.

A scan lies in groups `chunks/0`, `chunks/1`, ... with `data` (counts), `positions` (row, column in
metres) and perhaps `weights` (0 = bad pixel); a chunk may be a link to a file of its own. `meta`
holds energy (keV), distance, detector pixel and the pixel of the zero frequency.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import ArrayFrames, DerivedFrames, FrameSource, pieces
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5Frames, array, dataset, has, listing, numbers, reading, text
from pinn.io.shared import above_zero, counting_units, holds, meant
from pinn.io.stacks import JoinedFrames

# A centre nearer than this to pixel [0, 0] is that of frames whose zero frequency is in the corner.
_CORNER = 0.51


def is_ptyd(path: Path, head: bytes) -> bool:
    """True for an HDF5 file with the groups `chunks` and `meta`."""
    return holds(
        path,
        head,
        "chunks",
        "meta",
        if_so=lambda h5: all(isinstance(h5[name], h5py.Group) for name in ("chunks", "meta")),
    )


def read_ptyd(path: Path, config: ScanConfig) -> Contents:
    """Read a scan; its chunks are shown as one stack.

    Raises:
        ScanError: chunks are missing, lead nowhere or do not fit each other.
    """
    with reading(path) as h5:
        names = _chunks(h5, path)
        shapes = [_shape(h5, name, path) for name in names]
        dtype = np.result_type(*(h5[f"{name}/data"].dtype.newbyteorder("=") for name in names))
        for name, shape in zip(names, shapes, strict=True):
            if shape[1:] != shapes[0][1:]:
                raise ScanError(
                    f"'/{name}/data' in {path} has frames of {shape[1:]} pixels, but those of "
                    f"'/{names[0]}/data' have {shapes[0][1:]}; write the chunks alike"
                )
        places = [
            _places(h5, name, path, shape[0]) for name, shape in zip(names, shapes, strict=True)
        ]
        found = Contents(
            JoinedFrames(
                [
                    (shape[0], partial(Hdf5Frames, path, f"{name}/data"))
                    for name, shape in zip(names, shapes, strict=True)
                ],
                shapes[0][1:],
                dtype,
            ),
            frames_key="chunks/0/data",
            positions_m=np.concatenate(places),
            bad_pixels=_bad(h5, names, shapes, path),
            units=counting_units(dtype, config),
        )
        _meta(h5, path, config, found)
    return found


def _chunks(h5: h5py.File, path: Path) -> list[str]:
    numbered = sorted((int(key), key) for key in h5["chunks"] if str(key).isdecimal())
    if not numbered:
        raise ScanError(
            f"'/chunks' in {path} is empty, so the file holds no frames; ptypy writes them with "
            f"save='append'; the file has: {listing(h5)}"
        )
    return [f"chunks/{key}" for _, key in numbered]


def _shape(h5: h5py.File, name: str, path: Path) -> tuple[int, int, int]:
    data = dataset(h5, f"{name}/data", path, ndim=3, kind="biuf")
    if 0 in data.shape:
        raise ScanError(f"'/{name}/data' in {path} has shape {data.shape}: there are no frames")
    M, H, W = data.shape
    return M, H, W


def _places(h5: h5py.File, name: str, path: Path, M: int) -> np.ndarray:
    places = numbers(h5, f"{name}/positions", path, ndim=2, length=M)
    if places.shape[1] != 2:
        raise ScanError(
            f"'/{name}/positions' in {path} has shape {places.shape}, but ({M}, 2) with columns "
            "row, column in metres is required"
        )
    return places


def _bad(
    h5: h5py.File, names: list[str], shapes: list[tuple[int, int, int]], path: Path
) -> np.ndarray | FrameSource | None:
    """Bad pixels: `(H, W)` if all frames share them, a source `(M, H, W)` if not, None if none."""
    frame = shapes[0][1:]
    common = np.ones(frame)
    for key in ("meta/weight2d", "info/weight2d"):
        # `info` may say only whether there is one.
        if has(h5, key) and getattr(h5[key], "shape", None) == frame:
            common = array(h5, key, path, kind="biuf")
            break
    openers = [
        partial(Hdf5Frames, path, f"{name}/weights")
        if _has_weights(h5, name, shape, path)
        else partial(ArrayFrames, np.broadcast_to(common, shape))
        for name, shape in zip(names, shapes, strict=True)
    ]
    weights = JoinedFrames(
        [(shape[0], opener) for shape, opener in zip(shapes, openers, strict=True)],
        frame,
        np.dtype(np.float64),
    )
    bad = DerivedFrames(weights, lambda raw, rows: ~(raw > 0), dtype=bool)  # NaN is bad as well
    image = bad.read(np.array([0]))[0]
    if any(not (part == image).all() for _, part in pieces(bad)):
        return bad
    bad.close()
    return image if image.any() else None


def _has_weights(h5: h5py.File, name: str, shape: tuple[int, int, int], path: Path) -> bool:
    key = f"{name}/weights"
    if not has(h5, key) or not isinstance(h5[key], h5py.Dataset) or not h5[key].size:
        return False
    weights = dataset(h5, key, path, ndim=3, kind="biuf")
    if weights.shape != shape:
        raise ScanError(
            f"'/{key}' in {path} has shape {weights.shape}, but {shape} is required to match the "
            "frames"
        )
    return True


def _meta(h5: h5py.File, path: Path, config: ScanConfig, found: Contents) -> None:
    energy = _values(h5, "meta/energy", path)
    energy_kev = above_zero(energy[0] if energy else None)
    found.energy_ev = energy_kev * 1e3 if energy_kev else None
    distance = _values(h5, "meta/distance", path)
    found.distance_m = above_zero(distance[0] if distance else None)
    pixel = _values(h5, "meta/psize", path)
    if pixel and min(pixel) > 0:
        if max(pixel) > 1.001 * min(pixel):
            raise ScanError(
                f"'/meta/psize' in {path} says that detector pixels are {pixel[0]:g} m high and "
                f"{pixel[-1]:g} m wide, but only square ones can be used; resample the frames"
            )
        found.detector_pixel_m = pixel[0]
    centre = _values(h5, "meta/center", path)
    if centre is not None and len(centre) == 2:
        if max(map(abs, centre)) < _CORNER:
            found.centre = meant("corner", config.centre)
        else:
            found.beam_centre = (centre[0], centre[1])
    elif has(h5, "meta/center") and text(h5["meta/center"]) == "fft":
        found.centre = meant("corner", config.centre)
    if has(h5, "meta/propagation") and text(h5["meta/propagation"]) == "nearfield":
        found.notes.append("the file says that the detector is in the near field; far is assumed")


def _values(h5: h5py.File, key: str, path: Path) -> list[float] | None:
    """Numbers of a dataset, or of a list that ptypy stores as a group of them; None: not said."""
    if not has(h5, key):
        return None
    item: Any = h5[key]
    if isinstance(item, h5py.Group):
        parts = [_values(h5, f"{key}/{name}", path) for name in sorted(item)]
        return None if not parts or None in parts else [v for part in parts for v in part or ()]
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf" or not item.size:
        return None  # the words 'fftshift' and 'None'
    values = array(h5, key, path).astype(np.float64).reshape(-1)
    return values.tolist() if np.isfinite(values).all() else None
