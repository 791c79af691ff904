"""The start of a network from NumPy: every kind of layer, also within others."""

import keras
import numpy as np
import pytest

from pinn import backend
from pinn.config import ModelConfig
from pinn.networks.initialise import initialise
from pinn.networks.registry import build_network, built_in

he = keras.initializers.HeNormal


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def network_of(*layers, shape=(8, 8, 32)):
    x = frames = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(frames, x)


KINDS = [
    ("conv", lambda: keras.layers.Conv2D(64, 3, kernel_initializer=he()), 9 * 32),
    ("groups", lambda: keras.layers.Conv2D(64, 3, groups=4, kernel_initializer=he()), 9 * 8),
    ("dense", lambda: keras.layers.Dense(64, kernel_initializer=he()), 32),
    (
        "depthwise",
        lambda: keras.layers.DepthwiseConv2D(5, depth_multiplier=4, depthwise_initializer=he()),
        25,
    ),
    (
        "einsum",
        lambda: keras.layers.EinsumDense(
            "abcd,dcef->abef", output_shape=(8, 16, 4), kernel_initializer=he()
        ),
        32 * 8,
    ),
    (
        "einsum with the output's axes first",
        lambda: keras.layers.EinsumDense(
            "abcd,ed->abce", output_shape=(8, 8, 64), kernel_initializer=he()
        ),
        32,
    ),
]


@pytest.mark.parametrize(("name", "make", "fan_in"), KINDS, ids=[k[0] for k in KINDS])
def test_he_start_has_variance_two_over_the_inputs_of_a_number(name, make, fan_in):
    layer = make()
    initialise(network_of(layer), 0)
    kernel = numpy(layer.kernel)
    # At least 2048 draws: the standard deviation is known to about 2 percent.
    assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.08)
    assert abs(kernel.mean()) < 0.1 * kernel.std()


def test_separable_convolution_draws_both_kernels():
    layer = keras.layers.SeparableConv2D(
        64, 5, depth_multiplier=2, depthwise_initializer=he(), pointwise_initializer=he()
    )
    initialise(network_of(layer), 0)
    assert numpy(layer.depthwise_kernel).std() == pytest.approx(np.sqrt(2 / 25), rel=0.08)
    assert numpy(layer.pointwise_kernel).std() == pytest.approx(np.sqrt(2 / 64), rel=0.08)


class Pair(keras.layers.Layer):
    """Two layers in a list and one in a dictionary, which Keras does not show in `layers`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.several = [keras.layers.Dense(32), keras.layers.Dense(32)]
        self.named = {"last": keras.layers.Dense(32)}

    def build(self, shape):
        for layer in (*self.several, self.named["last"]):
            layer.build(shape)
        super().build(shape)

    def call(self, x):
        return self.named["last"](self.several[1](self.several[0](x)))


def test_layers_within_layers_and_networks_are_reached():
    inner = network_of(Pair(), keras.layers.Dense(32, name="plain"))
    attention = keras.layers.MultiHeadAttention(2, 8)
    frames = keras.Input((8, 8, 32))
    x = keras.layers.TimeDistributed(keras.layers.Dense(32))(Pair()(inner(frames)))
    rows = keras.layers.Reshape((64, 32))(x)
    network = keras.Model(frames, attention(rows, rows))

    def kernels(seed):
        initialise(network, seed)
        return [numpy(w).copy() for w in network.weights if w.path.endswith("kernel")]

    one, two, again = kernels(1), kernels(2), kernels(1)
    assert len(one) == 3 + 1 + 3 + 1 + 4
    for a, b, c in zip(one, two, again, strict=True):
        assert np.all(a != b)
        np.testing.assert_array_equal(a, c)
    first = [kernel.ravel()[0] for kernel in one]
    assert len(set(first)) == len(first), "two kernels were drawn alike"


def test_networks_of_one_kind_start_alike_whatever_was_built_before():
    config = ModelConfig(N=32, architecture="cnn")
    one, two = build_network(config), build_network(config)
    for network in (one, two):
        initialise(network, 3)
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(numpy(a), numpy(b))


@pytest.mark.parametrize("architecture", built_in())
def test_every_random_weight_of_the_built_in_networks_is_drawn(architecture):
    """What two seeds leave alike is constant: biases, scales of norms, gates.

    One kernel is stated number by number: the way past the convolutions of `unrolled`.
    """
    network = build_network(ModelConfig(N=32, gridsize=1, architecture=architecture))
    starts = []
    for seed in (0, 1):
        backend.seed_everything(seed + 10)
        initialise(network, seed)
        starts.append([numpy(w).copy() for w in network.weights])
    for weight, a, b in zip(network.weights, *starts, strict=True):
        if np.all(a == b):
            assert np.ptp(a) == 0 or weight.path == "straight/kernel", weight.path
        else:
            # Truly drawn here: a weight that the framework drew would be the same both times.
            assert np.mean(a != b) > 0.9, weight.path


# The first numbers for seed 7, written down once: every backend and every later version must start
# here.
GOLDEN = [
    ("fno", 4, [-0.21809703, -0.10459764, -0.05620964]),  # spectral
    ("ffno", 4, [-0.21809703, -0.10459764, -0.05620964]),  # spectral
    ("ffno", 15, [0.17959185, -0.30130935, 0.14478579]),  # expand
    ("baseline", 16, [0.04233021, -0.07101929, 0.03412634]),  # phase decoder
    ("cnn", 4, [0.08033622, 0.02016025, -0.05576246]),  # encoder
    ("cnn", 16, [0.25445175, 0.37925732, -0.00938201]),  # ring of the amplitude
]


@pytest.mark.parametrize(("architecture", "place", "expected"), GOLDEN)
def test_start_is_the_one_written_down(architecture, place, expected):
    config = ModelConfig(N=32, gridsize=1, architecture=architecture)
    network = build_network(config)
    initialise(network, 7)
    np.testing.assert_allclose(numpy(network.weights[place]).ravel()[:3], expected, rtol=1e-6)
