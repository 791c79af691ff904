"""Damage to files, and a child process that opens them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py

HERE = Path(__file__).parent
NUMBERS = (
    *(b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\x00\x00", b"\xff\xff", b"\x00\x80"),
    *(b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x40"),
    *(b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\x00" * 8, b"\x00" * 6 + b"\x01\x00"),
)
KINDS = ("flip", "number", "cut", "insert", "move", "copy", "fill")


def hot_ranges(path):
    """Parts of a file that hold its structure: all but the numbers of large datasets."""
    size = Path(path).stat().st_size
    cold = []
    if not h5py.is_hdf5(path):
        return [(0, size)]

    def note(name, item):
        if not isinstance(item, h5py.Dataset) or item.nbytes <= 64:
            return
        if item.chunks:
            for k in range(item.id.get_num_chunks()):
                chunk = item.id.get_chunk_info(k)
                cold.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
        elif item.id.get_offset() is not None:
            base = h5.id.get_create_plist().get_userblock()
            cold.append((base + item.id.get_offset(), base + item.id.get_offset() + item.nbytes))

    with h5py.File(path) as h5:
        h5.visititems(note)
    hot, start = [], 0
    for low, high in sorted(cold):
        if low > start:
            hot.append((start, low))
        start = max(start, high)
    return [*hot, (start, size)] if start < size else hot


def place_in(ranges, number):
    """A place in one of the ranges for any number."""
    number %= max(1, sum(high - low for low, high in ranges))
    for low, high in ranges:
        if number < high - low:
            return low + number
        number -= high - low
    return 0


def damage(data, edits, ranges):
    """Bytes with edits `(kind, place, size, value)`, all whole numbers but the first."""
    data = bytearray(data)
    for kind, where, size, value in edits:
        at = min(place_in(ranges, where), max(0, len(data) - 1))
        if not data:
            break
        if kind == "flip":
            data[at] ^= 1 << value % 8
        elif kind == "number":
            number = NUMBERS[value % len(NUMBERS)]
            data[at : at + len(number)] = number
        elif kind == "cut":
            del data[at : at + size if value % 2 else len(data)]
        elif kind == "insert":
            data[at:at] = bytes([value % 256]) * size
        elif kind in ("move", "copy"):
            source = value % len(data)
            piece = data[source : source + size]
            if kind == "move":
                del data[source : source + size]
                data[at:at] = piece
            else:
                data[at : at + len(piece)] = piece
        else:
            data[at : at + size] = bytes([value % 256]) * len(data[at : at + size])
    return bytes(data)


def innermost(text):
    """File of the innermost call of what `faulthandler` wrote, but for Python's own; or nothing."""
    lines = [line.strip() for line in text.splitlines()]
    calls = [line.split('"')[1] for line in lines if line.startswith('File "')]
    return next((file for file in calls if not file.startswith("<frozen")), "")


class Child:
    """Opens files in a process of its own, which is started again when it has ended."""

    def __init__(self):
        self._process = self._errors = None

    def ask(self, path, options, deep=False):
        """`(verdict, text, bytes of memory)`: loaded, refused, raised, crashed or hung.

        With `deep` a scan that is read is also examined, and copied to every format.
        """
        if self._process is None:
            self._start()
        try:
            question = {"path": str(path), "options": options, "deep": deep}
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            answer = json.loads(line)
            return answer["verdict"], answer["text"], answer["memory"]
        code = self._process.wait()
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace")
        self.close()
        verdict = "hung" if code == -signal.SIGPROF else "crashed"
        return verdict, f"exit code {code}\n{told}", 0

    def _start(self):
        self._errors = tempfile.TemporaryFile()
        paths = os.pathsep.join(path for path in sys.path if path)  # the same pinn as here
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "fuzz_child.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def close(self):
        if self._process is not None:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.kill()
            self._process.wait()
            self._errors.close()
            self._process = None
