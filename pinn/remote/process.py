"""The process at the other end: started, asked, watched, and ended.

`ProcessPoolExecutor` imports the program that calls it, and a busy worker of loky outlives its
caller, so the process is our own: Python's pipe between two processes, and the end of either closes
it, which the other sees at once. Nothing here waits for a time.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError, OutputError, PinnError, WorkerError
from pinn.progress import Progress, StopRequested

Report = Callable[[Progress], None]
LOGGERS = ("pinn", "ptycho")
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
        self._pipe, theirs = Pipe()
        try:
            self._popen = self._start(theirs)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        finally:
            theirs.close()
        self._end = weakref.finalize(self, _end, self._popen, self._pipe, self.folder)
        try:
            start = {"backend": backend, "device": device, "imports": tuple(imports)}
            self.device: str = self.ask("pinn.remote.worker:begin", start)
        except BaseException:
            self.end()
            raise

    def _start(self, theirs: Any) -> subprocess.Popen[bytes]:
        if not sys.executable:
            raise WorkerError(
                "this Python does not know its own program (sys.executable is empty), so no "
                "worker process can be started; run pinn in a usual Python"
            )
        number = theirs.fileno()
        path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
        environment = {**os.environ, "KERAS_BACKEND": self.backend, "PYTHONPATH": path}
        # In a group of its own, so that a Ctrl-C meant for this process is not one for that: the
        # caller may turn it into a stop that saves, and else ends the worker.
        inherited: dict[str, Any] = {"pass_fds": [number], "process_group": 0}
        if sys.platform == "win32":
            os.set_handle_inheritable(number, True)
            inherited = {"close_fds": False, "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        command = [sys.executable, "-P", "-m", "pinn.remote.worker", str(number), str(self.folder)]
        with open(self._said, "wb") as said:
            try:
                return subprocess.Popen(  # noqa: S603 (this Python and a module of ours)
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    env=environment,
                    **inherited,
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

    def ask(
        self, function: str, arguments: Mapping[str, Any], progress: Report | None = None
    ) -> Any:
        """Have a function called there; its reports and log records arrive meanwhile.

        Anything but an answer that ends the waiting ends the process, too.

        Args:
            function: `module:function`.
            arguments: by name.
            progress: if given, the function gets a `progress` that calls it.

        Raises:
            PinnError: what the function raised.
            ConfigError: an argument that cannot be passed.
            WorkerError: the process ended, or failed unexpectedly.
        """
        request = _packed(
            {
                "function": function,
                "arguments": arguments,
                "watched": progress is not None,
                "cwd": str(Path.cwd()),
                "levels": {name: logging.getLogger(name).getEffectiveLevel() for name in LOGGERS},
            }
        )
        try:
            self._send(request)
            while True:
                kind, value = self._receive()
                if kind == "log":
                    _hear(value)
                elif kind == "progress":
                    self._send(ForkingPickler.dumps(_wants_stop(value, progress)))
                else:
                    break
        except BaseException:
            self.end()
            raise
        match kind:
            case "done":
                return value
            case "error":
                raise value
            case "failed":
                self.end()
                raise self._failed(*value)
        raise self._ended()

    def end(self) -> None:
        """End the process, whatever it does; a second Ctrl-C meanwhile kills it."""
        self._end()

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # it has ended, which is seen next
            self._pipe.send_bytes(message)

    def _receive(self) -> tuple[str, Any]:
        try:
            data = self._pipe.recv_bytes()
        except (EOFError, OSError):
            return "ended", None
        message: tuple[str, Any] = ForkingPickler.loads(data)
        return message

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

    def _failed(self, text: str, trace: str) -> WorkerError:
        return WorkerError(
            f"the worker process on {self.backend} failed unexpectedly: {text[:_TAIL]}; "
            f"the traceback is in {_kept(trace)}"
        )


def _packed(request: dict[str, Any]) -> Any:
    """A request as bytes, refused before the process is disturbed."""
    try:
        return ForkingPickler.dumps(request)
    except Exception as error:  # an object may refuse in any way
        raise ConfigError(
            f"an option cannot be passed to a worker process ({' '.join(str(error).split())}); "
            "give text, numbers, paths, arrays, or lists of them"
        ) from None


def _wants_stop(progress: Progress, report: Report | None) -> bool:
    try:
        if report is not None:
            report(progress)
    except StopRequested:
        return True
    return False


def _hear(record: logging.LogRecord) -> None:
    """Give a record of the other process to the logger of the same name here."""
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def known_error(error: PinnError) -> PinnError:
    """The same error, of the nearest class that every process of ours can import."""
    kind = next(cls for cls in type(error).__mro__ if cls.__module__ == PinnError.__module__)
    return kind(str(error))


def _kept(text: str) -> str:
    """A file with a text that somebody may want to read, or words to say that there is none."""
    try:
        handle, name = tempfile.mkstemp(prefix="pinn-worker-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError:
        return "no file, for none could be written"
    return name


def _end(popen: subprocess.Popen[bytes], pipe: Connection, folder: Path) -> None:
    pipe.close()  # this is what it takes for the end of its caller
    try:
        popen.wait()
    except BaseException:
        popen.kill()
        popen.wait()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
