"""A process that opens files it is told, so that a crash or a hang does not take the tests along.

Reads lines of JSON, `{"path": ..., "options": {...}}`, and answers each with a line of JSON.
"""

import faulthandler
import json
import resource
import sys
import traceback
import warnings

MEMORY = 3 << 30  # of addresses: a declared size is not believed, only used


def peak_bytes():
    """Largest resident size since the last call of `forget_peak`."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


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
    return "loaded", ""


def main():
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    for line in sys.stdin:
        question = json.loads(line)
        forget_peak()
        before = peak_bytes()
        verdict, text = judge(question["path"], question["options"])
        answer = {"verdict": verdict, "text": text, "memory": peak_bytes() - before}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
