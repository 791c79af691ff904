"""One call, one worker process: nothing stays behind, neither a process nor memory on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pinn.backend import selection
from pinn.config import ModelConfig, ReconstructConfig, TrainConfig
from pinn.remote.client import Worker
from pinn.remote.process import Report
from pinn.remote.trained import Trained
from pinn.remote.transfer import ScanLike

if TYPE_CHECKING:
    from pinn.io.product import Reconstruction
    from pinn.remote.client import Source


def needs_worker(backend: str) -> bool:
    """Whether this process has loaded another backend than the one asked for.

    Raises:
        BackendError: unknown, or not installed.
    """
    wanted, loaded = selection.available(backend), selection.loaded_backend()
    return loaded is not None and loaded != wanted


def train(
    scans: ScanLike | Sequence[ScanLike],
    model: ModelConfig | Source | None = None,
    train: TrainConfig | None = None,
    *,
    backend: str,
    device: str = "auto",
    imports: Sequence[str] = (),
    output: str | Path | None = None,
    resume: bool = False,
    validation_scans: Sequence[ScanLike] = (),
    progress: Report | None = None,
    **options: Any,
) -> Trained:
    """Train in a process of its own on `backend`; the rest as of `Worker` and `Worker.train`."""
    with Worker(backend, device=device, imports=imports) as worker:
        return worker.train(
            scans,
            model,
            train,
            output=output,
            resume=resume,
            validation_scans=validation_scans,
            progress=progress,
            **options,
        )


def reconstruct(
    scan: ScanLike,
    model: Source,
    config: ReconstructConfig | None = None,
    *,
    backend: str,
    device: str = "auto",
    imports: Sequence[str] = (),
    progress: Report | None = None,
    **options: Any,
) -> Reconstruction:
    """Reconstruct in a process of its own; as of `Worker` and `Worker.reconstruct`."""
    with Worker(backend, device=device, imports=imports) as worker:
        return worker.reconstruct(scan, model, config, progress=progress, **options)


def predict(
    frames: np.ndarray,
    model: Source,
    *,
    backend: str,
    device: str = "auto",
    imports: Sequence[str] = (),
    batch_size: int = 32,
) -> np.ndarray:
    """Object patches from a process of its own; as of `Worker` and `Worker.predict`."""
    with Worker(backend, device=device, imports=imports) as worker:
        return worker.predict(frames, model, batch_size=batch_size)
