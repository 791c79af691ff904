"""What a reader found in a scan file, and what the steps of loading make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np

from pinn.data.frames import FrameSource
from pinn.data.measurement import Kind, Measurement


@dataclass(eq=False, repr=False)
class Contents(Measurement):
    """A measurement as it lies in a file: a reader converts names and axes, nothing else.

    What differs from `Measurement`: H and W of the frames may be anything, for loading crops and
    pads; positions, probe and truth are those of frames of this size. Where H and W differ, object
    pixels are `wavelength * distance / (n * p)` with n = H along y and W along x, and
    `pixel_size_m` is the one along x. Nothing is checked.

    Attributes:
        frames_key: name of the frames in the file, for messages.
        positions_key: names and shape of the positions, for messages.
        positions_m: `(M, 2)` [y, x] in metres, or None; a reader gives these or `positions_px`.
            Both are places of the probe in the frame of the object: a reader of sample stage
            positions turns their sign.
        positions_unit_m: metres per unit of the file's own numbers behind `positions_m`.
        bad_pixels: `(H, W)` or `(M, H, W)`, True = BAD, laid out as the frames are; the latter may
            be a source, so that it is never whole in memory.
        beam_centre: (row, column) of the zero frequency in the stored frames; None: at
            `[H//2, W//2]`, or in the corner if `centre` says so.
        units, centre: what the file or its format says, or None.
        photons_per_frame: mean photons per frame, where the frames carry no dose of their own.
        scale: object pixels of the frames as they are now per object pixel of positions and truth
            (y, x), until those follow.
    """

    frames: FrameSource
    positions_px: np.ndarray | None = None
    _: KW_ONLY
    truth_origin_px: tuple[float, float] = (0.0, 0.0)
    units: str | None = None
    centre: str | None = None
    acquisition: Mapping[str, float] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    frames_key: str = ""
    positions_key: str = ""
    positions_m: Annotated[np.ndarray | None, Kind(axes=2)] = None
    positions_unit_m: float = 1.0
    bad_pixels: Annotated[np.ndarray | FrameSource | None, Kind(axes=3)] = None
    beam_centre: tuple[float, float] | None = None
    scale: tuple[float, float] = (1.0, 1.0)

    @property
    def image(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return int(self.frames.shape[1]), int(self.frames.shape[2])

    def changed(
        self, *notes: str | None, record: dict[str, Any] | None = None, **attributes: Any
    ) -> Self:
        """The same with other attributes.

        Args:
            notes: sentences to add; None says nothing.
            record: of the step that was taken (see `Measurement.steps`).
            attributes: new values by name.
        """
        return replace(
            self,
            notes=[*self.notes, *(note for note in notes if note)],
            steps=self.steps if record is None else [*self.steps, record],
            **attributes,
        )
