"""Where the frames of a scan lie: an array, a memory map, or a member of an NPZ file.

A source hands out frames by index and never holds more of them than it was asked for, so a scan
larger than memory costs only disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pinn.data.zipped import Member, map_member
from pinn.errors import ScanError
from pinn.progress import Progress

_BLOCK_BYTES = 16 << 20


@runtime_checkable
class FrameSource(Protocol):
    """Frames `(M, H, W)` read by index. Values are those of the file, not yet interpreted.

    Masks of each frame and label patches are held in the same way, as bool and complex numbers.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """`(M, H, W)`."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored values."""
        ...

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Frames `(n, N, N)` by index `(n,)`, in any order, repeated or not."""
        ...

    def chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """All frames in order: pairs of the first index and `(up to size, N, N)` frames."""
        ...

    def close(self) -> None:
        """Give back what the source holds; reading afterwards is an error."""
        ...


class _Source:
    """A source whose shape and type are known before anything is read."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype | type | str) -> None:
        self._shape, self._dtype = tuple(shape), np.dtype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(M, H, W)`."""
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the values handed out."""
        return self._dtype


class ArrayFrames(_Source):
    """Frames of an array or a memory map.

    Args:
        array: `(M, N, N)`, referenced and not copied.
    """

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array.shape, array.dtype)
        self._array: np.ndarray | None = array

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Frames `(n, N, N)` by index `(n,)`, in any order, repeated or not.

        Raises:
            ScanError: an index outside the scan, or the source is closed.
        """
        frames = self._open()
        indices = _inside(indices, len(frames))
        unique, inverse = np.unique(indices, return_inverse=True)
        # A run of neighbours is one slice; anything else is read in file order, each frame once.
        if len(unique) and unique[-1] - unique[0] == len(unique) - 1:
            found = frames[unique[0] : unique[-1] + 1]
        else:
            found = frames[unique]
        if len(unique) == len(indices) and np.array_equal(unique, indices):
            # in file order already; a slice of an array is a view, and is not handed out
            return np.array(found) if np.may_share_memory(found, frames) else np.asarray(found)
        return np.asarray(found)[inverse]

    def chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """All frames in order: pairs of the first index and `(up to size, N, N)` frames.

        The frames are views: copy what is to be changed.
        """
        frames = self._open()
        for first in range(0, len(frames), size):
            yield first, np.asarray(frames[first : first + size])

    def close(self) -> None:
        """Drop the array; reading afterwards is an error."""
        self._array = None

    def _open(self) -> np.ndarray:
        if self._array is None:
            raise ScanError("the frames of this scan were closed; load it again")
        return self._array


class NpyInZipFrames(ArrayFrames):
    """Frames of one `.npy` member of an NPZ file, without loading them.

    An uncompressed member in frame order is mapped where it lies. A compressed one, or one whose
    frames are not contiguous (axis order `(H, W, M)`, Fortran order), is copied once, in pieces,
    to an unnamed temporary file, for otherwise a single frame costs a pass over the whole file.

    Args:
        path: the NPZ file.
        member: the array in it, see `pinn.data.zipped.read_members`.
        frame_axis: axis that counts the frames, 0 or the last one.

    Raises:
        ScanError: a damaged member, or no room for the copy.
    """

    def __init__(self, path: Path, member: Member, frame_axis: int = 0) -> None:
        self._mapped = map_member(path, member, frame_axis)
        super().__init__(self._mapped.array)

    def close(self) -> None:
        """Drop the map and the temporary file; reading afterwards is an error."""
        super().close()
        self._mapped.close()


def as_source(frames: np.ndarray | FrameSource) -> FrameSource:
    """An array as a source; a source as it is."""
    return frames if isinstance(frames, FrameSource) else ArrayFrames(np.asarray(frames))


class OnDemandFrames(_Source):
    """A source that is opened when it is first read, for what is seldom needed.

    Args:
        shape: `(M, H, W)`.
        dtype: of the values.
        opened: gives the source.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype | type | str,
        opened: Callable[[], FrameSource],
    ) -> None:
        super().__init__(shape, dtype)
        self._opened = opened
        self._source: FrameSource | None = None
        self._closed = False

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Frames `(n, H, W)` by index `(n,)`, in any order, repeated or not."""
        return self._open().read(indices)

    def chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """All frames in order: pairs of the first index and `(up to size, H, W)` frames."""
        return self._open().chunks(size)

    def close(self) -> None:
        """Close the source; reading afterwards is an error."""
        self._closed = True
        if self._source is not None:
            self._source.close()

    def _open(self) -> FrameSource:
        if self._closed:
            raise ScanError("the frames of this scan were closed; load it again")
        if self._source is None:
            self._source = self._opened()
        return self._source


class DerivedFrames(_Source):
    """Frames of another source, changed as they are read and never held.

    The source is read in pieces of bounded size, however large its frames are against what is
    made of them.

    Args:
        source: `(M, H, W)`.
        change: stored frames `(n, H, W)` and their numbers `(n,)` to `(n, ...)`; what it gets may
            be a view of the source and is not to be written to.
        image: shape of one frame afterwards; default that of the source.
        dtype: type of the result; default that of the source.
        rows: `(M',)` numbers of the frames to show, in this order; default all.
    """

    def __init__(
        self,
        source: FrameSource,
        change: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        *,
        image: tuple[int, ...] | None = None,
        dtype: np.dtype | type | str | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        count = source.shape[0] if rows is None else len(np.asarray(rows))
        super().__init__(
            (int(count), *(source.shape[1:] if image is None else image)),
            source.dtype if dtype is None else dtype,
        )
        self._source, self._change = source, change
        self._rows = None if rows is None else np.asarray(rows, np.int64)
        self._block = max(1, _BLOCK_BYTES // max(1, _frame_bytes(source)))

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Frames `(n, H, W)` by index `(n,)`, in any order, repeated or not.

        Raises:
            ScanError: an index outside, or the source is closed.
        """
        indices = _inside(indices, self._shape[0])
        if len(indices) <= self._block:
            return self._read(indices)
        found = np.empty((len(indices), *self._shape[1:]), self._dtype)
        # In file order, so that a chunk of a compressed file is decoded once.
        order = np.argsort(indices, kind="stable")
        for first in range(0, len(order), self._block):
            part = order[first : first + self._block]
            found[part] = self._read(indices[part])
        return found

    def chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """All frames in order: pairs of the first index and `(up to size, H, W)` frames."""
        size = min(size, self._block)
        if self._rows is None:
            for first, raw in self._source.chunks(size):
                yield first, self._apply(raw, np.arange(first, first + len(raw)))
        else:
            for first in range(0, self._shape[0], size):
                stop = min(first + size, self._shape[0])
                yield first, self._read(np.arange(first, stop))

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _read(self, indices: np.ndarray) -> np.ndarray:
        rows = indices if self._rows is None else self._rows[indices]
        return self._apply(self._source.read(rows), rows)

    def _apply(self, raw: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return raw if self._change is None else self._change(raw, rows)


def pieces(
    source: FrameSource,
    *,
    nbytes: int = _BLOCK_BYTES // 2,
    progress: Callable[[Progress], None] | None = None,
    stage: str = "convert",
) -> Iterator[tuple[int, np.ndarray]]:
    """All frames in order, in pieces of about `nbytes`: pairs of the first index and frames.

    Args:
        progress: told after every piece, and at most about a hundred times.
        stage: name of the work, for the report.
    """
    total, told, started = source.shape[0], 0, time.perf_counter()
    for first, block in source.chunks(max(1, nbytes // max(1, _frame_bytes(source)))):
        yield first, block
        done = first + len(block)
        if progress is not None and (done * 100 // total > told or done == total):
            told = done * 100 // total
            rate = done / max(time.perf_counter() - started, 1e-9)
            progress(Progress(stage=stage, done=done, total=total, rate=rate))


def _frame_bytes(source: FrameSource) -> int:
    return int(np.prod(source.shape[1:], dtype=np.int64)) * source.dtype.itemsize


def _inside(indices: np.ndarray, M: int) -> np.ndarray:
    """Numbers of frames as int64 `(n,)`, all of them from 0 to M - 1."""
    indices = np.asarray(indices, np.int64).reshape(-1)
    if len(indices) and not (indices.min() >= 0 and indices.max() < M):
        wrong = indices.min() if indices.min() < 0 else indices.max()
        raise ScanError(f"frame {wrong} was asked for, but the scan has frames 0 to {M - 1}")
    return indices
