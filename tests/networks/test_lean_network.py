"""The `lean` network: real-space input, one frame at a time, small start."""

import keras
import numpy as np
import pytest
from small import same, small_model, small_scan

import pinn
from pinn.config import ModelConfig
from pinn.data.masks import encode
from pinn.layers.correlation import BatchToFrames, CorrelationMap, FramesToBatch, Reflection
from pinn.networks.flops import flops
from pinn.networks.initialise import initialise
from pinn.networks.registry import build_network
from pinn.reconstruction.canvas import Canvas, bilinear_shift

to_numpy = keras.ops.convert_to_numpy


def network_of(seed=0, **options):
    options = {"N": 16, "architecture": "lean", "n_filters_scale": 1, **options}
    network = build_network(ModelConfig(**options))
    initialise(network, seed)
    return network


def frames_of(N, C, batch=2, seed=0):
    return np.random.default_rng(seed).normal(0, 0.3, (batch, N, N, C)).astype("float32")


@pytest.mark.parametrize("N", [16, 18, 30, 50, 96, 100])
@pytest.mark.parametrize("gridsize", [1, 2])
def test_any_even_side_gives_patches_of_that_side(N, gridsize):
    assert network_of(N=N, gridsize=gridsize).output_shape == (None, N, N, gridsize**2, 2)


@pytest.mark.parametrize("N", [256, 1024])
def test_large_frames_need_no_more_weights_than_small_ones(N):
    assert network_of(N=N).count_params() == network_of(N=64).count_params()


def test_correlation_map_equals_numpy():
    x = frames_of(18, 3)
    z = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(x, (1, 2)), axes=(1, 2)), (1, 2)) * 18
    # float32 transforms of 324 numbers of size 0.3
    np.testing.assert_allclose(to_numpy(CorrelationMap()(x)), z.real + z.imag, atol=2e-5)


def test_correlation_map_of_an_intensity_has_the_object_where_it_lies():
    # A point next to a strong one: the autocorrelation has a peak at their distance (row, column)
    # and one opposite.
    field = np.zeros((32, 32))
    field[16, 16], field[16 + 5, 16 - 3] = 1.0, 0.2
    intensity = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(field)))) ** 2
    image = to_numpy(CorrelationMap()(intensity[None, ..., None].astype("float32")))[0, ..., 0]
    image[16, 16] = 0
    places = np.argwhere(image > 0.5 * image.max())
    assert sorted(map(tuple, places)) == [(16 - 5, 16 + 3), (16 + 5, 16 - 3)]


def test_frames_to_batch_and_back():
    x = frames_of(6, 4)
    flat = FramesToBatch()(x)
    np.testing.assert_array_equal(to_numpy(flat)[5, ..., 0], x[1, ..., 1])
    two = keras.ops.concatenate([flat, 10 + flat], -1)
    back = to_numpy(BatchToFrames(4)(two))
    np.testing.assert_array_equal(back, np.concatenate([x, 10 + x], -1))


def test_reflection_turns_both_axes():
    x = frames_of(4, 2)
    np.testing.assert_array_equal(to_numpy(Reflection()(x)), x[:, ::-1, ::-1])


def test_start_is_near_amplitude_one_and_phase_zero():
    network = network_of(N=64, gridsize=2)
    np.testing.assert_array_equal(to_numpy(network(np.zeros((1, 64, 64, 4), "float32")))[..., 0], 1)
    re, im = np.moveaxis(to_numpy(network(frames_of(64, 4))), -1, 0)
    assert 0.95 < np.hypot(re, im).mean() < 1.05
    # A little structure, or nothing would tell the frames apart in the first step.
    assert 1e-3 < np.hypot(re, im).std() < 0.1
    assert 1e-2 < np.arctan2(im, re).std() < 0.3


def test_every_frame_is_seen_alone():
    network, x = network_of(gridsize=2), frames_of(16, 4)
    before = to_numpy(network(x))
    # float32 and another order of summation in a batch of another length: 1e-5 is ample.
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(to_numpy(network(x[..., order])), before[..., order, :], atol=1e-5)
    alone = network_of(gridsize=1)
    np.testing.assert_allclose(to_numpy(alone(x[..., 1:2])), before[..., 1:2, :], atol=1e-5)


def test_one_patch_for_the_group_depends_on_all_frames():
    network, x = network_of(gridsize=2, object_big=False), frames_of(16, 4)
    assert network.output_shape == (None, 16, 16, 1, 2)
    before = to_numpy(network(x))
    for frame in range(4):
        other = x.copy()
        other[..., frame] *= 2
        assert np.abs(to_numpy(network(other)) - before).max() > 1e-4


