"""What a long run leaves while it goes: the best so far, marked unfinished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pinn.errors import InputError, OutputError
from pinn.io.product import RESULT_NAME, Reconstruction
from pinn.plots.pictures import write_amplitude, write_phase
from pinn.progress import Deadline

SHARE = 0.05  # of the time that has passed may go into this
# What an earlier run said of its result; written anew when this one has ended.
_ABOUT = ("metrics.json", "trust.png", "probe.png", "comparison.png", "frc.png")


class Interim:
    """A `watch` that writes `reconstruction.h5`, `amplitude.png` and `phase.png` now and then.

    Each is replaced as a whole. It is not written again before all that went into it, with what
    the next one will take, is less than `SHARE` of the time that has passed.

    Args:
        folder: where to.
        soon: write the first one as soon as the run has gone on for `_BRIEF` seconds.
        more: further things to write.
        deadline: learns how long it takes to write the result.
        panels: that are drawn for the result only.
    """

    _BRIEF = 2.0  # a run that ends by then needs none
    _USUAL = 1.0  # seconds that the first one is expected to take

    def __init__(
        self,
        folder: Path,
        soon: bool,
        more: Callable[[Path, Reconstruction], None] | None = None,
        deadline: Deadline | None = None,
        panels: int = 0,
    ) -> None:
        self._folder, self._soon, self._more = folder, soon, more
        self._deadline, self._panels = deadline or Deadline(), panels
        self._began = self._asked = time.monotonic()
        self._spent, self._last, self.written = 0.0, self._USUAL, 0
        self._expect(self._USUAL, self._USUAL / 2)

    def due(self) -> bool:
        """Whether it is time for another one; what follows counts until it is written."""
        self._asked = time.monotonic()
        if self._deadline.left <= self._last:
            return False
        passed = self._asked - self._began
        if self._soon and not self.written:
            return passed >= self._BRIEF
        return self._spent + self._last <= SHARE * passed

    @contextmanager
    def told(self, say: Callable[[str], None]) -> Iterator[None]:
        """Say what there is, where the work inside is interrupted at once."""
        try:
            yield
        except KeyboardInterrupt:
            if self.written:
                say(f"{self._folder} holds the last picture before the end, marked unfinished")
            else:
                say("nothing was written yet")
            raise

    def __call__(self, recon: Reconstruction) -> None:
        """Write a result that is marked unfinished.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = self._folder
        if not self.written:
            for name in _ABOUT:
                with suppress(OSError):
                    (folder / name).unlink(missing_ok=True)
        recon.save(folder / RESULT_NAME)
        saved = drawn = time.monotonic()
        try:
            write_amplitude(folder / "amplitude.png", recon)
            write_phase(folder / "phase.png", recon, remove_phase_ramp=True)
            drawn = time.monotonic()
            if self._more is not None:
                self._more(folder, recon)
        except OutputError:
            raise
        except InputError:  # nothing to show yet
            pass
        self.written += 1
        self._last = time.monotonic() - self._asked
        self._spent += self._last
        self._expect(self._last, (drawn - saved) / 2)

    def time_for(self, panels: int) -> bool:
        """Whether there is time to draw so many panels before all has to end."""
        d = self._deadline
        return d.at is None or d.clock() + panels * self._panel <= d.at

    def _expect(self, alike: float, panel: float) -> None:
        """Writing the result takes as long as writing this, and so long for each further panel."""
        self._panel = panel
        self._deadline.writing = alike + self._panels * panel
