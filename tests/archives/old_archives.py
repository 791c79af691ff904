"""Archives in the layout of the reference, written without it: pickles byte by byte, plain JSON.

The order of the layers in `config.json`, their names (numbered as they were made) and the groups
of the weights (numbered as they are listed) are those of an archive that PtychoPINN wrote.
"""

from __future__ import annotations

import functools
import io
import json
import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

ROLES = ("autoencoder", "diffraction_to_obj")


# ---------------------------------------------------------------------------------- pickles


@dataclass(frozen=True)
class Raw:
    """Instructions as they are, leaving one value."""

    code: bytes


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> Raw:
    return Raw(text(module) + text(attribute) + b"\x93")


def call(module: str, attribute: str, *arguments) -> Raw:
    return Raw(name(module, attribute).code + code(tuple(arguments)) + b"R")


def code(value) -> bytes:
    """Instructions of protocol 4 that leave a value."""
    if isinstance(value, Raw):
        return value.code
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return b"\x8a\x08" + struct.pack("<q", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(code, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(code, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(code(k) + code(v) for k, v in value.items()) + b"u"
    if isinstance(value, np.ndarray):
        return tensor(value).code
    raise TypeError(type(value))


def pickled(value) -> bytes:
    return b"\x80\x04" + code(value) + b"."


def dtype(short: str) -> Raw:
    made = call("numpy", "dtype", short, False, True)
    return Raw(made.code + code((3, "<", None, None, None, -1, -1, 0)) + b"b")


def tensor(array: np.ndarray) -> Raw:
    """A tensor of TensorFlow as dill writes it."""
    state = (1, array.shape, dtype(array.dtype.str[1:]), False, array.tobytes())
    made = call(
        "dill._dill",
        "_create_array",
        name("numpy._core.multiarray", "_reconstruct"),
        (name("numpy", "ndarray"), (0,), b"b"),
        state,
        None,
    )
    return call("tensorflow.python.framework.ops", "convert_to_tensor", made)


# ----------------------------------------------------------------------------------- network


@dataclass(frozen=True)
class Shape:
    """Which network."""

    N: int = 64
    gridsize: int = 1
    scale: int = 1
    ring: bool = True
    pad: bool = True
    object_big: bool = True
    activation: str = "sigmoid"

    @property
    def stages(self) -> int:
        return {16: 1, 32: 2, 64: 3, 128: 4, 256: 5}[self.N]


def made_order(shape: Shape) -> list[str]:
    """Our names of the convolutions in the order in which the reference makes them."""
    order = [f"encoder_{i}_{ab}" for i in range(shape.stages) for ab in "ab"]
    for part in ("amplitude", "phase"):
        body = [f"{part}_decoder_{i}_{ab}" for i in range(shape.stages - 1) for ab in "ab"]
        if not shape.pad:
            order += [f"{part}_full_out", *body, f"{part}_full_a", f"{part}_full_b"]
        elif shape.ring:
            order += [f"{part}_centre_out", f"{part}_ring_out", *body]
            order += [f"{part}_ring_a", f"{part}_ring_b"]
        else:
            order += [f"{part}_centre_out", *body]
    return order


def kernel_shapes(shape: Shape) -> dict[str, tuple[int, int, int, int]]:
    """As the reference's documentation gives the widths for N = 64, 128 and 256."""
    s = shape.scale
    frames = shape.gridsize**2
    patches = frames if shape.object_big else 1
    encoder = [128 * s >> (shape.stages - 1 - i) for i in range(shape.stages)]
    decoder = [32 * s << (shape.stages - 2 - i) for i in range(shape.stages - 1)]
    ring = s * 2048 // shape.N
    rows = {"encoder": zip([frames, *encoder], encoder, strict=False)}
    for part in ("amplitude", "phase"):
        rows[f"{part}_decoder"] = zip([encoder[-1], *decoder], decoder, strict=False)
    found = {}
    for prefix, widths in rows.items():
        for i, (before, after) in enumerate(widths):
            found[f"{prefix}_{i}_a"] = before, after
            found[f"{prefix}_{i}_b"] = after, after
    last = decoder[-1] if decoder else encoder[-1]
    for part in ("amplitude", "phase"):
        found[f"{part}_centre_out"] = last - 4, patches
        for kind, before in (("ring", 4), ("full", last)):
            found[f"{part}_{kind}_a"], found[f"{part}_{kind}_b"] = (before, ring), (ring, ring)
            found[f"{part}_{kind}_out"] = ring, patches
    return {layer: (3, 3, *found[layer]) for layer in made_order(shape)}


@functools.cache
def golden_weights(shape: Shape) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The rule by which the golden forward arrays were made (tests/goldens/README.md)."""
    found = {}
    for k, (layer, size) in enumerate(kernel_shapes(shape).items()):
        rng = np.random.RandomState(1000 + k)
        kernel = rng.standard_normal(size) * np.sqrt(2 / np.prod(size[:3]))
        bias = 0.05 * rng.standard_normal(size[3])
        found[layer] = kernel.astype("float32"), bias.astype("float32")
    return found


class _Graph:
    def __init__(self, shape: Shape) -> None:
        self.shape, self.layers, self.order = shape, [], []
        self.count: dict[str, int] = {}
        self.numbers = {layer: k for k, layer in enumerate(made_order(shape))}

    def add(self, kind, inputs, config=None, *, called=None, more=()):
        if called is None:
            base = {"GetItem": "get_item"}.get(kind, kind.lower())
            number = self.count[base] = self.count.get(base, -1) + 1
            called = f"{base}_{number}" if number else base
        history = [_tensor_entry(source) for source in inputs]
        args = [history] if len(inputs) > 1 else history
        nodes = [{"args": [*args, *more], "kwargs": {}}] if inputs else []
        settings = {"name": called, **(config or {})}
        self.layers.append(
            {
                "module": "keras.layers",
                "class_name": kind,
                "config": settings,
                "registered_name": None,
                "name": called,
                "inbound_nodes": nodes,
            }
        )
        return called

    def conv(self, ours, source):
        number = self.numbers[ours]
        kernel = kernel_shapes(self.shape)[ours]
        self.order.append(ours)
        return self.add(
            "Conv2D",
            [source],
            {
                "filters": kernel[3],
                "kernel_size": [3, 3],
                "strides": [1, 1],
                "padding": "same",
                "dilation_rate": [1, 1],
                "groups": 1,
                "activation": "linear" if ours.endswith("_out") else "relu",
                "use_bias": True,
            },
            called=f"conv2d_{number}" if number else "conv2d",
        )

    def cut(self, source, start, stop):
        piece = {
            "class_name": "__slice__",
            "config": {"start": start, "stop": stop, "step": None},
        }
        dots = {"class_name": "__ellipsis__", "config": {}}
        return self.add("GetItem", [source], more=[[dots, piece]])

    def up(self, source):
        return self.add("UpSampling2D", [source], {"size": [2, 2], "interpolation": "nearest"})

    def build(self):
        shape, parts = self.shape, ("amplitude", "phase")
        N, C = shape.N, shape.gridsize**2
        x = self.add("InputLayer", [], {"batch_shape": [None, N, N, C]}, called="input")
        x = self.add("IntensityScaler", [x], called="intensity_scaler")
        for i in range(shape.stages):
            x = self.conv(f"encoder_{i}_b", self.conv(f"encoder_{i}_a", x))
            x = self.add("MaxPooling2D", [x], {"pool_size": [2, 2]})
        ends = dict.fromkeys(parts, x)

        def both(step):
            for part in parts:
                ends[part] = step(part, ends[part])

        for i in range(shape.stages - 1):
            for ab in "ab":
                both(lambda part, x, i=i, ab=ab: self.conv(f"{part}_decoder_{i}_{ab}", x))
            both(lambda part, x: self.up(x))
        body = dict(ends)
        centre, rings = {}, {}
        kind = "ring" if shape.pad else "full"
        if shape.pad and shape.ring:
            both(lambda part, x: self.cut(x, -4, None))
        if not shape.pad or shape.ring:
            for ab in "ab":
                both(lambda part, x, ab=ab: self.conv(f"{part}_{kind}_{ab}", x))
            both(lambda part, x: self.up(x))
        for part in parts:
            if shape.pad:
                centre[part] = self.cut(body[part], None, -4)
            if not shape.pad or shape.ring:
                rings[part] = self.conv(f"{part}_{kind}_out", ends[part])
        if not shape.pad:
            centre, rings = rings, {}
        else:
            for part in parts:
                centre[part] = self.conv(f"{part}_centre_out", centre[part])
        rings = {part: self.add("Silu", [x]) for part, x in rings.items()}
        heads = {"amplitude": ("amp", shape.activation, 1.0), "phase": ("phi", "tanh", math.pi)}
        done = []
        for part, (called, activation, scale) in heads.items():
            config = {"activation_name": activation, "scale": scale}
            x = self.add("ActivationLayer", [centre[part]], config, called=called)
            if shape.pad:
                x = self.add("ZeroPadding2D", [x], {"padding": [[N // 4] * 2] * 2})
            if part in rings:
                mask = self.add("CenterMaskLayer", [rings[part]], {"N": N, "kind": "border"})
                x = self.add("Add", [x, self.add("Multiply", [rings[part], mask])])
            done.append(x)
        x = self.add("CombineComplexLayer", done, {"use_polar": True}, called="obj")
        where = self.add(
            "InputLayer", [], {"batch_shape": [None, 1, 2, C]}, called="input_positions"
        )
        x = self.add("ReassemblePatchesLayer", [x, where], called="padded_obj_2")
        return self.add("TrimReconstructionLayer", [x], called="trimmed_obj")


def _tensor_entry(source):
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}}


def keras_bytes(
    shape: Shape, weights=None, *, note_names=True, edit=None, optimizer=False
) -> bytes:
    """A `.keras` file; `edit` may change its configuration before it is written."""
    weights = golden_weights(shape) if weights is None else weights
    graph = _Graph(shape)
    last = graph.build()
    config = {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {
            "name": "functional",
            "layers": graph.layers,
            "input_layers": [["input", 0, 0], ["input_positions", 0, 0]],
            "output_layers": [[last, 0, 0]],
        },
    }
    if edit is not None:
        edit(config)
    numbers = io.BytesIO()
    with h5py.File(numbers, "w") as file:
        for i, ours in enumerate(graph.order):
            group = file.create_group(f"layers/conv2d_{i}/vars" if i else "layers/conv2d/vars")
            group["0"], group["1"] = weights[ours]
            if note_names:
                k = graph.numbers[ours]
                group.attrs["name"] = f"conv2d_{k}" if k else "conv2d"
        if optimizer:
            file["optimizer/vars/0"] = np.int64(7)
    return zip_bytes(
        {
            "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
            "config.json": json.dumps(config).encode(),
            "model.weights.h5": numbers.getvalue(),
        }
    )


# ----------------------------------------------------------------------------------- archives


def zip_bytes(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for member, data in files.items():
            target.writestr(member, data)
    return out.getvalue()


def small_probe(N: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    axis = np.arange(N) - N // 2
    light = np.exp(-(np.hypot(axis[:, None], axis[None, :] + 1.5) ** 2) / (2 * (N / 6) ** 2))
    return (light * np.exp(0.3j * rng.standard_normal((N, N)))).astype("complex64")


def parameters(shape: Shape, **changes) -> dict:
    """The legacy dictionary, the part that matters and some that does not."""
    return {
        "N": shape.N,
        "offset": 4,
        "gridsize": shape.gridsize,
        "outer_offset_train": None,
        "n_filters_scale": shape.scale,
        "nphotons": 1e9,
        "probe.trainable": False,
        "intensity_scale.trainable": True,
        "object.big": shape.object_big,
        "probe.big": shape.ring,
        "probe.mask": False,
        "pad_object": shape.pad,
        "model_type": "pinn",
        "amp_activation": shape.activation,
        "gaussian_smoothing_sigma": 0.0,
        "train_data_file_path": "train.npz",
        "probe": small_probe(shape.N)[..., None],
        "intensity_scale": 1e9**0.5 / (shape.N / 2),
        "_version": "1.0",
        **changes,
    }


def model_h5(scale: float) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["intensity_scale"] = scale
    return out.getvalue()


def archive_files(shape: Shape, weights=None, options=None, **keras) -> dict[str, bytes]:
    """Every file of an archive of the TensorFlow side."""
    if weights is None and options is None and not keras:
        return dict(_plain_files(shape))
    return _files(shape, weights, options, **keras)


@functools.cache
def _plain_files(shape: Shape) -> dict[str, bytes]:
    return _files(shape)


def _files(shape: Shape, weights=None, options=None, **keras) -> dict[str, bytes]:
    options = parameters(shape) if options is None else options
    custom = {"CombineComplexLayer": name("ptycho.custom_layers", "CombineComplexLayer")}
    files = {"manifest.dill": pickled({"models": list(ROLES), "version": "1.0"})}
    for role in ROLES:
        trained = {"optimizer": True} if role == "autoencoder" else {}
        files[f"{role}/custom_objects.dill"] = pickled(custom)
        files[f"{role}/model.keras"] = keras_bytes(shape, weights, **{**trained, **keras})
        files[f"{role}/model.h5"] = model_h5(1e9**0.5 / (shape.N / 2))
        files[f"{role}/params.dill"] = pickled(options)
    return files


def write_files(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(zip_bytes(files))
    return path


# ------------------------------------------------------------------------------------- PyTorch

_STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "c8":
             "ComplexFloatStorage"}  # fmt: skip


def torch_bytes(value, prefix: str = "archive") -> bytes:
    """What `torch.save` writes: arrays become tensors with their numbers beside the pickle."""
    files: dict[str, bytes] = {}

    def described(item):
        if isinstance(item, np.ndarray):
            key = str(len(files))
            files[key] = np.ascontiguousarray(item).tobytes()
            storage = _STORAGES[item.dtype.str[1:]]
            place = ("storage", name("torch", storage), key, "cpu", item.size)
            steps = tuple(int(np.prod(item.shape[i + 1 :])) for i in range(item.ndim))
            empty = call("collections", "OrderedDict")
            return call(
                "torch._utils",
                "_rebuild_tensor_v2",
                Raw(code(place) + b"Q"),
                0,
                item.shape,
                steps,
                False,
                empty,
            )
        if isinstance(item, dict):
            return {key: described(inside) for key, inside in item.items()}
        return item

    data = pickled(described(value))
    return zip_bytes(
        {
            f"{prefix}/data.pkl": data,
            f"{prefix}/byteorder": b"little",
            **{f"{prefix}/data/{key}": raw for key, raw in files.items()},
            f"{prefix}/version": b"3\n",
        }
    )


def torch_state(shape: Shape, weights) -> dict[str, np.ndarray]:
    """Weights by names such as PyTorch gives, kernels `(out, in, h, w)`, centre before the body."""
    state = {}
    for ours in made_order(shape):
        kernel, bias = weights[ours]
        part = (
            ours.split("_")[0].replace("amplitude", "decoder_amp").replace("phase", "decoder_phase")
        )
        state[f"model.{part}.{ours}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"model.{part}.{ours}.bias"] = bias
    return state
