"""A check's report for people: tables with rich, options on lines of their own to be copied."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pinn.check import Fact, Finding, Orientation, Report, options_text
from pinn.check.geometry import DECIDE, turned
from pinn.check.symmetry import Choice
from pinn.config import ScanConfig

_COLOURS = {"error": "bold red", "warning": "yellow", "remark": "cyan"}
_WIDEST = 110


def show(
    report: Report, config: ScanConfig, notes: Sequence[str], measured: Sequence[Fact] = ()
) -> None:
    """Print a report.

    Args:
        report: the check's.
        config: how the scan was read.
        notes: of the scan, from reading it.
        measured: rates measured besides.
    """
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
    console = Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False)
    console.print(_rows(f"Scan {report.name}", report.facts))
    if report.orientation is not None:
        console.print()
        _orientation(console, report.orientation, config)
    console.print()
    console.print(_rows("Cost", [*report.costs, *measured]))
    console.print()
    _findings(console, report.findings)
    for note in notes:
        console.print(_hanging("note", note, "dim"))
    console.print()
    _conclusion(console, report)


def _rows(title: str, facts: Sequence[Fact]) -> Table:
    table = Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for fact in facts:
        table.add_row(Text(fact.name), Text(fact.text))
    return table


def _orientation(console: Console, found: Orientation, config: ScanConfig) -> None:
    table = Table(title="Positions against frames", title_justify="left", box=None, pad_edge=False)
    for name, justify in (("", "left"), ("R factor", "right"), ("worse by", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("options, with the fewest changes")
    for number, score in enumerate(found.classes):
        best = number == found.best
        open_ = number in found.rivals
        table.add_row(
            Text(score.name, "bold" if best else ""),
            f"{score.r_factor:.3f}",
            "best" if best else f"{score.margin:.1f} sigma{' (open)' if open_ else ''}",
            Text(_choice(found.choice if best else score.members[0], found, config)),
        )
    console.print(table)
    wins, regions = found.agreement
    probe = {
        "fits": "the given probe explains the frames",
        "blind": "the given probe explains the frames, but looks the same turned over",
        "poor": "the given probe does not explain the frames",
        "none": "no probe given",
    }[found.probe]
    console.print(
        Text(
            f"Each class is fitted to frames of {regions} places and predicts others (R factor; "
            f"{wins} of {regions} places agree with the best; {found.frames} frames, "
            f"{found.seconds:.0f} s); {probe}."
        )
    )
    if found.decided and len(found.members) > 1:
        same = ", ".join(_choice(choice, found, config) for choice in found.members)
        console.print(Text(f"Equally likely (orientation and flip): {same}; {DECIDE}."))


def _choice(choice: Choice, found: Orientation, config: ScanConfig) -> str:
    options = turned(choice, found, config)
    flip = "" if options["flip_frames"] == "none" else f" flip {options['flip_frames']}"
    angle = f" {options['rotation_deg']:g} degrees" if found.rotation_deg else ""
    return f"{options['orientation']}{angle}{flip}"


def _findings(console: Console, findings: Sequence[Finding]) -> None:
    for finding in findings:
        console.print(_hanging(finding.severity, finding.message, _COLOURS[finding.severity]))
        if finding.options:
            click.echo(f"{'':9}{options_text(finding.options)}")


def _hanging(word: str, text: str, style: str) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(width=8, style=style)
    table.add_column(overflow="fold")
    table.add_row(Text(word), Text(text[:1].upper() + text[1:] + "."))
    return table


def _conclusion(console: Console, report: Report) -> None:
    counts = {
        word: sum(finding.severity == word for finding in report.findings)
        for word in ("error", "warning", "remark")
    }
    told = ", ".join(
        f"{number} {word}{'' if number == 1 else 's'}" for word, number in counts.items()
    )
    console.print(Text(f"{told}; {report.seconds:.1f} s", "bold"))
    if report.options:
        console.print(Text("Options for train, reconstruct and convert, to be copied:"))
        click.echo(f"  {options_text(report.options)}")
