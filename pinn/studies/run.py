"""A study with its runs: computed one after another, then summed up in table and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pinn.backend import selection
from pinn.errors import ConfigError
from pinn.io.atomic import atomic_write_json, atomic_write_text, check_writable
from pinn.plots.study import draw
from pinn.progress import Progress
from pinn.studies import records, table
from pinn.studies.cells import cells_of, count_cells
from pinn.studies.curves import curves_of
from pinn.studies.numbers import cells_frame, groups_frame
from pinn.studies.plan import named, read_plan
from pinn.studies.runs import Run, runs_of
from pinn.studies.scans import Scans

Report = Callable[[Progress], None]
Executor = Callable[[Path, Mapping[str, Any]], bool]


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Attributes:
        cells: every cell on every test scan, as in `cells.csv` (`pinn.studies.numbers`).
        groups: median and spread over seeds, as in `table.csv`.
        table: the table as Markdown.
        folder: where everything is.
        busy: runs that another process is computing.
    """

    cells: pd.DataFrame
    groups: pd.DataFrame
    table: str
    folder: Path
    busy: int = 0

    @property
    def failed(self) -> pd.DataFrame:
        """Rows of `cells` without values because their cell failed."""
        return self.cells[self.cells["status"] == "failed"]


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
        plan = read_plan(source)
        self.plan = plan.shortened() if quick else plan
        self.folder = Path(output) / "quick" if quick else Path(output)
        self.only = tuple(only)
        backend = selection.select(backend).backend
        beside = Path() if isinstance(source, Mapping) else Path(source).parent
        scans = Scans(self.plan, self.folder / "scans", [*data, beside])
        with named(source):
            cells = cells_of(self.plan, only)
            self.runs = runs_of(self.plan, cells, scans, self.folder, backend)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return sum(len(run.cells) for run in self.runs)

    @property
    def partial(self) -> str:
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
        return [run for run in self.runs if not records.ended(run, retry)]

    def listing(self) -> str:
        """Cells with their state, one line each, and the sum."""
        lines = []
        for run in self.runs:
            for index, cell in enumerate(run.cells):
                shared = " (shares that training)" if index else ""
                label = cell.label or "the only cell"
                lines.append(f"{records.state(run):6s} {run.id}  {label}{shared}")
        todo = len(self.todo())
        lines.append(f"{self.cells} cells, {len(self.runs)} trainings, {todo} to do")
        return "\n".join(lines)

    def write(self, figures: bool = True) -> StudyResult:
        """Write `table.md`, `table.csv`, `cells.csv` and the figures of what is there by now.

        Raises:
            OutputError: the folder cannot be written.
        """
        cells = cells_frame(self.plan, self.runs)
        groups = groups_frame(self.plan, cells)
        text = table.markdown(self.plan, groups, cells, self.partial)
        atomic_write_text(self.folder / "table.md", text)
        content = table.csv(self.plan, groups, cells, self.partial)
        atomic_write_text(self.folder / "table.csv", content)
        atomic_write_text(self.folder / "cells.csv", table.raw_csv(cells))
        for metric in self.plan.report.metrics if figures else ():
            curves = curves_of(self.plan, cells, metric)
            if curves.shown:
                draw(self.folder / f"{metric}.png", curves)
        return StudyResult(cells, groups, text, self.folder)

    def compute(
        self, executor: Executor, progress: Report | None = None, retry: bool = False
    ) -> StudyResult:
        """Compute what is left, then write table and figures, whatever ended the work.

        Args:
            executor: computes the run of a folder as its `Run.spec` says, and records what goes
                wrong; False if another process is at it.
            progress: gets a message for every run, and the simulation of scans.
            retry: what failed is tried again.

        Raises:
            StopRequested: by `progress`.
            OutputError: the folder cannot be written.
        """
        check_writable(self.folder)
        todo, busy, total = self.todo(retry), 0, len(self.runs)
        done = total - len(todo)

        def tell(message: str) -> None:
            if progress is not None:
                progress(Progress("study", done, total, message=message))

        try:
            for run in todo:
                if records.ended(run, retry):  # by another process, meanwhile
                    done += 1
                    continue
                tell(f"training {done + 1} of {total}: {run.label}")
                if not self._compute(run, executor, progress):
                    busy += 1
                    tell(f"{run.label}: another process is at it")
                    continue
                done += 1
                self.write(figures=False)
                tell(records.outcome(run))
        except BaseException as reason:
            try:
                self.write()
            except Exception as error:  # must not hide why the work ended
                reason.add_note(f"The table could not be written either: {error}")
            raise
        return replace(self.write(), busy=busy)

    def _compute(self, run: Run, executor: Executor, progress: Report | None) -> bool:
        with records.claimed(run.folder) as free:
            if not free:
                return False
            atomic_write_json(run.folder / records.SPEC, run.spec())
            try:
                for scan in (*run.scans, *run.test_scans):
                    scan.make(progress)
            except ConfigError as error:  # a recipe that only its simulation finds impossible
                records.record_failure(run.folder, run.spec(), records.FAILED, str(error))
                return True
        return executor(run.folder, run.spec())
