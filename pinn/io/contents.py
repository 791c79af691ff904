"""What a reader found in a scan file, before options and checks are applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pinn.data.frames import FrameSource
from pinn.data.made_with import MadeWith


@dataclass(eq=False)
class Contents:
    """Parts of a scan as they lie in a file: a reader converts names and axes, nothing else.

    Attributes:
        frames: `(M, H, W)`, not interpreted; H and W may be anything, for `load` crops and pads.
        frames_key: their name in the file, for messages.
        positions_px: `(M, 2)` [y, x] in object pixels of frames of this size, or None.
        positions_m: `(M, 2)` [y, x] in metres, or None; exactly one of the two is given. They are
            places of the probe in the frame of the object: a reader of sample stage positions
            turns their sign.
        positions_unit_m: metres per unit of the file's own numbers behind `positions_m`.
        positions_nominal_px: as commanded, if they differ.
        probe: complex `(H, W)`, `(P, H, W)` or `(V, P, H, W)`; any scale.
        probe_weights: `(M, V)`, weights of the V coherent variations (OPR) in each frame.
        bad_pixels: `(H, W)` or `(M, H, W)`, True = BAD, laid out as the frames are; the latter may
            be a source, so that it is never whole in memory.
        truth: `(H', W')` complex object; its pixel `[0, 0]` is at `truth_origin_px`.
        truth_origin_px: (y, x) in pixels of `positions_px`.
        label_patches: `(M, H, W)` complex array or source, object patch of each frame.
        made_with: what a simulation's frames were made with.
        scan_index: `(M,)` whole numbers.
        pixel_size_m: object pixel as the file states it, for frames of this size. Where H and W
            differ, pixels of `positions_px` and `truth` are `wavelength * distance / (n * p)` with
            n = H along y and W along x, and this is the one along x.
        energy_ev, distance_m, detector_pixel_m: of the measurement, where known.
        particle: `photon`, or `electron`, of which `energy_ev` is then the kinetic energy.
        beam_centre: (row, column) of the zero frequency in the stored frames; None: at
            `[H//2, W//2]`, or in the corner if `centre` says so.
        saturation: stored values from this one on do not count.
        photons_per_frame: mean photons per frame, where the frames carry no dose of their own.
        units, centre: what the file or its format says, or None.
        acquisition: further numbers by their ptychodus names (`exposure_time_s`, ...).
        steps: records of preparations that the file says were made (see `Scan.steps`).
        notes: sentences about what was read, assumed or left out.
        files: every file that was opened for these parts; `pinn.io.load` fills it in.
    """

    frames: FrameSource
    frames_key: str = ""
    positions_px: np.ndarray | None = None
    positions_m: np.ndarray | None = None
    positions_unit_m: float = 1.0
    positions_nominal_px: np.ndarray | None = None
    probe: np.ndarray | None = None
    probe_weights: np.ndarray | None = None
    bad_pixels: np.ndarray | FrameSource | None = None
    truth: np.ndarray | None = None
    truth_origin_px: tuple[float, float] = (0.0, 0.0)
    label_patches: np.ndarray | FrameSource | None = None
    made_with: MadeWith | None = None
    scan_index: np.ndarray | None = None
    pixel_size_m: float | None = None
    energy_ev: float | None = None
    distance_m: float | None = None
    detector_pixel_m: float | None = None
    particle: str = "photon"
    beam_centre: tuple[float, float] | None = None
    saturation: float | None = None
    photons_per_frame: float | None = None
    units: str | None = None
    centre: str | None = None
    acquisition: Mapping[str, float] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def close(self) -> None:
        """Close the sources."""
        for source in (self.frames, self.bad_pixels, self.label_patches):
            if source is not None and not isinstance(source, np.ndarray):
                source.close()
