"""`pinn evaluate RECON --truth FILE` or `--against FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pinn.cli.common import PATH, Common, quiet_option
from pinn.cli.objects import comparison_options, read_object, read_positions
from pinn.cli.outputs import table_text, write_evaluation
from pinn.io.atomic import atomic_write_json, check_writable
from pinn.quality.evaluate import evaluate


@click.command("evaluate")
@click.argument("recon", metavar="RECON", type=PATH)
@click.option(
    "--truth",
    type=PATH,
    help="True object: NPZ with objectGuess or object, or NPY.",
)
@click.option(
    "--against",
    type=PATH,
    help="Second reconstruction. The comparison then shows agreement, not correctness.",
)
@click.option(
    "--positions",
    type=PATH,
    help="Result or scan whose positions bound the compared region.  [default: RECON, or the other "
    "file if RECON has none]",
)
@comparison_options
@click.option(
    "--output",
    type=PATH,
    help="Folder for metrics.json and pictures.  [default: evaluation, beside RECON]",
)
@quiet_option
@click.pass_obj
def command(
    common: Common,
    recon: Path,
    truth: Path | None,
    against: Path | None,
    positions: Path | None,
    border: float | None,
    register: bool,
    ramp: bool,
    output: Path | None,
) -> None:
    """Compare RECON with a truth or with another reconstruction.

    RECON is a reconstruction.h5, a ptychodus product, or an NPZ or NPY with a complex object.
    """
    other = truth or against
    if other is None or (truth and against):
        raise click.UsageError("give either --truth or --against")
    folder = output or (recon if recon.is_dir() else recon.parent) / "evaluation"
    check_writable(folder)
    first, second = read_object(recon), read_object(other)
    where = first.positions_px if first.positions_px is not None else second.positions_px
    if positions is not None:
        where = read_positions(positions)
    found = evaluate(
        first,
        second,
        positions_px=where,
        border=border,
        register=register,
        ramp=ramp,
        kind="truth" if truth else "reconstruction",
    )
    write_evaluation(folder, found)
    content: dict[str, Any] = {"recon": str(recon), "other": str(other), **found.to_dict()}
    atomic_write_json(folder / "metrics.json", content)
    if not common.quiet:
        h, w = found.region.shape
        click.echo(f"{found.kind}, {h} x {w} px ({found.area}, border {found.border_px:g})")
        click.echo(table_text(found.metrics))
    for note in found.notes:
        common.say(note)
    common.say(f"wrote {folder}")
