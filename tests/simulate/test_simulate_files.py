"""Files that are there already."""

import numpy as np
import pytest

from pinn import cli
from pinn.errors import OutputError
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
