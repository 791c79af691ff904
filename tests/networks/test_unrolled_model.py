"""The stages of an unrolled network on groups: the whole model against float64, and what it keeps.

The oracle goes through the stages with explicit Fourier sums and SciPy's interpolation. Its network
is the way past the convolutions alone, which is all that an untrained network is.
"""

import keras
import numpy as np
import pytest
from gradients import numerical_grad, relative_error, to_numpy
from oracles import centred_dft, deviance, extract, place

from pinn.config import ModelConfig, ReconstructConfig
from pinn.errors import ConfigError
from pinn.networks.initialise import initialise
from pinn.networks.model import PtychoModel
from pinn.networks.registry import build_network

N, CANVAS, SIDE, STAGES = 16, 22, 24, 3  # the canvas becomes a multiple of four
STRAIGHT = np.zeros((8, 2))
STRAIGHT[2:4], STRAIGHT[4:6] = 1.6 * np.eye(2), 0.6 * np.eye(2)


def probe_of(P, side=N):
    y, x = np.mgrid[:side, :side] - side // 2
    modes = [np.exp(-(y**2 + (x + 1) ** 2) / 18) * np.exp(0.05j * y * x + 0.1j * y)]
    modes.append(0.4 * y * modes[0] / 3)
    probe = np.array(modes[:P])
    return probe * (side / 2) / np.linalg.norm(probe)


def make_model(P=1, scans=1, side=N, canvas=CANVAS, rate=1.0, exposures=(0.05,), **options):
    config = ModelConfig(
        N=side, architecture="unrolled", probe_modes=P, **{"stages": STAGES, **options}
    )
    model = PtychoModel(config, canvas=canvas, scans=scans)
    model.probe.set_probe(np.array([probe_of(P, side)] * scans) if scans > 1 else probe_of(P, side))
    model.scale.set_from_exposure(list(exposures))
    initialise(model.network, 0)
    model.compile(keras.optimizers.SGD(rate))
    return model


def tensors_of(batch):
    return {name: keras.ops.convert_to_tensor(array) for name, array in batch.items()}


def make_batch(P=1, side=N, scale=0.05, strength=0.1, seed=0):
    """Two groups of four frames of a smooth object, without noise, some pixels masked."""
    rng = np.random.default_rng(seed)
    offsets = rng.uniform(-2, 2, (2, 4, 2))
    offsets = (offsets - offsets.mean(1, keepdims=True)).astype("float32")
    y, x = np.mgrid[: side + 8, : side + 8]
    waves = [np.sin(0.5 * y + 0.2 * x + k) + np.cos(0.3 * x - 0.4 * y * k) for k in range(2)]
    truth = 1 + strength * np.array([waves[0] + 1j * waves[1], waves[1] + 0.5j * waves[0]])
    seen = extract(truth.real, offsets, side) + 1j * extract(truth.imag, offsets, side)
    exit_waves = probe_of(P, side) * seen[:, :, None]
    frames = np.sqrt(np.sum(np.abs(centred_dft(exit_waves)) ** 2, axis=2))
    frames[0, 1, 3:5, 9] = -1.0
    return {
        "frames": np.moveaxis(frames, 1, -1).astype("float32"),
        "offsets": offsets,
        "scale": np.full(2, scale, "float32"),
        "scan": np.zeros(2, "int32"),
        "weight": np.ones(2, "float32"),
    }


