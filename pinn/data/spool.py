"""Frames that wait for their neighbours, kept in an unnamed file instead of memory."""

from __future__ import annotations

import tempfile
import weakref

import numpy as np


class Spool:
    """Float32 frames by integer key in a temporary file that disappears with the process.

    Args:
        shape: `(N, N)` of one frame.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._bytes = 4 * shape[0] * shape[1]
        self._slots: dict[int, int] = {}
        self._file = tempfile.TemporaryFile(prefix="pinn-spool-")
        weakref.finalize(self, self._file.close)

    def put(self, keys: np.ndarray, frames: np.ndarray) -> None:
        """Store `(n, N, N)` frames."""
        for key, frame in zip(keys.tolist(), frames, strict=True):
            slot = self._slots.setdefault(key, len(self._slots))
            self._file.seek(slot * self._bytes)
            self._file.write(np.ascontiguousarray(frame, np.float32).tobytes())
        self._file.flush()

    def get(self, keys: np.ndarray) -> np.ndarray:
        """Read frames back, `(n, N, N)` float32."""
        out = np.empty((len(keys), *self._shape), np.float32)
        for row, key in enumerate(keys.tolist()):
            self._file.seek(self._slots[key] * self._bytes)
            out[row] = np.frombuffer(self._file.read(self._bytes), np.float32).reshape(self._shape)
        return out
