"""Frames of an HDF5 dataset, read by index and in pieces, never whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from pinn.errors import ScanError
from pinn.io.hdf5_files import FAULTS, damaged, dataset, open_hdf5

MOST_FRAMES = 1 << 26  # what is kept for each frame still fits into memory
_PIECE_BYTES = 16 << 20
# Decompressed chunks that stay in memory: at least, and at most, where chunks are large.
_CACHE_BYTES = (64 << 20, 256 << 20)


class Hdf5Frames:
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
        self._owner, self._closed = 0, False
        extra = len(self._leading)
        with open_hdf5(self._path) as h5:
            data = dataset(h5, dataset_path, self._path, ndim=(3 + extra, 4 + extra), kind=kind)
            self._grid, image = data.shape[extra:-2], data.shape[-2:]
            self._dtype = data.dtype.newbyteorder("=")
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
        self._shape = (int(np.prod(self._grid)), *(image[::-1] if transpose else image))

    @property
    def shape(self) -> tuple[int, ...]:
        """`(M, H, W)`."""
        return self._shape

    @property
    def grid(self) -> tuple[int, ...]:
        """`(M,)`, or `(ny, nx)` of a raster."""
        return tuple(int(n) for n in self._grid)

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored values, in the byte order of this machine."""
        return self._dtype

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Frames `(n, H, W)` by index `(n,)`, in any order, repeated or not.

        Frames are read in file order, those of one chunk together.

        Raises:
            ScanError: an index outside the scan, the file is damaged, or the source is closed.
        """
        indices = np.asarray(indices, np.int64).reshape(-1)
        M = self._shape[0]
        if len(indices) and not (indices.min() >= 0 and indices.max() < M):
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise ScanError(f"frame {wrong} was asked for, but the scan has frames 0 to {M - 1}")
        data = self._open()
        unique, inverse = np.unique(indices, return_inverse=True)
        found = np.empty((len(unique), *self._shape[1:]), self._dtype)
        limit = max(1, _PIECE_BYTES // max(1, found[:1].nbytes))
        start = 0
        while start < len(unique):
            stop = start + 1
            # One piece goes on while frames are neighbours or share a chunk.
            while (
                stop < len(unique)
                and unique[stop] - unique[start] < limit
                and (
                    unique[stop] == unique[stop - 1] + 1
                    or unique[stop] // self._per_chunk == unique[stop - 1] // self._per_chunk
                )
            ):
                stop += 1
            low, high = int(unique[start]), int(unique[stop - 1]) + 1
            found[start:stop] = self._slab(data, low, high)[unique[start:stop] - low]
            start = stop
        return found if np.array_equal(unique, indices) else found[inverse]

    def chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """All frames in order: pairs of the first index and `(up to size, H, W)` frames."""
        for start in range(0, self._shape[0], size):
            yield start, self._slab(self._open(), start, min(start + size, self._shape[0]))

    def close(self) -> None:
        """Close the file; reading afterwards is an error."""
        self._closed = True
        self._drop()

    def _slab(self, data: h5py.Dataset, low: int, high: int) -> np.ndarray:
        """Frames low to high - 1, of one row or of several."""
        width = self._grid[-1]
        found = np.empty((high - low, *data.shape[-2:]), self._dtype)
        done = low
        try:
            while done < high:
                row, column = divmod(done, width)
                count = min(high - done, width - column)
                outer = (row,) if len(self._grid) == 2 else ()
                part = data[(*self._leading, *outer, slice(column, column + count))]
                found[done - low : done - low + count] = part
                done += count
        except FAULTS as error:
            named = f"frame {low}" if high == low + 1 else f"a frame from {low} to {high - 1}"
            raise damaged(f"{named} of {self._name!r}", self._path, error) from None
        return found.transpose(0, 2, 1) if self._transpose else found

    def _open(self) -> h5py.Dataset:
        if self._closed:
            raise ScanError("the frames of this scan were closed; load it again")
        # A handle does not survive a fork: the child opens the file again.
        if self._data is None or self._owner != os.getpid():
            self._file = open_hdf5(self._path, cache_bytes=self._cache)
            self._data = dataset(self._file, self._name, self._path, kind=self._kind)
            self._owner = os.getpid()
        return self._data

    def _drop(self) -> None:
        file, self._file, self._data = self._file, None, None
        if file is not None and self._owner == os.getpid():
            file.close()
