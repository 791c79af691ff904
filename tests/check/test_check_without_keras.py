"""What of a check needs no framework loads none, and without a backend it is done all the same."""

import json
import os
import subprocess
import sys

import pytest

from pinn.check import check
from pinn.simulate import SimulateConfig, simulate_to_file

NO_BACKEND = "import sys; sys.modules.update(dict.fromkeys(('jax', 'torch', 'tensorflow')))\n"
LOADED = "import sys; print(sorted({'keras', 'jax', 'torch', 'tensorflow', 'skimage'} & {*loaded}))"


BROKEN = {
    "a library that is missing": "raise ImportError('libcud.so.1: cannot open\\nand more')",
    "a part that is missing": "import no_such_part",
    "another fault": "raise RuntimeError('built for another machine')",
}


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


@pytest.mark.parametrize("fault", BROKEN)
def test_a_backend_that_is_broken_is_left_out_with_a_sentence(tmp_path, fault):
    scan, report = tmp_path / "scan.npz", tmp_path / "report.json"
    simulate_to_file(SimulateConfig(N=16, n_frames=40, seed=1), scan)
    (tmp_path / "broken" / "jax").mkdir(parents=True)
    (tmp_path / "broken" / "jax" / "__init__.py").write_text(BROKEN[fault])
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "broken")!r})
from pinn.cli import run
print(run(['check', {str(scan)!r}, '--json', {str(report)!r}]))
print(run(['train', {str(scan)!r}, '--output', {str(tmp_path / "run")!r}, '--no-check']))
import pinn
try:
    pinn.train
except pinn.errors.BackendError as error:
    print(error)
"""
    said = run(code, tmp_path).splitlines()
    assert said[-2] == "2" and said[-1].startswith("the backend jax (")
    broken = said[-1].partition(") ")[2]  # why it was chosen is another thing the second time
    assert broken.startswith("is installed, but cannot be loaded (") and "it again, or" in broken
    found = json.loads(report.read_text())
    assert found["orientation"] is None
    (remark,) = [f for f in found["findings"] if f["code"] == "orientation-untested"]
    assert remark["severity"] == "remark" and broken in remark["message"]


def test_physics_that_nobody_registered_is_left_out_with_a_sentence(tmp_path):
    scan = tmp_path / "scan.npz"
    simulate_to_file(SimulateConfig(N=16, n_frames=40, seed=1), scan)
    report = check(scan, propagation="nearby")
    assert report.orientation is None
    (remark,) = [f for f in report.findings if f.code == "orientation-untested"]
    assert "which needs its physics: propagation is 'nearby', but the kinds are" in remark.message
