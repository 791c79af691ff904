"""A converted archive predicts what the reference predicts (goldens/README.md, `forward.npz`).

The archive is written in the reference's layout with the weights for which its outputs were
measured; the real archive that the layout was taken from is too large for a test
(benchmarks/reference_archive.py).
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from small import small_scan

import pinn
from pinn.config import ModelConfig
from pinn.io.convert_archive import convert_archive
from pinn.networks.model import PtychoModel
from pinn.networks.registry import build_network
from pinn.networks.trained import load_model
from pinn_archives.model import layer_shapes

HERE = Path(__file__).parent

from old_archives import Shape, archive_files, golden_weights, parameters, write_files  # noqa: E402

GOLDEN = HERE.parent / "goldens" / "forward.npz"


def network_of(tmp_path, shape, canvas, merge="legacy", **changes):
    options = parameters(shape, **changes)
    files = archive_files(shape, options=options)
    path = write_files(tmp_path / "old.zip", files)
    return load_model(convert_archive(path, tmp_path / "new", merge=merge).path, canvas)


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("ring", [False, True])
def test_outputs_equal_the_reference(tmp_path, gridsize, ring):
    with np.load(GOLDEN) as arrays:
        golden = dict(arrays)
    which = f"gs{gridsize}_probebig{int(ring)}"
    shape = Shape(N=64, gridsize=gridsize, ring=ring)
    model = network_of(
        tmp_path,
        shape,
        74 if gridsize == 1 else 78,
        probe=golden["probe_normalized"].astype("complex64"),
        intensity_scale=float(golden["intensity_scale"]),
    ).network
    i = np.arange(2 * 64 * 64 * gridsize**2).reshape(2, 64, 64, gridsize**2)
    offsets = -np.moveaxis(golden[f"{which}_pos"][:, 0, ::-1], 1, 2)
    batch = {
        "frames": (0.25 * (1 + np.sin(0.013 * i))).astype("float32"),
        "offsets": np.ascontiguousarray(offsets, "float32"),
        "scan": np.zeros(2, "int32"),
    }
    out = {k: keras.ops.convert_to_numpy(v) for k, v in model(batch).items()}
    clip = (model.canvas - 64) // 2
    obj = out["object"][:, clip : clip + 64, clip : clip + 64]
    obj = obj[..., 0] + 1j * obj[..., 1]
    rows = slice(None, None, 4)  # the stored copy keeps every fourth row
    _close(obj[:, rows], golden[f"{which}_obj"])
    inner = slice(20, 44)  # the norm is ruled by the ring, so what matters is looked at by itself
    _close(obj[:, 20:44:4, inner], golden[f"{which}_obj"][:, 5:11, inner])
    _close(np.sqrt(np.moveaxis(out["rate"], 1, -1))[:, rows], golden[f"{which}_amp"])


def _close(ours, golden):
    # float32 through 14 convolutions, a merge and an FFT
    assert np.linalg.norm(ours - golden) <= 1e-5 * np.linalg.norm(golden)


def test_the_merge_is_an_option_and_has_an_effect(tmp_path):
    shape = Shape(N=16)
    batch = {
        "frames": np.random.default_rng(0).uniform(0, 2, (1, 16, 16, 1)).astype("float32"),
        "offsets": np.zeros((1, 1, 2), "float32"),
        "scan": np.zeros(1, "int32"),
    }
    out = {}
    for merge in ("legacy", "probe", "uniform"):
        model = network_of(tmp_path, shape, 26, merge).network
        obj = keras.ops.convert_to_numpy(model(batch)["object"])[0, 5:21, 5:21]
        patch = keras.ops.convert_to_numpy(model.object_patches(batch["frames"]))[0, 0]
        out[merge] = obj, patch
    np.testing.assert_allclose(out["uniform"][0], out["uniform"][1], atol=1e-6)
    np.testing.assert_allclose(out["probe"][0], out["probe"][1], atol=1e-6)
    inside, corner = (slice(4, 12),) * 2, (slice(0, 4),) * 2
    obj, patch = out["legacy"]
    np.testing.assert_allclose(obj[inside] * 1.001, patch[inside], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(obj[corner] / 1000, patch[corner], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "swish", "relu", "softplus"])
def test_the_amplitude_is_that_of_the_reference(tmp_path, activation):
    """Over the whole patch (pad_object off), from the last feature maps, in float64."""
    shape = Shape(N=16, pad=False, activation=activation)
    model = network_of(tmp_path, shape, 26).network
    frames = np.random.default_rng(1).uniform(0, 2, (1, 16, 16, 1)).astype("float32")
    weights = golden_weights(shape)
    x = frames[0].astype(np.float64)

    def conv(x, layer):
        kernel, bias = (part.astype(np.float64) for part in weights[layer])
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
        return np.einsum("yxcij,ijco->yxo", windows, kernel) + bias

    for layer in ("encoder_0_a", "encoder_0_b"):
        x = np.maximum(conv(x, layer), 0)
    x = x.reshape(8, 2, 8, 2, -1).max((1, 3))
    for layer in ("amplitude_full_a", "amplitude_full_b"):
        x = np.maximum(conv(x, layer), 0)
    y = conv(x.repeat(2, 0).repeat(2, 1), "amplitude_full_out")[..., 0]
    sigmoid = 1 / (1 + np.exp(-y))
    want = {
        "sigmoid": sigmoid,
        "swish": y * sigmoid,
        "relu": np.maximum(y, 0),
        "softplus": np.log1p(np.exp(y)),
    }[activation]
    patch = keras.ops.convert_to_numpy(model.object_patches(frames))[0, 0]
    # negative amplitudes (swish) are a phase of pi, so the moduli are compared
    np.testing.assert_allclose(np.hypot(*np.moveaxis(patch, -1, 0)), np.abs(want), atol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"N": 16},
        {"N": 48, "pad_object": False},
        {"N": 64, "probe_big": False, "gridsize": 1},
        {"N": 64, "pad_object": False, "n_filters_scale": 2},
        {"N": 128, "object_big": False},
        {"N": 256, "gridsize": 1},
    ],
)
def test_the_order_and_shapes_of_weights_are_those_of_our_network(options):
    """Conversion needs no Keras, so it knows by itself how `cnn` numbers its weights."""
    old = {"architecture": "cnn", "ring_activation": "swish", "amp_activation": "sigmoid"}
    config = ModelConfig(**options, **old)
    network = build_network(config)
    shapes = layer_shapes(config)
    want = [
        (f"{layer}/{part}", size)
        for layer, shape in shapes.items()
        for part, size in (("kernel", shape), ("bias", shape[3:]))
    ]
    assert [(w.path, tuple(w.shape)) for w in network.weights] == want


def test_a_converted_model_reconstructs_and_trains_on(tmp_path):
    scan = small_scan()
    model = network_of(tmp_path, Shape(N=16), None, "probe")
    result = pinn.reconstruct(scan, model)
    assert np.isfinite(result.object).all()
    assert result.coverage.max() > 0
    assert model.scan_number("x") is None
    saved = load_model(model.save(tmp_path / "again"))
    assert isinstance(saved.network, PtychoModel)
    assert saved.provenance["converted_from"] == "archive of PtychoPINN (TensorFlow)"
    trained = pinn.train(scan, saved, epochs=1, n_groups=8, batch_size=8)
    first, then = (m.network.named_arrays() for m in (model, trained))
    moved = [key for key in first if not np.array_equal(first[key], then[key])]
    assert any("encoder" in key for key in moved)
    np.testing.assert_array_equal(then["input/mean"], 0)  # the input stays that of the reference
