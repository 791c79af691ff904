"""The epochs of a session: compiled steps, and what happens beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn.networks.precision import in_float32
from pinn.networks.trained import Model
from pinn.training.callback import ProgressCallback, Report, Watch
from pinn.training.feed import Feed
from pinn.training.optimisation import AveragedWeights, arrays_of, swap
from pinn.training.run_folder import RunFolder
from pinn.training.run_log import RunLog
from pinn.training.session import Session


def fit(
    session: Session,
    folder: Path | None,
    progress: Report | None,
    watch: Watch | None = None,
    record: Mapping[str, Any] | None = None,
) -> Model:
    """Train to the last epoch, or until the run stops.

    Args:
        session: the run.
        folder: for archives and records, or None.
        progress, watch: see `train`.
        record: further entries of `config.json`.

    Raises:
        ConfigError: options that need a folder or a package, or an unknown column.
        DivergedError: the loss is not finite; the last archive stays as it was.
    """
    log = RunLog(session.model.provenance["events"])
    files = RunFolder(session, folder, log, record)
    callback = ProgressCallback(session, files, log, progress, watch)
    if progress is not None:
        log.tell = callback.say
    files.begin()
    finished = False
    try:
        for first, last, batch in session.legs(log):
            callback.feed = Feed(session.feed, batch)
            session.network.fit(
                callback.feed,
                initial_epoch=first,
                epochs=last,
                callbacks=[AveragedWeights(), callback],
                shuffle=False,
                verbose=0,
            )
            if session.network.stop_training:
                break
        finished = not callback.stopped
        swap(session.network, average=True)  # where nothing was left to train, `fit` has not
        session.model.optimizer_arrays = arrays_of(session.network.optimizer)
        if session.run.precision != "float32":
            session.model.network = in_float32(session.network)
        files.end(finished)
    finally:
        files.close(finished)
    files.remember()
    return session.model
