"""Training and what comes with it: the functions behind `components` and `train_pinn`."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pinn
from pinn import backend
from pinn.backend.selection import loaded_backend
from pinn.errors import ConfigError, ScanError
from pinn.progress import Progress
from ptycho import _bundle
from ptycho._choose import Choice, choose, fitted, say
from ptycho._classes import TrainingConfig
from ptycho._container import PtychoDataContainer, container_of
from ptycho._dictionary import LEGACY, update_legacy_dict
from ptycho._history import columns
from ptycho._network import DiffractionToObject
from ptycho._raw import RawData
from ptycho._stitch import reassemble_position

if TYPE_CHECKING:
    from pinn.data.scan import Scan
    from pinn.networks.trained import Model

_log = logging.getLogger("ptycho")


def run_cdi_example(
    train_data: Any,
    test_data: Any,
    config: Any,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    M: int = 20,
    do_stitching: bool = False,
    *,
    torch_execution_config: Any = None,
    backend: str | None = None,
    architecture: str | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, Any]]:
    """Train and, where asked for, reconstruct the test scan.

    Args:
        train_data: a `RawData` or a container made from one.
        test_data: another to watch the loss on and to reconstruct; None or the same scan again:
            a share of the training groups is held out.
        config: a `TrainingConfig`.
        flip_x, flip_y, transpose, M: of the stitching, see `reassemble_cdi_image`.
        do_stitching: reconstruct `test_data`, or without one `train_data`.
        torch_execution_config: a `PyTorchExecutionConfig`.
        backend: tensorflow, pytorch or jax; counts before `config.backend`. Another than the one
            this process has loaded runs in a worker process.
        architecture: counts before `config.model.architecture`.

    Returns:
        Amplitude and phase `(H, W)`, or None and None; and the dictionary of `train_cdi_model`,
        with what `reassemble_cdi_image` adds.

    Raises:
        ConfigError: options that contradict each other or the scans.
        ScanError: the scans cannot be trained on.
        BackendError: a backend that is unknown or not installed.
    """
    results = train_cdi_model(
        train_data,
        test_data,
        config,
        torch_execution_config=torch_execution_config,
        backend=backend,
        architecture=architecture,
    )
    if not do_stitching:
        return None, None, results
    shown = train_data if test_data is None else test_data
    amplitude, phase, more = reassemble_cdi_image(
        shown, config, flip_x, flip_y, transpose, M, model=results["model_instance"]
    )
    return amplitude, phase, {**results, **more}


def run_cdi_example_with_backend(
    train_data: Any,
    test_data: Any,
    config: Any,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    M: int = 20,
    do_stitching: bool = False,
    torch_execution_config: Any = None,
) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, Any]]:
    """`run_cdi_example`, which looks at `config.backend` itself."""
    return run_cdi_example(
        train_data,
        test_data,
        config,
        flip_x,
        flip_y,
        transpose,
        M,
        do_stitching,
        torch_execution_config=torch_execution_config,
    )


def train_cdi_model(
    train_data: Any,
    test_data: Any,
    config: Any = None,
    *,
    torch_execution_config: Any = None,
    backend: str | None = None,
    architecture: str | None = None,
) -> dict[str, Any]:
    """Train; arguments as of `run_cdi_example`.

    Returns:
        `history`: columns by name, one number per epoch: ours (`loss`, `nll`, ...) and the
        original's (`train_loss`, `pred_intensity_loss`, `trimmed_obj_loss`, ...); `history_epochs`
        rows; `model_instance` for `predict`; `train_container`, `test_container`; `backend`;
        `model`, the `pinn.Model`.
    """
    raw, test = _raw_of(train_data), _raw_of(test_data)
    if raw is None:
        raise ScanError("no data to train on; give a RawData")
    choice = choose(
        config,
        architecture=architecture,
        backend=backend,
        execution=torch_execution_config,
        N=raw.scan().N,
    )
    if config is not None:
        update_legacy_dict(LEGACY.cfg, config)
        LEGACY.cfg["N"] = raw.scan().N
    scan, watched, choice = _scans(raw, test, choice)
    model = _train(scan, watched, choice, recorded=torch_execution_config is not None)
    model.provenance["dead_pixels"] = _dead_pixels(scan)
    instance = _bundle.remember(model, choice.backend if choice.worker else None)
    return {
        "history": columns(model.history),
        "history_epochs": list(model.history),
        "model_instance": instance,
        "model": model,
        "train_container": _container(train_data, raw),
        "test_container": None if test is None else _container(test_data, test),
        "backend": choice.word,
    }


def reassemble_cdi_image(
    test_data: Any,
    config: Any = None,
    flip_x: bool = False,
    flip_y: bool = False,
    transpose: bool = False,
    M: int = 20,
    coord_scale: float = 1.0,
    *,
    model: DiffractionToObject | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Reconstruct a scan with the model trained or loaded last.

    Args:
        test_data: a `RawData` or a container made from one; all its frames are used.
        config: not used; the model says what is needed.
        flip_x, flip_y, transpose, coord_scale: change the offsets, or the patches, before they are
            put together; then as the original does it.
        M: see `reassemble_position`.
        model: which; default the last.

    Returns:
        Amplitude and phase `(H, W)`, and `obj_tensor_full`, `global_offsets`, `recon_amp`,
        `recon_phase`.

    Raises:
        ConfigError: nothing was trained or loaded.
    """
    model = model or _bundle.last()
    raw = _raw_of(test_data)
    if isinstance(test_data, PtychoDataContainer) or raw is None:
        container = test_data
    else:
        container = _all_groups(raw, model.model.config.gridsize)
    scaled = container.X * model.intensity_scale
    patches: np.ndarray = model.predict([scaled, container.local_offsets])
    offsets = container.global_offsets
    if transpose:
        patches = np.swapaxes(patches, 1, 2)
    if flip_x or flip_y or transpose or coord_scale != 1.0:
        signs = np.array([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0]) * coord_scale
        patches, offsets = np.asarray(patches), np.asarray(offsets) * signs[None, None, :, None]
    obj = reassemble_position(patches, offsets, M)[..., 0]
    amplitude, phase = np.abs(obj), np.angle(obj)
    return (
        amplitude,
        phase,
        {
            "obj_tensor_full": np.asarray(patches),
            "global_offsets": np.asarray(offsets),
            "recon_amp": amplitude,
            "recon_phase": phase,
        },
    )


