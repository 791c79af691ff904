"""A scan larger than memory costs disk, not memory.

Two measures: anonymous pages of the process, looked at again and again, and what Python and NumPy
allocated, whose peak is exact.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from pinn.io.formats.npz_writer import scan_arrays, write_npz

M, N = 800, 256  # 210 MB of float32
LIMIT_MB = 100

SCRIPT = """
import re, sys, threading, tracemalloc
import numpy as np
from pinn.data.feed import Batches
from pinn.data.grouping import make_groups
from pinn.io.load import load

def anonymous_mb():
    with open("/proc/self/status", encoding="ascii") as status:
        return int(re.search(r"RssAnon:\\s+(\\d+) kB", status.read())[1]) / 1024

np.sqrt(np.ones(1000)).sum()
tracemalloc.start()
before, peak = anonymous_mb(), 0.0
scan = load(sys.argv[1])
def look():
    global peak
    peak = max(peak, anonymous_mb() - before)
done = threading.Event()
def watch():
    while not done.wait(0.002):
        look()
watcher = threading.Thread(target=watch)
watcher.start()
mean = scan.statistics().mean_counts
done.set()
watcher.join()
batches = Batches([scan], [make_groups(scan.positions_px, 2)], 16, 0)
for number in range(0, len(batches), 5):
    batches.batch(number)
    look()
allocated = tracemalloc.get_traced_memory()[1] / 2**20
print(f"{peak:.1f} {allocated:.1f} {mean:.6f}")
"""


@pytest.mark.parametrize("compress", [False, True], ids=["stored", "compressed"])
def test_a_large_file_is_read_in_little_memory(tmp_path, compress):
    path = tmp_path / "large.npz"
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 900, (M, 2))
    block = rng.poisson(0.002, (20, N, N)).astype(np.float32)  # sparse: quick to compress
    block[:, N // 2, N // 2] = 900
    arrays = scan_arrays(places)
    blocks = (block for _ in range(M // 20))
    write_npz(path, blocks, (M, N), np.float32, arrays, frames_units="counts", compress=compress)
    code = textwrap.dedent(SCRIPT)
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, allocated, mean = map(float, result.stdout.split())
    assert peak < LIMIT_MB
    assert allocated < LIMIT_MB
    assert mean == pytest.approx(block.astype(np.float64).sum((1, 2)).mean())
