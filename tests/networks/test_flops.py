"""Operations of a network against counts made by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.networks.flops import flops
from pinn.networks.registry import build_network


def network_of(*chain, shape=(8, 6, 3)):
    frames = keras.Input(shape)
    x = frames
    for layer in chain:
        x = layer(x)
    return keras.Model(frames, x)


# Output places times what one output number takes, times two.
COUNTS = [
    (layers.Conv2D(5, 3, padding="same"), 2 * 8 * 6 * 5 * 9 * 3),
    (layers.Conv2D(5, (3, 2), strides=2), 2 * 3 * 3 * 5 * 6 * 3),
    (layers.Conv2D(6, 3, padding="same", groups=3), 2 * 8 * 6 * 6 * 9 * 1),
    (layers.DepthwiseConv2D(5, padding="same", depth_multiplier=2), 2 * 8 * 6 * 6 * 25),
    (layers.SeparableConv2D(7, 3, padding="same"), 2 * 8 * 6 * (3 * 9 + 3 * 7)),
    (layers.Conv2DTranspose(5, 3, strides=2, padding="same"), 2 * 8 * 6 * 9 * 3 * 5),
    (layers.Dense(4), 2 * 8 * 6 * 3 * 4),
    (layers.EinsumDense("bhwc,hH->bHwc", (5, 6, 3)), 2 * 5 * 6 * 3 * 8),
    (layers.EinsumDense("...c,cd->...d", 4), 2 * 8 * 6 * 3 * 4),
    (layers.LayerNormalization(), 0),
    (layers.MaxPooling2D(2), 0),
]


@pytest.mark.parametrize(("layer", "expected"), COUNTS, ids=lambda v: str(v)[:40])
def test_layers_count_what_a_hand_counts(layer, expected):
    assert flops(network_of(layer)) == expected


def test_a_layer_used_twice_counts_twice_and_a_network_inside_is_opened():
    twice = layers.Conv2D(3, 1)
    one = 2 * 8 * 6 * 3 * 3
    assert flops(network_of(twice, twice)) == 2 * one
    assert flops(network_of(network_of(twice), twice)) == 2 * one


def test_frames_moved_into_the_batch_are_counted_one_by_one():
    from pinn.layers.correlation import BatchToFrames, FramesToBatch

    network = network_of(
        FramesToBatch(), layers.Conv2D(5, 3, padding="same"), BatchToFrames(4), shape=(8, 8, 4)
    )
    assert flops(network) == 4 * (2 * 8 * 8 * 5 * 9 * 1)


def test_transforms_count_five_n_log_n():
    from pinn.layers.correlation import CorrelationMap

    assert flops(network_of(CorrelationMap(), shape=(16, 16, 3))) == 3 * 5 * 256 * 8


class Wild(layers.Layer):
    """A layer with a weight that says nothing of its operations."""

    def build(self, input_shape):
        self.factor = self.add_weight(name="factor", shape=(3,))

    def call(self, x):
        return x * self.factor


class Tame(Wild):
    def flops(self, input_shape):
        return 1.0 * np.prod(input_shape[1:])


def test_unknown_layers_with_weights_are_named_and_may_count_themselves():
    with pytest.raises(ConfigError, match=r"wild_one \(Wild\)"):
        flops(network_of(Wild(name="wild_one")))
    assert flops(network_of(Tame())) == 8 * 6 * 3


def test_convolutional_network_equals_its_hand_count():
    # N = 16, gridsize 1, s = 1: one stage of 128 at 16 x 16; decoders: the two-convolution ring of
    # 128 on four channels at 8 x 8, its output at 16 x 16, and the centre's output on 124 channels.
    encoder = 16 * 16 * 9 * (1 * 128 + 128 * 128)
    decoder = 8 * 8 * 9 * (124 + 4 * 128 + 128 * 128) + 16 * 16 * 9 * 128
    config = ModelConfig(N=16, gridsize=1, architecture="cnn", n_filters_scale=1)
    assert flops(build_network(config)) == 2 * (encoder + 2 * decoder)


def test_a_network_of_any_size_is_counted_at_the_size_that_is_given():
    # 4 x 4 blocks of 8 planes to 48 channels, four 3 x 3 convolutions of them on a sixteenth of the
    # pixels, back to two planes, and the way past them: 8 planes to 2.
    network = build_network(ModelConfig(architecture="unrolled"))
    places = 6 * 6
    block = 16 * 8 * 48 + 4 * 9 * 48 * 48 + 16 * 48 * 2
    assert flops(network, 24) == 2 * (places * block + 24 * 24 * 8 * 2)
    with pytest.raises(ConfigError, match="depend on the size of its input; give its side"):
        flops(network)
    frame = network_of(layers.Conv2D(5, 3, padding="same"))
    assert flops(frame, 99) == flops(frame)