def create_ptycho_data_container(data: Any, config: Any) -> PtychoDataContainer:
    """A container of groups as a configuration asks for; one that is a container stays as it is."""
    if isinstance(data, PtychoDataContainer):
        return data
    update_legacy_dict(LEGACY.cfg, config)
    groups = data.generate_grouped_data(
        config.model.N,
        K=config.neighbor_count,
        nsamples=min(config.n_groups or len(data), len(data))
        if not config.enable_oversampling
        else config.n_groups,
        gridsize=config.model.gridsize,
        seed=config.subsample_seed,
        sequential_sampling=getattr(config, "sequential_sampling", False),
        enable_oversampling=config.enable_oversampling,
        neighbor_pool_size=config.neighbor_pool_size,
    )
    return container_of(groups, data.probeGuess)


# -- in between --------------------------------------------------------------------------


def _raw_of(data: Any) -> RawData | None:
    if isinstance(data, PtychoDataContainer):
        if data.raw is None:
            raise ConfigError(
                "this container was made from arrays and knows no scan; train on a RawData, or on "
                "a container of loader.load"
            )
        return data.raw
    if data is None or isinstance(data, RawData):
        return data
    if isinstance(data, str | Path):
        return RawData.from_file(data)
    raise ScanError(f"data are {type(data).__name__}, but a RawData or a container is required")


def _scans(raw: RawData, test: RawData | None, choice: Choice) -> tuple[Scan, list[Scan], Choice]:
    """Scans in the units that were asked for, and options that fit them."""
    plain = raw.scan()
    known, asked = len(choice.asked.notes), choice.asked
    if (
        plain.photons_per_frame is not None
        and asked.scan.photons_per_frame == TrainingConfig.nphotons
    ):
        # the file says how many, and the caller does not
        asked = replace(asked, scan=asked.scan.replace(photons_per_frame=plain.photons_per_frame))
    asked = fitted(asked, len(raw), plain.units == "counts")
    for note in asked.notes[known:]:
        say(note)
    scan = raw.scan(asked.scan.photons_per_frame)
    watched = []
    if test is not None:
        from pinn.data.fingerprint import digest

        if digest(test.scan()) == digest(plain):
            say("the test scan is the training scan: a share of its groups is held out instead")
        else:
            counts = test.scan().units == "counts"
            watched.append(test.scan(None if counts else choice.asked.scan.photons_per_frame))
    return scan, watched, replace(choice, asked=asked)


def _train(scan: Scan, watched: list[Scan], choice: Choice, recorded: bool) -> Model:
    """Train; with records and checkpoints in the folder of the configuration, or in memory."""
    asked = choice.asked
    folder = asked.output if recorded else None
    options: dict[str, Any] = {"validation_scans": watched, "progress": _tell, "output": folder}
    if recorded and folder is None:
        say("there is no output_dir, so no checkpoints and no records are kept")
        options |= {"keep_best": 0, "logger": "none", "sample_every": 0, "preview_every": 0}
    where = f" in a worker process, for {loaded_backend()} is loaded here" if choice.worker else ""
    _log.info("training on %s%s", choice.word, where)
    if choice.worker:
        with pinn.remote.Worker(choice.backend, device=asked.device) as worker:
            _log.info("device: %s", worker.start())
            return worker.train(scan, asked.model, asked.train, **options).load()
    _log.info("device: %s", backend.select_device(asked.device))
    return pinn.train(scan, asked.model, asked.train, **options)


def _tell(progress: Progress) -> None:
    if progress.message:
        _log.info("%s", progress.message)
    if progress.loss is not None:
        held = "" if progress.val_loss is None else f", val_loss {progress.val_loss:.5g}"
        _log.info(
            "epoch %s of %s: loss %.5g%s", progress.epoch, progress.epochs, progress.loss, held
        )


def _dead_pixels(scan: Scan) -> list[int]:
    """Numbers of the detector pixels that no frame uses."""
    if scan.statistics().dead_pixels == 0:
        return []
    used = np.zeros(scan.N**2, bool)
    for first in range(0, len(scan), 256):
        rows = np.arange(first, min(first + 256, len(scan)))
        used |= scan.read(rows)[1].any(axis=0).reshape(-1)
    return [int(number) for number in np.flatnonzero(~used)]


def _container(data: Any, raw: RawData) -> PtychoDataContainer:
    if isinstance(data, PtychoDataContainer):
        return data
    return _all_groups(raw, int(LEGACY.get("gridsize")))


def _all_groups(raw: RawData, gridsize: int) -> PtychoDataContainer:
    """One group per frame, the frame and its nearest."""
    from pinn.data.grouping import groups_for_inference

    scan = raw.scan()
    members = groups_for_inference(scan.positions_px, gridsize, scan.scan_index).indices
    return container_of(raw.grouped(members), raw.probeGuess)
