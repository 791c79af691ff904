"""Progress on a terminal (a bar), elsewhere (plain lines) and under `--quiet` (nothing)."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO

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
        self._bar: Any = None
        self._stage, self._tenth = "", 0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
            from tqdm import tqdm

            self._bar = tqdm(
                total=progress.total,
                unit=" " + _UNITS.get(progress.stage, "step"),
                desc=progress.stage,
                file=self._stream,
                dynamic_ncols=True,
            )
        if progress.epoch is not None:
            self._bar.set_description(
                f"{progress.stage} {progress.epoch}/{progress.epochs}", refresh=False
            )
        if progress.loss is not None:
            self._bar.set_postfix_str(_losses(progress), refresh=False)
        self._bar.update(progress.done - self._bar.n)

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
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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
