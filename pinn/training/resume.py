"""Going on with a run: what must be the same, refusals where it is not, and where it goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ModelConfig, TrainConfig
from pinn.data.fingerprint import difference
from pinn.data.scan import Scan
from pinn.errors import ArchiveError, ConfigError
from pinn.io.archive import ARCHIVE_NAME, read_archive
from pinn.networks.trained import Model, load_model

CONFIG = "config.json"
LAST = "last.h5.zip"  # beside wts.h5.zip where that holds the weights of the best epoch

# Every option of a run is in one of the two; a test sees to it.
FIXED = frozenset(
    (
        # which groups are learned from and held out, and in which order
        *("seed", "n_groups", "groups_per_epoch", "neighbours", "grouping", "subsample"),
        *("subsample_seed", "sequential", "validation", "validation_fraction", "batch_size"),
        # what is minimised: the history would compare what cannot be compared
        *("mode", "loss", "label_epochs", "blend_epochs", "calibrate_start"),
        # what the state of the optimiser belongs to
        *("optimizer", "momentum", "beta_1", "beta_2", "clip_value", "clip_adaptive"),
        *("accumulate", "ema_decay", "rate_factors", "precision"),
        # the course of the learning rate, which is computed from the first epoch on
        *("schedule", "warmup_epochs", "decay"),
        *("plateau_factor", "plateau_patience", "plateau_threshold"),
    )
)
FREE = frozenset(
    (
        # how long, and how steps to come are made
        *("epochs", "learning_rate", "rate_floor", "weight_decay", "clip_norm", "deterministic"),
        # what is kept and shown; no step depends on it
        *("monitor", "monitor_mode", "keep_best", "restore_best", "early_stop", "logger"),
        *("sample_every", "preview_every"),
    )
)

# Besides, where the course of the learning rate follows from the history.
PLATEAU = frozenset(("monitor", "monitor_mode", "rate_floor"))


@dataclass(frozen=True)
class Unfinished:
    """An epoch that was cut by a stop request, as the archive's provenance holds it.

    Attributes:
        epoch: counted from 1; it is not in the history.
        batch: batches that are done.
        seconds: what they took.
        metrics: sums of each metric by its name, so that the epoch's mean loss is that of all its
            batches.
    """

    epoch: int
    batch: int
    seconds: float
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, model: Model) -> Unfinished | None:
        """Of a model that was just loaded; None where its last epoch is whole.

        Raises:
            ArchiveError: the provenance says something that cannot be.
        """
        stored = model.provenance.get("unfinished")
        if stored is None:
            return None
        try:
            found = cls(**stored)
            fits = found.epoch == len(model.history) + 1 and found.batch > 0
        except TypeError:
            fits = False
        if not fits:
            raise ArchiveError(
                f"the archive has {len(model.history)} epochs, but its provenance speaks of an "
                f"unfinished one as {stored!r}; it is damaged"
            )
        return found


def begun(folder: Path | None) -> tuple[ModelConfig, TrainConfig] | None:
    """Options of a run that was killed before its first archive; None where there is an archive
    of it, or no trace of a run.

    An archive of the run before in the same folder does not count: each run has an id, which
    stands in `config.json` and in its archives.

    Raises:
        ArchiveError: `config.json` is there, but cannot be used.
    """
    if folder is None or not (folder / CONFIG).exists():
        return None
    archived = (folder / ARCHIVE_NAME).exists()
    try:
        stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if archived and _of_this_run(folder, stored):
            return None
        if "origin" in stored:
            raise ValueError("it trained a model on, which only its caller has")
        return (
            ModelConfig.from_stored(stored["model"]),
            TrainConfig.from_stored(stored["train"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if archived and isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            return None  # the archive knows all that is needed
        raise ArchiveError(
            f"the run in {folder} has no archive, and its {CONFIG} cannot be used ({error}); "
            "start it anew, without resume"
        ) from None


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a run's folder; empty where there is none that can be read."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _of_this_run(folder: Path, stored: Any) -> bool:
    """Whether the archive in a folder is of the run that `config.json` speaks of."""
    id = stored.get("run") if isinstance(stored, dict) else None
    if id is None:  # written before runs had one
        return True
    try:
        return bool(read_archive(folder).provenance.get("run") == id)
    except ArchiveError:
        return True  # refused when it is loaded


def archive_to_resume(folder: Path | None, scans: list[Scan]) -> Model:
    """The last state of the run in `folder`.

    Raises:
        ConfigError: no folder, or the run was trained on other scans.
        ArchiveError: there is none, or it cannot be read.
    """
    if folder is None:
        raise ConfigError("resume needs the output folder of the interrupted run")
    start = load_model(folder)
    if start.provenance.get("restored_epoch") is not None:
        start = _last_state(folder, start)
    check_scans(folder, start, scans)
    if start.optimizer_arrays is None:
        raise ConfigError(
            f"the archive in {folder} was saved without the optimiser's state and cannot be "
            "resumed; give the trained model to train() to go on with a fresh one"
        )
    return start


def run_options(folder: Path | None, start: Model) -> TrainConfig:
    """The options that the run in `folder` had.

    Raises:
        ConfigError: one of them has no counterpart any more.
    """
    try:
        return TrainConfig.from_stored(start.provenance["train"])
    except ConfigError as error:
        raise ConfigError(
            f"the run in {folder} cannot be resumed: {error}; start a new one, or give the trained "
            "model to train() to go on with a fresh optimiser"
        ) from None


def check_scans(folder: Path, start: Model, scans: list[Scan]) -> None:
    """Refuse to resume on other scans, or on the same ones read in another way.

    Raises:
        ConfigError: what differs.
    """
    stored = start.provenance.get("scans", [])
    found = f"{len(scans)} where it had {len(stored)}" if len(stored) != len(scans) else None
    if found is None:
        labels = TrainConfig.from_stored(start.provenance["train"], lenient=True).needs_labels
        for known, scan in zip(stored, scans, strict=True):
            if (what := difference(known, scan, labels)) is not None:
                found = f"{scan.name}: {what}"
                break
    if found is not None:
        raise ConfigError(
            f"the run in {folder} was trained on other scans than these ({found}); resume it with "
            "the same files and options, or give the trained model to train() to go on with new "
            "ones"
        )


def _last_state(folder: Path, best: Model) -> Model:
    place = folder / LAST
    try:
        last = load_model(place)
        same = last.history == best.history
    except ArchiveError:
        same = False
    if not same:
        raise ConfigError(
            f"the archive in {folder} holds the best epoch of its run, and the last state beside "
            f"it ({LAST}) is missing or of another run; give the trained model to train() to go on "
            "with a fresh optimiser"
        )
    return last


def check_resumed(run: TrainConfig, start: Model) -> None:
    """Refuse options that a resumed run cannot change.

    Raises:
        ConfigError: one was changed, or the run is longer than asked for.
    """
    # an archive from before an option existed had its default
    before = TrainConfig.from_stored(start.provenance["train"]).to_dict()
    now = run.to_dict()
    fixed = FIXED | PLATEAU if before["schedule"] == "plateau" else FIXED
    changed = [name for name in now if name in fixed and now[name] != before.get(name)]
    if changed:
        raise ConfigError(
            f"a resumed run keeps {', '.join(changed)} (was {before.get(changed[0])!r}), or it "
            "would be another run under the same name; leave the option out, or start a new run"
        )
    done = len(start.history) - start.provenance.get("origin", 0)
    if done > run.epochs:
        raise ConfigError(
            f"the run in the archive has {done} epochs already; ask for at least that many"
        )
    if done == run.epochs and start.provenance.get("unfinished") is not None:
        raise ConfigError(
            f"the run in the archive has {done} whole epochs and was stopped in the next one, "
            f"whose steps cannot be taken back; ask for at least {done + 1} epochs"
        )


def metric_sums(metrics: list[Any]) -> dict[str, list[float]]:
    """What the metrics of a Keras model have summed up so far, by name."""
    from keras import ops

    return {
        metric.name: [float(ops.convert_to_numpy(v)) for v in metric.variables]
        for metric in metrics
        if metric.variables
    }


def set_metric_sums(metrics: list[Any], sums: dict[str, list[float]]) -> None:
    """The inverse; metrics that are not named stay as they are."""
    for metric in metrics:
        for variable, value in zip(metric.variables, sums.get(metric.name, []), strict=False):
            variable.assign(np.float32(value))
