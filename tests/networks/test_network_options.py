"""Options of the networks: each has its effect, or is refused in one sentence."""

import keras
import numpy as np
import pytest

from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.networks.initialise import initialise
from pinn.networks.registry import build_network, built_in, register

N = 32
SMALL = dict(architecture="cnn", N=N, gridsize=2, n_filters_scale=1, fno_width=8, fno_modes=4)


def output(frames=None, **options):
    """Patches of unlike frames; small spectral networks, to be quick."""
    config = {**SMALL, **options}
    if config.get("architecture") not in ("fno", "ffno"):
        config = {k: v for k, v in config.items() if not k.startswith("fno")}
    network = build_network(ModelConfig(**config))
    initialise(network, 0)
    if frames is None:
        frames = np.random.default_rng(0).normal(0, 1, (2, N, N, 4))
    return keras.ops.convert_to_numpy(network(np.asarray(frames, "float32")))


CNN = [
    dict(head="rectangular"),
    dict(amp_activation="sigmoid2"),
]


@pytest.fixture(scope="module")
def plain():
    return output()


@pytest.mark.parametrize("options", CNN, ids=str)
def test_every_option_of_cnn_changes_its_output(options, plain):
    other = output(**options)
    assert np.abs(other - plain).max() > 1e-3
    assert np.abs(other - 1).max() < 5  # none of them spoils the start


SPECTRAL = [
    dict(fno_modes=6),
    dict(fno_width=12),
    dict(fno_blocks=2),
    dict(fno_refine_blocks=1),
    dict(n_filters_scale=2),
    dict(head="rectangular"),
    dict(amp_activation="sigmoid2"),
]


@pytest.mark.parametrize("architecture", ["fno", "ffno"])
def test_every_option_of_the_spectral_networks_changes_their_output(architecture):
    base = dict(architecture=architecture, fno_blocks=3)
    plain = output(**base)
    more = [dict(fno_shared_weights=False)] if architecture == "ffno" else []
    for options in SPECTRAL + more:
        assert np.abs(output(**{**base, **options}) - plain).max() > 1e-3, options


EVERY = [
    *({"architecture": "cnn", **options} for options in CNN),
    dict(architecture="cnn", head="rectangular", pad_object=False),
    dict(architecture="baseline"),
    dict(architecture="fno"),
    dict(architecture="ffno", fno_blocks=3),
    dict(architecture="fno", head="rectangular"),
    dict(architecture="ffno", fno_blocks=3, head="rectangular"),
]


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_frames_without_a_deviation_give_an_object_of_one(options):
    np.testing.assert_allclose(
        output(np.zeros((1, N, N, 4)), **options)[0],
        np.broadcast_to([1.0, 0.0], (N, N, 4, 2)),
        atol=1e-6,
    )


@pytest.mark.parametrize("architecture", ["cnn", "fno"])
def test_rectangular_head_reaches_unit_amplitude_at_any_phase(architecture):
    """The last layer's biases alone move the object around the circle and beyond."""
    options = dict(architecture=architecture, head="rectangular", N=16, gridsize=1)
    if architecture == "fno":
        options.update(fno_width=4, fno_modes=3, fno_blocks=1)
    network = build_network(ModelConfig(n_filters_scale=1, **options))
    for weight in network.weights:
        weight.assign(np.zeros(weight.shape, "float32"))
    for z in [*np.exp(1j * np.linspace(-np.pi, np.pi, 9)), 3 - 4j]:
        if architecture == "cnn":
            for branch in ("centre", "ring"):
                network.get_layer(f"amplitude_{branch}_out").bias.assign([z.real - 1])
                network.get_layer(f"phase_{branch}_out").bias.assign([z.imag])
        else:
            network.get_layer("out").bias.assign([z.real - 1, z.imag])
        patch = keras.ops.convert_to_numpy(network(np.zeros((1, 16, 16, 1), "float32")))
        np.testing.assert_allclose(patch[..., 0] + 1j * patch[..., 1], z, atol=1e-6)


FOREIGN = [
    (dict(architecture="ffno", pad_object=False), "pad_object .*cnn"),
    (dict(architecture="fno", fno_shared_weights=False), "fno_shared_weights .*ffno"),
    (dict(architecture="baseline", head="rectangular"), "head .*cnn, ffno, fno"),
    (dict(architecture="baseline", amp_activation="relu"), "amp_activation .*cnn, ffno, fno"),
    (dict(architecture="baseline", fno_blocks=2), "fno_blocks .*ffno, fno"),
    (dict(architecture="cnn", fno_modes=3), "fno_modes .*ffno, fno"),
    (dict(architecture="cnn", fno_width=3), "fno_width .*ffno, fno"),
]


@pytest.mark.parametrize(("options", "message"), FOREIGN, ids=str)
def test_options_of_other_networks_are_refused_with_those_that_have_them(options, message):
    with pytest.raises(
        ConfigError, match=rf"^architecture '{options['architecture']}' .*{message}"
    ):
        build_network(ModelConfig(**options))


IMPOSSIBLE = [
    (
        dict(architecture="cnn", head="rectangular", amp_activation="relu"),
        "amp_activation 'relu' shapes an amplitude",
    ),
    (
        dict(architecture="cnn", head="rectangular", ring_activation="swish"),
        "ring_activation 'swish' belongs to head",
    ),
    (dict(architecture="baseline", N=20), "needs N a multiple of 8, but N is 20"),
    (dict(architecture="baseline", object_big=False), "frames one by one .* object_big is off"),
    (dict(architecture="fno", N=16, fno_modes=9), "fno_modes 9 is more than the 8 frequencies"),
    (dict(architecture="ffno", N=16, fno_modes=12), "fno_modes 12 .* N = 16; use at most 8"),
]


@pytest.mark.parametrize(("options", "message"), IMPOSSIBLE, ids=str)
def test_impossible_combinations_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        build_network(ModelConfig(**options))


def test_a_network_of_ones_own_sees_all_options():
    seen = []

    @register("test-curious")
    def build(config):
        seen.append((config.merge, config.fno_modes))
        frames = keras.Input((config.N, config.N, config.gridsize**2))
        flat = keras.layers.Conv2D(2 * config.gridsize**2, 3, padding="same")(frames)
        return keras.Model(
            frames, keras.layers.Reshape((config.N, config.N, config.gridsize**2, 2))(flat)
        )

    build_network(ModelConfig(architecture="test-curious", merge="uniform", fno_modes=7))
    assert seen == [("uniform", 7)]
    assert "test-curious" not in built_in()
