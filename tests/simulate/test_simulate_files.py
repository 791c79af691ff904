"""Files that are there already, and what `pinn.load` makes of them."""

import numpy as np
import pytest

from pinn import cli
from pinn.errors import OutputError
from pinn.io.load import load
from pinn.simulate import SimulateConfig, check_reusable, made_by, recipe_hash, simulate_to_file

SMALL = dict(N=32, n_frames=12, photons_per_frame=1e4)


def test_only_the_same_recipe_may_be_there(tmp_path):
    config, path = SimulateConfig(**SMALL), tmp_path / "s.npz"
    assert not check_reusable(config, path)
    simulate_to_file(config, path)
    assert made_by(path) == recipe_hash(config)
    assert check_reusable(config, path)
    with pytest.raises(OutputError, match="another recipe"):
        check_reusable(config.replace(seed=1), path)
    for content in (b"", b"notes", b"PK\x03\x04"):
        path.write_bytes(content)
        assert made_by(path) is None
        with pytest.raises(OutputError, match="no simulated scan"):
            check_reusable(config, path)
    with pytest.raises(OutputError, match="no simulated scan"):
        check_reusable(config, tmp_path)
    for text in ("[]", "{}", '{"recipe_sha256": 3}', "no JSON"):
        np.savez(path, metadata=text)
        assert made_by(path) is None


def test_the_command_keeps_refuses_and_forces(tmp_path, capsys):
    out = tmp_path / "s.npz"
    arguments = ["simulate", str(out), "--N", "16", "--n-frames", "12"]
    assert cli.run(arguments) == 0
    assert f"wrote {out}" in capsys.readouterr().err
    stamp = out.stat().st_mtime_ns
    assert cli.run(arguments) == 0
    assert f"kept {out}" in capsys.readouterr().err
    assert out.stat().st_mtime_ns == stamp
    assert cli.run([*arguments, "--seed", "1"]) == 2
    assert "--force" in capsys.readouterr().err
    assert out.stat().st_mtime_ns == stamp
    assert cli.run([*arguments, "--seed", "1", "--force"]) == 0
    assert made_by(out) == recipe_hash(SimulateConfig(N=16, n_frames=12, seed=1))


@pytest.mark.parametrize("frames", ["counts", "amplitude"])
def test_lengths_and_saturation_are_read_back(tmp_path, frames):
    options = dict(N=32, n_frames=9, probe="zone_plate", photons_per_frame=1e5)
    config = SimulateConfig(**options, saturation=60.5, frames=frames)
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
