"""Archives and checkpoints of the reference's PyTorch side: weights by order and shape.

No such file was at hand when this was written; it follows the documented layout (files, shapes,
channels of each stage) and is tested on files made by PyTorch in that layout. Names of the layers
are not part of the documentation. What is known is which convolutions there are and in which
order they follow each other, so a layer is found by its place and its shape; a part of the file
whose names say amplitude or phase settles which decoder is which. Whatever is left over and could
belong to the network, attention or batch normalisation for instance, is a reason to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pinn.config import ModelConfig
from pinn.errors import ArchiveError, ConfigError
from pinn_archives.model import OldModel, layer_shapes
from pinn_archives.network import Weights
from pinn_archives.options import (
    activation,
    as_json,
    number,
    read_probe,
    short,
    square_probe,
    whole,
)

UNTESTED = (
    "PyTorch archives are read after their documented layout, which was never tried on a real one: "
    "compare a reconstruction with the original before you trust it"
)
_AMPLITUDE, _PHASE = re.compile(r"amp"), re.compile(r"pha|phi")
# Numbers of the physics that stand beside the network; ours come from elsewhere.
_PHYSICS = re.compile(r"probe|scal|mask|rect|coord|offset|loss|s1|s2|window|num_batches", re.I)


def read_pytorch(
    state: Mapping[str, Any],
    parameters: Mapping[str, Any],
    where: str,
    kind: str,
    probe: np.ndarray | None = None,
    gain: float | None = None,
) -> OldModel:
    """A model from a dictionary of weights.

    Args:
        state: arrays by name, in the order in which the layers were made.
        parameters: the options, possibly in tables.
        where: the file, for messages.
        kind: what it is, for people.
        probe: takes the place of the archive's.
        gain: what the network's input is of an amplitude of mean energy `(N/2)^2`; by default as
            the options say.

    Raises:
        ArchiveError: the weights or the options are not those of the reference's `cnn`.
    """
    found = dict(_leaves(parameters))
    options = as_json(found)  # arrays are words in it, so that it can be asked anything
    _check_options(options, where)
    settings = _settings(options, where)
    notes = [UNTESTED]
    if gain is None:
        gain = _gain(options, where, notes)
    modes = _probe(state, found, where) if probe is None else square_probe(probe, "the file given")
    if probe is not None:
        notes.append("the probe is that of the file given, not the archive's")
    try:
        config = ModelConfig(**settings)
    except ConfigError as error:
        raise ArchiveError(f"{where} fits no network of ours: {error}") from None
    layers = _layers(state, config, where, notes)
    N = settings["N"]
    scale, photons = number(found.get("intensity_scale")), number(found.get("nphotons"))
    if scale is None:
        if photons is None or photons <= 0:
            raise ArchiveError(
                f"{where} has neither an intensity scale nor a number of photons; get the whole "
                "archive"
            )
        scale = photons**0.5 / (N / 2)
    return OldModel(
        "torch",
        kind,
        {**settings, "probe_modes": len(modes)},
        layers,
        modes,
        scale,
        gain,
        as_json(parameters),
        carried=[
            f"{2 * len(layers)} weights of the network, by their order and shape",
            f"the probe, {len(modes)} x {N} x {N}, and its norm (into the count scale)",
            f"the input's factor {gain:g}",
        ],
        lost=[
            "the state of the optimiser and the history of the training",
            "physics options of PyTorch (contrast factors s1 and s2, patch weights, gains)",
        ],
        notes=notes,
    )


def _leaves(options: Mapping[str, Any], deep: int = 0) -> Iterator[tuple[str, Any]]:
    """All options by their last name, tables inside tables laid open."""
    for name, value in options.items():
        if isinstance(value, Mapping) and deep < 8:
            yield from _leaves(value, deep + 1)
        else:
            yield str(name), value


_INTENSITY = (
    "was trained on intensities (scale contract ci_intensity_v2), and our networks see "
    "amplitudes: train a new model with `pinn train`"
)
_FLAGS = ("batch_norm", "use_shared_decoder", "cbam_encoder", "cbam_bottleneck")
# Option, the only value that is converted, and what is said of another.
_ONLY: tuple[tuple[str, Any, str], ...] = (
    ("architecture", "cnn", "has architecture {}, and only 'cnn' is converted"),
    ("scale_contract_version", "legacy_v1", _INTENSITY),
    ("measurement_domain", "normalized_amplitude", _INTENSITY),
    (
        "cnn_output_mode",
        "amp_phase",
        "predicts real and imaginary parts in bounds that our networks do not have; train a "
        "new model with `pinn train`",
    ),
    *((name, False, f"was made with {name}, and only plain convolutions are converted")
      for name in _FLAGS),
    ("data_scaling", "Parseval", "scales its data by {}, which differs by frame"),
    ("normalize", "Batch", "normalises by {}, which differs from group to group"),
)  # fmt: skip


def _check_options(options: Mapping[str, Any], where: str) -> None:
    for name, only, words in _ONLY:
        value = options.get(name, only)
        if value if only is False else value != only:
            raise ArchiveError(f"{where} {words.format(short(value))}")


def _settings(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    def flag(*names: str, default: bool) -> bool:
        return bool(next((options[name] for name in names if name in options), default))

    if "gridsize" in options:
        gridsize = whole(options, "gridsize", where)
    else:
        grid = options.get("grid_size")
        if not isinstance(grid, list | tuple) or len(grid) != 2 or grid[0] != grid[1]:
            raise ArchiveError(
                f"{where} says grid_size is {short(grid)}, but a square grid is needed"
            )
        gridsize = whole({"grid_size": grid[0]}, "grid_size", where)
    return {
        "N": whole(options, "N", where),
        "gridsize": gridsize,
        "architecture": "cnn",
        "n_filters_scale": whole({"n_filters_scale": 2, **options}, "n_filters_scale", where),
        "amp_activation": activation(options.get("amp_activation", "silu"), where),
        "object_big": flag("object_big", "object.big", default=True),
        "pad_object": True,  # the documented head always pads
        "probe_big": flag("probe_big", "probe.big", default=True),
        "ring_activation": "swish",
    }


def _gain(options: Mapping[str, Any], where: str, notes: list[str]) -> float:
    """Factor of the network's input: a mean energy of N^2 where (N/2)^2 is ours."""
    if "data_scaling" in options:
        notes.append(
            "the options say data_scaling = Parseval, so the input is twice our normalised "
            "amplitude; say --input-gain 1 if it was made by the TensorFlow workflow"
        )
        return 2.0
    notes.append(
        "no option says how the input was scaled: taken as in TensorFlow archives; say "
        "--input-gain 2 for mean energy N^2"
    )
    return 1.0


