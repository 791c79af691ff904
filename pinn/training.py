"""Training: groups of a scan, one compiled step, an archive after every epoch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import Batches, split_groups
from pinn.data.fingerprint import digest
from pinn.data.grouping import Groups, make_groups
from pinn.data.scan import Scan
from pinn.data.statistics import training_statistics
from pinn.errors import ConfigError, ScanError
from pinn.initialise import initialise
from pinn.io.atomic import check_writable
from pinn.model import PtychoModel
from pinn.ops.patches import canvas_size
from pinn.optimiser import arrays_of, assign, make_optimizer
from pinn.report import write_run
from pinn.trained import Model, load_model
from pinn.watcher import Report, Watcher

_GROUPS = 512  # unless the options say otherwise
_STATISTICS_FRAMES = 4096
_log = logging.getLogger("pinn")
_FIXED = (
    "seed",
    "n_groups",
    "neighbours",
    "grouping",
    "min_distance",
    "max_distance",
    "bounds",
    "subsample",
    "subsample_seed",
    "sequential",
    "validation_fraction",
    "batch_size",
    "schedule",
)
_FAINT = 1e-4  # counts per pixel


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
        start = _archive_to_resume(folder, scans)
        train = train or TrainConfig(**start.provenance["train"])
        if isinstance(model, ModelConfig):
            model_options = {**model.model_dump(), **model_options}
    run = (train or TrainConfig()).replace(**train_options)
    if resume and start is not None:
        _check_resumed(run, start)
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
    groups = [_groups(scan, config, run) for scan in scans]
    session = _Session(scans, groups, config, run, start, resume)
    return session.fit(folder, progress)


def _archive_to_resume(folder: Path | None, scans: list[Scan]) -> Model:
    if folder is None:
        raise ConfigError("resume needs the output folder of the interrupted run")
    start = load_model(folder)
    if _digests(start) != [digest(scan) for scan in scans]:
        raise ConfigError(
            f"the run in {folder} was trained on other scans than these; resume it with the same "
            "files, or give the trained model to train() to go on with new ones"
        )
    return start


def _check_resumed(run: TrainConfig, start: Model) -> None:
    # an archive from before an option existed had its default
    before = {**TrainConfig().to_dict(), **start.provenance["train"]}
    changed = [name for name in _FIXED if run.to_dict()[name] != before.get(name)]
    if changed:
        raise ConfigError(
            f"a resumed run keeps {', '.join(changed)} (was {before.get(changed[0])!r}): other "
            "groups would mix what was held out with what was learned; start a new run instead"
        )


def _digests(model: Model) -> list[str | None]:
    return [scan.get("digest") for scan in model.provenance.get("scans", [])]


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


def _split(groups: Groups, run: TrainConfig) -> tuple[Groups, Groups]:
    """Held-out block, or none where it would cost a small scan most of what it can learn from
    (groups that share a frame with the block are dropped)."""
    nothing = groups.select(np.zeros(0, np.int64))
    try:
        learn, hold = split_groups(groups, run.validation_fraction, run.seed)
    except ConfigError:
        return groups, nothing
    return (learn, hold) if len(learn) >= 0.6 * len(groups) else (groups, nothing)


def _groups(scan: Scan, config: ModelConfig, run: TrainConfig) -> Groups:
    groups = make_groups(
        scan.positions_px,
        config.gridsize,
        n_groups=run.n_groups,
        at_most=_GROUPS,
        neighbours=run.neighbours,
        seed=run.seed,
        scan_index=scan.scan_index,
        method=run.grouping,
        sequential=run.sequential,
        oversample=True,  # whoever states n_groups has asked for that many
        min_distance=run.min_distance,
        max_distance=run.max_distance,
        bounds=run.field_of_view,
        subsample=run.subsample,
        subsample_seed=run.subsample_seed,
    )
    for note in groups.notes:
        _log.warning("%s: %s", scan.name, note)
    return groups


class _Feed(keras.utils.PyDataset):
    """Hands the batches of one epoch to Keras; the order is a function of seed and epoch."""

    def __init__(self, batches: Batches, epoch: int = 0) -> None:
        super().__init__()
        self._batches, self._epoch = batches, epoch

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int):
        return (self._batches.batch(index, self._epoch),)

    def on_epoch_end(self) -> None:
        self._epoch += 1


class _Session:
    """One call of `train`: owns the model, the optimiser and the feed."""

    def __init__(self, scans, groups, config, run, start, resume) -> None:
        self.scans, self.config, self.run = scans, config, run
        self.first = 0 if start is None else len(start.history)
        self.last = run.epochs if resume else self.first + run.epochs
        statistics = [scan.statistics() for scan in scans]
        reach = max(float(np.abs(g.offsets).max()) for g in groups)
        if reach > 2 * config.N:
            raise ScanError(
                f"a group of {config.gridsize**2} nearest frames spans {2 * reach:.0f} px, more "
                f"than four frames of {config.N} px: a position is far from all others, or the "
                "positions are not in pixels; remove it, set max_distance, correct them or use "
                "gridsize 1"
            )
        canvas = canvas_size(reach, config.N)
        learn, hold = zip(*(_split(g, run) for g in groups), strict=True)
        self.feed = Batches(scans, list(learn), run.batch_size, run.seed, shuffle=True)
        held = [h for h in hold if len(h.indices)]
        self.held = Batches(scans, list(hold), run.batch_size, 0, shuffle=False) if held else None
        if start is None:  # what `initialise` does not redraw: other layers of a user's network
            keras.utils.set_random_seed(run.seed)
        self.network = PtychoModel(config, canvas, len(scans))
        per_pixel = min(s.mean_counts for s in statistics) / config.N**2
        if per_pixel < _FAINT:  # no dose has so few photons: these are arbitrary units
            self.network.count_unit = 1.0 / per_pixel
        factors = [s.exposure_factor for s in statistics]
        digests = [digest(scan) for scan in scans]
        same = start is not None and _digests(start) == digests
        if not same:
            self.network.probe.set_probe(np.stack([s.probe_gauge() for s in scans]))
            self.network.scale.set_from_exposure(factors)
        if start is None:
            initialise(self.network.network, run.seed)
            self._set_input_statistics(factors)
        elif same:
            self.network.load_arrays(start.network.named_arrays())
        else:
            for part in ("network", "normalise"):
                theirs = getattr(start.network, part).get_weights()
                getattr(self.network, part).set_weights(theirs)
        steps = len(self.feed) * run.epochs
        self.network.compile(optimizer=make_optimizer(run, steps))
        self.network.optimizer.build(self.network.trainable_variables)
        self.history: list[dict[str, Any]] = []
        if start is not None:
            self.history = list(start.history)
            if resume and start.optimizer_arrays is not None:
                assign(self.network.optimizer, start.optimizer_arrays)
                if run.schedule == "constant":  # a schedule is not among the stored arrays
                    self.network.optimizer.learning_rate = run.learning_rate
        self.model = Model(
            config,
            self.network,
            training_statistics(scans, statistics).to_dict(),
            self.history,
            provenance={
                "scans": [
                    {"name": s.name, "source": str(s.source or ""), "digest": d}
                    for s, d in zip(scans, digests, strict=True)
                ],
                "groups": [len(g) for g in learn],
                "held_out": [len(g) for g in hold],
                "notes": [note for g in groups for note in g.notes],
                "canvas_px": canvas,
                "train": run.to_dict(),
                "hardware": backend.hardware(),
            },
        )

    def _set_input_statistics(self, factors: list[float]) -> None:
        """Mean and spread of the normalised amplitude over a seeded sample of frames."""
        if self.config.input_transform == "none":
            return
        N = self.config.N
        total, squares, seen = np.zeros((N, N)), np.zeros((N, N)), np.zeros((N, N))
        for scan, factor in zip(self.scans, factors, strict=True):
            rng = np.random.default_rng(self.run.seed)
            count = min(len(scan), _STATISTICS_FRAMES)
            sample = np.sort(rng.choice(len(scan), count, replace=False))
            for first in range(0, count, 64):
                amplitude, valid = scan.read(sample[first : first + 64])
                amplitude = np.where(valid, amplitude.astype(np.float64) * factor, 0.0)
                total += amplitude.sum(0)
                squares += (amplitude**2).sum(0)
                seen += valid.sum(0)
        used = np.maximum(seen, 1)
        mean = total / used
        spread = np.sqrt(np.maximum(squares / used - mean**2, 0))
        standard = self.config.input_transform == "standard"
        self.network.normalise.set_statistics(mean, spread if standard else None, seen > 0)

    def fit(self, folder: Path | None, progress: Report | None) -> Model:
        if self.first >= self.last:
            raise ConfigError(
                f"the run in the archive has {self.first} epochs already; ask for more than that"
            )
        watcher = Watcher(self, folder, progress)
        held = None if self.held is None else _Feed(self.held)
        self.network.fit(
            _Feed(self.feed, self.first),
            initial_epoch=self.first,
            epochs=self.last,
            validation_data=held,
            callbacks=[watcher],
            shuffle=False,
            verbose=0,
        )
        self.model.optimizer_arrays = arrays_of(self.network.optimizer)
        if folder is not None:
            write_run(folder, self.model, self.held or self.feed, pictures=True)
        return self.model
