"""What a simulated file says is what `pinn.load` makes of it."""

import numpy as np
import pytest

from pinn.io.load import load
from pinn.simulate import SimulateConfig, simulate_to_file


@pytest.mark.parametrize("frames", ["counts", "amplitude"])
def test_lengths_and_saturation_are_read_back(tmp_path, frames):
    config = SimulateConfig(
        N=32,
        n_frames=9,
        probe="zone_plate",
        saturation=60.5,
        photons_per_frame=1e5,
        frames=frames,
    )
    made = simulate_to_file(config, tmp_path / "s.npz")
    scan = load(tmp_path / "s.npz")
    amplitude, valid = scan.read(np.arange(9))
    stored = made.frames()
    np.testing.assert_array_equal(valid, stored < stored.max())  # saturated pixels do not count
    assert 0.05 < np.mean(~valid) < 0.5
    expected = stored if frames == "amplitude" else np.sqrt(stored)
    np.testing.assert_allclose(amplitude[valid], expected[valid], rtol=1e-6)
    assert scan.units == frames
    assert scan.pixel_size_m == pytest.approx(25e-9)
    np.testing.assert_array_equal(scan.positions_px, made.positions_px)
    np.testing.assert_array_equal(scan.truth, made.truth)
    np.testing.assert_array_equal(scan.probe, made.probe)
    scan.close()
