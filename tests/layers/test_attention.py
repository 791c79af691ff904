"""Attention gates against NumPy, their start, and what they leave alone."""

import keras
import numpy as np
import pytest

from pinn import backend
from pinn.layers.attention import ChannelGate, EfficientChannelGate, SpatialGate, attend
from pinn.networks.initialise import initialise

SHAPE = (7, 9, 32)


def numpy(x):
    return keras.ops.convert_to_numpy(x).astype(np.float64)


def image(seed=0, batch=2):
    return np.random.default_rng(seed).standard_normal((batch, *SHAPE)).astype("float32")


def strong(layer):
    """The layer with random weights of order one, so that its gates differ from 1."""
    layer.build((None, *SHAPE))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.5, tuple(weight.shape)).astype("float32"))
    return layer


def gate(z):
    return 2 / (1 + np.exp(-z))


def channel(x, layer):
    (w1, b1), (w2, b2) = ([numpy(w) for w in d.weights] for d in (layer.squeeze, layer.excite))
    assert w1.shape == (32, 2)  # 32 channels, reduction 16
    score = sum(np.maximum(p @ w1 + b1, 0) @ w2 + b2 for p in (x.mean((1, 2)), x.max((1, 2))))
    return x * gate(score)[:, None, None]


def spatial(x, layer):
    kernel, bias = (numpy(w) for w in layer.look.weights)
    assert kernel.shape == (7, 7, 2, 1)
    seen = np.stack([x.max(-1), x.mean(-1)], -1)
    padded = np.pad(seen, ((0, 0), (3, 3), (3, 3), (0, 0)))
    score = np.zeros(x.shape[:3])
    for i, j in np.ndindex(7, 7):
        score += padded[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j, :, 0]
    return x * gate(score + bias)[..., None]


def efficient(x, layer):
    (kernel,) = (numpy(w) for w in layer.look.weights)
    assert kernel.shape == (3, 1, 1)
    mean = np.pad(x.mean((1, 2)), ((0, 0), (1, 1)))
    score = sum(mean[:, i : i + x.shape[-1]] * kernel[i, 0, 0] for i in range(3))
    return x * gate(score)[:, None, None]


GATES = [(ChannelGate, channel), (SpatialGate, spatial), (EfficientChannelGate, efficient)]


@pytest.mark.parametrize(("kind", "oracle"), GATES)
def test_gate_is_what_numpy_computes(kind, oracle):
    layer, x = strong(kind()), image()
    y = numpy(layer(x))
    np.testing.assert_allclose(y, oracle(x.astype(np.float64), layer), atol=3e-5)
    assert np.abs(y - x).max() > 0.3, "the gates were to be far from 1"


@pytest.mark.parametrize(("kind", "oracle"), GATES)
def test_gate_starts_near_one_and_is_trained(kind, oracle):
    backend.ordered_updates()
    frames = keras.Input(SHAPE)
    layer = kind()
    model = keras.Model(frames, layer(frames))
    initialise(model, 0)
    x = image()
    x[np.abs(x) < 0.1] = 0.1
    ratio = numpy(model(x)) / x
    assert np.abs(ratio - 1).max() < 0.5
    assert np.abs(ratio - 1).max() > 1e-3
    before = [numpy(w) for w in layer.trainable_weights]
    assert len(before) == len(layer.weights)
    model.compile(keras.optimizers.SGD(1.0), loss=lambda a, b: keras.ops.mean(a * b))
    model.train_on_batch(x, image(3))
    for old, weight in zip(before, layer.trainable_weights, strict=True):
        assert np.abs(numpy(weight) - old).max() > 0, weight.path


@pytest.mark.parametrize(("kind", "oracle"), GATES)
def test_members_of_a_batch_do_not_see_each_other(kind, oracle):
    layer, x = strong(kind()), image(batch=5)
    np.testing.assert_allclose(numpy(layer(x[2:3])), numpy(layer(x))[2:3], atol=1e-6)


def test_kinds_of_attention_are_the_gates_they_are_made_of():
    def layers(kind):
        frames = keras.Input(SHAPE)
        return [type(x) for x in keras.Model(frames, attend(frames, kind, "a")).layers[1:]]

    assert layers("cbam") == [ChannelGate, SpatialGate]
    assert layers("eca") == [EfficientChannelGate]
    assert layers("spatial") == [SpatialGate]
    assert layers("none") == []
    with pytest.raises(ValueError, match="unknown attention 'self'"):
        layers("self")


@pytest.mark.parametrize(
    "layer", [ChannelGate(8), SpatialGate(5), EfficientChannelGate(5)], ids=lambda v: v.name
)
def test_layers_are_built_again_from_their_configuration(layer):
    x, first = image(), numpy(strong(layer)(image()))
    again = type(layer).from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(again(x)), first)


def test_gates_compute_in_the_precision_of_the_network():
    layer = SpatialGate(dtype="mixed_bfloat16")
    y = layer(image())
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(w.dtype) for w in layer.weights} == {"float32"}


def test_counted_operations_are_those_of_the_sizes():
    shape = (None, 4, 5, 32)  # 20 places, 32 channels
    assert ChannelGate().flops(shape) == 3 * 640 + 2 * 2 * (32 * 2 + 2 * 32)
    assert SpatialGate().flops(shape) == 3 * 640 + 2 * 20 * 49 * 2
    assert EfficientChannelGate().flops(shape) == 2 * 640 + 2 * 3 * 32
