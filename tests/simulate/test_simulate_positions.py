"""Positions: the spacing that was asked for, inside an object that holds every patch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinn.errors import ConfigError
from pinn.simulate import SimulateConfig, simulate
from pinn.simulate.options import N_FRAMES, OVERLAP
from pinn.simulate.position_errors import stated_positions
from pinn.simulate.positions import mean_nearest_distance, unit_pattern

PATTERNS = ["raster", "random", "fermat", "spiral"]


def brute_nearest(positions):
    d = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(d, np.inf)
    return d.min(1).mean()


def diameter(probe):
    """4 sigma of the intensity from its moments, written out."""
    w = np.sum(np.abs(np.reshape(probe, (-1, *probe.shape[-2:])).astype(complex)) ** 2, axis=0)
    i = np.arange(len(w))
    yy, xx = np.meshgrid(i, i, indexing="ij")
    cy, cx = (w * yy).sum() / w.sum(), (w * xx).sum() / w.sum()
    return 4 * np.sqrt((w * ((yy - cy) ** 2 + (xx - cx) ** 2)).sum() / w.sum() / 2)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("overlap", [0.0, 0.6, 0.93])
def test_overlap_is_what_was_asked(pattern, overlap):
    scan = simulate(SimulateConfig(N=32, pattern=pattern, overlap=overlap, n_frames=83, seed=3))
    assert len(scan) == 83
    achieved = 1 - brute_nearest(scan.positions_true_px) / diameter(scan.probe)
    assert achieved == pytest.approx(overlap, abs=1e-5)  # the probe is rounded to complex64
    assert scan.overlap == pytest.approx(overlap, abs=1e-12)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_step_is_what_was_asked(pattern):
    scan = simulate(SimulateConfig(N=32, pattern=pattern, step=5.25, n_frames=50))
    assert brute_nearest(scan.positions_true_px) == pytest.approx(5.25, abs=1e-9)


def test_defaults():
    scan = simulate(SimulateConfig())
    assert len(scan) == N_FRAMES
    assert scan.overlap == pytest.approx(OVERLAP)
    assert np.ptp(scan.positions_px, axis=0).min() > 60


@given(
    N=st.sampled_from([16, 18, 32]),
    pattern=st.sampled_from(PATTERNS),
    probe=st.sampled_from(["disc", "gaussian", "defocused"]),
    overlap=st.floats(0, 0.95),
    n_frames=st.integers(2, 40),
    position_error=st.sampled_from([0.0, 0.3, 6.0]),
    interpolation=st.sampled_from(["bilinear", "fourier"]),
    seed=st.integers(0, 3),
)
def test_every_patch_lies_inside(**options):
    scan = simulate(SimulateConfig(object="star", **options))
    half, shape = scan.config.N / 2, np.array(scan.truth.shape)
    for positions in (scan.positions_px, scan.positions_true_px):
        assert positions.shape == (options["n_frames"], 2)
        assert positions.dtype == np.float64
        assert np.all(positions - half >= 0)
        assert np.all(positions + half <= shape)
    assert np.isfinite(scan.rates()).all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_size_and_spacing_fix_the_number_of_frames(pattern):
    config = SimulateConfig(N=32, pattern=pattern, overlap=0.5, size=120)
    scan = simulate(config)
    assert scan.truth.shape == (120, 120)
    assert scan.overlap == pytest.approx(0.5)
    extent = np.ptp(scan.positions_true_px, axis=0).max()
    assert extent <= 120 - 32
    # no room for a tenth more frames
    more = simulate(config.replace(size=None, n_frames=len(scan) + len(scan) // 10 + 3))
    assert more.truth.shape[0] > 120


def test_size_and_frames_fix_the_spacing():
    scan = simulate(SimulateConfig(N=32, size=200, n_frames=100))
    extent = np.ptp(scan.positions_true_px, axis=0).max()
    assert extent == pytest.approx(200 - 32 - 4)
    assert scan.truth.shape == (200, 200)


def test_the_scan_is_in_the_middle_of_the_object():
    scan = simulate(SimulateConfig(N=32, n_frames=48))
    p = scan.positions_true_px
    np.testing.assert_allclose((p.min(0) + p.max(0)) / 2, len(scan.truth) / 2, atol=1e-9)


def test_one_frame():
    scan = simulate(SimulateConfig(N=16, n_frames=1))
    assert len(scan) == 1
    assert scan.overlap is None
    np.testing.assert_allclose(scan.positions_px, len(scan.truth) / 2)


def test_raster_is_a_grid_and_jitter_moves_it():
    seed = np.random.SeedSequence(1)
    grid = unit_pattern("raster", 11, 0.0, seed)
    expected = [[i // 4, i % 4] for i in range(11)]
    np.testing.assert_array_equal(grid, expected)
    moved = unit_pattern("raster", 11, 0.3, seed)
    assert 0 < np.abs(moved - grid).max() <= 0.3


def test_fermat_covers_its_disc_evenly():
    positions = unit_pattern("fermat", 2000, 0.0, np.random.SeedSequence(0))
    radius = np.hypot(*positions.T)
    # equal areas hold equal numbers; the angle steps by the golden angle, 137.508 degrees
    assert abs(np.sum(radius < np.sqrt(1000)) - 1000) <= 1
    turn = np.degrees(np.arctan2(positions[:, 0], positions[:, 1]))
    assert np.diff(turn)[0] % 360 == pytest.approx(137.50776, abs=1e-4)
    d = brute_nearest(positions[:400])
    assert d > 0.85 * np.sqrt(np.pi)  # a random pattern of this density has half of that


def test_the_spiral_is_archimedean_with_equal_steps():
    positions = unit_pattern("spiral", 3000, 0.0, np.random.SeedSequence(0))
    radius = np.hypot(*positions.T)
    turn = np.unwrap(np.arctan2(positions[1:, 0], positions[1:, 1]))
    turn = np.append(0.0, turn + 2 * np.pi * np.round(radius[1] - turn[0] / (2 * np.pi)))
    # a turn moves it outwards by one
    np.testing.assert_allclose(radius[1:], turn[1:] / (2 * np.pi), atol=1e-9)
    # arc length by fine quadrature: one from each position to the next
    t = np.linspace(0, turn[-1], 400_001)
    arc = np.concatenate(
        [[0], np.cumsum(np.hypot(*np.diff((t / (2 * np.pi)) * [np.sin(t), np.cos(t)])))]
    )
    np.testing.assert_allclose(np.interp(turn, t, arc), np.arange(3000), atol=1e-3)


def test_nearest_distance_of_a_known_pattern():
    assert mean_nearest_distance(np.array([[0.0, 0], [0, 3], [4, 3]])) == pytest.approx(10 / 3)


def test_position_error_is_in_the_file_only():
    options = dict(N=16, n_frames=400, seed=5)
    clean = simulate(SimulateConfig(**options))
    off = simulate(SimulateConfig(**options, position_error=0.8))
    error = off.positions_px - off.positions_true_px
    # 800 numbers: 5 sigma of the rms is 5 / sqrt(2 * 800) = 12.5 %
    assert np.sqrt(np.mean(error**2)) == pytest.approx(0.8, rel=0.125)
    assert abs(error.mean()) < 5 * 0.8 / np.sqrt(800)
    shift = off.truth.shape[0] / 2 - clean.truth.shape[0] / 2  # the margin grew
    np.testing.assert_allclose(off.positions_true_px, clean.positions_true_px + shift, atol=1e-9)
    np.testing.assert_array_equal(clean.positions_px, clean.positions_true_px)


def test_errors_are_cut_at_four_sigma():
    seeds = np.random.SeedSequence(0).spawn(2)
    out = stated_positions(SimulateConfig(position_error=1.0), np.zeros((200_000, 2)), *seeds)
    assert np.abs(out).max() == 4.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(N=32, size=40, n_frames=100, overlap=0.5), "need an object of"),
        (dict(N=32, size=36, n_frames=10, position_error=2.0), "leaves no room for frames"),
        (dict(N=32, size=36, n_frames=10), "leaves no room to move"),
        (dict(N=32, size=38, step=5.0), "no two frames"),
        (dict(N=1024, n_frames=10_000, overlap=0.0, probe="gaussian"), "16384"),
        (dict(N=32, size=16384, step=1e-3), "more than 10000000 frames"),
    ],
)
def test_what_does_not_fit_is_said(options, text):
    with pytest.raises(ConfigError, match=text) as caught:
        simulate(SimulateConfig(**options))
    assert "\n" not in str(caught.value)
