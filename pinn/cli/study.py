"""`pinn study FILE.toml --output DIR`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pinn.cli.common import Common, backend_options, need
from pinn.cli.progress import Reporter
from pinn.errors import ArchiveError
from pinn.progress import Progress, StopRequested

if TYPE_CHECKING:
    from pinn.studies.runs import Run


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
@click.option("--dry-run", is_flag=True, help="List the cells with an estimate, and stop.")
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
        return _run_alone(common, folder, keep_archives, pictures)
    need(ctx, ("file", "output"))
    common.select_backend()
    from pinn.backend import selection
    from pinn.studies.execute import execute
    from pinn.studies.run import Study

    backend = selection.select().backend
    study = Study(file, output, data=data, only=only, quick=quick, backend=backend)
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

        def here(run: Run, claim: int) -> None:
            spec = {**run.spec(), "resolved": run.learning["resolved"]}
            execute(run.folder, spec, tell, keep=keep_archives, pictures=pictures)

        def apart(run: Run, claim: int) -> None:
            options = ["--keep-archives"] if keep_archives else []
            options += [] if pictures else ["--no-pictures"]
            options += ["--quiet"] if common.quiet else []
            _start_alone(run, [*options, "--device", common.device], claim)

        found = study.compute(here if one_process else apart, tell, retry_failed)
    if not common.quiet:
        click.echo(found.table)
    if found.busy:
        common.say(f"{found.busy} trainings are being computed by another process")
    failed = {row.run for row in found.failed}
    many = "training" if len(failed) == 1 else "trainings"
    common.say(f"wrote {found.folder}" + (f"; {len(failed)} {many} failed" if failed else ""))
    return 1 if failed else 0


def _start_alone(run: Run, options: list[str], claim: int) -> None:
    """Compute a run in a process of its own; records it where that one could not.

    What it says goes to the terminal, or else into `log.txt` in the run's folder.
    """
    from pinn.studies import records

    line = [sys.executable, "-m", "pinn", "study", "--run", str(run.folder), *options]
    environment = {**os.environ, "KERAS_BACKEND": run.backend}
    # The child holds the claim too: while it lives, nobody else begins the same run.
    inherited = (claim,) if os.name == "posix" else ()
    with ExitStack() as stack:
        log = None
        if not sys.stderr.isatty():
            log = stack.enter_context(open(run.folder / "log.txt", "ab"))
        child = subprocess.Popen(line, env=environment, stderr=log, pass_fds=inherited)  # noqa: S603
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.wait()  # it got the interrupt too, and saves
            raise
    if code == 130:
        raise KeyboardInterrupt
    if code:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        memory = "; signal 9 often means that memory ran out" if code == -9 else ""
        spec = {**run.spec(), "resolved": run.learning["resolved"]}
        sentence = f"the process of this training ended with {how}{memory}"
        records.record_failure(run.folder, spec, records.BROKEN, sentence)


def _run_alone(common: Common, folder: Path, keep: bool, pictures: bool) -> int:
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
            execute(folder, spec, tell, keep=keep, pictures=pictures)
        except StopRequested:
            return 130
    return 0
