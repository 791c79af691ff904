"""`pinn.study`: every cell of a sweep, then one table and one figure for each metric."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinn.backend import selection
from pinn.errors import ConfigError
from pinn.io.atomic import atomic_write_text, check_writable
from pinn.progress import Progress
from pinn.studies import records, table
from pinn.studies.cells import cells_of, count_cells
from pinn.studies.claims import claimed
from pinn.studies.estimate import Estimate, duration
from pinn.studies.plan import Plan
from pinn.studies.reading import read_plan
from pinn.studies.rows import GroupRow, Row, group_rows, rows_of
from pinn.studies.runs import Run, runs_of
from pinn.studies.scans import Scans

Report = Callable[[Progress], None]
Executor = Callable[[Run, int], None]


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Attributes:
        plan: the study as it was read.
        rows: every cell on every test scan.
        groups: median and spread over seeds, as in the table.
        table: the table as Markdown.
        folder: where everything is.
        busy: runs that another process is computing.
    """

    plan: Plan
    rows: list[Row]
    groups: list[GroupRow]
    table: str
    folder: Path
    busy: int = 0

    @property
    def failed(self) -> list[Row]:
        """Rows without values because their cell failed."""
        return [row for row in self.rows if row.status == "failed"]


class Study:
    """A study with its scans found and its runs identified.

    Args:
        source: TOML file, or a dictionary with the same content.
        output: folder.
        data: folders in which scan files are looked for first.
        only: `AXIS=VALUE`: those cells.
        quick: with the changes of `[quick]`, in the folder `quick` of the output.
        backend: name; by default the one `pinn.backend` selects.

    Raises:
        ConfigError, ScanError: anything about the study that cannot be.
    """

    def __init__(
        self,
        source: str | Path | Mapping[str, Any],
        output: str | Path,
        *,
        data: Sequence[str | Path] = (),
        only: Sequence[str] = (),
        quick: bool = False,
        backend: str | None = None,
    ) -> None:
        self.plan = read_plan(source, quick=quick)
        self.folder = Path(output) / "quick" if quick else Path(output)
        backend = selection.select(backend).backend
        scans = Scans(self.plan, self.folder / "scans", data)
        self.only = tuple(only)
        self.runs = runs_of(self.plan, cells_of(self.plan, only), scans, self.folder, backend)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return sum(len(run.cells) for run in self.runs)

    @property
    def part(self) -> str:
        """What is left out of the table, as a sentence; empty if nothing is."""
        whole = count_cells(self.plan)
        if self.cells == whole:
            return ""
        return (
            f"A part of the study: {self.cells} of its {whole} cells, those of --only "
            f"{' --only '.join(self.only)}. Call it without --only for the table of all."
        )

    def todo(self, retry: bool = False) -> list[Run]:
        """Runs with something left to compute."""
        return [run for run in self.runs if records.state(run, retry) in ("open", "begun")]

    def listing(self) -> str:
        """Cells with their state and an estimate, one line each, and the sum."""
        estimate, lines, left = Estimate(self.runs), [], 0.0
        for run in self.runs:
            state = records.state(run)
            open = state in ("open", "begun")
            seconds = estimate.cpu_s(run, left=open)
            left += seconds if open else 0.0
            for index, cell in enumerate(run.cells):
                cost = f"about {duration(seconds)}" if index == 0 else "shares that training"
                lines.append(f"{state:6s} {run.id}  {cell.label or 'the only cell'}  ({cost})")
        lines.append(
            f"{self.cells} cells, {len(self.runs)} trainings, {len(self.todo())} to do; about "
            f"{duration(left)} of processor time left, {estimate.source}"
        )
        return "\n".join(lines)

    def result(self, busy: int = 0) -> StudyResult:
        """What is there by now."""
        rows = rows_of(self.runs)
        groups = group_rows(self.plan, rows)
        text = table.markdown(self.plan, groups, rows, self.part)
        return StudyResult(self.plan, rows, groups, text, self.folder, busy)

    def write(self, figures: bool = True) -> StudyResult:
        """Write `table.md`, `table.csv`, `cells.csv` and the figures of what is there by now.

        Raises:
            OutputError: the folder cannot be written.
        """
        found = self.result()
        atomic_write_text(self.folder / "table.md", found.table)
        content = table.csv(self.plan, found.groups, found.rows, self.part)
        atomic_write_text(self.folder / "table.csv", content)
        atomic_write_text(self.folder / "cells.csv", table.raw_csv(found.rows))
        if figures:
            from pinn.plots.study import write_figures

            write_figures(self.folder, self.plan, found.groups)
        return found

    def compute(
        self, executor: Executor, progress: Report | None = None, retry: bool = False
    ) -> StudyResult:
        """Compute what is left, then write table and figures, whatever ended the work.

        Args:
            executor: computes one run, whose claim it is given; records what goes wrong.
            progress: gets a message for every run, and the simulation of scans.
            retry: what failed is tried again.

        Raises:
            StopRequested: by `progress`.
            OutputError: the folder cannot be written.
        """
        check_writable(self.folder)
        todo, busy = self.todo(retry), 0
        done = len(self.runs) - len(todo)
        clock = _Clock(self.runs, todo)
        try:
            for run in todo:
                with claimed(run.folder) as claim:
                    if claim is None:
                        busy += 1
                        _tell(
                            progress, done, len(self.runs), f"{run.label}: another process is at it"
                        )
                        continue
                    if records.state(run, retry) in ("done", "failed"):
                        done += 1  # by another process, meanwhile
                        continue
                    place = f"training {done + 1} of {len(self.runs)}"
                    _tell(progress, done, len(self.runs), f"{place}: {run.label}{clock.left()}")
                    if self._make_scans(run, progress):
                        records.write_spec(run)
                        executor(run, claim)
                done += 1
                clock.finished(run)
                self.write(figures=False)
                _tell(progress, done, len(self.runs), _outcome(run))
        except BaseException as reason:
            try:
                self.write()
            except Exception as error:  # must not hide why the work ended
                reason.add_note(f"The table could not be written either: {error}")
            raise
        found = self.write()
        return StudyResult(found.plan, found.rows, found.groups, found.table, found.folder, busy)

    def _make_scans(self, run: Run, progress: Report | None) -> bool:
        try:
            for scan in (*run.scans, *run.test_scans):
                scan.make(progress)
        except ConfigError as error:  # a recipe that only its simulation finds impossible
            spec = {**run.spec(), "resolved": run.learning["resolved"]}
            records.record_failure(run.folder, spec, records.FAILED, str(error))
            return False
        return True


