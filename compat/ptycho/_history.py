"""Losses by the original's names beside ours."""

from __future__ import annotations

from typing import Any

_NAMES = {
    "nll": "pred_intensity_loss",
    "mae": "intensity_scaler_inv_loss",
}


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """A history as columns, with the original's names beside ours.

    `pred_intensity_loss` is the negative log-likelihood per pixel, `intensity_scaler_inv_loss` the
    amplitude term where there is one, `trimmed_obj_loss` is zero as it is there.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    found = {name: [row.get(name) for row in rows] for name in names}
    for start in ("", "val_"):
        for ours, theirs in _NAMES.items():
            if start + ours in found:
                found[start + theirs] = found[start + ours]
        if f"{start}loss" in found:
            found[f"{start}trimmed_obj_loss"] = [0.0] * len(rows)
    found["train_loss"] = list(found["loss"])
    return found
