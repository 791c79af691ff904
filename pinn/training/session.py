"""One call of `train`: the model, the optimiser and the batches it owns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from pinn import backend
from pinn.data.feed import Batches
from pinn.data.fingerprint import digest
from pinn.data.statistics import training_statistics
from pinn.errors import ConfigError, ScanError
from pinn.initialise import initialise
from pinn.model import PtychoModel
from pinn.objective import Objective
from pinn.ops.patches import canvas_size
from pinn.optimiser import arrays_of, assign, make_optimizer
from pinn.trained import Model
from pinn.training.feed import Feed
from pinn.training.groups import split
from pinn.training.report import write_run
from pinn.training.resume import digests
from pinn.training.watcher import Report, Watcher

_STATISTICS_FRAMES = 4096
_FAINT = 1e-4  # counts per pixel


class Session:
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
        learn, hold = zip(*(split(g, run) for g in groups), strict=True)
        self.feed = Batches(scans, list(learn), run.batch_size, run.seed, shuffle=True)
        held = [h for h in hold if len(h.indices)]
        self.held = Batches(scans, list(hold), run.batch_size, 0, shuffle=False) if held else None
        if start is None:  # what `initialise` does not redraw: other layers of a user's network
            keras.utils.set_random_seed(run.seed)
        self.network = PtychoModel(config, canvas, len(scans), Objective(run))
        per_pixel = min(s.mean_counts for s in statistics) / config.N**2
        if per_pixel < _FAINT:  # no dose has so few photons: these are arbitrary units
            self.network.count_unit = 1.0 / per_pixel
        factors = [s.exposure_factor for s in statistics]
        own = [digest(scan) for scan in scans]
        same = start is not None and digests(start) == own
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
                    for s, d in zip(scans, own, strict=True)
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
        held = None if self.held is None else Feed(self.held)
        self.network.fit(
            Feed(self.feed, self.first),
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
