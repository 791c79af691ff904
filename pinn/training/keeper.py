"""What is written while a run goes: archives, history, configuration, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import Batches
from pinn.data.scan import Scan
from pinn.errors import ConfigError
from pinn.trained import Model
from pinn.training.checkpoints import Checkpoints
from pinn.training.journal import Journal
from pinn.training.loggers import make_logger
from pinn.training.report import write_config, write_preview, write_training_pictures


class Session(Protocol):
    """The part of a training session that is written down."""

    config: ModelConfig
    run: TrainConfig
    origin: int
    scans: list[Scan]
    feed: Batches
    held: Batches | None
    model: Model
    history: list[dict[str, Any]]


class Keeper:
    """Writes into a run's folder; without one, nothing but the logger's own.

    Args:
        session: of the run.
        folder: where to, or None.
        metric: column of the history that says which epoch is best.
        journal: is told when a picture fails.

    Raises:
        ConfigError: options that need a folder or a package.
    """

    def __init__(
        self, session: Session, folder: Path | None, metric: str, journal: Journal
    ) -> None:
        run = session.run
        if folder is None and run.keep_best:
            raise ConfigError("keep_best needs an output folder to keep the archives in")
        self._session, self._folder, self._journal = session, folder, journal
        self._logger = make_logger(run, session.config, folder)
        self._checkpoints = None if folder is None else Checkpoints(folder, run, metric)

    def begin(self, resumed: bool, whole: bool) -> None:
        """Before the first step: clear up after a kill, and complete what it left undone.

        Args:
            resumed: whether the folder holds the run that goes on.
            whole: whether its archive was written at the end of an epoch.
        """
        session = self._session
        if self._checkpoints is not None:
            self._checkpoints.clear_leftovers()
            if resumed:
                self._checkpoints.take_up(session.history, whole)
        if self._folder is not None:  # before the archive: a run without one can begin again
            write_config(self._folder, session.config, session.run, session.origin)
        self._logger.begin(session.history if resumed else [], session.model.provenance)

    def epoch(self) -> None:
        """After an epoch whose row is in the history."""
        session, run = self._session, self._session.run
        epoch = len(session.history)
        if self._checkpoints is not None:
            self.save()
            self._checkpoints.keep(session.history)
        self._log("written", epoch, lambda: self._logger.epoch(session.history))
        if run.sample_every and epoch % run.sample_every == 0:
            self._pictures(epoch)
        if self._folder is not None and run.preview_every and epoch % run.preview_every == 0:
            place = self._folder / "preview.png"
            self._picture(
                "preview.png",
                epoch,
                lambda: write_preview(place, session.model, session.scans[0], epoch),
            )

    def save(self) -> None:
        """Write the last state."""
        if self._checkpoints is not None:
            self._checkpoints.save(self._session.model)

    def end(self, finished: bool) -> None:
        """After the last epoch.

        Args:
            finished: not stopped on request; then `restore_best` takes place.
        """
        session = self._session
        if self._checkpoints is not None and finished and session.run.restore_best:
            restored = self._checkpoints.restore(session.model)
            if restored is not None:
                self._journal.say(f"the weights are those of epoch {restored}, the best one")
        self._pictures(len(session.history))

    def close(self, finished: bool) -> None:
        """After everything, errors included."""
        epoch = len(self._session.history)
        self._log("closed", epoch, lambda: self._logger.end(self._session.history, finished))

    def _pictures(self, epoch: int) -> None:
        if self._folder is not None:
            folder, model = self._folder, self._session.model
            feed = self._session.held or self._session.feed
            self._picture("a picture", epoch, lambda: write_training_pictures(folder, model, feed))

    def _picture(self, name: str, epoch: int, write: Callable[[], object]) -> None:
        try:
            write()
        except Exception as error:  # whatever it is, it is not worth a run
            self._journal.note("picture", epoch, f"{name} could not be made: {_words(error)}")

    def _log(self, what: str, epoch: int, write: Callable[[], object]) -> None:
        kind = self._session.run.logger
        if kind in ("csv", "none"):  # our own files: not to be written is an error as any other
            write()
            return
        try:
            write()
        except Exception as error:  # a server that is away is not worth a run
            text = f"the {kind} log could not be {what}: {_words(error)}"
            self._journal.note("logger", epoch, text)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
