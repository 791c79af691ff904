"""`pinn study FILE.toml --output DIR`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from pinn.cli.common import Common, backend_options, need
from pinn.cli.progress import Reporter
from pinn.errors import ArchiveError
from pinn.progress import Progress, StopRequested
from pinn.studies import check_libraries

_BUSY = 75  # exit code of a child that finds another process at its run: try again later


@click.command("study")
@click.argument("file", required=False, metavar="FILE.toml", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for table.md, table.csv, cells.csv, figures and the trainings.  [required]",
)
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
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
@click.option("--run", "folder", hidden=True, type=click.Path(path_type=Path))
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
    if folder is not None:
        return _run_child(common, folder, keep_archives, pictures)
    need(ctx, ("file", "output"))
    check_libraries()
    common.select_backend()
    from pinn.studies.execute import execute
    from pinn.studies.run import Study

    study = Study(file, output, data=data, only=only, quick=quick)
    if dry_run:
        click.echo(study.listing())
        return 0
    if one_process:
        common.start_device()
    with Reporter(common.quiet) as report:

        def tell(progress: Progress) -> None:
            if progress.stage == "study":
                common.say(f"[{progress.done}/{progress.total}] {progress.message}")
            else:
                report(progress)

        def here(folder: Path, spec: Mapping[str, Any]) -> bool:
            return execute(folder, spec, tell, keep=keep_archives, pictures=pictures)

        def apart(folder: Path, spec: Mapping[str, Any]) -> bool:
            options = ["--device", common.device]
            options += ["--keep-archives"] if keep_archives else []
            options += [] if pictures else ["--no-pictures"]
            options += ["--quiet"] if common.quiet else []
            return _start_child(folder, spec, options)

        result = study.compute(here if one_process else apart, tell, retry_failed)
    if not common.quiet:
        click.echo(result.table)
    if result.busy:
        common.say(f"{result.busy} trainings are being computed by another process")
    failed = result.failed["run"].nunique()
    many = "training" if failed == 1 else "trainings"
    common.say(f"wrote {result.folder}" + (f"; {failed} {many} failed" if failed else ""))
    return 1 if failed else 0


def _start_child(folder: Path, spec: Mapping[str, Any], options: list[str]) -> bool:
    """Compute a run in a process of its own; records it where that one could not.

    What it says goes to the terminal, or else into `log.txt` in the run's folder.

    Returns:
        False if another process is at it.
    """
    from pinn.studies import records

    line = [sys.executable, "-m", "pinn", "study", "--run", str(folder), *options]
    environment = {**os.environ, "KERAS_BACKEND": spec["backend"]}
    with ExitStack() as stack:
        log = None
        if not sys.stderr.isatty():
            log = stack.enter_context(open(folder / "log.txt", "ab"))
        child = subprocess.Popen(line, env=environment, stderr=log)  # noqa: S603
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.wait()  # it got the interrupt too, and saves
            raise
    if code == 130:
        raise KeyboardInterrupt
    if code not in (0, _BUSY):
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        memory = "; signal 9 often means that memory ran out" if code == -9 else ""
        sentence = f"the process of this training ended with {how}{memory}"
        records.record_failure(folder, spec, records.BROKEN, sentence)
    return code != _BUSY


def _run_child(common: Common, folder: Path, keep: bool, pictures: bool) -> int:
    """What the child does."""
    common.select_backend()
    from pinn.studies.execute import execute
    from pinn.studies.records import SPEC, read_json

    spec = read_json(folder / SPEC)
    if spec is None:
        raise ArchiveError(f"{folder} holds no {SPEC} that can be read; start it by pinn study")
    common.start_device()
    parent = os.getppid()
    with Reporter(common.quiet) as report:

        def tell(progress: Progress) -> None:
            report(progress)
            if os.getppid() != parent:  # nobody waits for the result any more
                raise StopRequested

        try:
            free = execute(folder, spec, tell, keep=keep, pictures=pictures)
        except StopRequested:
            return 130
    return 0 if free else _BUSY
