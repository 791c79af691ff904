"""A fingerprint by which a scan is recognised again."""

from __future__ import annotations

import hashlib

import numpy as np

from pinn.data.scan import Scan

_SAMPLE = 16  # frames hashed as they are stored, spread over the scan


def digest(scan: Scan) -> str:
    """SHA-256 of the positions, the probe and a sample of the stored frames (hexadecimal).

    Stored bytes only, nothing computed: the same file gives the same digest on every machine.
    """
    content = hashlib.sha256()
    rows = np.unique(np.linspace(0, len(scan) - 1, _SAMPLE).astype(np.int64))
    frames = scan.frames.read(rows)
    parts = [scan.positions_px, frames, np.array([len(scan)])]
    if scan.probe is not None:
        parts.append(scan.probe)
    for part in parts:
        content.update(str(part.dtype).encode())
        content.update(np.ascontiguousarray(part).tobytes())
    return content.hexdigest()
