"""A `.keras` file as a graph of layers with the weights of its convolutions; no Keras needed.

The layers are never made: `config.json` is read for who follows whom, and the weights for their
numbers. Groups in `model.weights.h5` are counted in the order of saving, per class (`conv2d_6` is
the seventh convolution of the list in `config.json`, whatever its name); where the file notes the
names besides, they are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any

import h5py
import numpy as np

from pinn.errors import ArchiveError
from pinn.io.arrays import read_arrays
from pinn_archives.members import Members

JSON_LIMIT = 64 << 20
WEIGHTS_LIMIT = 4 << 30


@dataclass(frozen=True)
class Layer:
    """One node of the graph.

    Attributes:
        name, kind: name and class.
        config: its settings.
        inputs: names of the layers it takes from, in order.
        arguments: all arguments as they are written (slices are among them).
        kernel, bias: of a convolution, `(h, w, in, out)` and `(out,)`.
    """

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...]
    arguments: Any
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None


@dataclass(frozen=True)
class KerasFile:
    """Layers by name, in the order of the file; names of the outputs; version that wrote it."""

    layers: dict[str, Layer]
    outputs: tuple[str, ...]
    version: str
    optimizer: bool


def read_keras(members: Members) -> KerasFile:
    """Read a `.keras` file.

    Args:
        members: the files in it.

    Raises:
        ArchiveError: something is missing, damaged, or not as Keras 3 writes it.
    """
    where = members.where
    try:
        document = json.loads(members.read("config.json", JSON_LIMIT))
        notes = json.loads(members.read("metadata.json", JSON_LIMIT))
        config = document["config"]
        nodes = [_layer(entry) for entry in config["layers"]]
        outputs = tuple(str(entry[0]) for entry in _lists(config["output_layers"]))
        version = str(notes.get("keras_version", "unknown"))
    except ArchiveError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArchiveError(
            f"{where} is no functional model as Keras 3 writes it ({type(error).__name__}: "
            f"{str(error)[:100]})"
        ) from None
    with closing(members.open("model.weights.h5", WEIGHTS_LIMIT)) as file:
        weights, noted = _weights(file, where)
    optimizer = any(name.startswith("optimizer/vars/") for name in weights)
    layers: dict[str, Layer] = {}
    count = 0
    for node in nodes:
        if node.name in layers:
            raise ArchiveError(f"{where} is damaged: two layers are named {node.name[:40]!r}")
        if node.kind == "Conv2D":
            layers[node.name] = _with_weights(node, count, weights, noted, where)
            count += 1
        else:
            layers[node.name] = node
    stored = sum(name.startswith("layers/") for name in weights)
    if stored != 2 * count:
        raise ArchiveError(
            f"{where} has {stored} weights in its layers, but its {count} convolutions account "
            f"for {2 * count}; only networks of plain convolutions are converted"
        )
    return KerasFile(layers, outputs, version, optimizer)


def _layer(entry: dict[str, Any]) -> Layer:
    config = entry.get("config") or {}
    name = entry.get("name") or config["name"]
    nodes = entry["inbound_nodes"]
    if len(nodes) > 1:
        raise ValueError(f"layer {name[:40]!r} is used {len(nodes)} times")
    arguments = nodes[0]["args"] if nodes else []
    return Layer(
        str(name), str(entry["class_name"]), dict(config), tuple(_sources(arguments)), arguments
    )


def _sources(value: Any) -> Iterator[str]:
    """Names of the layers whose outputs occur in arguments, in order."""
    if isinstance(value, list):
        for item in value:
            yield from _sources(item)
    elif isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield str(value["config"]["keras_history"][0])
        else:
            for item in value.values():
                yield from _sources(item)


def _lists(value: Any) -> list[Any]:
    return value if isinstance(value[0], list) else [value]


def _weights(file: IO[bytes], where: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All arrays by path, and names of layers by the group of their arrays."""
    size = file.seek(0, 2)
    file.seek(0)
    noted = {}
    try:
        arrays = read_arrays(file, size)
        file.seek(0)
        with h5py.File(file, "r") as source:
            for path in {name.rsplit("/", 1)[0] for name in arrays}:
                name = source[path].attrs.get("name")
                if isinstance(name, str):
                    noted[path] = name
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ArchiveError(
            f"{where} is damaged: model.weights.h5 cannot be read ({str(error)[:200]})"
        ) from None
    return arrays, noted


def _with_weights(
    node: Layer, count: int, weights: dict[str, np.ndarray], noted: dict[str, str], where: str
) -> Layer:
    path = f"layers/conv2d_{count}/vars" if count else "layers/conv2d/vars"
    kernel, bias = weights.get(f"{path}/0"), weights.get(f"{path}/1")
    name = noted.get(path, node.name)
    if name != node.name:
        raise ArchiveError(
            f"{where} notes that {path} belongs to layer {name[:40]!r}, but by their order it "
            f"belongs to {node.name[:40]!r}; this order is not known, so nothing was converted"
        )
    if (
        kernel is None
        or bias is None
        or kernel.ndim != 4
        or bias.shape != kernel.shape[3:]
        or not kernel.dtype.kind == bias.dtype.kind == "f"
    ):
        raise ArchiveError(f"{where} is damaged: {path} does not hold a kernel and a bias")
    return Layer(node.name, node.kind, node.config, node.inputs, node.arguments, kernel, bias)
