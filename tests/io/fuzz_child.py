"""A process that opens files it is told, so that a crash or a hang does not take the tests along.

Reads lines of JSON, the arguments of `judge`, and answers each with a line of JSON. A file
that takes too long ends the process by a signal; `faulthandler` says where it was.
"""

import contextlib
import faulthandler
import gc
import json
import resource
import signal
import sys
import traceback
import tracemalloc
import warnings

ADDRESSES = 3 << 30  # bytes
SECONDS = 6.0  # of this process's own time, which other work on the machine does not use up


def prepare():
    """Import what the readers import when they need it: that takes seconds, and is no hanging."""
    import dask.array
    import hdf5plugin
    import rsciio.emd
    import rsciio.hspy
    import rsciio.quantumdetector
    import scipy.io

    import pinn.io.load

    return dask, hdf5plugin, rsciio, scipy, pinn


def look(scan):
    """Everything that is read of a scan is finite and of its shape."""
    import numpy as np

    M, N = len(scan), scan.N
    found = scan.statistics()
    assert found.mean_counts > 0 and 0 < found.exposure_factor < np.inf
    amplitude, valid = scan.read([0, M - 1])
    assert amplitude.shape == valid.shape == (2, N, N) and np.isfinite(amplitude).all()
    assert scan.positions_px.shape == (M, 2) and np.isfinite(scan.positions_px).all()
    if scan.probe is not None:
        assert np.isfinite(scan.probe_gauge()).all()
    if scan.label_patches is not None:
        assert scan.label_patches.read([0]).shape == (1, N, N)


def use(scan, path):
    """The cheap part of a check, and a copy in every format."""
    from pathlib import Path

    from pinn.check import check
    from pinn.errors import PinnError
    from pinn.io.convert import write_scan

    check(scan, orientation=False).to_dict()
    folder = Path(path).parent / "copies"
    for name in ("copy.npz", "copy.cxi", "copy.h5", "copy_dp.hdf5"):
        with contextlib.suppress(PinnError):
            write_scan(scan, folder / name)


def judge(path, options, deep=False):
    import pinn
    from pinn.errors import PinnError

    try:
        scan = pinn.load(path, **options)
        try:
            look(scan)
            if deep:
                use(scan, path)
        finally:
            scan.close()
    except PinnError as error:
        return "refused", str(error)
    except BaseException:
        return "raised", traceback.format_exc()
    return "loaded", "\n".join(scan.notes)


def main():
    unraisable = []
    sys.unraisablehook = lambda found: unraisable.append(repr(found.exc_value))
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)
    prepare()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    for line in sys.stdin:
        question = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        # What Python and NumPy take, whether they use it or not.
        tracemalloc.start(1)
        verdict, text = judge(**question)
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        gc.collect()
        gc.freeze()  # the next collection need not look at what has stayed
        if unraisable:
            verdict, text = "raised", unraisable.pop()
            unraisable.clear()
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps({"verdict": verdict, "text": text, "memory": memory}), flush=True)


if __name__ == "__main__":
    main()
