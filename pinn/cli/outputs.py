"""What a reconstruction and a comparison leave in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pinn import backend
from pinn.cli.common import Common
from pinn.cli.options import Resolved
from pinn.config import Config
from pinn.data.scan import Scan
from pinn.errors import InputError
from pinn.io.atomic import atomic_write_json
from pinn.io.product import Reconstruction
from pinn.io.text import aligned
from pinn.plots.comparison import write_comparison, write_frc
from pinn.plots.pictures import write_amplitude, write_phase
from pinn.plots.trust import write_trust
from pinn.quality.evaluate import Evaluation, evaluate

# What a result says of itself, by its name in the statistics.
_TRUST = ("likelihood", "consistency", "resolution", "unlike_training")

# What the table shows: name in the metrics, words, format.
_ROWS = (
    ("nrmse", "normalised error, complex", "{:.4f}"),
    ("amplitude_mae", "amplitude MAE", "{:.4f}"),
    ("amplitude_psnr_db", "amplitude PSNR (range of the truth)", "{:.2f} dB"),
    ("amplitude_ssim", "amplitude SSIM", "{:.4f}"),
    ("phase_mae_rad", "phase MAE", "{:.4f} rad"),
    ("phase_psnr_db", "phase PSNR (range of the truth)", "{:.2f} dB"),
    ("phase_ssim", "phase SSIM", "{:.4f}"),
    ("frc50", "FRC crosses 0.5", "{:.4f} cycles/px"),
    ("frc_1_7", "FRC crosses 1/7", "{:.4f} cycles/px"),
    ("frc_half_bit", "FRC crosses half-bit", "{:.4f} cycles/px"),
)


_PANELS = {"trust": 3, "truth": 6}  # drawn by `write_results` besides amplitude and phase
_TRUST_PICTURE, _COMPARISONS = "trust.png", ["comparison.png", "frc.png"]
NOT_COMPARED = "no comparison with the scan's truth"
NOT_DRAWN = "the time was over; not drawn:"


def write_results(
    folder: Path,
    recon: Reconstruction,
    scan: Scan,
    time_for: Callable[[int], bool] = lambda panels: True,
    **facts: Any,
) -> dict[str, Any]:
    """Write `reconstruction.h5`, `amplitude.png`, `phase.png`, `trust.png` and `metrics.json`.

    With a scan that knows its truth, `comparison.png` and `frc.png` too.

    Args:
        folder: where to.
        recon: the result.
        scan: what it was made from.
        time_for: whether there is time to draw so many panels more; else `trust.png`,
            `comparison.png` and `frc.png` are left out, which a note says.
        facts: more entries for `metrics.json`.

    Returns:
        What `metrics.json` holds.

    Raises:
        OutputError: the folder, or a file in it, cannot be written.
    """
    recon.save(folder / "reconstruction.h5")
    write_amplitude(folder / "amplitude.png", recon)
    write_phase(folder / "phase.png", recon, remove_phase_ramp=True)
    missing = [] if time_for(_PANELS["trust"]) else [_TRUST_PICTURE]
    if not missing:
        write_trust(folder / _TRUST_PICTURE, recon)
    seconds = recon.statistics.get("seconds", {})
    metrics: dict[str, Any] = {
        "scan": scan.name,
        "frames": len(scan),
        "seconds": seconds,
        "frames_per_second": len(scan) / seconds["total"] if seconds.get("total") else None,
        "mean_counts_per_frame": recon.statistics.get("mean_counts"),
        "exposure": recon.statistics.get("exposure"),
        "exposure_ratio": recon.statistics.get("exposure_ratio"),
        "object": {
            "shape": list(recon.object.shape),
            "origin_px": recon.origin_px.tolist(),
            "pixel_size_m": recon.pixel_size_m,
        },
        "coverage": _coverage(recon),
        "stages": recon.statistics.get("stages"),
        "verdict": recon.verdict,
        **{name: recon.statistics.get(name) for name in _TRUST},
        "preparation": list(scan.steps),
        "notes": list(recon.notes),
        "archive_sha256": recon.archive_sha256,
        "versions": recon.versions,
        **facts,
        "hardware": backend.hardware(),
        "peak_memory_mb": backend.peak_memory_mb(),
        "evaluation": None,
    }
    found = None
    if scan.truth is not None:
        try:
            found = evaluate(recon, scan.truth, truth_origin_px=scan.truth_origin_px)
            metrics["evaluation"] = found.to_dict()
        except InputError as error:  # the truth does not fit; a result there is all the same
            metrics["notes"].append(f"{NOT_COMPARED}: {error}")
    draw = found is not None and time_for(_PANELS["truth"])
    missing += [] if found is None or draw else _COMPARISONS
    if missing:
        metrics["notes"].append(f"{NOT_DRAWN} {', '.join(missing)}")
        for name in missing:  # of an earlier run
            (folder / name).unlink(missing_ok=True)
    atomic_write_json(folder / "metrics.json", metrics)
    if found is not None and draw:
        write_evaluation(folder, found)
    return metrics


def further_panels(scan: Scan) -> int:
    """How many panels `write_results` draws besides amplitude and phase."""
    return _PANELS["trust"] + (0 if scan.truth is None else _PANELS["truth"])


def write_config(
    folder: Path,
    scan: Scan,
    source: Path,
    resolved: Resolved,
    configs: Mapping[str, Config],
    **facts: Any,
) -> None:
    """Write `config.json`: all options, their sources, and the versions.

    Args:
        folder: where to.
        scan: the scan, with its preparation.
        source: its file as stated.
        resolved: the command's options with their sources.
        configs: options by the name of their entry.
        facts: more entries.
    """
    content = {
        **{name: config.to_dict() for name, config in configs.items()},
        "scans": [str(source)],
        "preparation": list(scan.steps),
        **facts,
        "sources": resolved.sources,
        "versions": backend.versions(),
    }
    atomic_write_json(folder / "config.json", content)


def say_quality(common: Common, recon: Reconstruction, metrics: dict[str, Any]) -> None:
    """Say the verdict on a result, and how it compares with the scan's own truth."""
    common.say(recon.verdict)
    if metrics["evaluation"] is not None:
        common.say("against the scan's own truth:")
        common.say(table_text(metrics["evaluation"]["metrics"]))
    for note in metrics["notes"]:
        if note.startswith((NOT_COMPARED, NOT_DRAWN)):
            common.say(note)


def write_evaluation(folder: Path, evaluation: Evaluation) -> Evaluation:
    """Write `comparison.png` and, where there is a curve, `frc.png`."""
    write_comparison(folder / "comparison.png", evaluation)
    if evaluation.frc is not None:
        write_frc(folder / "frc.png", evaluation)
    return evaluation


def table(metrics: dict[str, float | None]) -> list[tuple[str, str]]:
    """Metrics of an `Evaluation` as (words, number with unit), in reading order."""
    return [
        (words, "-" if metrics.get(name) is None else form.format(metrics[name]))
        for name, words, form in _ROWS
    ]


def table_text(metrics: dict[str, float | None]) -> str:
    """`table` as aligned lines."""
    return aligned(table(metrics))


def _coverage(recon: Reconstruction) -> dict[str, float]:
    covered = recon.coverage[recon.valid_mask]
    return {
        "share_of_canvas": float(recon.valid_mask.mean()),
        "median_weight": float(np.median(covered)) if covered.size else 0.0,
    }
