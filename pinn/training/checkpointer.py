"""The archives of a run: `wts.h5.zip`, the last state, and `best/epoch_NNNN.h5.zip`.

A best epoch's archive is a copy of the last state as it was then, so a kill between the two loses
nothing: the next run makes the copy. What is removed is removed after its successor is in place.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinn.config import TrainConfig
from pinn.errors import ArchiveError
from pinn.io.archive import ARCHIVE_NAME, read_archive
from pinn.io.atomic import atomic_path, remove_leftovers
from pinn.io.text import csv_text, parse_csv
from pinn.networks.trained import Model, load_model
from pinn.training.history import best_epochs, judged
from pinn.training.resume import LAST

BEST = "best"
_NAME = re.compile(r"epoch_(\d{4,})\.h5\.zip")
_FILES = ("history.csv", "config.json", "loss.png", "samples.png", "preview.png")

Rows = Sequence[Mapping[str, Any]]


class Checkpointer:
    """Keeps the archives in a run's folder.

    Args:
        folder: of the run.
        run: `keep_best`, `monitor_mode`.
        metric: column of the history that says which epoch is best.
        origin: epochs of the model that the run trains on; they are not among the best of it.
    """

    def __init__(self, folder: Path, run: TrainConfig, metric: str, origin: int = 0) -> None:
        self.folder, self.best = folder, folder / BEST
        self._count, self._mode, self._metric = run.keep_best, run.monitor_mode, metric
        self._origin = origin
        self._kept: set[int] | None = None  # epochs with an archive of this run; None: not looked

    def path_of(self, epoch: int) -> Path:
        """Path of the archive of an epoch."""
        return self.best / f"epoch_{epoch:04d}.h5.zip"

    def clear_leftovers(self) -> None:
        """Remove the temporary files of a run that was killed while it wrote."""
        remove_leftovers(self.folder, (ARCHIVE_NAME, LAST, *_FILES))
        if self.best.is_dir():
            names = [path.name for path in self.best.iterdir()]
            # a temporary file carries the name of what it was to become
            epochs = {match[0] for name in names if (match := _NAME_PART.search(name))}
            remove_leftovers(self.best, (f"{name}.h5.zip" for name in epochs))

    def save(self, model: Model) -> None:
        """Write the last state (atomic: the one before stays until then)."""
        self.folder.mkdir(parents=True, exist_ok=True)  # or the archive would take its name
        model.save(self.folder)
        (self.folder / LAST).unlink(missing_ok=True)

    def take_up(self, history: Rows, whole: bool) -> None:
        """Bring the folder of a run that is resumed to where an unkilled run would have it.

        Args:
            history: of its last state.
            whole: that state is one of the end of an epoch.
        """
        last = self.folder / LAST
        if last.exists():
            if _history(last) == _as_read(history):
                os.replace(last, self.folder / ARCHIVE_NAME)
            else:  # of the time before the state in wts.h5.zip
                last.unlink()
        if history and whole:
            self.keep(history)

    def keep(self, history: Rows) -> None:
        """Copy the last state if its epoch is among the best; remove those no longer among them.

        Args:
            history: of a run whose last state was just saved at the end of an epoch.
        """
        kept, present = self._kept_epochs(history), int(history[-1]["epoch"])
        chosen = self._best(history, self._count, {*kept, present})
        if present in chosen and present not in kept:
            with atomic_path(self.path_of(present)) as temporary:
                shutil.copyfile(self.folder / ARCHIVE_NAME, temporary)
        for epoch in kept - set(chosen):
            self.path_of(epoch).unlink(missing_ok=True)
        self._kept = set(chosen)

    def restore(self, model: Model) -> int | None:
        """End with the weights of the best epoch: into `model` and `wts.h5.zip`.

        The last state goes to `last.h5.zip` before, from which the run can be resumed.

        Returns:
            The epoch, or None if it is the last one.
        """
        kept = self._kept_epochs(model.history)
        best = self._best(model.history, 1, kept)
        if not best or best[0] == model.history[-1]["epoch"]:
            return None
        best_model = load_model(self.path_of(best[0]))
        with atomic_path(self.folder / LAST) as temporary:
            shutil.copyfile(self.folder / ARCHIVE_NAME, temporary)
        model.network.load_arrays(best_model.network.named_arrays())
        model.optimizer_arrays = None
        model.provenance["restored_epoch"] = best[0]
        model.save(self.folder)
        return best[0]

    def kept(self, history: Rows) -> list[int]:
        """Numbers of the epochs whose archives are kept."""
        return sorted(self._kept_epochs(history))

    def _best(self, history: Rows, count: int, among: set[int]) -> list[int]:
        rows = judged(history, self._origin)
        return best_epochs(rows, self._metric, self._mode, count, among)

    def _kept_epochs(self, history: Rows) -> set[int]:
        """Epochs with an archive of this run; those of others, and damaged ones, are removed.

        The archives of the epochs that the run began from are not its own: they stay.
        """
        if self._kept is not None:
            return self._kept
        kept: set[int] = set()
        for path in sorted(self.best.glob("epoch_*.h5.zip")) if self.best.is_dir() else ():
            name = _NAME.fullmatch(path.name)
            if name is None:
                continue
            epoch = int(name[1])
            # An archive holds the history up to it, seconds included: no other run has the same.
            if path == self.path_of(epoch) and _history(path) == _as_read(history[:epoch]):
                if epoch > self._origin:
                    kept.add(epoch)
            else:
                path.unlink(missing_ok=True)
        if not kept and not self._count:
            with suppress(OSError):  # not there, or something of the user's in it
                self.best.rmdir()
        self._kept = kept
        return kept


_NAME_PART = re.compile(r"epoch_\d{4,}")


def _history(path: Path) -> list[dict[str, Any]] | None:
    try:
        return read_archive(path).history
    except ArchiveError:
        return None


def _as_read(rows: Rows) -> list[dict[str, Any]]:
    return parse_csv(csv_text(rows)) if rows else []
