"""Where the frames of a scan lie: an array, a memory map, or a member of an NPZ file.

A source hands out frames by index and never holds more of them than it was asked for, so a scan
larger than memory costs only disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pinn.data.zipped import Member, map_member
from pinn.errors import ScanError


@runtime_checkable
class FrameSource(Protocol):
    """Frames `(M, N, N)` read by index. Values are those of the file, not yet interpreted."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(M, N, N)`."""
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


class ArrayFrames:
    """Frames of an array or a memory map.

    Args:
        array: `(M, N, N)`, referenced and not copied.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array: np.ndarray | None = array
        self._shape, self._dtype = array.shape, array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """`(M, N, N)`."""
        return self._shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored values."""
        return self._dtype

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Frames `(n, N, N)` by index `(n,)`, in any order, repeated or not.

        Raises:
            ScanError: an index outside the scan, or the source is closed.
        """
        indices = np.asarray(indices, np.int64).reshape(-1)
        frames = self._open()
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(frames)):
            raise ScanError(
                f"frame {indices.min() if indices.min() < 0 else indices.max()} was asked for, "
                f"but the scan has frames 0 to {len(frames) - 1}"
            )
        unique, inverse = np.unique(indices, return_inverse=True)
        # A run of neighbours is one slice; anything else is read in file order, each frame once.
        if len(unique) and unique[-1] - unique[0] == len(unique) - 1:
            found = frames[unique[0] : unique[-1] + 1]
        else:
            found = frames[unique]
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
