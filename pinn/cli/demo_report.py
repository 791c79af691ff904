"""The report of the demo, as Markdown and as one HTML page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from pinn.cli.outputs import table
from pinn.io.atomic import atomic_write_text
from pinn.io.text import markdown_table
from pinn.progress import OVER

_PICTURES = (
    ("side_by_side.png", "The truth, what the network makes of the scan, and the refined result."),
    ("comparison.png", "Truth, refined result and difference of the compared region."),
    ("amplitude.png", "Amplitude of the whole refined result."),
    ("phase.png", "Phase of the whole refined result."),
    ("frc.png", "Fourier ring correlation of the refined result with the truth."),
    ("loss.png", "Training history of the network."),
    ("samples.png", "Measured frames and what the network makes of them."),
)
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "img{max-width:100%}td{padding:.1rem 1rem .1rem 0}figure{margin:2rem 0}"
)


def write_report(folder: Path, facts: dict[str, Any]) -> Path:
    """Write `report.md` and `report.html`; returns the latter."""
    title, intro, tables = _content(facts)
    pictures = [(name, text) for name, text in _PICTURES if (folder / name).exists()]
    atomic_write_text(folder / "report.md", _markdown(title, intro, tables, pictures))
    page = folder / "report.html"
    atomic_write_text(page, _html(title, intro, tables, pictures))
    return page


Table = tuple[str, list[tuple[str, ...]]]


def _content(facts: dict[str, Any]) -> tuple[str, list[str], list[Table]]:
    metrics, refinement = facts["metrics"], facts["refinement"]
    overlap = facts["overlap"]
    intro = [
        f"{metrics['frames']} diffraction patterns were simulated"
        + ("" if overlap is None else f" with {overlap:.0%} linear overlap")
        + f" and {facts['photons_per_frame']:.3g} photons each. A network learned from them alone, "
        f"without seeing the object, in {facts['epochs']} epochs, and reconstructed the scan in "
        "one pass. From its picture object and probe were refined through the forward model, in "
        f"{refinement['epochs']} epochs and {refinement['lbfgs_iterations']} iterations of "
        "L-BFGS. The object is known here, so that both can be compared with it.",
    ]
    if facts["epochs"] < facts["epochs_asked"]:
        intro.append(
            f"Training was to take {facts['epochs_asked']} epochs and was stopped at its time "
            "limit; more epochs give a better reconstruction."
        )
    if refinement["ended"] == OVER:
        intro.append("Refinement was stopped at its time limit; more time makes it sharper.")
    tables: list[Table] = []
    intro += [f"Verdict on {name}: {text}" for name, text in facts["verdicts"].items()]
    columns = [table(found) for found in facts["beside"].values()]
    rows = [(row[0][0], *(cell for _, cell in row)) for row in zip(*columns, strict=True)]
    tables.append(("Against the truth", [("", *facts["beside"]), *rows]))
    intro.append(
        "Before the comparison a sub-pixel shift, one complex factor and a linear phase ramp "
        "were removed: the patterns do not determine them."
    )
    intro += [str(note) for note in metrics["notes"]]
    seconds = {**facts["seconds"], "all": sum(facts["seconds"].values())}
    tables.append(("Seconds", [(name, f"{value:.1f}") for name, value in seconds.items()]))
    last = facts["last"]
    shown = ("loss", "val_loss", "deviance", "val_deviance", "groups_per_second")
    tables.append(("Last epoch", [(name, f"{last[name]:.5g}") for name in shown if name in last]))
    made = {**metrics["versions"], **metrics["hardware"]}
    made["peak memory, MB"] = f"{metrics['peak_memory_mb']:.0f}"
    tables.append(("Made with", [(name, str(value)) for name, value in made.items()]))
    return "pinn demo", intro, tables


def _markdown(
    title: str, intro: list[str], tables: list[Table], pictures: list[tuple[str, str]]
) -> str:
    parts = [f"# {title}", *intro]
    parts += [markdown_table([(name, *[""] * (len(rows[0]) - 1)), *rows]) for name, rows in tables]
    parts += [f"![{text}]({name})\n\n{text}" for name, text in pictures]
    return "\n\n".join(parts) + "\n"


def _html(
    title: str, intro: list[str], tables: list[Table], pictures: list[tuple[str, str]]
) -> str:
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(text)}</p>" for text in intro)]
    figures = [
        f'<figure><img src="{escape(name)}" alt="{escape(text)}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
        for name, text in pictures
    ]
    for name, rows in tables:
        cells = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        body.append(f"<h2>{escape(name)}</h2><table>{cells}</table>")
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body>'
        + "\n".join([body[0], *body[1 : 1 + len(intro)], *figures[:1], *body[1 + len(intro) :]])
        + "\n".join(figures[1:])
        + "</body></html>\n"
    )
