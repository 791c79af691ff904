"""Archives of the reference's TensorFlow command line: `manifest.dill` and two models.

Per model a folder with `model.keras` (the network), `params.dill` (all options, and the probe),
`model.h5` (the intensity scale once more) and `custom_objects.dill` (names of the reference's
layers). The two models, `autoencoder` (trained, with the state of its optimiser) and
`diffraction_to_obj` (its first half, for inference), hold the same network.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import h5py
import numpy as np

from pinn.errors import ArchiveError
from pinn_archives.keras_file import KerasFile, read_keras
from pinn_archives.members import Members, inner_zip
from pinn_archives.model import OldModel
from pinn_archives.names import Vocabulary, custom_names
from pinn_archives.network import Network, read_network
from pinn_archives.options import (
    activation,
    as_json,
    number,
    read_probe,
    short,
    square_probe,
)
from pinn_archives.unpickle import plain_data

MODEL_LIMIT = 4 << 30
PARAMS_LIMIT = 256 << 20
SMALL_LIMIT = 1 << 20

_SAME = 1e-6  # float32 numbers that are meant to be one


def read_tensorflow(
    members: Members, prefix: str, role: str, probe: np.ndarray | None = None
) -> OldModel:
    """Read one model of an archive.

    Args:
        members: files of the archive.
        prefix: folder of `manifest.dill` in it, empty or ending in `/`.
        role: `autoencoder` or `diffraction_to_obj`.
        probe: takes the place of the archive's.

    Raises:
        ArchiveError: incomplete, damaged, malicious, or of another network than `cnn`.
    """
    where = f"{role} of {members.where}"
    folder = f"{prefix}{role}/"
    found = read_parameters(members, f"{folder}params.dill")
    parameters = as_json(found)  # arrays are words in it, so that it can be asked anything
    if f"{folder}model.keras" not in members.names:
        raise ArchiveError(
            f"{where} has no model.keras: it is of an older kind that only TensorFlow can open; "
            "open and save it once with a PtychoPINN that writes Keras 3 files"
        )
    with inner_zip(members, f"{folder}model.keras", MODEL_LIMIT) as inner:
        file = read_keras(inner)
    network = read_network(file, where)
    scale, notes = _scale(members, folder, found, where)
    settings = _settings(network, parameters, where, notes)
    if probe is not None:
        modes = square_probe(probe, "the file given")
        notes.append("the probe is that of the file given, not the archive's")
    else:
        modes = read_probe(found, where, bool(parameters.get("probe.mask", False)))
    old = OldModel(
        "tensorflow",
        "archive of PtychoPINN (TensorFlow)",
        {**settings, "probe_modes": len(modes)},
        network.layers,
        modes,
        scale,
        parameters=parameters,
        versions={"keras": file.version},
        notes=notes,
    )
    _report(old, parameters, file, role)
    return old


def read_parameters(members: Members, name: str) -> dict[str, Any]:
    """A dictionary in a `.dill` file.

    Raises:
        ArchiveError: missing, damaged, malicious, or something else.
    """
    where = f"{name} of {members.where}"
    found = plain_data(members.read(name, PARAMS_LIMIT), where, Vocabulary())
    if not isinstance(found, dict):
        raise ArchiveError(f"{where} holds a {type(found).__name__} where options should be")
    return {str(key): value for key, value in found.items()}


def check_pickles(members: Members, prefix: str) -> None:
    """Read the pickles of all models, needed or not: an archive made to do harm is refused
    wherever the harm is.

    Raises:
        ArchiveError: one of them is malicious or damaged.
    """
    for name in members.names:
        if name.startswith(prefix) and name.endswith("/custom_objects.dill"):
            plain_data(members.read(name, SMALL_LIMIT), f"{name} of {members.where}", custom_names)
        elif name.startswith(prefix) and name.endswith("/params.dill"):
            read_parameters(members, name)


def _scale(
    members: Members, folder: str, parameters: Mapping[str, Any], where: str
) -> tuple[float, list[str]]:
    """The intensity scale: that of the options, with which the reference builds the model."""
    beside = _attribute(members, f"{folder}model.h5")
    value = number(parameters.get("intensity_scale", beside))
    if value is None:
        raise ArchiveError(f"{where} has no intensity scale; get the whole archive")
    notes = []
    if beside is not None and abs(beside - value) > _SAME * abs(value):
        notes.append(
            f"model.h5 says the intensity scale is {beside:.6g}, but the options say {value:.6g}: "
            "that one was taken, as the reference does"
        )
    return value, notes


def _attribute(members: Members, name: str) -> float | None:
    if name not in members.names:
        return None
    try:
        with closing(members.open(name, SMALL_LIMIT)) as copy, h5py.File(copy, "r") as file:
            value = file.attrs.get("intensity_scale")
            return None if value is None else number(np.asarray(value))
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError):
        raise ArchiveError(f"{name} of {members.where} is damaged; get a whole copy") from None


def _settings(
    network: Network, parameters: Mapping[str, Any], where: str, notes: list[str]
) -> dict[str, Any]:
    """Fields of `ModelConfig`; the network itself is believed more than the options."""
    gridsize = round(network.frames**0.5)
    if gridsize**2 != network.frames or network.patches not in (1, network.frames):
        raise ArchiveError(
            f"{where} takes {network.frames} frames and gives {network.patches} patches, which "
            "no square group has"
        )
    encoder = (kernel for name, (kernel, _) in network.layers.items() if name[:7] == "encoder")
    deepest = max(kernel.shape[3] for kernel in encoder)
    said = bool(parameters.get("object.big", True))
    settings = {
        "N": network.N,
        "gridsize": gridsize,
        "architecture": "cnn",
        "n_filters_scale": max(1, deepest // 128),
        "amp_activation": activation(network.amp_activation, where),
        "object_big": network.patches == network.frames if gridsize > 1 else said,
        "pad_object": network.pad_object,
        "probe_big": network.probe_big if network.pad_object else True,
        "ring_activation": "swish",
        "probe_trainable": bool(parameters.get("probe.trainable", False)),
        "scale_trainable": bool(parameters.get("intensity_scale.trainable", True)),
    }
    words = {
        "N": "N",
        "gridsize": "gridsize",
        "n_filters_scale": "n_filters_scale",
        "object.big": "object_big",
        "pad_object": "pad_object",
    }
    for old, new in words.items():
        if old in parameters and parameters[old] != settings[new]:
            notes.append(
                f"the options say {old} = {short(parameters[old])}, but the network was built with "
                f"{settings[new]!r}: the latter holds"
            )
    return settings


def _report(old: OldModel, parameters: Mapping[str, Any], file: KerasFile, role: str) -> None:
    s, N = old.intensity_scale, old.settings["N"]
    old.carried += [
        f"{2 * len(old.layers)} weights of the network, from the model {role}",
        f"the probe, {len(old.probe)} x {N} x {N}, and its norm (into the count scale)",
        f"the intensity scale {s:.6g}, which means {(s * N / 2) ** 2:.4g} photons per frame: an "
        "option of the reference, not a measurement",
        "all options, for the record (pinn info --json)",
    ]
    if parameters.get("probe.mask", False):
        old.carried.append("the probe mask, multiplied into the probe")
    if file.optimizer:
        old.lost.append("the state of the optimiser: training starts anew with the same weights")
    sigma = parameters.get("gaussian_smoothing_sigma")
    if sigma:
        old.lost.append(
            f"the smoothing of the exit wave by {short(sigma)} pixels: "
            "predicted frames differ, the object of the network does not"
        )
    old.lost += [
        "the history of the training and the statistics of its scans, which the archive does not "
        "hold: reconstruct with the exposure of the scan, as is the default",
        "the canvas of fixed size and the jitter of positions: ours is made for the scan",
    ]