def study(
    source: str | Path | Mapping[str, Any],
    *,
    output: str | Path,
    data: str | Path | Sequence[str | Path] = (),
    only: Sequence[str] = (),
    quick: bool = False,
    keep_archives: bool = False,
    pictures: bool = True,
    retry_failed: bool = False,
    progress: Report | None = None,
) -> StudyResult:
    """Run a sweep of trainings in this process, and write its table and figures.

    What is done already is not repeated; an interrupted training goes on. A cell that fails is
    recorded with its reason and the others go on.

    Args:
        source: TOML file (see docs/study.md), or a dictionary with the same content.
        output: folder for `table.md`, `table.csv`, `cells.csv`, a figure for each metric, and a
            folder for each training.
        data: folder, or several, in which scan files are looked for before that of the study.
        only: `AXIS=VALUE`: those cells and no others.
        quick: with the changes of `[quick]`, into the folder `quick` of `output`.
        keep_archives: keep models with the state of the optimiser, and reconstructions.
        pictures: draw each comparison with the truth.
        retry_failed: try again what failed.
        progress: called as by `pinn.train`, and with stage `study` before and after each training.

    Returns:
        Rows, table and failures.

    Raises:
        ConfigError, ScanError: the study, before anything is computed.
        StopRequested: by `progress`; what is done is kept, an unfinished training too.
        OutputError: the folder cannot be written.
    """
    from pinn.studies.execute import execute

    folders = [data] if isinstance(data, str | Path) else list(data)
    found = Study(source, output, data=folders, only=only, quick=quick)

    def here(run: Run, claim: int) -> None:
        spec = {**run.spec(), "resolved": run.learning["resolved"]}
        execute(run.folder, spec, progress, keep=keep_archives, pictures=pictures)

    return found.compute(here, progress, retry_failed)


class _Clock:
    """Time left, from the estimates of what is to do and the time that the finished part took."""

    def __init__(self, runs: Sequence[Run], todo: Sequence[Run]) -> None:
        estimate = Estimate(runs)
        self._left = {run.id: estimate.cpu_s(run) for run in todo}
        self._done, self._since = 0.0, time.monotonic()

    def finished(self, run: Run) -> None:
        self._done += self._left.pop(run.id)

    def left(self) -> str:
        if not self._done:
            return ""
        rate = (time.monotonic() - self._since) / self._done
        return f"; about {duration(rate * sum(self._left.values()))} left"


def _outcome(run: Run) -> str:
    for record in (records.training_record(run), *(records.test_record(run, i) for i in run.tests)):
        if record is not None and record["status"] != records.DONE:
            return f"failed: {record.get('error')}"
    return "done"


def _tell(progress: Report | None, done: int, total: int, message: str) -> None:
    if progress is not None:
        progress(Progress("study", done, total, message=message))