def _probe(state: Mapping[str, Any], options: Mapping[str, Any], where: str) -> np.ndarray:
    probe = options.get("probe")
    if not isinstance(probe, np.ndarray):
        arrays = [a for name, a in state.items() if "probe" in name.lower()]
        probe = next((a for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind == "c"), None)
    return read_probe({"probe": probe}, where)


def _layers(
    state: Mapping[str, Any], config: ModelConfig, where: str, notes: list[str]
) -> dict[str, Weights]:
    convolutions, rest = _convolutions(state, where)
    odd = [name for name in rest if not _PHYSICS.search(name) or _is_kernel(state[name])]
    if odd:
        raise ArchiveError(
            f"{where} has weights {odd[0][:80]!r} (and {len(odd) - 1} more) that no plain "
            "convolution has, attention for instance; only the plain cnn is converted"
        )
    shapes = layer_shapes(config)
    if len(convolutions) != len(shapes):
        raise ArchiveError(
            f"{where} has {len(convolutions)} convolutions, but the cnn for N = {config.N} with "
            f"probe_big {config.probe_big} has {len(shapes)}"
        )
    encoder = [name for name in shapes if name.startswith("encoder")]
    half = (len(shapes) - len(encoder)) // 2
    first, second = len(encoder), len(encoder) + half
    parts = [convolutions[:first], convolutions[first:second], convolutions[second:]]
    order = _decoder_order(parts[1], parts[2], notes)
    found = {}
    for prefix, part in (("encoder", parts[0]), (order[0], parts[1]), (order[1], parts[2])):
        wanted = {name: shape for name, shape in shapes.items() if name.startswith(prefix)}
        found.update(_by_shape(part, wanted, where))
    return found


def _convolutions(
    state: Mapping[str, Any], where: str
) -> tuple[list[tuple[str, np.ndarray, np.ndarray]], list[str]]:
    """Kernels `(h, w, in, out)` with their biases, and the names of everything else."""
    found, rest = [], []
    for name, value in state.items():
        if not isinstance(value, np.ndarray):
            raise ArchiveError(f"{where} has {name[:80]!r} among its weights, which is no tensor")
        stem, _, last = name.rpartition(".")
        bias = state.get(f"{stem}.bias")
        kernel = last == "weight" and value.ndim == 4 and value.shape[2:] == (3, 3)
        if kernel and isinstance(bias, np.ndarray) and bias.shape == value.shape[:1]:
            found.append((stem, np.transpose(value, (2, 3, 1, 0)), bias))
        else:
            rest.append(name)
    used = {f"{stem}.bias" for stem, _, _ in found}
    return found, [name for name in rest if name not in used]


def _is_kernel(value: np.ndarray) -> bool:
    return value.ndim == 4 and value.dtype.kind == "f" and 1 <= value.shape[-1] <= 7


def _decoder_order(first: list[Any], second: list[Any], notes: list[str]) -> tuple[str, str]:
    def says(part: list[Any], word: re.Pattern[str]) -> bool:
        return bool(part) and all(word.search(stem.lower()) for stem, _, _ in part)

    if says(first, _PHASE) and says(second, _AMPLITUDE):
        return "phase", "amplitude"
    if not (says(first, _AMPLITUDE) and says(second, _PHASE)):
        notes.append(
            "no name says which decoder is which: the first was taken for the amplitude; if the "
            "images look swapped, it is the other way round"
        )
    return "amplitude", "phase"


def _by_shape(
    part: list[tuple[str, np.ndarray, np.ndarray]],
    wanted: Mapping[str, tuple[int, ...]],
    where: str,
) -> dict[str, Weights]:
    """Give each layer the first convolution of its shape that is left.

    A second convolution of a pair (`_b`) follows its first at once, whatever stands between the
    pairs: the order of body, centre and ring is not documented, that within a pair is.
    """
    left = list(part)
    found: dict[str, Weights] = {}
    for name, shape in wanted.items():
        if name.endswith("_b") and name[:-1] + "a" in found:
            continue
        index = next((i for i, (_, kernel, _) in enumerate(left) if kernel.shape == shape), None)
        take = [name]
        if index is not None and name.endswith("_a"):
            take.append(name[:-1] + "b")
            if [kernel.shape for _, kernel, _ in left[index : index + 2]] != [
                wanted[layer] for layer in take
            ]:
                index = None
        if index is None:
            raise ArchiveError(
                f"{where} has no convolution of shape {shape} (height, width, in, out) where the "
                f"cnn has {name}; it is a network of another make (an old head that splits its "
                "channels by a fraction, for instance)"
            )
        for layer in take:
            _, kernel, bias = left.pop(index)
            found[layer] = np.ascontiguousarray(kernel), np.asarray(bias)
    return found
