"""Each physics layer: shapes, effect of every option, configuration round trip."""

import keras
import numpy as np
import pytest

from pinn.layers.diffraction import Diffraction
from pinn.layers.group import GroupMerge, PatchExtraction
from pinn.layers.heads import AmplitudeHead, PhaseHead, PolarPatches, RingMask
from pinn.layers.normalise import FrameNormaliser
from pinn.layers.probe import Probe, illumination_weight
from pinn.layers.scale import IntensityScale

N = 16


def _random_complex(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def _stack(z):
    return np.stack([z.real, z.imag], -1).astype("float32")


def _numpy_probe(layer, scan=None):
    re, im = (keras.ops.convert_to_numpy(part) for part in layer(scan))
    return re + 1j * im


def test_probe_is_in_the_gauge_whatever_its_norm():
    layer = Probe(N, modes=3)
    layer.build()
    given = 100 * _random_complex(3, N, N)
    layer.set_probe(given)
    probe = _numpy_probe(layer)[0]
    assert abs(np.sum(np.abs(probe) ** 2) - (N / 2) ** 2) < 1e-3
    expected = given * (N / 2) / np.linalg.norm(given)
    np.testing.assert_allclose(probe, expected, atol=1e-5)
    layer.pair.assign(7.0 * layer.pair)  # a trainable probe may drift in norm: nothing changes
    np.testing.assert_allclose(_numpy_probe(layer)[0], expected, atol=1e-5)


def test_probe_per_scan_is_picked_by_the_scan_index():
    layer = Probe(N, modes=1, scans=2)
    layer.build()
    layer.set_probe(_random_complex(2, 1, N, N))
    both = _numpy_probe(layer)
    picked = _numpy_probe(layer, np.array([1, 0, 1], "int32"))
    np.testing.assert_array_equal(picked, both[[1, 0, 1]])
    assert np.abs(both[0] - both[1]).max() > 0.1


def test_the_support_of_the_probe_has_its_effect():
    given = _random_complex(1, N, N)
    held = Probe(N, support=4.0)
    held.build()
    held.set_probe(given)
    y, x = np.mgrid[:N, :N] - N // 2
    assert np.all(_numpy_probe(held)[0, 0][np.hypot(y, x) > 4] == 0)
    assert np.all(_numpy_probe(held)[0, 0][np.hypot(y, x) <= 4] != 0)


def test_illumination_weight_has_maximum_one_plus_floor():
    layer = Probe(N, modes=2)
    layer.build()
    given = _random_complex(2, N, N)
    layer.set_probe(given)
    weight = keras.ops.convert_to_numpy(illumination_weight(layer(), floor=0.01))[0]
    expected = np.sum(np.abs(given) ** 2, 0)
    np.testing.assert_allclose(weight, expected / expected.max() + 0.01, rtol=1e-4)


def test_scale_starts_at_the_measured_counts():
    layer = IntensityScale(2)
    layer.build()
    layer.set_from_exposure([0.5, 2.0])
    scale = np.exp(keras.ops.convert_to_numpy(layer(np.array([0, 1, 1], "int32"))))
    np.testing.assert_allclose(scale, [4.0, 0.25, 0.25], rtol=1e-6)


@pytest.mark.parametrize("trainable", [True, False])
def test_trainable_flags_reach_the_weights(trainable):
    probe, scale = Probe(N, trainable=trainable), IntensityScale(trainable=trainable)
    probe.build()
    scale.build()
    assert len(probe.trainable_weights) == len(scale.trainable_weights) == int(trainable)
    assert len(probe.weights) == len(scale.weights) == 1


def test_merge_of_extracted_patches_is_the_object_where_it_is_covered():
    M = N + 8
    canvas = _random_complex(2, M, M)
    offsets = np.array(
        [[[-2, 1], [3, -1], [0, 0], [-1, 2]], [[1, 1], [-3, 0], [2, -2], [0, 3]]], "float32"
    )
    patches = PatchExtraction(N)(_stack(canvas), offsets)
    for b in range(2):  # asymmetric whole-pixel oracle
        for c in range(4):
            y, x = (offsets[b, c] + 4).astype(int)
            got = keras.ops.convert_to_numpy(patches)[b, c]
            np.testing.assert_allclose(
                got[..., 0] + 1j * got[..., 1], canvas[b, y : y + N, x : x + N], atol=1e-5
            )
    weights = np.random.default_rng(1).uniform(0.1, 1, (N, N)).astype("float32")
    for w in (None, weights):
        merged = keras.ops.convert_to_numpy(GroupMerge(M)(patches, offsets, w))
        lit = np.abs(merged).sum(-1) > 0
        assert lit.any() and not lit.all()
        np.testing.assert_allclose(merged[lit], _stack(canvas)[lit], atol=2e-5)


def test_single_patch_of_a_group_is_padded():
    patch = _stack(_random_complex(2, 1, N, N))
    offsets = np.zeros((2, 4, 2), "float32")
    canvas = keras.ops.convert_to_numpy(GroupMerge(N + 6)(patch, offsets))
    np.testing.assert_array_equal(canvas[:, 3:-3, 3:-3], patch[:, 0])
    assert np.count_nonzero(canvas) == np.count_nonzero(patch)


def test_weights_of_the_merge_matter():
    patches = _stack(_random_complex(1, 4, N, N))
    offsets = np.random.default_rng(0).uniform(-2, 2, (1, 4, 2)).astype("float32")
    ramp = np.broadcast_to(np.linspace(0.1, 1, N, dtype="float32"), (N, N))
    uniform = keras.ops.convert_to_numpy(GroupMerge(N + 6)(patches, offsets))
    weighted = keras.ops.convert_to_numpy(GroupMerge(N + 6)(patches, offsets, ramp))
    legacy = keras.ops.convert_to_numpy(GroupMerge(N + 6, "legacy")(patches, offsets))
    assert np.abs(uniform - weighted).max() > 0.05
    assert np.abs(uniform - legacy).max() > 0.05


def test_far_field_conserves_photons_and_sums_modes():
    patches = _random_complex(2, 3, N, N, seed=1)
    probe = _random_complex(1, 2, N, N, seed=2)
    log_scale = np.array([0.7], "float32")
    pair = (probe.real.astype("float32"), probe.imag.astype("float32"))
    rate = keras.ops.convert_to_numpy(Diffraction()(_stack(patches), pair, log_scale))
    exit_waves = patches[:, :, None] * probe[None]
    energy = np.exp(0.7) * np.sum(np.abs(exit_waves) ** 2, axis=(2, 3, 4))
    np.testing.assert_allclose(rate.sum((2, 3)), energy, rtol=1e-5)
    shifted = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(exit_waves, (-2, -1))), (-2, -1))
    expected = np.exp(0.7) * np.sum(np.abs(shifted) ** 2, 2) / N**2
    assert np.linalg.norm(rate - expected) < 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    "layer",
    [
        Probe(N, 2, 3, trainable=True, support=5.0),
        IntensityScale(2, trainable=False),
        GroupMerge(24, "legacy"),
        PatchExtraction(N),
        Diffraction(),
        FrameNormaliser(N),
        AmplitudeHead("sigmoid2"),
        PhaseHead(),
        RingMask(4, 8),
        PolarPatches(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configuration_round_trip(layer):
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.compute_dtype == "float32"
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(restored) is type(layer)


def test_physics_stays_float32_under_a_mixed_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert Diffraction().compute_dtype == "float32"
        assert Probe(N).compute_dtype == "float32"
        assert GroupMerge(24).compute_dtype == "float32"
    finally:
        keras.config.set_dtype_policy(before)


def test_normaliser_subtracts_the_mean_and_ignores_masked_values():
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 3, (5, N, N, 2)).astype("float32")
    mean, deviation = frames.mean((0, 3)), frames.std((0, 3))
    layer = FrameNormaliser(N)
    layer.build()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(frames)), frames)
    layer.set_statistics(mean)
    plain = keras.ops.convert_to_numpy(layer(frames))
    np.testing.assert_allclose(plain, frames - mean[None, :, :, None], atol=1e-6)
    layer.set_statistics(mean, deviation)
    scaled = keras.ops.convert_to_numpy(layer(frames))
    gain = 1 / np.hypot(deviation, 0.1 * deviation.max())
    np.testing.assert_allclose(scaled, plain * gain[None, :, :, None], rtol=1e-5)
    for value in (-1.0, -9e9):
        frames[:, 3, 4] = value
        assert np.all(keras.ops.convert_to_numpy(layer(frames))[:, 3, 4] == 0)
