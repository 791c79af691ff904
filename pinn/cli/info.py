"""`pinn info ARCHIVE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pinn.cli.common import PATH
from pinn.io.archive import Archive, archive_path, read_archive
from pinn.io.text import json_text

# parts of the provenance that stand under another title
_ELSEWHERE = ("scans", "train", "unfinished", "restored_epoch", "events")


@click.command("info")
@click.argument("archive", metavar="ARCHIVE", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def command(archive: Path, as_json: bool) -> None:
    """Say what ARCHIVE (wts.h5.zip or its folder) is and what it was trained on."""
    facts = describe(read_archive(archive))
    facts["file"] = str(archive_path(archive))
    if as_json:
        click.echo(json_text(facts), nl=False)
        return
    for title, rows in sections(facts):
        click.echo(title)
        wide = max(len(name) for name, _ in rows)
        for name, value in rows:
            click.echo(f"  {name:<{wide}}  {value}")


def describe(archive: Archive) -> dict[str, Any]:
    """Facts about an `Archive`, JSON-ready; arrays by shape only."""
    weights = {name: list(array.shape) for name, array in archive.weights.items()}
    return {
        "manifest": archive.manifest,
        "config": archive.config,
        "statistics": archive.statistics,
        "history": archive.history,
        "provenance": archive.provenance,
        "parameters": int(sum(array.size for array in archive.weights.values())),
        "weights": weights,
        "resumable": archive.optimizer is not None,
    }


def sections(facts: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The same for people: titles with (name, value) rows; what is unknown is left out."""
    manifest, config = facts["manifest"], facts["config"]
    provenance, history = facts["provenance"], facts["history"]
    model = [(name, _text(value)) for name, value in config.get("model", {}).items()]
    model.append(("parameters", f"{facts['parameters']:,}"))
    run = [(name, _text(value)) for name, value in config.get("train", {}).items()]
    scans = provenance.get("scans", [])
    trained = [("scans", ", ".join(str(scan.get("name", "?")) for scan in scans) or "unknown")]
    trained += [
        (name, _text(value))
        for name, value in provenance.items()
        if name not in _ELSEWHERE and value is not None and not isinstance(value, dict)
    ]
    trained += [
        (name, _text(value))
        for name, value in facts["statistics"].items()
        if isinstance(value, (int, float, str))
    ]
    progress = [("epochs", str(len(history)))]
    cut = provenance.get("unfinished")
    if cut:
        progress.append(("unfinished", f"epoch {cut['epoch']}, {cut['batch']} batches done"))
    if history:
        last = history[-1]
        progress += [
            (f"last {name}", _text(last[name]))
            for name in ("loss", "val_loss", "deviance", "val_deviance")
            if name in last
        ]
        progress += _best(history, config.get("train", {}))
        seconds = sum(row.get("seconds", 0) for row in history)
        progress.append(("seconds", f"{seconds:.0f}"))
    if provenance.get("restored_epoch"):
        progress.append(("weights", f"of epoch {provenance['restored_epoch']}, the best"))
        progress.append(("can be resumed", "with last.h5.zip beside it"))
    else:
        progress.append(("can be resumed", "yes" if facts["resumable"] else "no"))
    progress += [
        (str(event["kind"]), f"epoch {event['epoch']}: {event['text']}")
        for event in provenance.get("events", [])
    ]
    written = [
        ("file", facts["file"]),
        ("created", str(manifest.get("created", "unknown"))),
        ("backend", str(manifest.get("backend", "unknown"))),
        *(
            (name, str(value))
            for name, value in manifest.get("versions", {}).items()
            if name != "backend"
        ),
    ]
    hardware = provenance.get("hardware", {})
    if hardware:
        written.append(("hardware", ", ".join(f"{k} {v}" for k, v in hardware.items())))
    named = [
        ("Archive", written),
        ("Model", model),
        ("Trained on", trained),
        ("Run", run),
        ("History", progress),
    ]
    return [(title, rows) for title, rows in named if rows]


def _best(history: list[dict[str, Any]], run: dict[str, Any]) -> list[tuple[str, str]]:
    """The best epoch by the run's own measure."""
    name = run.get("monitor") or ("val_loss" if "val_loss" in history[-1] else "loss")
    sign = -1 if run.get("monitor_mode") == "max" else 1
    rows = [row for row in history if name in row]
    if not rows:
        return []
    best = min(rows, key=lambda row: sign * row[name])
    return [("best epoch", f"{best['epoch']} ({name} {_text(best[name])})")]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return "none" if value is None else str(value)
