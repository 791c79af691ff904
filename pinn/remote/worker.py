"""The worker process, `python -m pinn.remote.worker PIPE FOLDER`: one backend, request by request.

When the caller ends, so does the process, whatever it is doing: files half written are removed, and
so is the folder of files on the way.
"""

from __future__ import annotations

import _thread
import faulthandler
import importlib
import logging
import logging.handlers
import multiprocessing.connection
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.reduction import ForkingPickler
from typing import Any

from pinn import backend as frameworks
from pinn.errors import ConfigError, PinnError
from pinn.progress import Progress, StopRequested
from pinn.remote.process import known_error


class Caller:
    """The process that asks. Its end is noticed at once, whatever is being done here."""

    def __init__(self, number: int) -> None:
        kind: Any = multiprocessing.connection.Connection
        if sys.platform == "win32":
            kind = multiprocessing.connection.PipeConnection
        self._pipe, self._lock = kind(number), threading.Lock()
        self._messages = queue.SimpleQueue[bytes]()
        self._busy = self._gone = False
        threading.Thread(target=self._listen, daemon=True).start()

    def receive(self, idle: bool = False) -> Any:
        """The next message.

        Args:
            idle: nothing is being done until it comes.

        Raises:
            EOFError: the caller has ended.
        """
        self._busy = not idle
        data = self._messages.get()
        self._busy = True
        if self._gone:
            raise EOFError
        return ForkingPickler.loads(data)

    def send(self, kind: str, value: Any) -> None:
        """Send a message, from any thread."""
        data = ForkingPickler.dumps((kind, value))
        with self._lock:
            self._pipe.send_bytes(data)

    def report(self, progress: Progress) -> None:
        """A progress callback: that of the caller, waited for.

        Raises:
            StopRequested: it raised it.
        """
        self.send("progress", progress)
        if self.receive():
            raise StopRequested

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._messages.put(self._pipe.recv_bytes())
        self._gone = True
        self._messages.put(b"")
        if self._busy:
            _interrupt()


def _interrupt() -> None:
    """Raise KeyboardInterrupt in the main thread, also where it waits for the system."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


class _Sender(logging.handlers.QueueHandler):
    """Sends log records as messages."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(queue.Queue())  # not used
        self._caller = caller

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # nobody is there to be told
            self._caller.send("log", record)


@contextmanager
def _sending(caller: Caller, levels: Mapping[str, int]) -> Iterator[None]:
    """While entered, the loggers send what the other process would hear."""
    handler = _Sender(caller)
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(max(level, 1))
        logger.propagate = False
    try:
        yield
    finally:
        for name in levels:
            logging.getLogger(name).removeHandler(handler)


def main(pipe: str, folder: str) -> None:
    """Serve until the caller ends or closes the pipe.

    Args:
        pipe: number of the end that this process has inherited.
        folder: of files on the way, which is removed in the end.
    """
    faulthandler.enable()
    caller = Caller(int(pipe))
    try:
        while True:
            try:
                request = caller.receive(idle=True)
            except (EOFError, OSError):
                raise
            except Exception as error:  # something that only the caller's program has
                caller.send("error", _not_passed(error))
            else:
                _serve(caller, request)
    except (EOFError, OSError, KeyboardInterrupt):
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end is on its way
        shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.flush()
    os._exit(0)  # frameworks may take long to end, and nothing is left to be done


def _not_passed(error: Exception) -> ConfigError:
    return ConfigError(
        f"an option cannot be passed to a worker process ({' '.join(str(error).split())}); give "
        "text, numbers, paths, arrays, or lists of them"
    )


def _serve(caller: Caller, request: dict[str, Any]) -> None:
    """Do some work and send what comes of it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # others may have changed it
    with _sending(caller, request["levels"]):
        try:
            os.chdir(request["cwd"])
            reports = {"progress": caller.report} if request["watched"] else {}
            caller.send("done", _function(request["function"])(**request["arguments"], **reports))
        except PinnError as error:
            caller.send("error", known_error(error))
        except Exception as error:
            words = " ".join(str(error).split()) or "no message"
            caller.send("failed", (f"{type(error).__name__}: {words}", traceback.format_exc()))


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"function {name!r} is not there in the worker process ({error}); "
            "name it as module:function, in a module that can be imported"
        ) from None
    return function


def begin(backend: str, device: str, imports: Sequence[str]) -> str:
    """Load the backend, then the modules to be imported first; the device in words."""
    frameworks.select(backend)
    line = frameworks.select_device(device)
    for name in imports:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"module {name!r} of imports cannot be imported in the worker process ({error}); "
                "it must be installed, or lie in a folder of sys.path"
            ) from None
    return line


if __name__ == "__main__":
    main(*sys.argv[1:])
