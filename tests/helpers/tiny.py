"""A network of two convolutions: enough for tests of the physics and the machinery around it."""

import keras

from pinn.layers.heads import AmplitudeHead, PhaseHead, PolarPatches
from pinn.networks.registry import register


@register("test-tiny")
def tiny(config):
    """Two convolutions: enough network for tests of the physics around it."""
    frames = keras.Input((config.N, config.N, config.gridsize**2))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(frames)
    C = config.gridsize**2 if config.object_big else 1
    amplitude = AmplitudeHead("softplus")(keras.layers.Conv2D(C, 3, padding="same", name="a")(x))
    phase = PhaseHead()(keras.layers.Conv2D(C, 3, padding="same", name="p")(x))
    return keras.Model(frames, PolarPatches()([amplitude, phase]))
