"""Commands on a full disk: one sentence and exit code 2, and the process ends by itself."""

import os
import shlex
import subprocess
import sys

import pytest

from pinn.simulate import SimulateConfig, simulate_to_file


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "scan.npz"
    simulate_to_file(SimulateConfig(N=32, object="lines", n_frames=60), path)
    return path


@pytest.mark.parametrize(
    "command",
    [
        "refine scan.npz --output {out}/r --epochs 1 --no-split-half",
        "convert scan.npz {out}/a.cxi",
        "convert scan.npz {out}/product.h5",
        "convert scan.npz {out}/a.npz",
        "simulate {out}/a.npz --n-frames 20 --object lines",
        "train scan.npz --output {out}/m --epochs 1 --n-groups 16 --n-filters-scale 1",
    ],
)
def test_no_room_is_one_sentence(scan, command, tmp_path):
    out = tmp_path / "out"
    line = [sys.executable, "-m", "pinn", "--quiet", *command.format(out=out).split()]
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 40; exec {shlex.join(line)}"],
        cwd=scan.parent,
        env={**os.environ, "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) == 1, done.stderr
    assert ": file too large" in done.stderr
    assert not list(out.rglob(".*"))
