"""`pinn info ARCHIVE`."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import Any

import click

from pinn.cli.common import PATH
from pinn.io.archive import Archive, archive_path, read_archive
from pinn.io.text import aligned, json_text

# parts of the provenance that stand under another title
_ELSEWHERE = ("scans", "train", "unfinished", "restored_epoch", "events")


@click.command("info")
@click.argument("archive", metavar="ARCHIVE", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(archive: Path, as_json: bool) -> None:
    """Show what ARCHIVE (wts.h5.zip or its folder) is and what it was trained on."""
    facts = describe(read_archive(archive))
    facts["file"] = str(archive_path(archive))
    if as_json:
        click.echo(json_text(facts), nl=False)
        return
    for title, rows in sections(facts):
        click.echo(title)
        click.echo(indent(aligned(rows), "  "))


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
    manifest, config, provenance = facts["manifest"], facts["config"], facts["provenance"]
    hardware = ", ".join(f"{k} {v}" for k, v in provenance.get("hardware", {}).items())
    scans = ", ".join(str(scan.get("name", "?")) for scan in provenance.get("scans", []))
    written = {
        "file": facts["file"],
        "created": manifest.get("created", "unknown"),
        "backend": manifest.get("backend", "unknown"),
        **{k: str(v) for k, v in manifest.get("versions", {}).items() if k != "backend"},
        **({"hardware": hardware} if hardware else {}),
    }
    trained = [
        ("scans", scans or "unknown"),
        *(
            (name, value)
            for name, value in provenance.items()
            if name not in _ELSEWHERE and value is not None and not isinstance(value, dict)
        ),
        *((k, v) for k, v in facts["statistics"].items() if isinstance(v, int | float | str)),
        *((k, v) for k, v in provenance.get("card", {}).items() if isinstance(v, str)),
    ]
    model = {**config.get("model", {}), "parameters": f"{facts['parameters']:,}"}
    named = {
        "Archive": written.items(),
        "Model": model.items(),
        "Trained on": trained,
        "Run": config.get("train", {}).items(),
        "History": _progress(facts),
    }
    return [
        (title, [(name, _text(value)) for name, value in rows])
        for title, rows in named.items()
        if rows
    ]


def _progress(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """How far the run came, its last and its best epoch, and what happened on the way."""
    history, provenance = facts["history"], facts["provenance"]
    rows = [("epochs", str(len(history)))]
    if cut := provenance.get("unfinished"):
        rows.append(("unfinished", f"epoch {cut['epoch']}, {cut['batch']} batches done"))
    if history:
        last = history[-1]
        rows += [
            (f"last {name}", _text(last[name]))
            for name in ("loss", "val_loss", "deviance", "val_deviance")
            if name in last
        ]
        rows += _best(history, facts["config"].get("train", {}))
        rows.append(("seconds", f"{sum(row.get('seconds', 0) for row in history):.0f}"))
    if provenance.get("restored_epoch"):
        rows.append(("weights", f"of epoch {provenance['restored_epoch']}, the best"))
        rows.append(("can be resumed", "with last.h5.zip beside it"))
    else:
        rows.append(("can be resumed", "yes" if facts["resumable"] else "no"))
    return rows + [
        (str(event["kind"]), f"epoch {event['epoch']}: {event['text']}")
        for event in provenance.get("events", [])
    ]


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
