"""`pinn compare RECON RECON... --truth FILE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from pinn.cli.common import PATH, Common, quiet_option
from pinn.cli.objects import comparison_options, read_object
from pinn.cli.outputs import table
from pinn.errors import InputError
from pinn.io.atomic import atomic_write_json, atomic_write_text, check_writable
from pinn.io.text import aligned, markdown_table
from pinn.plots.comparison import write_side_by_side
from pinn.quality.compare import compare


@click.command("compare")
@click.argument("recons", nargs=-1, required=True, metavar="RECON...", type=PATH)
@click.option(
    "--truth",
    required=True,
    type=PATH,
    help="True object: NPZ with objectGuess or object, or NPY.",
)
@click.option(
    "--label",
    multiple=True,
    help="Name of a RECON. Give one for each, in order.  [default: by file or folder]",
)
@comparison_options
@click.option(
    "--output",
    type=PATH,
    help="Folder for comparison.md, metrics.json and side_by_side.png. Default: none is written.",
)
@quiet_option
@click.pass_obj
def command(
    common: Common,
    recons: tuple[Path, ...],
    truth: Path,
    label: tuple[str, ...],
    border: float | None,
    register: bool,
    ramp: bool,
    output: Path | None,
) -> None:
    """Compare several reconstructions with one truth, on the pixels they have in common.

    A RECON is a reconstruction.h5 or its folder, a ptychodus product, or an NPZ or NPY with a
    complex object. The result is printed as one table.
    """
    if output is not None:
        check_writable(output)
    names = _labels(recons, label)
    placed = {name: read_object(path) for name, path in zip(names, recons, strict=True)}
    found = compare(placed, read_object(truth), border=border, register=register, ramp=ramp)
    columns = [table(item.metrics) for item in found.values()]
    rows = [["", *names]]
    rows += [[words, *(c[i][1] for c in columns)] for i, (words, _) in enumerate(columns[0])]
    y0, y1, x0, x1 = next(iter(found.values())).region.bounds_px
    where = f"against {truth.name}, y {y0:g} to {y1:g}, x {x0:g} to {x1:g} px"
    if not common.quiet:
        click.echo(where)
        click.echo(aligned(rows))
    notes = [f"{name}: {note}" for name, item in found.items() for note in item.notes]
    for note in notes:
        common.say(note)
    if output is None:
        return
    lines = [f"Compared {where}.", "", markdown_table(rows), "", *(f"- {note}" for note in notes)]
    atomic_write_text(output / "comparison.md", "\n".join(lines).rstrip() + "\n")
    content = {
        "truth": str(truth),
        "reconstructions": {
            name: {"file": str(path), **found[name].to_dict()}
            for name, path in zip(names, recons, strict=True)
        },
    }
    atomic_write_json(output / "metrics.json", content)
    write_side_by_side(output / "side_by_side.png", found)
    common.say(f"wrote {output}")


def _labels(recons: Sequence[Path], given: Sequence[str]) -> list[str]:
    """A name for each file, unlike all others."""
    if given and len(given) != len(recons):
        raise InputError(
            f"{len(given)} labels for {len(recons)} reconstructions; give one for each"
        )
    names = list(given)
    if not names:
        paths = [path.resolve() for path in recons]
        plain = [path.parent if path.name == "reconstruction.h5" else path for path in paths]
        names = [path.name for path in plain]
        if len(set(names)) < len(names):
            names = [str(path) for path in recons]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two reconstructions are both called {twice}; give --label")
    return names
