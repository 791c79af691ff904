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
    help="Folder to search for scan files before the folder of FILE.toml. May be repeated.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="AXIS=VALUE",
    help="Compute these cells only. May be repeated. Values of one axis are alternatives.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Run with the changes in [quick]. Results go to the folder quick in the output folder.",
)
@click.option("--dry-run", is_flag=True, help="List the cells and stop.")
@click.option(
    "--keep-archives",
    is_flag=True,
    help="Keep the reconstructions, and the optimiser's state in each model.",
)
@click.option(
    "--pictures/--no-pictures",
    default=True,
    show_default=True,
    help="Draw every comparison with the truth.",
)
@click.option("--retry-failed", is_flag=True, help="Repeat the cells that failed.")
@click.option(
    "--one-process",
    is_flag=True,
    help="Run all trainings in one process. This is faster for tiny trainings. The peak memory is "
    "then that of all trainings, and a crash ends the study.",
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
    """Run a sweep of trainings described in FILE.toml, and summarise it in a table.

    A second run continues where the first one stopped, and computes only what is new. Several runs
    may share one output folder. The exit code is 1 if cells failed. The table names them.
    """
    common = ctx.ensure_object(Common)
    if folder is None:
        need(ctx, ("file", "output"))
    check_libraries()
    common.select_backend()
    from pinn.cli import study_run  # needs pandas, which `--help` does without

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
