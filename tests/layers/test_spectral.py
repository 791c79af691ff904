"""Spectral convolutions against the full complex transform in NumPy, and their symmetries."""

import keras
import numpy as np
import pytest

from pinn import backend
from pinn.layers.spectral import AxialSpectralConv2D, Gate, SpectralConv2D

# Float32 transforms of up to a few hundred points: relative rounding of about 1e-6.
CLOSE = dict(rtol=0, atol=1e-5)


def as_complex(weight):
    pair = keras.ops.convert_to_numpy(weight).astype(np.float64)
    return pair[..., 0] + 1j * pair[..., 1]


def as_pair(z):
    return np.stack([z.real, z.imag], -1).astype("float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x).astype(np.float64)


def make(layer, shape, seed=3):
    layer.build((None, *shape))
    layer.redraw(np.random.default_rng(seed))
    return layer


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def row_frequencies(modes):
    return [*range(modes), *range(-(modes - 1), 0)]


def full_spectrum(kernel, height, width):
    """Weights `(H, W, Cin, Cout)` of all frequencies, with the symmetry of a real operator."""
    modes = kernel.shape[0]
    full = np.zeros((height, width, *kernel.shape[2:]), complex)
    for v in range(modes):
        for place, u in enumerate(row_frequencies(modes)):
            # The real part of what both halves say: at v = 0 they say it about the same place.
            full[u, v] += 0.5 * kernel[v, place] * (1 if v == 0 else 2)
            full[-u, -v] += 0.5 * kernel[v, place].conj() * (1 if v == 0 else 2)
    return full


def kernel_of(full, modes):
    """The inverse of `full_spectrum` for weights that have the symmetry."""
    return np.stack([np.stack([full[u, v] for u in row_frequencies(modes)]) for v in range(modes)])


def oracle(x, full):
    spectrum = np.fft.fft2(x.astype(np.float64), axes=(1, 2))
    y = np.fft.ifft2(np.einsum("buvi,uvio->buvo", spectrum, full), axes=(1, 2))
    assert np.abs(y.imag).max() < 1e-12
    return y.real


SIZES = [(12, 18, 3), (18, 12, 6), (8, 8, 4), (9, 10, 2), (8, 10, 1)]


@pytest.mark.parametrize(("height", "width", "modes"), SIZES)
def test_all_four_corners_are_those_of_the_full_transform(height, width, modes):
    layer = make(SpectralConv2D(modes, 5), (height, width, 3))
    assert layer.kernel.shape == (modes, 2 * modes - 1, 3, 5, 2)
    x = image(2, height, width, 3)
    full = full_spectrum(as_complex(layer.kernel), height, width)
    np.testing.assert_allclose(numpy(layer(x)), oracle(x, full), **CLOSE)


@pytest.mark.parametrize(("height", "width", "modes"), SIZES)
def test_axial_layer_is_the_sum_of_two_one_dimensional_convolutions(height, width, modes):
    layer = make(AxialSpectralConv2D(modes, 5), (height, width, 3))
    x = image(2, height, width, 3)
    expected = 0
    for axis, weight in ((1, layer.rows), (2, layer.columns)):
        weight = as_complex(weight)
        length = x.shape[axis]
        full = np.zeros((length, 3, 5), complex)
        for u in range(modes):
            full[u] += 0.5 * weight[u] * (1 if u == 0 else 2)
            full[-u] += 0.5 * weight[u].conj() * (1 if u == 0 else 2)
        spectrum = np.moveaxis(np.fft.fft(x.astype(np.float64), axis=axis), axis, 1)
        line = np.fft.ifft(np.einsum("buli,uio->bulo", spectrum, full), axis=1)
        assert np.abs(line.imag).max() < 1e-12
        expected = expected + np.moveaxis(line.real, 1, axis)
    np.testing.assert_allclose(numpy(layer(x)), expected, **CLOSE)


@pytest.mark.parametrize("u", range(-4, 5))
@pytest.mark.parametrize("v", [0, 1, 2, 3])
def test_plane_waves_pass_whatever_the_sign_of_their_frequency(u, v):
    height, width, modes = 10, 12, 3
    layer = SpectralConv2D(modes, 1)
    layer.build((None, height, width, 1))
    one = np.zeros(layer.kernel.shape, "float32")
    one[..., 0] = 1
    layer.kernel.assign(one)
    rows, columns = np.mgrid[:height, :width]
    wave = np.cos(2 * np.pi * (u * rows / height + v * columns / width) + 0.7)
    y = numpy(layer(wave[None, :, :, None].astype("float32")))[0, :, :, 0]
    passes = abs(u) < modes and abs(v) < modes
    np.testing.assert_allclose(y, wave if passes else 0 * wave, **CLOSE)


def negated(full, *axes):
    """Weights at the negative frequencies of the axes."""
    for axis in axes:
        full = np.roll(np.flip(full, axis), 1, axis)
    return full


SYMMETRIES = {
    "rows turned over": (lambda x: np.flip(x, 1), lambda w: negated(w, 0)),
    "columns turned over": (lambda x: np.flip(x, 2), lambda w: negated(w, 1)),
    "both": (lambda x: np.flip(x, (1, 2)), lambda w: negated(w, 0, 1)),
    "transposed": (lambda x: x.swapaxes(1, 2), lambda w: w.swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", SYMMETRIES)
def test_no_direction_is_preferred(name):
    of_image, of_weights = SYMMETRIES[name]
    side, modes = 12, 4
    layer = make(SpectralConv2D(modes, 2), (side, side, 2))
    x = image(1, side, side, 2, seed=4)
    straight = numpy(layer(x))
    full = full_spectrum(as_complex(layer.kernel), side, side)
    before = numpy(layer.kernel)
    layer.kernel.assign(as_pair(kernel_of(of_weights(full), modes)))
    turned = numpy(layer(np.ascontiguousarray(of_image(x))))
    # A flip moves the origin by one pixel; a convolution does not care.
    np.testing.assert_allclose(turned, of_image(straight), **CLOSE)
    assert np.abs(numpy(layer.kernel) - before).max() > 0.1, "the weights were to change"
    assert np.abs(turned - straight).max() > 0.1, "the image was to change"


@pytest.mark.parametrize("kind", [SpectralConv2D, AxialSpectralConv2D])
def test_white_noise_keeps_the_power_of_the_kept_frequencies(kind):
    side, modes, channels = 16, 8, 64
    y = numpy(make(kind(modes, channels), (side, side, channels))(image(4, side, side, channels)))
    # Kept: 15 of 16 frequencies of each axis, (15/16)^2 of the power in two dimensions, and less
    # by half at column frequency 0, where the two halves are averaged. Axial: 15/16 from each axis,
    # where the imaginary part of frequency 0 is lost besides.
    expected = (14 * 15 + 15 / 2) / 256 if kind is SpectralConv2D else 2 * (14 + 1 / 2) / 16
    assert np.mean(y**2) == pytest.approx(expected, rel=0.05)  # about 65 000 numbers


@pytest.mark.parametrize("kind", [SpectralConv2D, AxialSpectralConv2D])
def test_gradients_are_those_of_a_bilinear_map(kind):
    """<g, L(dk) x> is the derivative along dk, for the inner one of two layers too."""
    backend.ordered_updates()
    side, modes = 8, 3
    inner, outer = (make(kind(modes, 2), (side, side, 2), seed) for seed in (1, 2))
    x, g = image(3, side, side, 2, seed=5), image(3, side, side, 2, seed=6)
    direction = [image(*w.shape, seed=7 + i) for i, w in enumerate(inner.weights)]
    start = [numpy(w) for w in inner.weights]
    for weight, change in zip(inner.weights, direction, strict=True):
        weight.assign(change)
    expected = np.sum(g * numpy(outer(inner(x))))
    for weight, value in zip(inner.weights, start, strict=True):
        weight.assign(value)
    frames = keras.Input((side, side, 2))
    model = keras.Model(frames, outer(inner(frames)))
    model.compile(keras.optimizers.SGD(1.0), loss=lambda a, b: keras.ops.sum(a * b))
    model.train_on_batch(x, g)
    slope = sum(
        np.sum((before - numpy(weight)) * change)
        for before, weight, change in zip(start, inner.weights, direction, strict=True)
    )
    assert slope == pytest.approx(expected, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("kind", [SpectralConv2D, AxialSpectralConv2D])
def test_spectra_stay_float32_in_a_half_precision_network(kind):
    layer = make(kind(3, 2), (8, 8, 2))
    x = keras.ops.cast(image(1, 8, 8, 2), "bfloat16")
    plain = numpy(layer(keras.ops.cast(x, "float32")))
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        half = make(kind(3, 2), (8, 8, 2))
        y = half(x)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_array_equal(numpy(y), plain)


@pytest.mark.parametrize("kind", [SpectralConv2D, AxialSpectralConv2D])
def test_more_modes_than_frequencies_are_refused(kind):
    with pytest.raises(ValueError, match="5 modes need sides of at least 10"):
        kind(5, 2)(image(1, 12, 8, 2))


def test_gate_starts_where_it_is_told_and_is_trained():
    x = image(1, 4, 4, 2)
    gate = Gate(0.25)
    np.testing.assert_allclose(numpy(gate(x)), 0.25 * x, rtol=1e-6)
    assert [tuple(w.shape) for w in gate.trainable_weights] == [()]


@pytest.mark.parametrize(
    "layer", [SpectralConv2D(3, 4), AxialSpectralConv2D(2, 5), Gate(0.3)], ids=lambda v: v.name
)
def test_layers_are_built_again_from_their_configuration(layer):
    x = image(2, 8, 8, 3)
    first = numpy(layer(x))
    again = type(layer).from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(numpy(again(x)), first)
    assert again.compute_output_shape(x.shape) == first.shape


def test_counted_operations_are_those_of_the_sizes():
    # 16 x 32 pixels, 3 channels to 5: real transforms along 32 (x 16 rows), complex ones along 16
    # (x 4 columns), both for 3 and 5 channels, and a complex 3 x 5 product at 4 x 7 frequencies.
    count = 8 * (16 * 2.5 * 32 * 5 + 4 * 5 * 16 * 4) + 8 * 4 * 7 * 15
    assert SpectralConv2D(4, 5).flops((None, 16, 32, 3)) == count
    axial = 8 * (16 * 2.5 * 32 * 5 + 32 * 2.5 * 16 * 4) + 8 * 4 * (16 + 32) * 15
    assert AxialSpectralConv2D(4, 5).flops((None, 16, 32, 3)) == axial
    assert Gate().flops((None, 4, 5, 6)) == 120
