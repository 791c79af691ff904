"""A fingerprint by which a scan, read as it is, is recognised again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinn.data.masks import mask_rows
from pinn.data.scan import Scan

_SAMPLE = 16  # frames hashed as they are prepared, spread over the scan
# Stated where they are something else: digests of before they existed stay what they were.
_USUAL = {"propagation": "far", "detector_response": "none"}


def digest(scan: Scan) -> str:
    """What a reconstruction computes from, as `STORED-READING`, two SHA-256 (hexadecimal).

    The first is of the positions, the probe and a sample of the prepared frames; the second of how
    they are read (see `reading`). Stored bytes only, nothing computed: the same file read with the
    same options gives the same digest on every machine. A mask of each frame is looked at where
    the frames are. Truth and labels are no part of it; see `labels_digest`.
    """
    text = json.dumps(reading(scan), sort_keys=True)
    return f"{stored_digest(scan)}-{hashlib.sha256(text.encode()).hexdigest()}"


def stored_digest(scan: Scan) -> str:
    """SHA-256 of positions, probe and a sample of the prepared frames, however they are read."""
    parts = [scan.positions_px, scan.frames.read(_rows(scan)), np.array([len(scan)])]
    if scan.probe is not None:
        parts.append(scan.probe)
    return _hash(*parts)


def reading(scan: Scan) -> dict[str, Any]:
    """How the stored frames of a scan become measured ones, by the names of its attributes."""
    rows = _rows(scan)
    mask = mask_rows(scan.valid_mask, rows)
    index = scan.scan_index
    return {
        "units": scan.units,
        "photons_per_frame": scan.photons_per_frame,
        "saturation": scan.saturation,
        # a mask that leaves nothing out, and an index of one scan only, say nothing
        "valid_mask": None if mask is None or mask.all() else _hash(mask),
        "scan_index": None
        if index is None or np.all(index == index[0])
        else _hash(index.astype(np.int64)),
        **{k: getattr(scan, k) for k, usual in _USUAL.items() if getattr(scan, k) != usual},
    }


def labels_digest(scan: Scan) -> str:
    """SHA-256 of what a scan is compared with in training against labels (hexadecimal)."""
    parts: list[np.ndarray] = [np.asarray(scan.truth_origin_px, np.float64)]
    if scan.truth is not None:
        parts.append(scan.truth)
    if scan.label_patches is not None:
        parts.append(scan.label_patches.read(_rows(scan)))
    return _hash(*parts)


def same(known: str | None, found: str) -> bool:
    """Whether a stored digest is this one.

    Those of archives from before the reading was part of it are compared without it.
    """
    if known is None:
        return False
    return known == found or ("-" not in known and found.split("-")[0] == known)


def matched(known: Sequence[str | None], found: Sequence[str]) -> list[int | None]:
    """Number of the stored digest that each scan has, or None.

    The same scan given several times takes the stored ones in their order, the last one again
    where it is given more often.
    """
    free = list(range(len(known)))
    out: list[int | None] = []
    for one in found:
        rows = [row for row in range(len(known)) if same(known[row], one)]
        left = [row for row in rows if row in free]
        chosen = left[0] if left else rows[-1] if rows else None
        if chosen in free:
            free.remove(chosen)
        out.append(chosen)
    return out


def difference(stored: Mapping[str, Any], scan: Scan, labels: bool = False) -> str | None:
    """What tells a scan from the one that an archive describes, in words; None if nothing does.

    Args:
        stored: its `digest`, and where the archive has them `reading` and `labels`.
        labels: whether what it is compared with counts.
    """
    known, found = stored.get("digest"), digest(scan)
    if not same(known, found):
        if str(known).split("-")[0] != found.split("-")[0]:
            return "other frames, positions or probe"
        before, now = ({**_USUAL, **one} for one in (stored.get("reading") or {}, reading(scan)))
        return "the same file with " + (
            ", ".join(
                f"another {name}"
                if name in ("valid_mask", "scan_index")
                else f"{name} {now[name]} (was {before[name]})"
                for name in now
                if name in before and before[name] != now[name]
            )
            or "another reading"
        )
    if labels and stored.get("labels") not in (None, labels_digest(scan)):
        return "the same file with other labels (truth or label patches)"
    return None


def describe(scan: Scan, found: str, labels: bool = False) -> dict[str, Any]:
    """What an archive says of a scan, JSON-ready.

    Args:
        found: its digest.
        labels: whether it is compared with labels.
    """
    return {
        "name": scan.name,
        "source": str(scan.source or ""),
        "digest": found,
        "reading": reading(scan),
        "photons_known": scan.statistics().photons_known,
        **({"labels": labels_digest(scan)} if labels else {}),
    }


def _rows(scan: Scan) -> np.ndarray:
    return np.unique(np.linspace(0, len(scan) - 1, _SAMPLE).astype(np.int64))


def _hash(*parts: np.ndarray) -> str:
    content = hashlib.sha256()
    for part in parts:
        content.update(str(part.dtype).encode())
        content.update(np.ascontiguousarray(part).tobytes())
    return content.hexdigest()
