"""What a worker process can be asked for; runs there, with the backend loaded."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ModelConfig, ReconstructConfig, TrainConfig
from pinn.data.scan import Scan
from pinn.errors import ConfigError
from pinn.progress import Progress
from pinn.remote.transfer import opened, rebuild, write_array

Report = Callable[[Progress], None] | None
_models: dict[tuple[Any, ...], Any] = {}


def run(task: str, arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    """Do one task; what it answers is JSON-ready."""
    return {"train": _train, "reconstruct": _reconstruct, "call": _call}[task](arguments, report)


def model_at(path: str | Path) -> Any:
    """The model of an archive; the last one is remembered, and read again when its file changed.

    Raises:
        ArchiveError: it cannot be read.
    """
    from pinn.io.archive import archive_path
    from pinn.networks.trained import load_model

    file = archive_path(path)
    try:
        known = file.stat()
        key = (str(file.resolve()), known.st_mtime_ns, known.st_size, known.st_ino)
    except OSError:
        return load_model(path)  # which says what is wrong
    if key not in _models:
        model = load_model(path)
        _models.clear()
        _models[key] = model
    return _models[key]


@contextmanager
def _scans(described: list[dict[str, Any]]) -> Iterator[list[Scan]]:
    scans: list[Scan] = []
    try:
        for one in described:
            scans.append(rebuild(one))  # noqa: PERF401 (those made before a failure are closed)
        yield scans
    finally:
        for scan in scans:
            scan.close()


def _train(arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    from pinn.networks.trained import load_model
    from pinn.training import train

    model: Any = None
    if arguments["start"] is not None:  # never the remembered one: training may change it
        model = load_model(arguments["start"])
    elif arguments["model"] is not None:
        model = ModelConfig(**arguments["model"])
    run = None if arguments["train"] is None else TrainConfig(**arguments["train"])
    learned = len(arguments["scans"])
    with _scans([*arguments["scans"], *arguments["validation_scans"]]) as scans:
        trained = train(
            scans[:learned],
            model,
            run,
            output=arguments["output"],
            validation_scans=scans[learned:],
            resume=arguments["resume"],
            progress=report,
            **arguments["options"],
        )
        if arguments["archive"] is not None:
            trained.save(arguments["archive"])
    return {}


def _reconstruct(arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    from pinn.reconstruction.inference import reconstruct

    model = model_at(arguments["model"])
    named = model.archive_sha256
    if arguments["unnamed"]:  # a model that the caller never saved
        model.archive_sha256 = arguments["sha256"]
    try:
        with _scans([arguments["scan"]]) as scans:
            config = ReconstructConfig(**arguments["config"])
            found = reconstruct(scans[0], model, config, progress=report)
    finally:
        model.archive_sha256 = named
    # what the caller had found out about the scan was found again here
    notes = tuple(dict.fromkeys(found.notes))
    dataclasses.replace(found, notes=notes).save(arguments["result"])
    return {}


def _call(arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    module, _, name = arguments["function"].partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"function {arguments['function']!r} is not there in the worker process ({error}); "
            "name it as module:function, in a module that can be imported"
        ) from None
    arrays = {key: opened(place) for key, place in arguments["arrays"].items()}
    found = function(**arrays, **arguments["options"])
    if not isinstance(found, dict):
        raise ConfigError(
            f"function {arguments['function']!r} gave a {type(found).__name__}, but a dictionary "
            "of arrays is required"
        )
    folder = Path(arguments["folder"])
    return {
        key: write_array(np.asarray(value), folder / f"answer_{number}.npy", key)
        for number, (key, value) in enumerate(found.items())
    }
