"""What is written while a run goes: archives, history, configuration, pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.errors import ConfigError
from pinn.io.archive import ARCHIVE_NAME, archive_digest, archive_path, read_archive, write_archive
from pinn.io.atomic import atomic_write_json
from pinn.training.checkpointer import Checkpointer
from pinn.training.loggers import TENSORBOARD, make_logger
from pinn.training.pictures import write_preview, write_training_pictures
from pinn.training.resume import CONFIG, read_config
from pinn.training.run_log import RunLog
from pinn.training.session import Session

_RECORDS = ("history.csv", "loss.png", "samples.png", "preview.png")


class RunFolder:
    """Writes into a run's folder; without one, nothing but the logger's own.

    Args:
        session: of the run.
        folder: where to, or None.
        log: is told when a picture fails.
        record: further entries of `config.json`.

    Raises:
        ConfigError: options that need a folder or a package.
    """

    def __init__(
        self,
        session: Session,
        folder: Path | None,
        log: RunLog,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        run = session.run
        if folder is None and run.keep_best:
            raise ConfigError("keep_best needs an output folder to keep the archives in")
        self._session, self._folder, self._log = session, folder, log
        self._record, self._remarks = record, len(log.events)
        self._logger = make_logger(run, session.config, folder)
        self._checkpointer = (
            None if folder is None else Checkpointer(folder, run, session.metric, session.origin)
        )

    def begin(self) -> None:
        """Before the first step: clear up after a kill, and complete what it left undone."""
        session = self._session
        if self._checkpointer is not None and self._folder is not None:
            self._checkpointer.clear_leftovers()
            if session.resumed:
                self._checkpointer.take_up(session.history, session.unfinished is None)
                self._say_what_is_kept(self._checkpointer)
            # before the archive: a run without one can begin again
            write_config(
                self._folder,
                session.config,
                session.run,
                origin=session.origin if session.from_model else None,
                id=session.id,
                notes=session.model.provenance.get("notes", []),
                record=self._record,
            )
            if not session.resumed:
                _clear_records(self._folder)
        history = session.history if session.resumed else []
        self._logger.begin(history, session.model.provenance)

    def epoch(self) -> None:
        """After an epoch whose row is in the history."""
        session, run = self._session, self._session.run
        epoch = len(session.history)
        if self._checkpointer is not None:
            self.save()
            self._checkpointer.keep(session.history)
        self._tell_logger("written", lambda: self._logger.epoch(session.history))
        if run.sample_every and epoch % run.sample_every == 0:
            self._pictures()
        if self._folder is not None and run.preview_every and epoch % run.preview_every == 0:
            path = self._folder / "preview.png"
            self._picture(
                path.name, lambda: write_preview(path, session.model, session.scans[0], epoch)
            )

    def save(self) -> None:
        """Write the last state."""
        if self._checkpointer is not None:
            self._checkpointer.save(self._session.model)
            self._remarks = len(self._log.events)

    def end(self, finished: bool) -> None:
        """After the last epoch.

        Args:
            finished: not stopped on request; then `restore_best` takes place.
        """
        session = self._session
        if self._checkpointer is not None and finished and session.run.restore_best:
            restored = self._checkpointer.restore(session.model)
            if restored is not None:
                self._log.say(f"the weights are those of epoch {restored}, the best one")
        self._pictures()

    def close(self, finished: bool) -> None:
        """After everything, errors included."""
        self._tell_logger("closed", lambda: self._logger.end(self._session.history, finished))

    def remember(self) -> None:
        """Put remarks that were made after the last archive into it."""
        folder = self._folder
        if folder is None or len(self._log.events) == self._remarks:
            return
        if (folder / ARCHIVE_NAME).exists():
            archive = read_archive(folder)
            archive.provenance["events"] = self._log.events
            versions = backend.versions()
            write_archive(folder, archive, backend=versions["backend"], versions=versions)
            self._session.model.archive_sha256 = archive_digest(archive_path(folder))

    def _say_what_is_kept(self, checkpointer: Checkpointer) -> None:
        """Where the best epochs are asked for only now, most of those before are gone."""
        session = self._session
        wanted, done = session.run.keep_best, len(session.history)
        if not wanted or session.before.get("keep_best", 0) >= wanted:
            return
        kept = checkpointer.kept(session.history)
        if len(kept) < done:
            among = ", ".join(map(str, kept)) or "none"
            self._log.say(
                f"the best epoch is sought among those whose archives are there ({among} of the "
                f"{done} done) and those to come"
            )

    def _pictures(self) -> None:
        if self._folder is not None:
            folder, model = self._folder, self._session.model
            feed = self._session.held or self._session.feed
            self._picture("a picture", lambda: write_training_pictures(folder, model, feed))

    def _picture(self, name: str, write: Callable[[], object]) -> None:
        self._try("picture", f"{name} could not be made", write)

    def _tell_logger(self, what: str, write: Callable[[], object]) -> None:
        kind = self._session.run.logger
        if kind in ("csv", "none"):  # our own files: not to be written is an error as any other
            write()
        else:
            self._try("logger", f"the {kind} log could not be {what}", write)

    def _try(self, kind: str, complaint: str, write: Callable[[], object]) -> None:
        """Write what is not worth a run: a failure is only noted."""
        try:
            write()
        except Exception as error:
            words = " ".join(str(error).split()) or "no message"
            epoch = len(self._session.history)
            self._log.note(kind, epoch, f"{complaint}: {type(error).__name__}: {words}")


def write_config(
    folder: Path,
    config: ModelConfig,
    run: TrainConfig,
    *,
    origin: int | None = None,
    id: str | None = None,
    notes: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
) -> None:
    """`config.json`: the resolved options and the versions that ran them.

    Args:
        origin: epochs of the trained model that the run trains on; None from a fresh network.
        id: of the run.
        notes: sentences about the scans, as on a probe that was fitted.
        record: further entries; None keeps those that the same run has written before.
    """
    content: dict[str, Any] = {
        "model": config.to_dict(),
        "train": run.to_dict(),
        "versions": backend.versions(),
        "notes": list(notes),
    }
    if origin is not None:
        content["origin"] = origin
    if id is not None:
        content["run"] = id
    if record is None and id is not None:
        stored = read_config(folder)
        same = stored.get("run") == id
        record = {k: v for k, v in stored.items() if k not in content} if same else {}
    atomic_write_json(folder / CONFIG, {**(record or {}), **content})


def _clear_records(folder: Path) -> None:
    """Remove the pictures and logs of the run that the folder held before."""
    events = (folder / TENSORBOARD).glob("events.out.tfevents.*")
    for path in (*(folder / name for name in _RECORDS), *events):
        with suppress(OSError):  # a folder of that name is nothing of ours
            path.unlink(missing_ok=True)
