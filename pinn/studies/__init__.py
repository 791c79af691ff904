"""Sweeps of trainings described in a TOML file: run, resumed, and summed up in one table.

The package loads no Keras by itself: a study can be read, checked and drawn without a framework.
pandas, of the extra `study`, is loaded where a study begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn.errors import InputError
from pinn.progress import Progress

if TYPE_CHECKING:
    from pinn.studies.run import StudyResult

__all__ = ["check_libraries", "study"]


def __getattr__(name: str) -> Any:
    if name == "StudyResult":
        raise ImportError(
            "pinn.studies.StudyResult is in pinn.studies.run since pinn 0.2: from pinn.studies.run "
            "import StudyResult"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check_libraries() -> None:
    """Make sure that pandas, of the extra `study`, is there.

    Raises:
        InputError: it is not, with the line that installs it.
    """
    if find_spec("pandas") is None:
        raise InputError(
            "a study needs pandas, not installed here; run "
            '`pip install "pinn-ptycho[study]"`, or `pip install ".[study]"` in a clone'
        )


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
    progress: Callable[[Progress], None] | None = None,
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
        Data frames, table and failures.

    Raises:
        InputError: pandas is not installed.
        ConfigError, ScanError: the study, before anything is computed.
        StopRequested: by `progress`; what is done is kept, an unfinished training too.
        OutputError: the folder cannot be written.
    """
    check_libraries()
    from pinn.studies.execute import execute
    from pinn.studies.run import Study

    folders = [data] if isinstance(data, str | Path) else list(data)
    whole = Study(source, output, data=folders, only=only, quick=quick)

    def here(folder: Path, spec: Mapping[str, Any]) -> bool:
        return execute(folder, spec, progress, keep=keep_archives, pictures=pictures)

    return whole.compute(here, progress, retry_failed)
