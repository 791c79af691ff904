"""What a worker process is asked for; imported there, once it has its backend and device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pinn import training
from pinn.config import ModelConfig, ReconstructConfig
from pinn.data.scan import Scan
from pinn.io.archive import archive_path
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model, load_model
from pinn.progress import Progress
from pinn.reconstruction import inference
from pinn.remote.patches import patches_of
from pinn.remote.transfer import Described, rebuild

Report = Callable[[Progress], None]
_models: dict[tuple[Any, ...], Model] = {}


def train(
    scans: Sequence[Described],
    validation_scans: Sequence[Described],
    model: ModelConfig | Path | None,
    archive: Path | None,
    options: Mapping[str, Any],
    progress: Report | None = None,
) -> None:
    """Train on described scans; see `pinn.remote.Worker.train`.

    Args:
        model: options, or the archive of a trained model.
        archive: where the model is saved besides.
        options: further keywords of `pinn.train`.
    """
    start: Any = model
    if isinstance(model, Path):  # never the remembered one: training may change it
        start = load_model(model)
    with _rebuilt([*scans, *validation_scans]) as rebuilt:
        learned, watched = rebuilt[: len(scans)], rebuilt[len(scans) :]
        trained = training.train(
            learned, start, validation_scans=watched, progress=progress, **options
        )
        if archive is not None:
            trained.save(archive)


def reconstruct(
    scan: Described,
    model: Path,
    config: ReconstructConfig,
    progress: Report | None = None,
    **naming: Any,
) -> Reconstruction:
    """Reconstruct a described scan; see `pinn.remote.Worker.reconstruct`.

    Args:
        naming: `archive_sha256`, where the result names another archive than this one.
    """
    with _rebuilt([scan]) as scans:
        result = inference.reconstruct(scans[0], model_at(model), config, progress=progress)
    # what the caller knew of the scan was found again here
    notes = tuple(dict.fromkeys(result.notes))
    return dataclasses.replace(result, notes=notes, **naming)


def predict(frames: np.ndarray, model: Path, batch_size: int) -> np.ndarray:
    """The patches of all frames; see `pinn.remote.Worker.predict`."""
    return patches_of(model_at(model), frames, batch_size)


def model_at(path: str | Path) -> Model:
    """The model of an archive; the last one is remembered, and read again when its file changed.

    Raises:
        ArchiveError: it cannot be read.
    """
    file = archive_path(path)
    try:
        stat = file.stat()
        key = (str(file.resolve()), stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError:
        return load_model(path)  # which says what is wrong
    if key not in _models:
        model = load_model(path)
        _models.clear()
        _models[key] = model
    return _models[key]


@contextmanager
def _rebuilt(described: Sequence[Described]) -> Iterator[list[Scan]]:
    scans: list[Scan] = []
    try:
        for one in described:
            scans.append(rebuild(one))  # noqa: PERF401 (those made before a failure are closed)
        yield scans
    finally:
        for scan in scans:
            scan.close()
