"""Prepared scans still obey the forward model: probe, truth and positions predict the frames."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from pinn.io.load import load

M = 8
PLACES = np.random.default_rng(0).uniform((45, 40), (70, 85), (M, 2))


def scene(y, x):
    """A smooth object without symmetry, known at every point."""
    phase = 0.8 * np.sin(0.21 * y + 0.1 * x) + 0.5 * np.cos(0.13 * x - 0.05 * y)
    return (0.8 + 0.2 * np.cos(0.17 * y - 0.08 * x)) * np.exp(1j * phase)


def far_field(wave):
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(wave, axes), norm="ortho"), axes)


def scan_file(path, image):
    """Noise-free intensities of (H, W) pixels; pixels of object and probe are square in metres."""
    H, W = image
    y, x = np.mgrid[:H, :W] - np.array([H // 2, W // 2])[:, None, None]
    probe = 40 * np.exp(-((y / 4.5) ** 2 + (x / 3.5) ** 2)) * np.exp(0.02j * y**2 - 0.3j * x)
    frames = [
        np.abs(far_field(probe * scene(y + py, x + px))) ** 2 for py, px in PLACES
    ]  # fmt: skip
    rows, columns = np.mgrid[:120, :130]
    np.savez(
        path,
        diff3d=np.array(frames),
        ycoords=PLACES[:, 0],
        xcoords=PLACES[:, 1],
        frames_units=np.array("intensity"),
        probeGuess=probe,
        objectGuess=scene(rows, columns),
    )
    return path


def predicted(scan):
    """Intensities by probe, truth (cubic interpolation) and positions, in NumPy."""
    grid = np.mgrid[: scan.N, : scan.N] - scan.N // 2
    truth = scan.truth.astype(complex)
    found = []
    for place in scan.positions_px:
        where = grid + place[:, None, None] - np.array(scan.truth_origin_px)[:, None, None]
        patch = map_coordinates(truth.real, where) + 1j * map_coordinates(truth.imag, where)
        found.append((np.abs(far_field(scan.probe * patch)) ** 2).sum(0))
    return np.array(found)


CASES = {  # size of the frames, options, share of the counts that may be amiss
    "as it is": ((64, 64), {}, 1e-4),  # single precision of the file's square roots
    "cropped": ((64, 64), {"frame_size": 44}, 1e-3),  # interpolation of the truth
    "padded": ((64, 64), {"frame_size": 80}, 1e-3),
    # The sum over a block is not quite its middle.
    "binned": ((64, 64), {"bin_frames": 2}, 0.04),
    "cropped and binned": ((128, 128), {"frame_size": 96, "bin_frames": 2}, 0.015),
}


@pytest.mark.parametrize("case", CASES)
def test_the_model_predicts_the_prepared_frames(tmp_path, case):
    image, options, most = CASES[case]
    scan = load(scan_file(tmp_path / "a.npz", image), **options)
    amplitude, valid = scan.read(np.arange(M))
    measured = amplitude.astype(np.float64) ** 2
    miss = np.abs(predicted(scan) - measured)[valid].sum() / measured[valid].sum()
    assert miss < most
    # Positions that are a pixel off are told.
    moved = load(tmp_path / "a.npz", **options)
    moved.positions_px = moved.positions_px + 1.0
    far = np.abs(predicted(moved) - measured)[valid].sum() / measured[valid].sum()
    assert far > 3 * miss


def test_frames_that_are_not_square_have_pixels_of_two_sizes(tmp_path):
    # Pixels along y and x differ in the file; the square crop makes them the same.
    scan = load(scan_file(tmp_path / "a.npz", (80, 64)), frame_size=64)
    np.testing.assert_allclose(scan.positions_px, PLACES * (64 / 80, 1.0))
    amplitude, valid = scan.read(np.arange(M))
    measured = amplitude.astype(np.float64) ** 2
    assert valid.all()
    assert np.abs(predicted(scan) - measured).sum() / measured.sum() < 1e-3


def test_a_flip_of_frames_is_a_flip_of_probe_and_patch(tmp_path):
    path = scan_file(tmp_path / "a.npz", (64, 64))
    plain, flipped = load(path), load(path, flip_frames="lr")
    turned = (-np.arange(64) + 64) % 64
    grid = np.mgrid[:64, :64] - 32
    measured = flipped.read(np.arange(M))[0].astype(np.float64) ** 2
    for place, frame in zip(PLACES, measured, strict=True):
        patch = scene(grid[0] + place[0], grid[1] + place[1])
        wave = (plain.probe[0] * patch)[:, turned]
        np.testing.assert_allclose(np.abs(far_field(wave)) ** 2, frame, atol=2e-3)
