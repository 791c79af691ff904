"""Which convolution of the reference's network is which of our `cnn`.

The two have the same topology, so a layer is found by its place in the graph: the part that both
decoders share is the encoder; what leads only to the amplitude (the first input of the layer that
combines the two into a complex object) is its decoder. Anything that does not look like this is
refused, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from pinn.errors import ArchiveError
from pinn_archives.keras_file import KerasFile, Layer

Weights = tuple[np.ndarray, np.ndarray]

_KINDS = {
    *("InputLayer", "IntensityScaler", "Conv2D", "MaxPooling2D", "UpSampling2D", "GetItem"),
    *("Silu", "ActivationLayer", "CenterMaskLayer", "ZeroPadding2D", "Multiply", "Add"),
}
_RING = 4  # channels that the ring branch takes


@dataclass(frozen=True)
class Network:
    """What the graph of an old network says.

    Attributes:
        N: side of a frame.
        frames, patches: channels of the input and of the object.
        pad_object, probe_big, amp_activation: as in `ModelConfig`, in the reference's words.
        layers: kernel `(h, w, in, out)` and bias of each convolution by the name of ours.
    """

    N: int
    frames: int
    patches: int
    pad_object: bool
    probe_big: bool
    amp_activation: str
    layers: Mapping[str, Weights]


def read_network(file: KerasFile, where: str) -> Network:
    """Find our layers in the graph.

    Raises:
        ArchiveError: the graph is not that of the reference's `cnn`.
    """
    return _Graph(file, where).network()


class _Graph:
    def __init__(self, file: KerasFile, where: str) -> None:
        self.layers, self.where = file.layers, where

    def refuse(self, what: str) -> NoReturn:
        raise ArchiveError(
            f"the network in {self.where} {what}; only the reference's architecture 'cnn' is "
            "converted"
        )

    def network(self) -> Network:
        ends = [layer for layer in self.layers.values() if layer.kind == "CombineComplexLayer"]
        if len(ends) != 1 or len(ends[0].inputs) != 2:
            self.refuse("has no single layer that combines amplitude and phase")
        if ends[0].config.get("use_polar") is False:
            self.refuse("adds amplitude and phase instead of combining them as polar coordinates")
        amplitude, phase = (self.above(name) for name in ends[0].inputs)
        for name in {**amplitude, **phase}:
            if self.layers[name].kind not in _KINDS:
                self.refuse(f"has a layer of class {self.layers[name].kind[:40]!r}")
        shared = [name for name in amplitude if name in phase]
        frames = self.frames(shared)
        found: dict[str, Weights] = {}
        last, stages = self.encoder(shared, found)
        centre = patches = None
        for part, branch in (("amplitude", amplitude), ("phase", phase)):
            own = [name for name in branch if name not in shared]
            now = self.decoder(part, own, last, stages, found), self.head(part, own, found)
            if centre not in (None, now[0]):
                self.refuse("has two decoders of different make")
            centre = now[0]
            if part == "amplitude":
                activation, patches = now[1]
            elif now[1][1] != patches:
                self.refuse("predicts different numbers of amplitudes and phases")
        assert patches is not None
        pad, ring = centre or (True, False)
        return Network(frames[0], frames[1], patches, pad, ring, activation, found)

    def above(self, name: str) -> dict[str, None]:
        """A layer and all it depends on, in the order of the file."""
        seen, todo = set(), [name]
        while todo:
            here = todo.pop()
            if here not in self.layers:
                raise ArchiveError(f"{self.where} is damaged: there is no layer {here[:40]!r}")
            if here not in seen:
                seen.add(here)
                todo += self.layers[here].inputs
        return dict.fromkeys(name for name in self.layers if name in seen)

    def frames(self, shared: list[str]) -> tuple[int, int]:
        inputs = [self.layers[name] for name in shared if self.layers[name].kind == "InputLayer"]
        shape: Any = inputs[0].config.get("batch_shape") if len(inputs) == 1 else None
        if not isinstance(shape, list) or len(shape) != 4 or shape[1] != shape[2]:
            self.refuse("has no single input of square frames")
        if not all(isinstance(n, int) and n > 0 for n in shape[1:]):
            self.refuse(f"takes frames of shape {str(shape[1:])[:40]}")
        return shape[1], shape[3]

    def source(self, name: str) -> tuple[str | None, list[Layer]]:
        """The convolution before this one, and the layers passed on the way to it."""
        passed: list[Layer] = []
        seen = {name}
        while True:
            inputs = self.layers[name].inputs
            if len(inputs) != 1:
                return None, passed
            name = inputs[0]
            if name in seen:
                self.refuse(f"has a layer {name[:40]!r} that takes from itself")
            seen.add(name)
            if self.layers[name].kind == "Conv2D":
                return name, passed
            passed.append(self.layers[name])

    def convolutions(self, names: list[str]) -> list[str]:
        found = [name for name in names if self.layers[name].kind == "Conv2D"]
        for name in found:
            config, kernel = self.layers[name].config, self.layers[name].kernel
            plain = (
                kernel is not None
                and kernel.shape[:2] == (3, 3)
                and config.get("padding") == "same"
                and config.get("strides") in (1, [1, 1])
                and config.get("dilation_rate", 1) in (1, [1, 1])
                and config.get("groups", 1) == 1
                and config.get("activation") in ("relu", "linear")
            )
            if not plain:
                self.refuse(f"has a convolution {name[:40]!r} that is no plain one of 3 x 3")
        return found

    def take(self, name: str, ours: str, found: dict[str, Weights]) -> None:
        layer = self.layers[name]
        assert layer.kernel is not None and layer.bias is not None
        found[ours] = layer.kernel, layer.bias

    def encoder(self, shared: list[str], found: dict[str, Weights]) -> tuple[str, int]:
        """Name the encoder's convolutions; its last one and the number of its stages."""
        names = self.convolutions(shared)
        pools = [self.layers[name] for name in shared if self.layers[name].kind == "MaxPooling2D"]
        if not names or len(names) != 2 * len(pools):
            self.refuse("has an encoder that is no row of two convolutions and a pooling")
        before = None
        for i, name in enumerate(names):
            source, passed = self.source(name)
            pooled = [layer.kind for layer in passed].count("MaxPooling2D")
            if source != before or pooled != (i % 2 == 0 and i > 0) or not self.relu(name):
                self.refuse("has an encoder that is no row of two convolutions and a pooling")
            self.take(name, f"encoder_{i // 2}_{'ab'[i % 2]}", found)
            before = name
        return names[-1], len(pools)

    def relu(self, name: str) -> bool:
        return bool(self.layers[name].config.get("activation") == "relu")

    def decoder(
        self, part: str, own: list[str], last: str, stages: int, found: dict[str, Weights]
    ) -> tuple[bool, bool]:
        """Name a decoder's convolutions; whether it pads a centre, and whether it has a ring."""
        names = self.convolutions(own)
        row: list[str] = []
        ends: dict[str, str] = {}
        here: str | None = last
        while here is not None:
            after = [name for name in names if self.source(name)[0] == here]
            here = None
            for name in after:
                if not self.relu(name):
                    ends[self.cut(name) or "full"] = name
                elif here is None:
                    here = name
                    row.append(name)
                else:
                    self.refuse(f"has a {part} decoder that splits in a way of its own")
        body, rest = row[: 2 * (stages - 1)], row[2 * (stages - 1) :]
        whole = len(ends) + len(row) == len(names) and len(body) == 2 * (stages - 1)
        ring = bool(rest) and self.cut(rest[0]) == "ring"
        if not whole or (len(rest), set(ends)) not in (
            (2, {"centre", "full"}),
            (2, {"full"}),
            (0, {"centre"}),
        ):
            self.refuse(f"has a {part} decoder of another make")
        ups = [self.layers[name].kind for name in own].count("UpSampling2D")
        if ring != (len(ends) == 2) or ups != (len(row) + 1) // 2:
            self.refuse(f"has a {part} decoder whose branches do not fit each other")
        for i, name in enumerate(body):
            self.take(name, f"{part}_decoder_{i // 2}_{'ab'[i % 2]}", found)
        kind = "ring" if ring else "full"
        for i, name in enumerate(rest):
            self.take(name, f"{part}_{kind}_{'ab'[i]}", found)
        if "full" in ends:
            self.take(ends["full"], f"{part}_{kind}_out", found)
        if "centre" in ends:
            self.take(ends["centre"], f"{part}_centre_out", found)
        return "centre" in ends, ring

    def cut(self, name: str) -> str | None:
        """Which channels a convolution sees: `centre` all but the last four, `ring` those."""
        for layer in self.source(name)[1]:
            if layer.kind != "GetItem":
                continue
            match _slices(layer.arguments):
                case [{"start": None, "stop": stop, "step": None}] if stop == -_RING:
                    return "centre"
                case [{"start": start, "stop": None, "step": None}] if start == -_RING:
                    return "ring"
            self.refuse(f"has a layer {layer.name[:40]!r} that picks channels in a way of its own")
        return None

    def head(self, part: str, own: list[str], found: Mapping[str, Weights]) -> tuple[str, int]:
        """Activation of a head and the number of maps it makes."""
        kinds = [self.layers[name].kind for name in own]
        heads = [self.layers[name] for name in own if self.layers[name].kind == "ActivationLayer"]
        ring = f"{part}_ring_out" in found
        if len(heads) != 1 or kinds.count("Silu") != ring or kinds.count("CenterMaskLayer") != ring:
            self.refuse(f"has a {part} head of another make")
        activation, scale = heads[0].config.get("activation_name"), heads[0].config.get("scale")
        wanted = 1.0 if part == "amplitude" else math.pi
        if not isinstance(scale, int | float) or abs(scale - wanted) > 1e-6:
            self.refuse(f"multiplies its {part} by {str(scale)[:40]} instead of {wanted:.4g}")
        if part == "phase" and activation != "tanh":
            self.refuse(f"has a phase made by {str(activation)[:40]!r} instead of pi tanh")
        outs = {
            bias.size
            for name, (_, bias) in found.items()
            if name.startswith(f"{part}_") and name.endswith("_out")
        }
        if len(outs) != 1:
            self.refuse(f"has a {part} whose centre and ring differ in number")
        return str(activation), outs.pop()


def _slices(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in _slices(item)]
    if isinstance(value, dict):
        if value.get("class_name") == "__slice__":
            return [value["config"]]
        return [found for item in value.values() for found in _slices(item)]
    return []
