"""The work of `pinn study`: trainings in processes of their own, or all in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from pinn.cli.common import Common
from pinn.cli.progress import Reporter
from pinn.errors import ArchiveError
from pinn.progress import Progress, StopRequested
from pinn.studies.execute import execute
from pinn.studies.records import BROKEN, SPEC, read_json, record_failure
from pinn.studies.run import Study

_BUSY = 75  # exit code of a child that finds another process at its run: try again later


def run(
    common: Common,
    study: Study,
    *,
    keep: bool,
    pictures: bool,
    retry_failed: bool,
    one_process: bool,
) -> int:
    """Compute a study and say what became of it.

    Args:
        common: backend, device and silence.
        study: what to compute.
        keep: keep archives whole, and reconstructions.
        pictures: draw the comparisons with the truth.
        retry_failed: try again what failed.
        one_process: train in this process, not in one for each training.

    Returns:
        Exit code: 1 if some cells failed.
    """
    if one_process:
        common.start_device()
    with Reporter(common.quiet) as report:

        def tell(progress: Progress) -> None:
            if progress.stage == "study":
                common.say(f"[{progress.done}/{progress.total}] {progress.message}")
            else:
                report(progress)

        def here(folder: Path, spec: Mapping[str, Any]) -> bool:
            return execute(folder, spec, tell, keep=keep, pictures=pictures)

        def apart(folder: Path, spec: Mapping[str, Any]) -> bool:
            options = ["--device", common.device]
            options += ["--keep-archives"] if keep else []
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
        record_failure(folder, spec, BROKEN, sentence)
    return code != _BUSY


def run_child(common: Common, folder: Path, keep: bool, pictures: bool) -> int:
    """Compute one run in the child that `_start_child` starts; returns its exit code."""
    spec = read_json(folder / SPEC)
    if spec is None:
        raise ArchiveError(f"{folder} holds no {SPEC} that can be read; run pinn study first")
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
