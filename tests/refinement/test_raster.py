"""A pattern of a raster's own period that object and probe can share: the object goes without."""

from dataclasses import replace

import numpy as np
import pytest
from refining import arrays_of, built, scan_of
from scipy import ndimage

from pinn.progress import Deadline
from pinn.refinement import raster as raster_module
from pinn.refinement.loop import Loop, Schedule
from pinn.refinement.raster import lattice_of, without_pattern
from pinn.simulate.forward import extract_patches

pytestmark = pytest.mark.one_backend
ROTATED = np.array([[1.68, 2.91], [-2.91, 1.68]])
HEXAGONAL = np.array([[5.0, 0.0], [2.5, 4.33]])
OBLONG = np.array([[0.3, 7.1], [3.2, 0.1]])


def raster(periods, rows, columns, jitter=0.0, seed=0):
    numbers = np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 2)
    noise = np.random.default_rng(seed).normal(scale=max(jitter, 1e-12), size=(len(numbers), 2))
    return np.array([40.3, -17.9]) + numbers @ periods + noise


@pytest.mark.parametrize("jitter", [0.0, 0.05])
@pytest.mark.parametrize("periods", [ROTATED, HEXAGONAL, OBLONG])
def test_the_lattice_of_a_raster_is_found(periods, jitter):
    positions = raster(periods, 90, 7, jitter)
    found = lattice_of(positions)
    # any two periods of the same lattice will do: whole numbers in both directions
    for one, other in ((periods, found.periods), (found.periods, periods)):
        numbers = one @ np.linalg.inv(other)
        np.testing.assert_allclose(numbers, np.rint(numbers), atol=0.01)
    assert abs(np.linalg.det(found.periods)) == pytest.approx(abs(np.linalg.det(periods)), rel=0.01)
    numbers = (positions - found.corner) @ np.linalg.inv(found.periods)
    np.testing.assert_allclose(numbers, np.rint(numbers), atol=0.01 + 4 * jitter / 1.5)


def test_other_scans_have_no_lattice():
    rng = np.random.default_rng(1)
    turns = np.arange(200)
    spiral = np.sqrt(turns)[:, None] * np.stack(
        [np.cos(2.39996 * turns), np.sin(2.39996 * turns)], axis=1
    )
    line = np.arange(40)[:, None] * np.array([[1.0, 2.0]])
    irregular = raster(OBLONG, 12, 12, jitter=0.8)
    for positions in (rng.uniform(0, 60, (200, 2)), 4 * spiral, line, irregular):
        assert lattice_of(positions) is None
    assert lattice_of(raster(OBLONG, 2, 4)) is None


PITCH = np.array([[4.0, 0.0], [0.0, 5.0]])  # asymmetric, and whole pixels: nothing is interpolated


@pytest.fixture(scope="module")
def begun():
    """The state of a scan on a raster, with the true object in it."""
    arrays = arrays_of(pattern="raster", n_frames=121, probe_diameter=0.9)
    arrays["positions_px"] = 40.0 + raster(PITCH, 11, 11) - np.array([40.3, -17.9])
    engine, state, _ = built(scan_of(arrays), update_positions=False)
    rng = np.random.default_rng(2)
    ky, kx = (np.fft.fftfreq(n) for n in state.object.shape)
    smooth = np.exp(-30.0 * np.hypot(ky[:, None], kx[None]))
    noise = rng.normal(size=(2, *state.object.shape))
    obj = 1.0 + 4.0 * np.fft.ifft2(np.fft.fft2(noise[0] + 1j * noise[1]) * smooth)
    state.object = obj.astype(np.complex64)
    return engine, state


def striped(state):
    """The same exit waves, with a pattern in the object."""
    y, x = (np.arange(n) for n in state.object.shape)
    N = state.probe.shape[-1]

    def pattern(y, x):
        wave = 2 * np.pi * (y[:, None] / 4.0 + x[None] / 5.0)
        return 1.0 + 0.12 * np.exp(1j * wave) - 0.08j * np.cos(4 * np.pi * x / 5.0)[None]

    first = state.positions[0] - state.origin - N // 2
    return replace(
        state,
        object=(state.object * pattern(y, x)).astype(np.complex64),
        probe=(state.probe / pattern(*(np.arange(N) + f for f in first))).astype(np.complex64),
    )


def waves(state):
    patches = extract_patches(
        state.object.astype(complex), state.positions - state.origin, state.probe.shape[-1]
    )
    return patches * state.probe[0, 0]


@pytest.mark.parametrize("window", [512, 30])  # the whole canvas, and the middle of it
def test_the_object_goes_without_and_exit_waves_stay(begun, window, monkeypatch):
    monkeypatch.setattr(raster_module, "_WINDOW", window)
    _, state = begun
    spoilt = striped(state)
    lattice = lattice_of(state.positions)
    found = without_pattern(spoilt, lattice)
    scale = np.abs(waves(spoilt)).max()
    np.testing.assert_allclose(waves(found), waves(spoilt), atol=1e-5 * scale)  # float32
    before, after = (np.abs(one.object - state.object).max() for one in (spoilt, found))
    assert before > 0.15 and after < 0.2 * before  # .07 and .16 of it were left
    if window == 512:  # an object like this is left alone
        assert without_pattern(state, lattice) is None


@pytest.mark.parametrize(("mean", "changed"), [(0.4, False), (1.4, True)])
def test_a_strong_object_keeps_its_own_grating(begun, mean, changed):
    # the same phases, the same grating of the raster's period: only the mean tells a strong object
    _, state = begun
    phase = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=state.object.shape), 2.0)
    scattered = np.exp(1.5j * phase / phase.std())
    y = np.arange(state.object.shape[0])[:, None]
    obj = scattered - scattered.mean() + mean + 0.08 * np.exp(2j * np.pi * y / 4.0)
    found = without_pattern(
        replace(state, object=obj.astype(np.complex64)), lattice_of(state.positions)
    )
    assert (found is not None) == changed


@pytest.mark.parametrize("joint", [True, False])
def test_every_epoch_ends_without_it_where_the_probe_changes(begun, joint):
    engine, state = begun
    spoilt = striped(state)
    config = engine.config.replace(epochs=1, update_probe=joint, momentum=0.0)
    loop = Loop(engine, spoilt, spoilt.positions, config, Deadline(None), Schedule(probe=1))
    loop.state.length = 1e-3  # the step itself hardly changes anything
    loop.run()
    left = (
        np.abs(loop.state.object - state.object).max() / np.abs(spoilt.object - state.object).max()
    )
    assert (left < 0.3) == joint