def oracle(batch, probe, straight=STRAIGHT, count=STAGES):
    """Rates in counts after each stage, and the last object, in float64."""
    frames = np.moveaxis(batch["frames"].astype(float), -1, 1)
    valid, offsets = frames >= 0, batch["offsets"].astype(float)
    exposure = batch["scale"].astype(float)[:, None, None, None] ** 2
    light = np.broadcast_to(np.sum(np.abs(probe) ** 2, 0), frames.shape)
    light = place(light, offsets, SIDE)
    brightest = light.max((1, 2), keepdims=True)
    obj, change, rates = np.ones((2, SIDE, SIDE), complex), 0.0, []
    for number in range(count + 1):
        seen = extract(obj.real, offsets, N) + 1j * extract(obj.imag, offsets, N)
        waves = centred_dft(probe * seen[:, :, None])
        rate = np.sum(np.abs(waves) ** 2, axis=2)  # of normalised frames
        if number:
            rates.append(rate / exposure)
        if number == count:
            return rates, obj
        missing = valid * np.minimum(frames / np.sqrt(rate + 1e-6) - 1, 20)
        chi = np.conj(centred_dft(np.conj(waves * missing[:, :, None])))  # the inverse transform
        back = np.sum(np.conj(probe) * chi, axis=2)
        back = place(back.real, offsets, SIDE) + 1j * place(back.imag, offsets, SIDE)
        found = back / (light + 0.05 * brightest)
        mean = np.sum(light * np.abs(found) ** 2, (1, 2)) / np.sum(light, (1, 2))
        size = np.sqrt(mean + 1e-8)[:, None, None]
        change = np.broadcast_to(change, obj.shape)
        bright = light / brightest
        noise = 0.5 / np.sqrt(light / exposure[:, 0] + 1)
        planes = [obj.real - 1, obj.imag]
        planes += [p for z in (found / size, change / size) for p in (z.real, z.imag)]
        told = np.stack([*planes, bright, noise], -1) @ straight
        change = size * (told[..., 0] + 1j * told[..., 1]) * bright / (bright + 0.01)
        obj = obj + change
    raise AssertionError


def loss_of(batch, rates):
    """Deviance over the counts, the mean over the stages."""
    frames = np.moveaxis(batch["frames"].astype(float), -1, 1)
    valid = frames >= 0
    counts = np.where(valid, frames / batch["scale"][:, None, None, None].astype(float), 0) ** 2
    return np.mean([np.sum(valid * deviance(counts, rate)) for rate in rates]) / counts.sum()


@pytest.mark.each_backend
@pytest.mark.parametrize("P", [pytest.param(1, marks=pytest.mark.one_backend), 2])
def test_object_and_rates_of_every_stage_and_the_gradient_equal_float64(P):
    model, batch = make_model(P), make_batch(P)
    made = model(tensors_of(batch))
    rates, obj = oracle(batch, probe_of(P))
    found = to_numpy(made["object"])
    assert found.shape == (2, SIDE, SIDE, 2)
    # three stages, each with float32 transforms of some hundred numbers
    assert relative_error(found[..., 0] + 1j * found[..., 1], obj) < 1e-5
    for mine, theirs in zip((*made["earlier"], made["rate"]), rates, strict=True):
        assert relative_error(to_numpy(mine), theirs) < 1e-5
    losses = [loss_of(batch, [rate]) for rate in rates]
    # the gradient, from the step that it makes
    kernel = next(w for w in model.network.weights if w.path == "straight/kernel")
    before = to_numpy(kernel.value).copy()
    loss = model.train_on_batch(tensors_of(batch), return_dict=True)["loss"]
    # the history shows that of the last stage; the step goes down the mean over the stages
    assert float(loss) == pytest.approx(losses[-1], rel=1e-4)
    expected = numerical_grad(
        lambda straight: loss_of(batch, oracle(batch, probe_of(P), straight)[0]), STRAIGHT
    )[0]
    gradient = (before - to_numpy(kernel.value)).reshape(8, 2)
    # read back from weights of order one: seven digits of those, five of a gradient of .01
    assert relative_error(gradient, expected) < 1e-3


def test_exposure_changes_neither_object_nor_normalised_rates():
    """Two scans of the same frames, one of them with four times the counts."""
    model, batch = make_model(scans=2, exposures=(0.05, 0.025)), make_batch()
    batch = {name: np.array([array[0]] * 2) for name, array in batch.items()}
    batch["scan"][1], batch["scale"][1] = 1, 0.025
    made = {k: to_numpy(v) for k, v in model(tensors_of(batch)).items() if k != "earlier"}
    np.testing.assert_allclose(made["object"][1], made["object"][0], atol=1e-6)
    assert relative_error(made["rate"][1], 4 * made["rate"][0]) < 1e-5


