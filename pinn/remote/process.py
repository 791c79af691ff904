"""The process at the other end: started, spoken with, watched, and ended.

Nothing here waits for a time: the end of a process closes its pipes, and that is what is seen.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinn.errors import OutputError, WorkerError
from pinn.progress import Progress, StopRequested
from pinn.remote import wire

Report = Callable[[Progress], None]
_TAIL = 300  # characters of the last line it wrote


class Process:
    """A running worker.

    Args:
        backend: installed.
        device: as of `pinn.backend.select_device`.
        imports: modules to import there first.

    Attributes:
        folder: of files on the way; goes with the process.
        device: the device it found, in words.

    Raises:
        BackendError: no such device.
        ConfigError: a module that cannot be imported.
        WorkerError: it did not start.
    """

    def __init__(self, backend: str, device: str, imports: Sequence[str]) -> None:
        self.backend = backend
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="pinn-remote-"))
        except OSError as error:
            raise OutputError(
                f"no folder for a worker process can be made in {tempfile.gettempdir()}: "
                f"{(error.strerror or type(error).__name__).lower()}; set TMPDIR to another disk"
            ) from error
        self._said = self.folder / "stderr.txt"
        try:
            self._popen = self._start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._end = weakref.finalize(self, _end, self._popen, self.folder)
        self.device = ""
        try:
            start = {"backend": backend, "device": device, "imports": list(imports)}
            self.device = self.exchange({**start, "folder": str(self.folder)})["device"]
        except BaseException:
            self.end()
            raise

    def _start(self) -> subprocess.Popen[bytes]:
        if not sys.executable:
            raise WorkerError(
                "this Python does not know its own program (sys.executable is empty), so no "
                "worker process can be started; run pinn in a usual Python"
            )
        path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        environment = {**os.environ, "KERAS_BACKEND": self.backend, "PYTHONPATH": path}
        # In a group of its own, so that a Ctrl-C meant for this process is not one for that: the
        # caller may turn it into a stop that saves, and else ends the worker.
        own: dict[str, Any] = {"process_group": 0}
        if sys.platform == "win32":
            own = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with open(self._said, "wb") as said:
            try:
                return subprocess.Popen(
                    [sys.executable, "-P", "-m", "pinn.remote.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    env=environment,
                    **own,
                )
            except OSError as error:
                raise WorkerError(
                    f"no worker process for {self.backend} could be started: "
                    f"{error.strerror or error}"
                ) from error

    @property
    def alive(self) -> bool:
        """Whether it can be asked for more."""
        return self._end.alive and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._popen.pid

    def exchange(self, request: dict[str, Any], report: Report | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer; reports and log records come in between.

        What stops the waiting in any way but by an answer ends the process, too.

        Raises:
            PinnError: what the worker raised.
            WorkerError: it ended, or failed unexpectedly.
        """
        try:
            self._send({**request, "levels": wire.levels(), "watched": report is not None})
            while (message := self._receive()) is not None:
                if "log" in message:
                    wire.hear(message["log"])
                elif "progress" in message:
                    self._send(_answer(message["progress"], report))
                elif "error" in message:
                    break
                else:
                    found: dict[str, Any] = message["done"]
                    return found
        except BaseException:
            self.end()
            raise
        if message is None:
            raise self._ended()
        if "trace" in message["error"]:
            self.end()
            raise self._failed(message["error"])
        raise wire.to_error(message["error"])

    def end(self) -> None:
        """End the process, whatever it does; a second Ctrl-C meanwhile kills it."""
        self._end()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._popen.stdin is not None
        line = wire.line_of(message)
        with suppress(BrokenPipeError):  # then there is no answer, which is seen next
            self._popen.stdin.write(line)
            self._popen.stdin.flush()

    def _receive(self) -> dict[str, Any] | None:
        assert self._popen.stdout is not None
        return wire.message_of(self._popen.stdout.readline())

    def _ended(self) -> WorkerError:
        code = self._popen.wait()
        how = f"ended by itself with exit code {code}"
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
            if -code == getattr(signal, "SIGKILL", None):
                how += ", as the system does when memory runs out"
        said = ""
        with suppress(OSError):
            said = self._said.read_text(encoding="utf-8", errors="replace").strip()
        self.end()
        last = said.splitlines()[-1][:_TAIL] if said else ""
        where = f"; its last words were {last!r}, all of them are in {_kept(said)}" if said else ""
        return WorkerError(f"the worker process on {self.backend} {how}{where}; run it again")

    def _failed(self, error: dict[str, Any]) -> WorkerError:
        return WorkerError(
            f"the worker process on {self.backend} failed unexpectedly: {error['text'][:_TAIL]}; "
            f"the traceback is in {_kept(error['trace'])}"
        )


def _answer(fields: dict[str, Any], report: Report | None) -> dict[str, Any]:
    try:
        if report is not None:
            report(Progress(**fields))
    except StopRequested:
        return {"stop": True}
    return {"stop": False}


def _kept(text: str) -> str:
    """A file with a text that somebody may want to read, or words to say that there is none."""
    try:
        handle, name = tempfile.mkstemp(prefix="pinn-worker-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError:
        return "no file, for none could be written"
    return name


def _end(popen: subprocess.Popen[bytes], folder: Path) -> None:
    for pipe in (popen.stdin, popen.stdout):  # this is what it takes for the end of its caller
        assert pipe is not None
        with suppress(OSError):
            pipe.close()
    try:
        popen.wait()
    except BaseException:
        popen.kill()
        popen.wait()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
