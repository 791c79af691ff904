"""Frames of an HDF5 dataset, read by index and in pieces, never whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from pinn.errors import ScanError
from pinn.io.hdf5_files import FAULTS, damaged, dataset, open_hdf5
from pinn.io.stacks import IndexedFrames

MOST_FRAMES = 1 << 26  # what is kept for each frame still fits into memory
_PIECE_BYTES = 16 << 20
# Decompressed chunks that stay in memory: at least, and at most, where chunks are large.
_CACHE_BYTES = (64 << 20, 256 << 20)


class Hdf5Frames(IndexedFrames):
    """Frames of one dataset, read by index and in pieces; the file is opened when first needed.

    Args:
        path: the file.
        dataset_path: `(M, H, W)`, or a raster `(ny, nx, H, W)` that is shown as `(ny*nx, H, W)`.
        leading: indices that select on axes before those, for instance `(0,)` for `(1, M, H, W)`.
        transpose: swap the last two axes, for files in MATLAB's order.
        kind: NumPy kinds that will do; real numbers unless said.

    Raises:
        ScanError: see `dataset`; or another rank, no frames, or another kind of values.
    """

    def __init__(
        self,
        path: str | Path,
        dataset_path: str,
        *,
        leading: Sequence[int] = (),
        transpose: bool = False,
        kind: str = "biuf",
    ) -> None:
        self._path, self._name = Path(path), dataset_path
        self._leading, self._transpose, self._kind = tuple(leading), transpose, kind
        self._file: h5py.File | None = None
        self._data: h5py.Dataset | None = None
        self._owner = 0
        extra = len(self._leading)
        with open_hdf5(self._path) as h5:
            data = dataset(h5, dataset_path, self._path, ndim=(3 + extra, 4 + extra), kind=kind)
            self._grid, image = data.shape[extra:-2], data.shape[-2:]
            if 0 in data.shape or any(
                not 0 <= i < n for i, n in zip(self._leading, data.shape, strict=False)
            ):
                raise ScanError(
                    f"{dataset_path!r} in {self._path} has shape {data.shape}: there are no frames"
                    f"{f' at {list(leading)}' if leading else ''}"
                )
            if int(np.prod(self._grid, dtype=np.float64)) > MOST_FRAMES:
                raise ScanError(
                    f"{dataset_path!r} in {self._path} has shape {data.shape}, more frames than "
                    "any file holds; copy or write the file again"
                )
            chunk = data.chunks or (1,) * data.ndim
            self._per_chunk = max(1, chunk[extra + len(self._grid) - 1])
            several = 4 * int(np.prod(chunk, dtype=np.int64)) * data.dtype.itemsize
            self._cache = min(max(several, _CACHE_BYTES[0]), _CACHE_BYTES[1])
            count = int(np.prod(self._grid))
            super().__init__((count, *(image[::-1] if transpose else image)), data.dtype)

    @property
    def grid(self) -> tuple[int, ...]:
        """`(M,)`, or `(ny, nx)` of a raster."""
        return tuple(int(n) for n in self._grid)

    def close(self) -> None:
        """Close the file; reading afterwards is an error."""
        super().close()
        file, self._file, self._data = self._file, None, None
        if file is not None and self._owner == os.getpid():
            file.close()

    def _fill(self, frames: np.ndarray, rows: np.ndarray) -> None:
        """Frames are read in file order, those of one chunk together."""
        data = self._open()
        limit = max(1, _PIECE_BYTES // max(1, frames[:1].nbytes))
        start = 0
        while start < len(rows):
            stop = start + 1
            # One piece goes on while frames are neighbours or share a chunk.
            while (
                stop < len(rows)
                and rows[stop] - rows[start] < limit
                and (
                    rows[stop] == rows[stop - 1] + 1
                    or rows[stop] // self._per_chunk == rows[stop - 1] // self._per_chunk
                )
            ):
                stop += 1
            low, high = int(rows[start]), int(rows[stop - 1]) + 1
            frames[start:stop] = self._slab(data, low, high)[rows[start:stop] - low]
            start = stop

    def _slab(self, data: h5py.Dataset, low: int, high: int) -> np.ndarray:
        """Frames low to high - 1, of one row or of several."""
        width = self._grid[-1]
        frames = np.empty((high - low, *data.shape[-2:]), self._dtype)
        done = low
        try:
            while done < high:
                row, column = divmod(done, width)
                count = min(high - done, width - column)
                outer = (row,) if len(self._grid) == 2 else ()
                line = data[(*self._leading, *outer, slice(column, column + count))]
                frames[done - low : done - low + count] = line
                done += count
        except FAULTS as error:
            named = f"frame {low}" if high == low + 1 else f"a frame from {low} to {high - 1}"
            raise damaged(f"{named} of {self._name!r}", self._path, error) from None
        return frames.transpose(0, 2, 1) if self._transpose else frames

    def _open(self) -> h5py.Dataset:
        # A handle does not survive a fork: the child opens the file again.
        if self._data is None or self._owner != os.getpid():
            self._file = open_hdf5(self._path, cache_bytes=self._cache)
            self._data = dataset(self._file, self._name, self._path, kind=self._kind)
            self._owner = os.getpid()
        return self._data
