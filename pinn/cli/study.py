"""`pinn study FILE.toml --output DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from pinn.cli.common import PATH, Common, backend_options, need
from pinn.studies import check_libraries


@click.command("study")
@click.argument("file", required=False, metavar="FILE.toml", type=PATH)
@click.option(
    "--output",
    type=PATH,
    help="Folder for table.md, table.csv, cells.csv, figures and the trainings.  [required]",
)
@click.option(
    "--data",
    multiple=True,
    type=PATH,
    help="Folder in which scan files are looked for before that of FILE.toml; may be repeated.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="AXIS=VALUE",
    help="These cells and no others; may be repeated, values of one axis are alternatives.",
)
@click.option(
    "--quick", is_flag=True, help="With the changes of [quick], into the folder quick of DIR."
)
@click.option("--dry-run", is_flag=True, help="List the cells and stop.")
@click.option(
    "--keep-archives",
    is_flag=True,
    help="Keep models whole, with the optimiser's state, and reconstructions.",
)
@click.option(
    "--pictures/--no-pictures",
    default=True,
    show_default=True,
    help="Draw each comparison with the truth.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed.")
@click.option(
    "--one-process",
    is_flag=True,
    help="No process of its own for every training: quicker for tiny ones, but memory is then that "
    "of all, and a crash ends the study.",
)
@click.option("--run", "folder", hidden=True, type=PATH)
@backend_options
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    output: Path,
    data: tuple[Path, ...],
    only: tuple[str, ...],
    quick: bool,
    dry_run: bool,
    keep_archives: bool,
    pictures: bool,
    retry_failed: bool,
    one_process: bool,
    folder: Path | None,
) -> int:
    """Run a sweep of trainings described in FILE.toml, and sum it up.

    Called again, it goes on where it was stopped, and computes what is new. Several calls may work
    on one output at once. Exit code 1: some cells failed; the table names them.
    """
    common = ctx.ensure_object(Common)
    if folder is None:
        need(ctx, ("file", "output"))
    check_libraries()
    common.select_backend()
    from pinn.cli import study_run  # needs pandas and filelock, which `--help` does without

    if folder is not None:
        return study_run.run_child(common, folder, keep_archives, pictures)
    study = study_run.Study(file, output, data=data, only=only, quick=quick)
    if dry_run:
        click.echo(study.listing())
        return 0
    return study_run.run(
        common,
        study,
        keep=keep_archives,
        pictures=pictures,
        retry_failed=retry_failed,
        one_process=one_process,
    )
