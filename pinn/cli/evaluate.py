"""`pinn evaluate RECON --truth FILE` or `--against FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pinn.cli.common import Common, quiet_option


@click.command("evaluate")
@click.argument("recon", metavar="RECON", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="NPZ with objectGuess or object, or NPY: what is right.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="A second reconstruction: agreement, which is not correctness.",
)
@click.option(
    "--positions",
    type=click.Path(path_type=Path),
    help="Result or scan whose positions bound the compared region.  [default: those of RECON, or "
    "else of the other file]",
)
@click.option(
    "--border",
    type=click.FloatRange(min=0),
    help="Pixels left out on each side of the scanned region.  [default: 16, less for small ones]",
)
@click.option(
    "--register/--no-register", default=True, show_default=True, help="Find a sub-pixel shift."
)
@click.option(
    "--ramp/--no-ramp", default=True, show_default=True, help="Remove a linear phase ramp."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
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
    from pinn.cli.objects import read_object, read_positions
    from pinn.cli.outputs import table_text, write_evaluation
    from pinn.io.atomic import atomic_write_json, check_writable
    from pinn.quality.evaluate import evaluate

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
