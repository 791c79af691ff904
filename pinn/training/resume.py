"""Going on with a run: what must be the same, and refusals where it is not."""

from __future__ import annotations

from pathlib import Path

from pinn.config import TrainConfig
from pinn.data.fingerprint import digest
from pinn.data.scan import Scan
from pinn.errors import ConfigError
from pinn.trained import Model, load_model

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


def archive_to_resume(folder: Path | None, scans: list[Scan]) -> Model:
    if folder is None:
        raise ConfigError("resume needs the output folder of the interrupted run")
    start = load_model(folder)
    if digests(start) != [digest(scan) for scan in scans]:
        raise ConfigError(
            f"the run in {folder} was trained on other scans than these; resume it with the same "
            "files, or give the trained model to train() to go on with new ones"
        )
    return start


def check_resumed(run: TrainConfig, start: Model) -> None:
    # an archive from before an option existed had its default
    before = {**TrainConfig().to_dict(), **start.provenance["train"]}
    changed = [name for name in _FIXED if run.to_dict()[name] != before.get(name)]
    if changed:
        raise ConfigError(
            f"a resumed run keeps {', '.join(changed)} (was {before.get(changed[0])!r}): other "
            "groups would mix what was held out with what was learned; start a new run instead"
        )


def digests(model: Model) -> list[str | None]:
    return [scan.get("digest") for scan in model.provenance.get("scans", [])]
