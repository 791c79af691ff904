"""A process that opens files it is told, so that a crash or a hang does not take the tests along.

Reads lines of JSON, `{"path": ..., "options": {...}}`, and answers each with a line of JSON. A file
that takes too long ends the process by a signal; `faulthandler` says where it was.
"""

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


def judge(path, options):
    import pinn
    from pinn.errors import PinnError

    try:
        scan = pinn.load(path, **options)
        try:
            scan.statistics()
            if scan.label_patches is not None:
                scan.label_patches.read([0])
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
        verdict, text = judge(question["path"], question["options"])
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
