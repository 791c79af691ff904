"""From stored frames to prepared ones: which frames, which values, what is done to them.

`FrameStages` takes what a reader found through the options that concern frames and masks, in the
order in which its methods stand. Each leaves a record (see `Scan.steps`) and, where something was
decided, a sentence. Positions, probe and the rest follow in `pinn.io.placement`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data import subset
from pinn.data import validation as check
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.data.interpret import Sample, choose_centre, choose_units
from pinn.data.prepare import (
    Bin,
    Centre,
    Crop,
    Flip,
    PreparedFrames,
    Shape,
    Step,
    as_source,
    prepared_mask,
)
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.extras import read_mask
from pinn.io.formats.registry import Format
from pinn.io.optics import resolve_optics

_PIECE_BYTES = 16 << 20
_MOST_MISSED = 1 / 3  # of the pixels of a frame, by a beam centre far from its middle
_MANY_NEGATIVE = 0.02
_OFF_PIXEL = 0.25  # a beam centre further than this from the middle of a pixel is told


class FrameStages:
    """Frames and masks on their way; the methods are called in the order in which they stand.

    Args:
        path: the file.
        found: what its reader found.
        config: how it is to be read.
        known: its format.

    Attributes:
        frames, mask: as far as they are prepared.
        rows: numbers of the file's frames that are kept, or None for all.
        steps: what is done to each frame.
        scale: prepared object pixels per object pixel of the file (y, x).
        side, final: of a frame after cropping, and after binning.
        units, centre, saturation: for `Scan`, as far as they are settled.
        records, notes: for `Scan`.
        stored_mask, stored_saturation: of all the file's frames, as they are stored.

    Raises:
        ScanError: frames that are no stack of real numbers.
    """

    def __init__(self, path: Path, found: Contents, config: ScanConfig, known: Format) -> None:
        self.path, self.found, self.config, self.known = path, found, config, known
        self.where = str(path)
        check.check_stack(found.frames, self.where)
        self.M = int(found.frames.shape[0])
        self.image: Shape = (int(found.frames.shape[1]), int(found.frames.shape[2]))
        self.optics = resolve_optics(found, config, path)
        self.records: list[dict[str, Any]] = list(found.steps)
        self.notes: list[str] = [*found.notes, *self.optics.notes]
        self.frames: FrameSource = found.frames
        self.mask: np.ndarray | FrameSource | None = None
        self.rows: np.ndarray | None = None
        self.steps: list[Step] = []
        self.scale = (1.0, 1.0)
        self.units: str = config.frames
        self.centre: str = config.centre
        self.saturation = config.saturation
        if self.saturation is None:
            self.saturation = check.check_positive(found.saturation, "saturation", self.where)
        self._moves = False
        self._assumed_whole = False
        self._stopped = False

    def leave_out(self) -> None:
        """Frames by number, and all but one of several scans.

        Raises:
            ScanError: no such frames, or none left.
        """
        keep = np.ones(self.M, bool)
        config = self.config
        if config.drop_frames is not None:
            dropped = subset.parse_frames(config.drop_frames, self.M, self.where)
            keep[dropped] = False
            self.record(step="drop_frames", frames=subset.frames_text(dropped))
        if config.scan_number is not None and self.found.scan_index is not None:
            index = check.check_index(self.found.scan_index, self.M, self.where)
            assert index is not None
            chosen = subset.one_scan(index, config.scan_number, self.where)
            keep &= np.isin(np.arange(self.M), chosen)
            self.record(step="scan_number", number=config.scan_number)
        elif config.scan_number is not None and "scan_number" not in self.known.options:
            raise ScanError(
                f"scan_number is {config.scan_number}, but {self.path} does not say which of "
                "several scans a frame belongs to ('scan_index'); leave the option out"
            )
        if not keep.any():
            raise ScanError(f"all {self.M} frames of {self.path} are left out; drop fewer")
        if not keep.all():
            self.rows = np.flatnonzero(keep)
            self.frames = DerivedFrames(self.frames, rows=self.rows)

    def mask_stored(self) -> None:
        """The file's mask and the option's, laid out as the stored frames are.

        Raises:
            ScanError: another shape or type, or no pixel left.
        """
        bad, image, config = self.found.bad_pixels, self.image, self.config
        static = np.ones(image, bool)
        each: FrameSource | None = None
        if bad is not None:
            self._check_bad(bad, (image, (self.M, *image)), f"'bad_pixels' in {self.path}")
            if isinstance(bad, np.ndarray) and bad.ndim == 2:
                static &= bad == 0
            else:
                each = as_source(bad)
        if config.bad_pixels is not None:
            extra = read_mask(config.bad_pixels, config.bad_pixels_polarity)
            self._check_bad(extra, (image,), str(config.bad_pixels))
            static &= ~extra
            count = int(np.count_nonzero(extra))
            self.record(step="bad_pixels", file=config.bad_pixels.name, pixels=count)
        if config.saturation is not None:
            self.record(step="saturation", value=config.saturation)
        self._set_mask(static, each)
        # What the stored numbers add up to does not depend on which of them are used.
        self.stored_mask: np.ndarray | FrameSource | None = self.mask
        if each is not None and self.rows is not None:
            self.stored_mask = DerivedFrames(
                each, lambda bad, rows: (bad == 0) & static, dtype=bool
            )
        self.stored_saturation = self.saturation

    def interpret(self) -> None:
        """Units and centre: what the option, else the file says; found out if a step needs them.

        Raises:
            ScanError: option and file contradict each other, or the frames do not tell.
        """
        found, config, (H, W) = self.found, self.config, self.image
        self.units = self._agree("frames", config.frames, found.units)
        self.centre = self._agree("centre", config.centre, found.centre)
        beam = found.beam_centre if config.centre == "auto" else None
        if config.beam_pixel is not None:
            beam = config.beam_pixel
        if beam is not None and self.centre == "corner":
            raise ScanError(
                f"{self.path} says both that its frames are corner and that the beam hits pixel "
                f"{list(beam)}; leave out beam_centre, or say --centre centred"
            )
        self._zero = (H // 2, W // 2) if beam is None else self._beam_pixel(beam)
        self.side = self._side(*self._zero)
        if beam is not None:
            self._check_beam()
        self.final = self.side // config.bin_frames
        off = self._zero != (H // 2, W // 2)
        bins, flips = config.bin_frames > 1, config.flip_frames != "none"
        sized = H != W or config.frame_size not in (None, H)
        self._moves = off or bins or flips or sized or config.beamstop is not None
        if beam is not None and self.centre == "auto":
            self.centre = "centred"
        if not self._moves:
            return
        sample = Sample(self.frames, self.mask, self.saturation)
        units, note = choose_units(self.units, self.frames, sample, self.mask, self.where)
        if bins:  # sums are made of values whose meaning is settled
            self._assumed_whole = self.units == "auto" and self.frames.dtype.kind == "f"
            self.units = units
            self.notes += [note] if note else []
            self._tell_negative(sample)
        self.centre, note = choose_centre(self.centre, units, sample, self.where)
        self.notes += [note] if note else []

    def lay_out(self) -> None:
        """Centre, crop, flip and bin, of frames and masks; and the beamstop.

        Raises:
            ScanError: a size or place that is not possible, or no pixel left.
        """
        config, (H, W), b = self.config, self.image, self.config.bin_frames
        row, column = self._zero
        if config.beamstop is not None:
            self._stop_beam(config.beamstop, row, column)
        if self._moves and self.centre == "corner":
            self._add(Centre())
        crop = Crop(row, column, self.side)
        if crop != Crop(H // 2, W // 2, H) or H != W:
            self._add(crop)
            self.scale = (self.side / H, self.side / W)
            if crop.pads(self.image):
                self.notes.append("pixels beyond the stored frames are masked, not taken for dark")
        if config.flip_frames != "none":
            self._add(Flip(config.flip_frames))
        if b > 1:
            whole = self._assumed_whole and self.units == "counts"
            self._add(Bin(b, self.units, self.saturation, whole, self.where))
            self.saturation = None
        if self.steps:
            self.centre = "centred"
            self.frames = PreparedFrames(self.frames, self.steps)
            self.mask = prepared_mask(self.mask, self.steps, self.image)
            if isinstance(self.mask, np.ndarray) and not self.mask.any():
                self._all_bad()

    def record(self, **record: Any) -> None:
        """Keep what was done."""
        self.records.append(record)

    def _add(self, step: Step) -> None:
        image = self.image
        for before in self.steps:
            image = before.shape(image)
        self.steps.append(step)
        self.records.append(step.record(image))

    def _side(self, row: int, column: int) -> int:
        """Side of the frames before they are added up."""
        config, (H, W), b = self.config, self.image, self.config.bin_frames
        side = config.frame_size or (H if H == W else None)
        low, high = check.SMALLEST, check.LARGEST
        if side is not None and side % (2 * b) == 0 and low <= side // b <= high:
            return side
        advice = check.frame_size_advice(H, W, (row, column), b)
        if config.frame_size is not None:
            raise ScanError(
                f"frame_size {config.frame_size} and bin_frames {b} make frames of "
                f"{config.frame_size / b:g} pixels of {self.path}, but an even side from {low} to "
                f"{high} is required: {advice}"
            )
        key = f"{self.found.frames_key!r} " if self.found.frames_key else ""
        after = "" if b == 1 else f", after adding up {b} x {b} pixels,"
        raise ScanError(
            f"frames {key}of {self.path} are {H} x {W} pixels, but{after} must be square with an "
            f"even side from {low} to {high}; crop or pad them: {advice}"
        )

    def _beam_pixel(self, beam: tuple[float, float]) -> Shape:
        row, column = _pixel(beam)
        H, W = self.image
        if not (0 <= row < H and 0 <= column < W):
            raise ScanError(
                f"the beam hits pixel [{beam[0]:g}, {beam[1]:g}] of {self.path}, but its frames "
                f"are {H} x {W}; say where with --beam-row and --beam-column"
            )
        if max(abs(beam[0] - row), abs(beam[1] - column)) > _OFF_PIXEL:
            self.notes.append(
                f"the beam hits [{beam[0]:g}, {beam[1]:g}], between pixels: [{row}, {column}] is "
                "taken for the zero frequency, which leaves a phase ramp"
            )
        return row, column

    def _check_beam(self) -> None:
        """Refuse a beam centre that leaves much of the frames out of the square around it."""
        (H, W), side = self.image, self.side
        cut = Crop(*self._zero, side)
        kept = int(cut.mask(np.ones(self.image, bool)).sum())
        if kept < (1 - _MOST_MISSED) * min(H, side) * min(W, side):
            near = min(*self._zero, H - self._zero[0], W - self._zero[1])
            smaller = f", or say --frame-size {2 * near}" if 2 * near >= check.SMALLEST else ""
            raise ScanError(
                f"of {side} x {side} pixels around the beam at pixel {list(self._zero)} of "
                f"{self.path}, {1 - kept / side**2:.0%} lie outside its frames of {H} x {W}; if "
                "the zero frequency is in the corner of the frames say --centre corner instead, "
                f"else correct --beam-centre{smaller}"
            )

    def _tell_negative(self, sample: Sample) -> None:
        """Intensities with the background subtracted lose every sum with a value below zero."""
        if self.units != "intensity" or sample.raw.dtype.kind not in "if":
            return
        negative = sample.raw[(sample.raw < 0) & sample.allowed]
        share = negative.size / sample.raw.size
        # One value repeated marks bad pixels.
        if share > _MANY_NEGATIVE and negative.min() != negative.max():
            self.notes.append(
                f"{share:.0%} of the frame values are negative, which is no measurement, and a sum "
                "with such a value is not used; subtract less background, or do not add up pixels"
            )

    def _stop_beam(self, radius: float, row: int, column: int) -> None:
        self._stopped = True
        y, x = np.ogrid[: self.image[0], : self.image[1]]
        shadow = np.hypot(y - row, x - column) <= radius
        if self.centre == "corner":
            shadow = np.fft.ifftshift(shadow)
        self.record(step="beamstop", radius_px=radius, pixels=int(np.count_nonzero(shadow)))
        if self.mask is None or isinstance(self.mask, np.ndarray):
            self._set_mask(~shadow if self.mask is None else self.mask & ~shadow, None)
        elif shadow.all():
            self._all_bad()
        else:
            self.mask = DerivedFrames(self.mask, lambda valid, rows: valid & ~shadow)

    def _set_mask(self, static: np.ndarray, each: FrameSource | None) -> None:
        if not static.any():
            self._all_bad()
        if each is None:
            self.mask = None if static.all() else static
            return

        def valid(bad: np.ndarray, rows: np.ndarray) -> np.ndarray:
            good: np.ndarray = (bad == 0) & static
            return good

        self.mask = DerivedFrames(each, valid, dtype=bool, rows=self.rows)
        size = max(1, _PIECE_BYTES // static.size)
        if not any(block.any() for _, block in self.mask.chunks(size)):
            self._all_bad()

    def _all_bad(self) -> None:
        config = self.config
        if self._stopped:
            raise ScanError(
                f"the beamstop of radius {config.beamstop:g} px covers all pixels of {self.path} "
                "that are not bad; say a smaller --beamstop"
            )
        advice = "write the file's own mask again"
        if config.bad_pixels is not None or config.mask_path is not None:
            advice = f"--bad-pixels-polarity {_other(config.bad_pixels_polarity)}"
        raise ScanError(
            f"the bad pixels of {self.path} cover all frames; True means BAD, so invert the mask "
            f"if it marks the good ones ({advice})"
        )

    def _agree(self, option: str, wanted: str, tag: str | None) -> str:
        """What the option or else the file says."""
        if tag is None:
            return wanted
        if wanted not in ("auto", tag):
            raise ScanError(
                f"{self.path} says that its frames are {tag}, but the option {option} says "
                f"{wanted}; which is it? Leave out --{option} to believe the file, or correct the "
                "file"
            )
        return tag

    def _check_bad(
        self, bad: np.ndarray | FrameSource, shapes: tuple[tuple[int, ...], ...], what: str
    ) -> None:
        if tuple(bad.shape) not in shapes or bad.dtype.kind not in "biu":
            wanted = " or ".join(map(str, shapes))
            raise ScanError(
                f"{what} is {tuple(bad.shape)} of {bad.dtype}, but bool {wanted}, True = bad, is "
                "required to match the frames"
            )


def _pixel(beam: tuple[float, float]) -> Shape:
    return int(np.floor(beam[0] + 0.5)), int(np.floor(beam[1] + 0.5))


def _other(polarity: str) -> str:
    return "good" if polarity == "bad" else "bad"
