"""What is written while a run goes: archives, history, configuration, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import Batches
from pinn.data.scan import Scan
from pinn.errors import ConfigError
from pinn.io.archive import (
    ARCHIVE_NAME,
    archive_digest,
    archive_path,
    read_archive,
    write_archive,
)
from pinn.networks.trained import Model
from pinn.training.checkpoints import Checkpoints
from pinn.training.journal import Journal
from pinn.training.loggers import TENSORBOARD, make_logger
from pinn.training.report import write_config, write_preview, write_training_pictures

_PICTURES = ("loss.png", "samples.png", "preview.png")


class Session(Protocol):
    """The part of a training session that is written down."""

    config: ModelConfig
    run: TrainConfig
    id: str | None
    from_model: bool
    origin: int
    scans: list[Scan]
    feed: Batches
    held: Batches | None
    before: Mapping[str, Any]
    model: Model
    history: list[dict[str, Any]]


class Keeper:
    """Writes into a run's folder; without one, nothing but the logger's own.

    Args:
        session: of the run.
        folder: where to, or None.
        metric: column of the history that says which epoch is best.
        journal: is told when a picture fails.
        record: further entries of `config.json`.

    Raises:
        ConfigError: options that need a folder or a package.
    """

    def __init__(
        self,
        session: Session,
        folder: Path | None,
        metric: str,
        journal: Journal,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        run = session.run
        if folder is None and run.keep_best:
            raise ConfigError("keep_best needs an output folder to keep the archives in")
        self._session, self._folder, self._journal = session, folder, journal
        self._record, self._remarks = record, len(journal.events)
        self._logger = make_logger(run, session.config, folder)
        self._checkpoints = (
            None if folder is None else Checkpoints(folder, run, metric, session.origin)
        )

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
                self._say_what_is_kept()
        if self._folder is not None:  # before the archive: a run without one can begin again
            write_config(
                self._folder,
                session.config,
                session.run,
                origin=session.origin if session.from_model else None,
                id=session.id,
                record=self._record,
            )
            if not resumed:
                self._clear_records(self._folder)
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
            self._remarks = len(self._journal.events)

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

    def remember(self) -> None:
        """Put remarks that were made after the last archive into it."""
        if self._folder is None or len(self._journal.events) == self._remarks:
            return
        if not (self._folder / ARCHIVE_NAME).exists():
            return
        archive = read_archive(self._folder)
        archive.provenance["events"] = self._journal.events
        versions = backend.versions()
        write_archive(self._folder, archive, backend=versions["backend"], versions=versions)
        self._session.model.archive_sha256 = archive_digest(archive_path(self._folder))

    def _say_what_is_kept(self) -> None:
        """Where the best epochs are asked for only now, most of those before are gone."""
        session = self._session
        assert self._checkpoints is not None
        if not session.run.keep_best:
            return
        kept, done = self._checkpoints.kept(session.history), len(session.history)
        before = session.before
        if before.get("keep_best", 0) < session.run.keep_best and len(kept) < done:
            among = ", ".join(map(str, kept)) or "none"
            self._journal.say(
                f"the best epoch is sought among those whose archives are there ({among} of the "
                f"{done} done) and those to come"
            )

    @staticmethod
    def _clear_records(folder: Path) -> None:
        """Remove the pictures and logs of the run that the folder held before."""
        old = [folder / name for name in ("history.csv", *_PICTURES)]
        for path in (*old, *(folder / TENSORBOARD).glob("events.out.tfevents.*")):
            with suppress(OSError):  # a folder of that name is nothing of ours
                path.unlink(missing_ok=True)

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
