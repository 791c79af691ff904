"""Frames put together from what a file has: several sources as one stack, an array on disk."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pinn.data.frames import ArrayFrames, FrameSource
from pinn.data.zipped import MappedArray
from pinn.errors import ScanError

_OPEN_SOURCES = 8
_KEPT_IN_MEMORY = 64 << 20


class IndexedFrames(ABC):
    """Frames read by index: what all sources that look into a file have in common.

    Args:
        shape: `(M, H, W)`.
        dtype: of the stored values; they are handed out in the byte order of this machine.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._shape, self._dtype = tuple(shape), np.dtype(dtype).newbyteorder("=")
        self._closed = False

    @property
    def shape(self) -> tuple[int, ...]:
        """`(M, H, W)`."""
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        return self._dtype

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Frames `(n, H, W)` by index `(n,)`, in any order, repeated or not.

        Raises:
            ScanError: an index outside the scan, the file is damaged, or the source is closed.
        """
        indices = np.asarray(indices, np.int64).reshape(-1)
        M = self._shape[0]
        if len(indices) and not (indices.min() >= 0 and indices.max() < M):
            wrong = indices.min() if indices.min() < 0 else indices.max()
            raise ScanError(f"frame {wrong} was asked for, but the scan has frames 0 to {M - 1}")
        if self._closed:
            raise ScanError("the frames of this scan were closed; load it again")
        unique, inverse = np.unique(indices, return_inverse=True)
        frames = np.empty((len(unique), *self._shape[1:]), self._dtype)
        self._fill(frames, unique)
        return frames if np.array_equal(unique, indices) else frames[inverse]

    def chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """All frames in order: pairs of the first index and `(up to size, H, W)` frames."""
        for first in range(0, self._shape[0], size):
            yield first, self.read(np.arange(first, min(first + size, self._shape[0])))

    def close(self) -> None:
        """Give back what the source holds; reading afterwards is an error."""
        self._closed = True

    @abstractmethod
    def _fill(self, frames: np.ndarray, rows: np.ndarray) -> None:
        """Read the frames of these numbers, which ascend, into an array for them."""


class JoinedFrames(IndexedFrames):
    """Several sources as one stack, each opened when its frames are asked for.

    At most a few are open at a time: a scan may lie in a thousand files.

    Args:
        sources: number of frames and a function that opens the source, in the order of the frames.
        frame_shape: `(H, W)`, the same in all.
        dtype: common type of the values.
    """

    def __init__(
        self,
        sources: Sequence[tuple[int, Callable[[], FrameSource]]],
        frame_shape: tuple[int, int],
        dtype: np.dtype,
    ) -> None:
        self._openers = [opener for _, opener in sources]
        self._ends = np.cumsum([count for count, _ in sources])
        self._starts = self._ends - [count for count, _ in sources]
        super().__init__((int(self._ends[-1]), *frame_shape), dtype)
        self._open: dict[int, FrameSource] = {}

    def close(self) -> None:
        """Close all sources; reading afterwards is an error."""
        super().close()
        while self._open:
            self._open.popitem()[1].close()

    def _fill(self, frames: np.ndarray, rows: np.ndarray) -> None:
        numbers = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(numbers):
            mine = np.flatnonzero(numbers == number)
            frames[mine] = self._source(int(number)).read(rows[mine] - self._starts[number])

    def _source(self, number: int) -> FrameSource:
        source = self._open.pop(number, None) or self._openers[number]()
        self._open[number] = source  # the last one used is the last one here
        while len(self._open) > _OPEN_SOURCES:
            self._open.pop(next(iter(self._open))).close()
        return source


class StoredFrames(ArrayFrames):
    """Frames that a library can only hand out whole, moved to an unnamed temporary file (TMPDIR).

    Args:
        array: `(M, H, W)`; small ones stay in memory.

    Raises:
        ScanError: no room for the file.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._mapped = MappedArray(array)
        if array.nbytes > _KEPT_IN_MEMORY:
            self._mapped = on_disk(array.shape, array.dtype)
            self._mapped.array[...] = array
        super().__init__(self._mapped.array)

    def close(self) -> None:
        """Drop the array and the file; reading afterwards is an error."""
        super().close()
        self._mapped.close()


def on_disk(shape: tuple[int, ...], dtype: np.dtype | type) -> MappedArray:
    """An array of zeros in an unnamed temporary file that goes with the last use of it.

    Raises:
        ScanError: no room for the file.
    """
    file = tempfile.TemporaryFile(prefix="pinn-frames-")
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        # Written, not only reserved: a full disk must show here, not kill the process later.
        for first in range(0, size, 1 << 24):
            file.write(bytes(min(1 << 24, size - first)))
        file.flush()
    except OSError as error:
        file.close()
        raise ScanError(
            f"{size / 1e6:.0f} MB do not fit into {tempfile.gettempdir()} ({error.strerror}); set "
            "TMPDIR to a larger disk"
        ) from None
    return MappedArray(np.memmap(file, dtype, "r+", shape=shape), file)
