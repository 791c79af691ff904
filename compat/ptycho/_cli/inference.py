"""`ptycho_inference`: reconstruct a scan file with a trained model."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

import pinn
from pinn import backend
from pinn.errors import ConfigError
from pinn.io.atomic import atomic_path, check_writable
from ptycho._bundle import load_inference_bundle
from ptycho._choose import backend_of, say
from ptycho._classes import InferenceConfig, ModelConfig, TrainingConfig, translated
from ptycho._cli import add_logging, deprecated, run, start_logging
from ptycho._cli.flags import add_fields, add_flag, read_yaml
from ptycho._cli.torch_flags import DOMAINS, OF_INFERENCE, add_torch_flags, execution_of
from ptycho._files import load_data, write_arrays
from ptycho._run import reassemble_cdi_image

_log = logging.getLogger("ptycho")
_FLAG = next(field for field in fields(TrainingConfig) if field.type == "bool")


def parser() -> argparse.ArgumentParser:
    """All flags."""
    made = argparse.ArgumentParser(
        "ptycho_inference",
        description="Reconstruct a ptychographic scan with a trained network.",
        allow_abbrev=False,
    )
    made.add_argument("--config", type=Path, metavar="YAML", help="file with any of the fields")
    made.add_argument("--test_data", "--test-data", type=Path, default=argparse.SUPPRESS,
                      dest="test_data_file", help="the scan")  # fmt: skip
    made.add_argument("--comparison_plot", action="store_true",
                      help="an image beside the object of the file (objectGuess)")  # fmt: skip
    made.add_argument("--phase_vmin", type=float, help="lowest phase of the image, in rad")
    made.add_argument("--phase_vmax", type=float, help="highest phase of the image, in rad")
    made.add_argument("--debug_dump", type=Path, metavar="DIR",
                      help="folder for the predicted patches and their places")  # fmt: skip
    made.add_argument("--patch-weighting", choices=["probe", "uniform"], default="probe",
                      help="weight of a patch's pixels [default: probe]")  # fmt: skip
    made.add_argument("--varpro-scaling", nargs="?", const="true", default="true",
                      choices=["true", "false"],
                      help="fit the contrast to the frames [default: true]")  # fmt: skip
    add_logging(made)
    add_flag(made, ["--debug"], "debug", _FLAG, "the same as --verbose")
    add_fields(made, InferenceConfig, "the reconstruction", leave_out=("model", "debug"))
    add_torch_flags(made, OF_INFERENCE)
    return made


def configuration(arguments: Sequence[str] | None) -> tuple[InferenceConfig, Any, Any]:
    """The configuration, the execution configuration or None, and the other options.

    Raises:
        ConfigError: an unknown or impossible value.
    """
    other = parser().parse_args(arguments)
    other.verbose |= vars(other).pop("debug", False)
    start_logging(other)
    options = vars(other)
    known = {f.name for f in fields(InferenceConfig)} - {"model"}
    kinds = (ModelConfig, TrainingConfig, InferenceConfig)
    stated = {} if other.config is None else read_yaml(other.config, *kinds)
    # the file may be that of the training, whose other options say nothing here
    stated = {name: value for name, value in stated.items() if name in known}
    execution = execution_of(options)
    stated |= {name: options[name] for name in known if name in options}
    if stated.get("n_images") is not None:
        deprecated("n_images", "n_groups, which counts groups and not images")
        images = stated.pop("n_images")
        stated.setdefault("n_groups", images)
    for name, flag in (("model_path", "--model_path"), ("test_data_file", "--test_data")):
        if stated.get(name) is None:
            raise ConfigError(f"{name} is missing; give {flag}")
    # the network is that of the archive, whatever a file meant for training says
    return InferenceConfig(ModelConfig(architecture="lean"), **stated), execution, other


def work(arguments: Sequence[str] | None = None) -> Path:
    """Reconstruct and write; returns the folder."""
    return reconstruct(*configuration(arguments))


def reconstruct(config: InferenceConfig, execution: Any, other: argparse.Namespace) -> Path:
    """The same for options that were read."""
    from pinn.plots.pictures import write_amplitude, write_phase

    asked = translated(config, execution)
    for note in asked.notes:
        say(note)
    folder = Path(config.output_dir)
    check_writable(folder)
    raw = load_data(
        config.test_data_file,
        n_subsample=asked.subsample,
        subsample_seed=asked.subsample_seed,
    )
    raw.units = DOMAINS.get(other.frames, raw.units)
    if asked.n_groups is not None and asked.n_groups < len(raw):
        _log.info("the first %s of %s frames are reconstructed", asked.n_groups, len(raw))
        raw = raw.select(np.arange(asked.n_groups))
    backend_of(config.backend)  # nothing is loaded yet, so that it is taken in this process
    _log.info("device: %s", backend.select_device(asked.device))
    model, _ = load_inference_bundle(config.model_path)
    recon = pinn.reconstruct(
        raw.scan(),
        model.model,
        asked.reconstruct,
        weighting="crop" if model.half and other.patch_weighting == "probe"
        else other.patch_weighting,
        calibrate=other.varpro_scaling == "true",
    )  # fmt: skip
    recon.save(folder / "reconstruction.h5")
    write_amplitude(folder / "reconstructed_amplitude.png", recon)
    limits = (other.phase_vmin, other.phase_vmax)
    if limits == (None, None):
        write_phase(folder / "reconstructed_phase.png", recon)
    else:
        _image(folder / "reconstructed_phase.png", [(recon.phase, "phase in rad", limits)])
    if other.comparison_plot:
        _compare(folder / "comparison_plot.png", recon, raw)
    if other.debug_dump is not None:
        _dump(other.debug_dump, model, raw)
    for note in recon.notes:
        say(note)
    _log.info("wrote %s: object %s x %s px", folder, *recon.object.shape)
    return folder


def _compare(path: Path, recon: Any, raw: Any) -> None:
    truth = raw.objectGuess
    if truth is None:
        raise ConfigError("the scan has no objectGuess; leave --comparison_plot out")
    _image(
        path,
        [
            (recon.amplitude, "amplitude", (None, None)),
            (recon.phase, "phase in rad", (None, None)),
            (np.abs(truth), "amplitude, objectGuess", (None, None)),
            (np.angle(truth), "phase in rad, objectGuess", (None, None)),
        ],
    )


def _image(path: Path, parts: list[tuple[np.ndarray, str, tuple[Any, Any]]]) -> None:
    from matplotlib.figure import Figure

    rows = -(-len(parts) // 2)
    figure = Figure(figsize=(5.5 * min(2, len(parts)), 4.5 * rows), layout="constrained")
    for number, (image, label, (low, high)) in enumerate(parts):
        axes = figure.add_subplot(rows, min(2, len(parts)), number + 1)
        shown = axes.imshow(image, cmap="gray", vmin=low, vmax=high)
        figure.colorbar(shown, ax=axes, label=label)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _dump(folder: Path, model: Any, raw: Any) -> None:

    more = reassemble_cdi_image(raw, model=model)[2]
    names = ("obj_tensor_full", "global_offsets")
    write_arrays(folder / "debug.npz", {name: more[name] for name in names})


def main() -> None:
    """The console script."""
    run(work)
