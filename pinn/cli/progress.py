"""Progress on a terminal (a bar), elsewhere (plain lines) and under `--quiet` (nothing)."""

from __future__ import annotations

import sys
from typing import Any, TextIO

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from pinn.progress import Progress

_UNITS = {
    "simulate": "frame",
    "train": "group",
    "reconstruct": "frame",
    "convert": "frame",
    "start": "group",
    "refine": "frame",
    "lbfgs": "frame",
    "lbfgs half 1": "frame",
    "lbfgs half 2": "frame",
}


class Reporter:
    """A progress callback for the Python functions; use as a context manager.

    Args:
        quiet: report nothing.
        stream: where to; standard error by default.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._terminal = not quiet and self._stream.isatty()
        self._bar: rich.progress.Progress | None = None
        self._stage, self._tenth = "", 0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def __call__(self, progress: Progress) -> None:
        """Show one report."""
        if self._quiet:
            return
        if progress.stage != self._stage:
            self._close()
            self._stage, self._tenth = progress.stage, 0
        if progress.message:
            self._line(progress.message)
        if self._terminal:
            self._draw(progress)
        else:
            self._write(progress)

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = _bar(self._stream)
            self._bar.add_task(progress.stage, total=progress.total, losses="", speed="")
            self._bar.start()
        changed: dict[str, Any] = {"completed": progress.done, "speed": _speed(progress)}
        if progress.epoch is not None:
            changed["description"] = f"{progress.stage} {progress.epoch}/{progress.epochs}"
        if progress.loss is not None:
            changed["losses"] = _losses(progress)
        self._bar.update(self._bar.task_ids[0], **changed)

    def _write(self, progress: Progress) -> None:
        if progress.epoch is not None:
            if progress.loss is not None:
                where = f"epoch {progress.epoch}/{progress.epochs}  {_losses(progress)}"
                self._line(f"{where}  {_speed(progress)}")
            return
        tenth = 10 * progress.done // max(progress.total, 1)
        if tenth > self._tenth:
            self._tenth = tenth
            share = f"{progress.done}/{progress.total}"
            self._line(f"{progress.stage} {10 * tenth:3d} %  {share}  {_speed(progress)}")

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _bar(stream: TextIO) -> rich.progress.Progress:
    return rich.progress.Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}  {task.fields[speed]}", markup=False),
        console=Console(file=stream),
        expand=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _losses(progress: Progress) -> str:
    text = f"loss {progress.loss:.5g}"
    return text if progress.val_loss is None else f"{text}  validation {progress.val_loss:.5g}"


def _speed(progress: Progress) -> str:
    if progress.rate <= 0:
        return ""
    seconds = round((progress.total - progress.done) / progress.rate)
    minutes, seconds = divmod(max(seconds, 0), 60)
    return (
        f"{progress.rate:.3g} {_UNITS.get(progress.stage, 'step')}s/s  {minutes}:{seconds:02d} left"
    )
