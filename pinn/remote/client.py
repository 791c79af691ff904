"""A worker process as its caller sees it: train, reconstruct, predict."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pinn.backend import selection
from pinn.config import ModelConfig, ReconstructConfig, TrainConfig
from pinn.errors import BackendError, ConfigError, ScanError, WorkerError
from pinn.io.archive import ARCHIVE_NAME, PRETRAINED_PATH
from pinn.remote import transfer
from pinn.remote.process import Process, Report
from pinn.remote.trained import Trained
from pinn.remote.transfer import ScanLike

if TYPE_CHECKING:
    from pinn.io.product import Reconstruction
    from pinn.networks.trained import Model

    Source: TypeAlias = Model | Trained | str | Path


class Worker:
    """A process with a backend of its own; started at the first call and used for all others.

    Use as a context manager, or `close` it. One that has ended, whatever the cause, is started
    anew by the next call. It keeps its backend's memory on a GPU until it is closed.

    Args:
        backend: `jax`, `torch` (`pytorch`) or `tensorflow` (`tf`).
        device: auto, cpu, gpu, cuda, mps or tpu.
        imports: modules to import there first, for instance one that registers a network.

    Raises:
        BackendError: unknown, or not installed; nothing is started.
    """

    def __init__(self, backend: str, *, device: str = "auto", imports: Sequence[str] = ()) -> None:
        self.backend = selection.available(backend)
        if device not in selection.DEVICES:
            devices = ", ".join(selection.DEVICES)
            raise BackendError(f"unknown device {device!r}; known: {devices}")
        self._device = device
        self._imports = (imports,) if isinstance(imports, str) else tuple(imports)
        self._process: Process | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        pid = "not started" if self.pid is None else f"process {self.pid}"
        return f"Worker({self.backend!r}, {pid})"

    @property
    def pid(self) -> int | None:
        """Number of the process, or None while there is none."""
        process = self._process
        return process.pid if process is not None and process.alive else None

    def start(self) -> str:
        """Start the process, if it does not run, and say on which device.

        Raises:
            BackendError: no such device.
            ConfigError: a module that cannot be imported.
            WorkerError: it cannot be started.
        """
        if self._process is None or not self._process.alive:
            self.close()
            self._process = Process(self.backend, self._device, self._imports)
        return self._process.device

    def close(self) -> None:
        """End the process and remove its files; the next call would start another."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def train(
        self,
        scans: ScanLike | Sequence[ScanLike],
        model: ModelConfig | Source | None = None,
        train: TrainConfig | None = None,
        *,
        output: str | Path | None = None,
        resume: bool = False,
        validation_scans: Sequence[ScanLike] = (),
        progress: Report | None = None,
        **options: Any,
    ) -> Trained:
        """Train as `pinn.train` does, in the worker.

        Args:
            scans: one or several; a `Scan`, or the path of a scan file, alone or in a pair with
                its `ScanConfig`, which the worker then opens.
            model, train, output, resume, validation_scans, options: as of `pinn.train`; a trained
                model may be given by its archive as well.
            progress: called in this process, between two steps of the worker, which waits for it.
                `StopRequested` from it ends the run after the step, and what was learned is kept;
                any other exception ends the worker and is raised here.

        Returns:
            The archive in `output`, or in a temporary folder that goes with the object.

        Raises:
            PinnError: as `pinn.train`.
            WorkerError: the process ended, or failed in a way nobody foresaw.
        """
        given = transfer.as_list(scans)
        if not given:
            raise ScanError("no scan to train on")
        labels = True
        if not resume:  # else it depends on the archive what the options mean
            names = {k: v for k, v in options.items() if k not in ModelConfig.model_fields}
            labels = (train or TrainConfig()).replace(**names).needs_labels
        temporary = None if output else Path(tempfile.mkdtemp(prefix="pinn-trained-"))
        try:
            with self._call() as (process, folder):
                described = [
                    transfer.describe(scan, folder / f"scan_{number}", labels)
                    for number, scan in enumerate([*given, *validation_scans])
                ]
                start = model
                if not (model is None or isinstance(model, ModelConfig)):
                    start, _ = _archive_of(model, folder)
                arguments = {
                    "scans": described[: len(given)],
                    "validation_scans": described[len(given) :],
                    "model": start,
                    "archive": temporary and temporary / ARCHIVE_NAME,
                    "options": {"train": train, "output": output, "resume": resume, **options},
                }
                process.ask("pinn.remote.tasks:train", arguments, progress)
                where = Path(temporary or output or "") / ARCHIVE_NAME
                return Trained(where, self.backend, process.device, temporary)
        except BaseException:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            raise

    def reconstruct(
        self,
        scan: ScanLike,
        model: Source | None = None,
        config: ReconstructConfig | None = None,
        *,
        progress: Report | None = None,
        **options: Any,
    ) -> Reconstruction:
        """Reconstruct as `pinn.reconstruct` does, in the worker.

        Args:
            scan: as of `train`.
            model: an archive, what `train` returned, or a `pinn.Model` of this process. Default:
                the pretrained model of the package.
            config, options: as of `pinn.reconstruct`.
            progress: as of `train`; what is on the canvas when it stops the work is returned.

        Raises:
            PinnError: as `pinn.reconstruct`.
            WorkerError: the process ended, or failed in a way nobody foresaw.
        """
        resolved = (config or ReconstructConfig()).replace(**options)
        with self._call() as (process, folder):
            path, naming = _archive_of(PRETRAINED_PATH if model is None else model, folder)
            arguments = {
                "scan": transfer.describe(scan, folder / "scan", labels=False),
                "model": path,
                "config": resolved,
                **naming,
            }
            result: Reconstruction = process.ask(
                "pinn.remote.tasks:reconstruct", arguments, progress
            )
            return result

    def predict(self, frames: np.ndarray, model: Source, *, batch_size: int = 32) -> np.ndarray:
        """Object patches of groups of frames.

        Args:
            frames: `(B, N, N, C)` normalised amplitudes (exposure factor times square root of
                counts), C = gridsize squared; -1 at masked pixels.
            model: as of `reconstruct`.
            batch_size: groups per step.

        Returns:
            complex64 `(B, C, N, N)`; `(B, 1, N, N)` where the model makes one patch of a group.

        Raises:
            ScanError: frames that do not fit the model.
            ArchiveError: the model cannot be read.
            WorkerError: as of `train`.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but must be at least 1")
        with self._call() as (process, folder):
            path, _ = _archive_of(model, folder)
            arguments = {"frames": frames, "model": path, "batch_size": batch_size}
            patches: np.ndarray = process.ask("pinn.remote.tasks:predict", arguments)
            return patches

    def call(
        self, function: str, arrays: Mapping[str, np.ndarray] | None = None, **options: Any
    ) -> dict[str, np.ndarray]:
        """Call a function of an importable module in the worker.

        Args:
            function: `module:function`; it gets arrays and options by name and returns a
                dictionary of arrays.
            arrays: numbers, text or Booleans.
            options: text, numbers, paths, and lists of them.

        Raises:
            ConfigError: there is no such function, or what goes in or out is no array.
            PinnError: what the function raises.
            WorkerError: as of `train`; the function raised something else.
        """
        given = {name: np.asarray(array) for name, array in (arrays or {}).items()}
        for name, array in given.items():
            if array.dtype.hasobject:
                raise ConfigError(f"array {name!r} holds Python objects; give numbers")
        with self._call() as (process, _):
            answer = process.ask(function, {**given, **options})
        if not isinstance(answer, dict):
            raise ConfigError(
                f"function {function!r} gave a {type(answer).__name__}, but a dictionary of arrays "
                "is required"
            )
        return {name: np.asarray(array) for name, array in answer.items()}

    @contextmanager
    def _call(self) -> Iterator[tuple[Process, Path]]:
        """The running process and a folder for one call."""
        if not self._lock.acquire(blocking=False):
            raise WorkerError(
                f"the worker on {self.backend} is busy with another call; wait for it, or use a "
                "second Worker"
            )
        try:
            self.start()
            assert self._process is not None
            process = self._process
            folder = Path(tempfile.mkdtemp(dir=process.folder))
            try:
                yield process, folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            self._lock.release()


def _archive_of(model: Source, folder: Path) -> tuple[Path, dict[str, Any]]:
    """An archive of a trained model, and the checksum by which results name it.

    A model of this process is written into `folder` first, and named as it was here.
    """
    if isinstance(model, Trained | str | Path):
        return Path(model), {}
    trained = sys.modules.get("pinn.networks.trained")  # not imported: that would load a backend
    if trained is None or not isinstance(model, trained.Model):
        raise ConfigError(
            f"a trained model is a {type(model).__name__}, but an archive's path, what "
            "pinn.remote.train returned, or a pinn.Model is required"
        )
    named = model.archive_sha256
    try:
        path = model.save(folder / "model.h5.zip", optimizer=False)
    finally:
        model.archive_sha256 = named
    return path, {"archive_sha256": named}


# One call, one worker process: nothing stays behind, neither a process nor memory on a GPU.


def needs_worker(backend: str) -> bool:
    """Whether this process has loaded another backend than the one asked for.

    Raises:
        BackendError: unknown, or not installed.
    """
    wanted, loaded = selection.available(backend), selection.loaded_backend()
    return loaded is not None and loaded != wanted


def train(
    scans: ScanLike | Sequence[ScanLike],
    *arguments: Any,
    backend: str,
    device: str = "auto",
    imports: Sequence[str] = (),
    **options: Any,
) -> Trained:
    """Train in a process of its own on `backend`; the rest as of `Worker` and `Worker.train`."""
    with Worker(backend, device=device, imports=imports) as worker:
        return worker.train(scans, *arguments, **options)


def reconstruct(
    scan: ScanLike,
    *arguments: Any,
    backend: str,
    device: str = "auto",
    imports: Sequence[str] = (),
    **options: Any,
) -> Reconstruction:
    """Reconstruct in a process of its own; as of `Worker` and `Worker.reconstruct`."""
    with Worker(backend, device=device, imports=imports) as worker:
        return worker.reconstruct(scan, *arguments, **options)


def predict(
    frames: np.ndarray,
    *arguments: Any,
    backend: str,
    device: str = "auto",
    imports: Sequence[str] = (),
    **options: Any,
) -> np.ndarray:
    """Object patches from a process of its own; as of `Worker` and `Worker.predict`."""
    with Worker(backend, device=device, imports=imports) as worker:
        return worker.predict(frames, *arguments, **options)