@pytest.mark.parametrize("side", [18, 22])
def test_sides_that_the_blocks_of_the_network_do_not_divide(side):
    model = make_model(side=side, canvas=side + 4)
    made = model.unroll(tensors_of(make_batch(side=side)))
    assert made.object[0].shape[1] % 4 == 0
    frames = np.moveaxis(make_batch(side=side)["frames"], -1, 1)
    counts = np.where(frames >= 0, frames / 0.05, 0) ** 2
    wave = np.abs(centred_dft(probe_of(1, side)[0])) ** 2 / 0.05**2
    off = [
        np.sum((frames >= 0) * (np.sqrt(to_numpy(rate)) - np.sqrt(counts)) ** 2)
        for rate in (np.broadcast_to(wave, frames.shape), *made.rates)
    ]
    assert off[3] < off[1] < 0.5 * off[0]
    assert made.patches[0].shape == (2, 4, side, side)


def test_an_untrained_network_explains_the_frames_better_and_better():
    batch = make_batch()
    wave = np.abs(centred_dft(probe_of(1)[0])) ** 2 / 0.05**2
    rates = make_model(stages=8).unroll(tensors_of(batch)).rates
    losses = [loss_of(batch, [to_numpy(rate).astype(float)]) for rate in rates]
    # of what a flat object leaves; momentum may take one step too far
    flat = loss_of(batch, [np.broadcast_to(wave, rates[0].shape)])
    assert losses[0] < 0.3 * flat and losses[3] < 0.1 * flat and losses[7] < 0.02 * flat


def test_more_stages_go_on_from_the_same_ones():
    batch = make_batch()
    few, more = (make_model(stages=count).unroll(tensors_of(batch)) for count in (2, 4))
    assert (len(few.rates), len(more.rates)) == (2, 4)
    for one, other in zip(few.rates, more.rates, strict=False):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


def test_patches_for_pictures_are_the_object_under_the_frames():
    model, batch = make_model(), make_batch()
    found = to_numpy(model.scaled_patches(tensors_of(batch)))
    obj = to_numpy(model(tensors_of(batch))["object"]).astype(float)
    offsets = batch["offsets"].astype(float)
    expected = [extract(obj[..., part], offsets, N) for part in (0, 1)]
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=1e-5)
    with pytest.raises(ConfigError, match="needs positions and probe besides the frames"):
        model.object_patches(batch["frames"])


def test_weights_do_not_depend_on_the_size_and_move_to_another():
    import pinn
    from pinn.io.archive import PRETRAINED

    model = pinn.load_model(PRETRAINED)
    assert model.of_size(model.config.N) is model
    small = model.of_size(16)
    assert small.config == model.config.replace(N=16)
    for mine, theirs in zip(
        small.network.network.weights, model.network.network.weights, strict=True
    ):
        np.testing.assert_array_equal(to_numpy(mine), to_numpy(theirs))
    assert small.probe().shape[-2:] == (16, 16)
    assert small.archive_sha256 == model.archive_sha256


REFUSED = [
    (dict(merge="uniform"), "merge 'uniform' has no effect on the unrolled network"),
    (dict(object_big=False), "object_big False has no effect on the unrolled network"),
    (dict(input_transform="none"), "input_transform 'none' has no effect on the unrolled network"),
    (dict(head="rectangular"), "^architecture 'unrolled' .*head .*cnn, ffno, fno"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=str)
def test_options_without_effect_are_refused_in_a_sentence(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build_network(ModelConfig(architecture="unrolled", **options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cls", [ModelConfig, ReconstructConfig])
@pytest.mark.parametrize("value", [0, -1])
def test_fewer_stages_than_one_are_refused(cls, value):
    with pytest.raises(ConfigError, match="stages"):
        cls(stages=value)


def test_stages_of_a_network_without_any_are_refused():
    with pytest.raises(ConfigError, match=r"^architecture 'lean' .*stages .*unrolled"):
        build_network(ModelConfig(architecture="lean", stages=3))
