"""An old model as one of our archives: names, order, gauge and scales.

The algebra, in the reference's symbols: frames `d` are multiplied by `alpha` to a mean energy of
`(N/2)^2`, `X = alpha d`; its network is fed `X s` and divides by `s` at once, so it sees `X`. Our
frames times their exposure factor are `X` as well (the factor is `alpha`, whatever the unit of
`d`), so our network sees the same with a mean frame of 0 and a gain of 1. The reference predicts
`s^2 |FFT(P O)|^2 / N^2` with its own probe P. We keep the probe in the gauge
`sum |P|^2 = (N/2)^2` and put the rest into `log_scale = 2 log(s |P| / (N/2))`. The exposure factor
that belongs to these counts is `1/s`: `s = sqrt(photons) / (N/2)`, with a number of photons that
was an option of the reference and not a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from pinn.config import ModelConfig
from pinn.data.statistics import TrainedScan, TrainingStatistics
from pinn.errors import ArchiveError, ConfigError
from pinn.io.archive import Archive
from pinn_archives.network import Weights

SOFTPLUS_SHIFT = math.log(math.e - 1.0)  # our softplus is 1 at 0, the reference's log 2


@dataclass
class OldModel:
    """What a reader found.

    Attributes:
        framework: `tensorflow` or `torch`.
        kind: what the file is, for people.
        settings: fields of `ModelConfig`, but the merge.
        layers: kernel `(h, w, in, out)` and bias by the name of our layer.
        probe: `(P, N, N)` complex, as the reference multiplies with it.
        intensity_scale: its `s`.
        gain: what the network's input is of our normalised amplitude.
        parameters: the reference's options, JSON-ready.
        versions: of the libraries that wrote it, as far as they are known.
        carried, lost, notes: sentences for the report.
    """

    framework: str
    kind: str
    settings: dict[str, Any]
    layers: Mapping[str, Weights]
    probe: np.ndarray
    intensity_scale: float
    gain: float = 1.0
    parameters: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def our_archive(old: OldModel, merge: str, name: str, sha256: str) -> Archive:
    """The archive of an old model.

    Args:
        old: see there.
        merge: our rule for groups, or `legacy`.
        name: of the file converted.
        sha256: its checksum.

    Raises:
        ArchiveError: the parts contradict each other or no network of ours is like it.
    """
    try:
        config = ModelConfig(**old.settings, merge=merge, input_transform="none")
    except ConfigError as error:
        raise ArchiveError(f"{old.kind} {name} fits no network of ours: {error}") from None
    weights = _network(config, old.layers, name)
    N, s = config.N, old.intensity_scale
    probe, norm = _gauged(old.probe, N, name)
    if not (math.isfinite(s) and s > 0):
        raise ArchiveError(f"{name} is damaged: its intensity scale is {s}, not a positive number")
    weights["probe"] = np.stack([probe.real, probe.imag], -1)[None, None].astype(np.float32)
    weights["log_scale"] = np.array([2 * math.log(s * norm / (N / 2))], np.float32)
    weights["input/mean"] = np.zeros((N, N), np.float32)
    weights["input/gain"] = np.full((N, N), old.gain, np.float32)
    counts = (N / 2 * s) ** 2
    statistics = TrainingStatistics(1 / s, counts, (TrainedScan(name, 1 / s, counts, 0),))
    return Archive(
        config={"model": config.to_dict(), "train": {}},
        weights=weights,
        statistics=statistics.to_dict(),
        provenance={
            "scans": [],
            "train": {},
            "converted_from": old.kind,
            "converted_file": name,
            "conversion": {
                "sha256": sha256,
                "carried": old.carried,
                "not_carried": old.lost,
                "notes": old.notes,
                "parameters": old.parameters,
            },
        },
    )


def layer_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape `(h, w, in, out)` of the kernel of each convolution of our `cnn`, in the order in which
    its weights are numbered.

    Layers are numbered by their distance from the output and then as they were made: the two
    decoders alternate.
    """
    N, n, L = config.N, config.n_filters_scale, _stages(config.N)
    frames = config.gridsize**2
    patches = frames if config.object_big else 1
    ring = n * max(1, 2048 // N)
    encoder = [frames, *(max(1, 128 * n // 2 ** (L - 1 - i)) for i in range(L))]
    body = [encoder[-1], *(32 * n * 2 ** (L - 2 - i) for i in range(L - 1))]
    shapes = _pairs("encoder", encoder)
    inner, ends = _pairs("decoder", body), {}
    if config.pad_object:
        ends["centre_out"] = body[-1] - 4, patches
    if not config.pad_object or config.probe_big:
        kind, seen = ("ring", 4) if config.pad_object else ("full", body[-1])
        inner |= {f"{kind}_a": (seen, ring), f"{kind}_b": (ring, ring)}
        ends[f"{kind}_out"] = ring, patches
    heads = ("amplitude", "phase")
    shapes |= {f"{head}_{name}": shape for name, shape in inner.items() for head in heads}
    shapes |= {f"{head}_{name}": shape for head in heads for name, shape in ends.items()}
    return {name: (3, 3, *shape) for name, shape in shapes.items()}


def _pairs(name: str, widths: list[int]) -> dict[str, tuple[int, int]]:
    """Two convolutions a stage: channels before and after."""
    shapes = {}
    for i, (before, after) in enumerate(pairwise(widths)):
        shapes[f"{name}_{i}_a"], shapes[f"{name}_{i}_b"] = (before, after), (after, after)
    return shapes


def _stages(N: int) -> int:
    count = 1
    while 2 ** (count + 1) <= N // 8 and N % 2 ** (count + 1) == 0:
        count += 1
    return count


def _network(
    config: ModelConfig, layers: Mapping[str, Weights], name: str
) -> dict[str, np.ndarray]:
    shapes = layer_shapes(config)
    if set(shapes) != set(layers):
        odd = sorted(set(shapes) ^ set(layers))
        raise ArchiveError(
            f"the network in {name} has other layers than our cnn for N = {config.N}: {odd[:3]}; "
            "only the reference's architecture 'cnn' is converted"
        )
    weights = {}
    for number, (layer, shape) in enumerate(shapes.items()):
        kernel, bias = layers[layer]
        if kernel.shape != shape or bias.shape != shape[3:]:
            raise ArchiveError(
                f"layer {layer} in {name} has a kernel of shape {kernel.shape} where N = "
                f"{config.N}, gridsize {config.gridsize} and n_filters_scale "
                f"{config.n_filters_scale} need {shape}; the archive contradicts itself"
            )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ArchiveError(
                f"layer {layer} in {name} has weights that are not finite: the training diverged; "
                "convert an earlier archive"
            )
        head = layer in ("amplitude_centre_out", "amplitude_full_out")
        if head and config.amp_activation == "softplus":
            bias = bias - SOFTPLUS_SHIFT
        weights[f"network/{2 * number:04d}/{layer}/kernel"] = kernel.astype(np.float32)
        weights[f"network/{2 * number + 1:04d}/{layer}/bias"] = bias.astype(np.float32)
    return weights


def _gauged(probe: np.ndarray, N: int, name: str) -> tuple[np.ndarray, float]:
    """The probe with a norm of N/2, and the norm it had."""
    probe = np.asarray(probe, np.complex128)
    if probe.ndim != 3 or probe.shape[1:] != (N, N):
        raise ArchiveError(
            f"the probe in {name} has shape {probe.shape}, but frames of {N} x {N} need "
            f"(modes, {N}, {N}); the archive contradicts itself"
        )
    norm = float(np.linalg.norm(probe))
    if not (math.isfinite(norm) and norm > 0):
        raise ArchiveError(f"{name} is damaged: its probe is dark or not finite")
    return probe * (N / 2 / norm), norm
