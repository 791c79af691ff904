"""Frames that wait for their neighbours, kept in an unnamed file instead of memory."""

from __future__ import annotations

import tempfile
import weakref

import numpy as np

from pinn.errors import OutputError


class Spool:
    """Float32 frames by row number in a temporary file (TMPDIR) that goes with the process.

    Args:
        shape: `(N, N)` of one frame.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._bytes = 4 * shape[0] * shape[1]
        self._file = tempfile.TemporaryFile(prefix="pinn-spool-")
        weakref.finalize(self, self._file.close)

    def put(self, rows: np.ndarray, frames: np.ndarray) -> None:
        """Store `(n, N, N)` frames.

        Raises:
            OutputError: the temporary folder is full.
        """
        try:
            for row, frame in zip(rows.tolist(), frames, strict=True):
                self._file.seek(row * self._bytes)
                self._file.write(np.ascontiguousarray(frame, np.float32).tobytes())
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"waiting frames cannot be kept in {tempfile.gettempdir()}: {error.strerror}; "
                "make room, or set TMPDIR to a larger disk"
            ) from None

    def get(self, rows: np.ndarray) -> np.ndarray:
        """Read frames back, `(n, N, N)` float32."""
        out = np.empty((len(rows), *self._shape), np.float32)
        for place, row in enumerate(rows.tolist()):
            self._file.seek(row * self._bytes)
            stored = np.frombuffer(self._file.read(self._bytes), np.float32)
            out[place] = stored.reshape(self._shape)
        return out
