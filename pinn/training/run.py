"""`pinn.train`: from scans and options to a session that trains."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.data.quantum import counted
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.io.atomic import check_writable
from pinn.io.lock import held
from pinn.networks.trained import Model
from pinn.reconstruction.illumination import counted_for
from pinn.training.callback import Report, Watch
from pinn.training.fit import fit
from pinn.training.plan import plan_run
from pinn.training.resume import archive_to_resume, begun, check_resumed, run_options
from pinn.training.session import Session
from pinn.training.start import check_watched, instrument_of, probe_modes_of

_LOWER = "--batch-size, --gridsize or --n-filters-scale"


def train(
    scans: Scan | Sequence[Scan],
    model: ModelConfig | Model | None = None,
    train: TrainConfig | None = None,
    *,
    output: str | Path | None = None,
    validation_scans: Sequence[Scan] = (),
    resume: bool = False,
    progress: Report | None = None,
    watch: Watch | None = None,
    record: Mapping[str, Any] | None = None,
    **options: Any,
) -> Model:
    """Train a network on one or more scans.

    Args:
        scans: what to learn from; several are mixed, each with its own probe and scale.
        model: network and physics; N is taken from the scan. A trained `Model` is trained on for
            `epochs` more, with a fresh optimiser.
        train: the run.
        output: folder for `wts.h5.zip` (rewritten after every epoch), `history.csv`,
            `config.json`, `loss.png`, `samples.png` and, where asked for, `best/` and
            `preview.png`; nothing is written without it.
        validation_scans: only watched (`val_loss`), never learned from; they take the place of the
            groups that would be held out of `scans`.
        resume: continue the run in `output`, up to `train.epochs`, as if it had never stopped; one
            that has all its epochs is completed where a kill left something undone.
        progress: called after steps and epochs; if it raises `StopRequested` the run ends after
            the step and is saved.
        watch: called with the `Model` after every epoch, to look at and not to keep: for instance
            to reconstruct with it. `StopRequested` from it ends the run as well.
        record: further entries of `config.json`, JSON-ready, as where the options came from; a
            run that is resumed without keeps those it has.
        options: single fields of `ModelConfig` or `TrainConfig`, for instance `epochs=20`.

    Raises:
        ScanError: the scans cannot be trained on.
        ConfigError: options that contradict each other or the scans.
        DivergedError: the loss is not finite any more; the last archive stays as it was.
        OutOfMemoryError: memory ran out; the last archive stays as it was.
        OutputError: `output` cannot be written, or another run writes there.
    """
    lock = nullcontext() if output is None else held(output)
    with _random_streams_kept(), lock, backend.told_what_to_lower("training", _LOWER):
        session, folder = _prepare(scans, model, train, output, validation_scans, resume, options)
        return fit(session, folder, progress, watch, record)


def _prepare(
    scans: Scan | Sequence[Scan],
    model: ModelConfig | Model | None,
    train: TrainConfig | None,
    output: str | Path | None,
    validation_scans: Sequence[Scan],
    resume: bool,
    options: Mapping[str, Any],
) -> tuple[Session, Path | None]:
    """The session that `train` asks for, and its folder."""
    scans = [scans] if isinstance(scans, Scan) else list(scans)
    if not scans:
        raise ScanError("no scan to train on")
    watched = list(validation_scans)
    of_scans: dict[str, Any] = {
        "probe_modes": probe_modes_of([*scans, *watched]),
        **instrument_of([*scans, *watched]),
    }
    backend.full_precision()
    if isinstance(model, Model) and model.network.unrolled:
        model = model.of_size(scans[0].N)
    start = model if isinstance(model, Model) else None
    model_options = {k: v for k, v in options.items() if k in ModelConfig.model_fields}
    train_options = {k: v for k, v in options.items() if k not in model_options}
    folder = None if output is None else Path(output)
    if folder is not None:
        check_writable(folder)
    if resume:
        if isinstance(model, Model):
            raise ConfigError("resume takes the model from the output folder; give no other")
        if (options_then := begun(folder)) is not None:  # nothing was saved yet: begin again
            resume, model, train = False, model or options_then[0], train or options_then[1]
    if resume:
        start = archive_to_resume(folder, scans)
        then = run_options(folder, start)
        train = train or then
        if isinstance(model, ModelConfig):  # these are those of the scans in any case
            given = model.model_dump(exclude={"N", *of_scans})
            model_options = {**given, **model_options}
    run = (train or TrainConfig()).replace(**train_options)
    if resume and start is not None:
        check_resumed(run, start)
    if start is not None:
        of_scans["probe_modes"] = max(of_scans["probe_modes"], start.config.probe_modes)
        config = start.config.replace(**of_scans)
        if model_options and config.replace(**model_options) != config:
            raise ConfigError("a trained model keeps its network; drop the model options")
    else:
        base = model if isinstance(model, ModelConfig) else ModelConfig(N=scans[0].N)
        config = base.replace(**{"N": scans[0].N, **of_scans, **model_options})
    if run.deterministic:
        backend.deterministic(run.seed)
    if start is None:
        scans, watched = ([counted(scan) for scan in some] for some in (scans, watched))
    else:
        scans = [counted_for(scan, start) for scan in scans]
        watched = [counted_for(scan, start) for scan in watched]
    plan = plan_run(scans, watched, config, run)
    if resume and start is not None:
        check_watched(start, watched)
    return Session(plan, config, run, start, resume), folder


@contextmanager
def _random_streams_kept() -> Iterator[None]:
    """Leave the caller's global streams of random numbers as they were; Keras seeds them."""
    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(theirs)  # noqa: NPY002
