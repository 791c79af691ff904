"""`pinn.train`: from scans and options to a session that trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.io.atomic import check_writable
from pinn.trained import Model
from pinn.training.groups import groups_of
from pinn.training.resume import archive_to_resume, check_resumed
from pinn.training.session import Session
from pinn.training.watcher import Report


def train(
    scans: Scan | Sequence[Scan],
    model: ModelConfig | Model | None = None,
    train: TrainConfig | None = None,
    *,
    output: str | Path | None = None,
    resume: bool = False,
    progress: Report | None = None,
    **options: Any,
) -> Model:
    """Train a network on one or more scans, without labels.

    Args:
        scans: what to learn from; several are mixed, each with its own probe and scale.
        model: network and physics; N is taken from the scan. A trained `Model` is trained on for
            `epochs` more, with a fresh optimiser.
        train: the run.
        output: folder for `wts.h5.zip` (rewritten after every epoch), `history.csv`,
            `config.json`, `loss.png` and `samples.png`; nothing is written without it.
        resume: continue the run whose archive lies in `output`, up to `train.epochs`.
        progress: called after steps and epochs; if it raises `StopRequested` the run ends after
            the step and is saved.
        options: single fields of `ModelConfig` or `TrainConfig`, for instance `epochs=20`.

    Raises:
        ScanError: the scans cannot be trained on.
        ConfigError: options that contradict each other or the scans.
        DivergedError: the loss is not finite any more; the last archive stays as it was.
    """
    scans = [scans] if isinstance(scans, Scan) else list(scans)
    if not scans:
        raise ScanError("no scan to train on")
    backend.full_precision()
    start = model if isinstance(model, Model) else None
    model_options = {k: v for k, v in options.items() if k in ModelConfig.model_fields}
    train_options = {k: v for k, v in options.items() if k not in model_options}
    folder = None if output is None else Path(output)
    if folder is not None:
        check_writable(folder)
    if resume:
        if isinstance(model, Model):
            raise ConfigError("resume takes the model from the output folder; give no other")
        start = archive_to_resume(folder, scans)
        train = train or TrainConfig(**start.provenance["train"])
        if isinstance(model, ModelConfig):
            model_options = {**model.model_dump(), **model_options}
    run = (train or TrainConfig()).replace(**train_options)
    if resume and start is not None:
        check_resumed(run, start)
    if start is not None:
        config = start.config
        if model_options and config.replace(**model_options) != config:
            raise ConfigError("a trained model keeps its network; drop the model options")
    else:
        given = model if isinstance(model, ModelConfig) else ModelConfig(N=scans[0].N)
        probes = 1 if scans[0].probe is None else len(scans[0].probe_gauge())
        config = given.replace(**{"N": scans[0].N, "probe_modes": probes, **model_options})
    _check_scans(scans, config)
    if run.deterministic:
        backend.deterministic(run.seed)
    groups = [groups_of(scan, config, run) for scan in scans]
    session = Session(scans, groups, config, run, start, resume)
    return session.fit(folder, progress)


def _check_scans(scans: list[Scan], config: ModelConfig) -> None:
    for scan in scans:
        if scan.N != config.N:
            raise ScanError(
                f"scan {scan.name} has frames of {scan.N} x {scan.N}, but {config.N} x {config.N} "
                "are needed; crop, pad or leave it out"
            )
        modes = len(scan.probe_gauge())
        if modes != config.probe_modes:
            raise ScanError(
                f"scan {scan.name} has {modes} probe modes, but {config.probe_modes} are needed"
            )
