"""The worker process, `python -m pinn.remote.worker`: one backend, one request after the other.

Requests come as lines on standard input, answers go as lines to what was standard output; whatever
else is printed goes to standard error. When standard input ends, so does the process, whatever it
is doing: files half written are removed, and so is the folder of files on the way.
"""

from __future__ import annotations

import _thread
import faulthandler
import importlib
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any

from pinn.errors import ConfigError, PinnError
from pinn.progress import Progress, StopRequested
from pinn.remote import wire


class Inbox:
    """Lines of the caller; tells the end of them at once, whatever the process is doing."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._lines = stream, queue.SimpleQueue[bytes]()
        self._busy, self._ended = False, False
        threading.Thread(target=self._listen, daemon=True).start()

    def get(self, between: bool = False) -> dict[str, Any] | None:
        """The next message; None at the end of them.

        Args:
            between: nothing is being done until it comes.
        """
        self._busy = not between
        line = self._lines.get()
        self._busy = True
        return None if self._ended else wire.message_of(line)

    def check(self) -> None:
        """End the work if nobody waits for it."""
        if self._ended:
            raise KeyboardInterrupt

    def _listen(self) -> None:
        while line := self._stream.readline():
            self._lines.put(line)
        self._ended = True
        self._lines.put(b"")
        if self._busy:
            _interrupt()


def _interrupt() -> None:
    """Raise KeyboardInterrupt in the main thread, also where it waits for the system."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


class Outbox:
    """Messages to the caller, from any thread, each whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def write(self, line: bytes) -> int:
        """Send a line."""
        with self._lock:
            self._stream.write(line)
            self._stream.flush()
        return len(line)


def main() -> None:
    """Serve until the caller ends or closes the pipe."""
    faulthandler.enable()
    inbox, outbox = _take_pipes()
    folder = ""
    try:
        start = inbox.get(between=True)
        if start is not None:
            folder = start["folder"]
            if _serve(start, inbox, outbox, lambda: _begin(start)):
                while (request := inbox.get(between=True)) is not None:
                    _serve(request, inbox, outbox, lambda: _do(request, inbox, outbox))
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.flush()
    os._exit(0)  # frameworks may take long to end, and nothing is left to be done


def _take_pipes() -> tuple[Inbox, Any]:
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Inbox(requests), Outbox(answers)


def _serve(request: dict[str, Any], inbox: Inbox, outbox: Any, work: Any) -> bool:
    """Do some work and send what comes of it; False if that is an error."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # others may have changed it
    with wire.sending(outbox, request["levels"]):
        try:
            answer = {"done": work()}
        except PinnError as error:
            answer = {"error": wire.from_error(error)}
        except Exception as error:
            words = " ".join(str(error).split()) or "no message"
            text = f"{type(error).__name__}: {words}"
            answer = {"error": {"text": text, "trace": traceback.format_exc()}}
    inbox.check()
    outbox.write(wire.line_of(answer))
    return "done" in answer


def _begin(start: dict[str, Any]) -> dict[str, Any]:
    from pinn import backend

    backend.select(start["backend"])
    device = backend.select_device(start["device"])
    _import(start["imports"])
    return {"device": device}


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"module {name!r} of imports cannot be imported in the worker process ({error}); "
                "it must be installed, or lie in a folder of sys.path"
            ) from None


def _do(request: dict[str, Any], inbox: Inbox, outbox: Any) -> dict[str, Any]:
    from pinn.remote import tasks

    def report(progress: Progress) -> None:
        inbox.check()
        outbox.write(wire.line_of({"progress": asdict(progress)}))
        answer = inbox.get()
        if answer is None:
            raise KeyboardInterrupt
        if answer["stop"]:
            raise StopRequested

    os.chdir(request["cwd"])
    return tasks.run(request["task"], request["arguments"], report if request["watched"] else None)


if __name__ == "__main__":
    main()
