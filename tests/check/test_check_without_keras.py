"""What of a check needs no framework loads none, and without a backend it is done all the same."""

import json
import os
import subprocess
import sys

from pinn.simulate import SimulateConfig, simulate_to_file

NO_BACKEND = "import sys; sys.modules.update(dict.fromkeys(('jax', 'torch', 'tensorflow')))\n"
LOADED = "import sys; print(sorted({'keras', 'jax', 'torch', 'tensorflow', 'skimage'} & {*loaded}))"


def run(code, folder):
    """What a fresh process prints that nobody told which backend to take."""
    env = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**env, "KERAS_HOME": str(folder)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_only_the_orientation_test_needs_a_backend(tmp_path):
    scan, report = tmp_path / "scan.npz", tmp_path / "report.json"
    simulate_to_file(SimulateConfig(N=16, n_frames=40, seed=1), scan)
    code = f"""
import sys
import pinn
from pinn.check import check, quick
from pinn.check.mend import write_fixed
scan = pinn.load({str(scan)!r})
assert quick(scan) is not None
report = check(scan, orientation=False)
target = scan.source.with_name("fixed.npz")
write_fixed(report, scan.source, pinn.ScanConfig(), target)
loaded = [m for m in sys.modules if sys.modules[m] is not None]
"""
    assert run(NO_BACKEND + code + LOADED, tmp_path).splitlines()[-1] == "[]"
    assert (tmp_path / "fixed.npz").exists()
    command = f"from pinn.cli import run; run(['check', {str(scan)!r}, '--json', {str(report)!r}])"
    assert "was not tested, which needs a backend" in " ".join(
        run(NO_BACKEND + command, tmp_path).split()
    )
    found = json.loads(report.read_text())
    assert found["orientation"] is None
    (remark,) = [f for f in found["findings"] if f["code"] == "orientation-untested"]
    assert remark["severity"] == "remark" and "no backend is installed" in remark["message"]