@pytest.mark.parametrize("architecture", ["lean", "fno", "ffno", "cnn"])
@pytest.mark.parametrize(
    ("activation", "start"), [("softplus", 1), ("swish", 1), ("relu", 1), ("sigmoid", 0.9)]
)
def test_a_fresh_network_is_not_dark(architecture, activation, start):
    config = ModelConfig(N=32, architecture=architecture, amp_activation=activation)
    network = build_network(config)
    initialise(network, 0)
    frames = np.random.default_rng(0).normal(0, 0.3, (2, 32, 32, 4)).astype("float32")
    patches = keras.ops.convert_to_numpy(network(frames))
    amplitude = np.hypot(patches[..., 0], patches[..., 1])
    assert amplitude.mean() == pytest.approx(start, abs=0.05)
    assert abs(np.arctan2(patches[..., 1], patches[..., 0]).mean()) < 0.1


def test_the_object_is_the_mean_of_one_patch_of_each_frame():
    counts = small_scan().read(np.arange(40))[0].astype(float) ** 2
    counts[7] = 0
    scan = small_scan()
    scan = pinn.Scan(counts, scan.positions_px, probe=scan.probe, units="counts")
    model = small_model(scan, architecture="lean", n_groups=8)
    recon = pinn.reconstruct(scan, model, batch_size=3, calibrate=False, synchronise=False)
    assert any("1 frames without counts" in note for note in recon.notes)
    factor, N = scan.statistics().exposure_factor, scan.N
    frames = encode(*scan.read(np.arange(40)), factor)
    patches = model.network.object_patches(
        np.moveaxis(frames.reshape(-1, 4, N, N), 1, -1).astype("float32")
    )
    re, im = (keras.ops.convert_to_numpy(patches)[..., part].reshape(-1, N, N) for part in (0, 1))
    weight = np.sum(np.abs(scan.probe_gauge()) ** 2, axis=0)
    weight = weight / weight.max()
    lit = np.arange(40) != 7
    canvas = Canvas(N + 1)
    corners, fractions = canvas.split(scan.positions_px[lit])
    moved = bilinear_shift((re + 1j * im)[lit] * weight, fractions)
    moved[..., 2] = bilinear_shift(np.broadcast_to(weight + 0j, re[lit].shape), fractions)[..., 0]
    canvas.add_each(corners, moved)
    expected, coverage, origin = canvas.result()
    inside = tuple(
        slice(int(o), int(o) + n)
        for o, n in zip(origin - recon.origin_px, expected.shape, strict=True)
    )
    known = np.where(recon.valid_mask, recon.object, 0)
    same(known[inside], expected, 1e-5)
    same(recon.coverage[inside], coverage, 1e-5)
    assert recon.coverage.sum() == pytest.approx(coverage.sum(), rel=1e-5)
    assert not build_network(
        ModelConfig(N=16, architecture="lean", object_big=False)
    ).frame_by_frame


@pytest.mark.parametrize("options", [dict(amp_activation="relu"), dict(n_filters_scale=2)])
def test_options_change_the_output(options):
    x = frames_of(16, 4)
    difference = to_numpy(network_of(**options)(x)) - to_numpy(network_of()(x))
    assert np.abs(difference).max() > 1e-3


def test_width_grows_with_the_scale():
    one, two = network_of(N=64), network_of(N=64, n_filters_scale=2)
    assert 3 < flops(two) / flops(one) < 4
    assert 3 < two.count_params() / one.count_params() < 4


def test_one_step_moves_every_weight():
    network, x = network_of(gridsize=2), frames_of(16, 4, batch=8)
    target = np.zeros((8, 16, 16, 4, 2), "float32")
    network.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse")
    before = [to_numpy(w).copy() for w in network.trainable_weights]
    network.train_on_batch(x, target)
    for old, new in zip(before, network.trainable_weights, strict=True):
        assert np.abs(to_numpy(new) - old).max() > 0, new.path


def test_same_seed_same_output_and_another_another():
    x = frames_of(16, 4)
    first = to_numpy(network_of(seed=3)(x))
    np.testing.assert_array_equal(to_numpy(network_of(seed=3)(x)), first)
    assert np.abs(to_numpy(network_of(seed=4)(x)) - first).max() > 1e-3


def test_transform_stays_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_network(ModelConfig(N=16, gridsize=1, architecture="lean"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("correlation").compute_dtype == "float32"
    assert network.get_layer("stem").compute_dtype == "bfloat16"
    assert str(to_numpy(network(frames_of(16, 1))).dtype) == "float32"
