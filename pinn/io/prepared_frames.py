"""Steps of loading, the middle: what is done to each frame, and to all that lies as frames do.

What a step does to the frames has its counterpart in real space: a cropped detector makes object
pixels larger, added-up pixels make the field of view smaller (see `pinn.data.resample`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

import numpy as np

from pinn.config import ScanConfig
from pinn.data import fourier, resample
from pinn.data.frames import DerivedFrames, as_source
from pinn.data.prepare import Bin, Centre, Crop, Flip, PreparedFrames, Step, prepared_mask
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.extras import read_probe
from pinn.io.stored_frames import all_bad, frame_side, moves

MOST_LOST = 0.1  # of the probe's energy, by cutting its field of view
_TOLD = 1e-3


def beamstop(contents: Contents, config: ScanConfig) -> Contents:
    """Without the pixels in the shadow of a beamstop.

    Raises:
        ScanError: no pixel is left.
    """
    radius = config.beamstop
    if radius is None:
        return contents
    assert contents.beam_centre is not None
    (H, W), (row, column), mask = contents.image, contents.beam_centre, contents.valid_mask
    y, x = np.ogrid[:H, :W]
    shadow = np.hypot(y - row, x - column) <= radius
    if contents.centre == "corner":
        shadow = fourier.corner(shadow)
    record = {"step": "beamstop", "radius_px": radius, "pixels": int(np.count_nonzero(shadow))}
    if mask is None or isinstance(mask, np.ndarray):
        mask = ~shadow if mask is None else mask & ~shadow
        left = bool(mask.any())
    else:
        mask, left = DerivedFrames(mask, lambda valid, rows: valid & ~shadow), not shadow.all()
    if not left:
        raise _no_pixel(contents, config)
    return contents.changed(record=record, valid_mask=mask)


def _no_pixel(contents: Contents, config: ScanConfig) -> ScanError:
    if config.beamstop is None:
        return all_bad(contents, config)
    return ScanError(
        f"the beamstop of radius {config.beamstop:g} px covers all pixels of {contents.where} "
        "that are not bad; say a smaller --beamstop"
    )


def chosen_probe(contents: Contents, config: ScanConfig) -> Contents:
    """With the option's probe, and without the file's weights where they do not fit it.

    Raises:
        ScanError: a probe file that cannot be read.
    """
    probe, weights, notes = contents.probe, contents.probe_weights, []
    if config.probe is not None:
        probe = read_probe(config.probe)
        notes.append(f"probe from {config.probe}")
        several = probe.ndim == 4 and weights is not None and weights.shape[1:] == (len(probe),)
        if weights is not None and not several:
            weights = None
            notes.append(
                "the file's weights of probe variations were left out: the given probe has not as "
                "many"
            )
    if is_field(probe) and probe.shape[2:] == (1,):
        probe = probe[..., 0]
    return contents.changed(*notes, probe=probe, probe_weights=weights)


def prepared_frames(contents: Contents, config: ScanConfig) -> Contents:
    """With centred, cropped, flipped and added-up frames, and the rest as those demand.

    Raises:
        ScanError: no pixel left, or binning cuts too much of the probe.
    """
    for step in frame_steps(contents, config):
        contents = applied(contents, config, step)
    return contents


def frame_steps(contents: Contents, config: ScanConfig) -> list[Step]:
    """What is to be done to each frame, in order."""
    assert contents.beam_centre is not None
    (H, W), (row, column) = contents.image, map(int, contents.beam_centre)
    steps: list[Step] = []
    if moves(contents, config) and contents.centre == "corner":
        steps.append(Centre())
    crop = Crop(row, column, frame_side(contents, config, (row, column)))
    if crop != Crop(H // 2, W // 2, H) or H != W:
        steps.append(crop)
    if config.flip_frames != "none":
        steps.append(Flip(config.flip_frames))
    if config.bin_frames > 1:
        assumed = not contents.units_given and contents.frames.dtype.kind == "f"
        units = contents.units or "auto"
        whole = assumed and units == "counts"
        steps.append(Bin(config.bin_frames, units, contents.saturation, whole, contents.where))
    return steps


def applied(contents: Contents, config: ScanConfig, step: Step) -> Contents:
    """One step, done to frames and masks, probe and patches.

    Raises:
        ScanError: no pixel left, or binning cuts too much of the probe.
    """
    image = contents.image
    mask = prepared_mask(contents.valid_mask, (step,), image)
    if isinstance(mask, np.ndarray) and not mask.any():
        raise _no_pixel(contents, config)
    made = contents.made_with
    contents = contents.changed(
        record=step.record(image),
        frames=PreparedFrames(contents.frames, (step,)),
        valid_mask=mask,
        centre="centred",
        made_with=None if made is None else replace(made, probe=None, background=None),
    )
    match step:
        case Crop():
            return _cropped(contents, config, step, image)
        case Flip():
            return _without_patches(contents, "the frames were cropped or flipped, they were not")
        case Bin():
            return _added_up(contents, step, image)
    return contents


def _cropped(
    contents: Contents, config: ScanConfig, crop: Crop, image: tuple[int, int]
) -> Contents:
    """Object pixels grow as the detector shrinks, and the far field of the probe is cut."""
    side, probe = crop.side, contents.probe
    notes = []
    if crop.pads(image):
        notes.append("pixels beyond the stored frames are masked, not taken for dark")
    if is_field(probe):
        size = probe.shape[-2:]
        if size == image and size != (side, side):
            probe = resample.crop_far_field(probe, side)
            lost = _lost(contents.probe, probe)
            notes += _loss_notes("cropping the frames leaves out", lost)
        elif size == (side, side) and config.bin_frames == 1:
            notes += [_taken_as_it_is(side)] if side != image[0] else []
    scale = (side / image[0], side / image[1])
    contents = contents.changed(*notes, probe=probe, scale=scale)
    if scale == (1.0, 1.0):
        return contents
    return _without_patches(contents, "the frames were cropped or flipped, they were not")


def _added_up(contents: Contents, step: Bin, image: tuple[int, int]) -> Contents:
    """The field of view shrinks, of probe and patches too."""
    b, side, probe = step.factor, contents.image[0], contents.probe
    notes = []
    if is_field(probe):
        size = probe.shape[-2:]
        if size == image:
            probe = resample.cut_probe(probe, b)
            lost = _lost(contents.probe, probe)
            notes += _loss_notes("adding up pixels cuts off", lost)
            if lost > MOST_LOST:
                raise ScanError(
                    f"adding up {b} x {b} pixels leaves {side} x {side} px for the probe of "
                    f"{contents.where} and cuts off {lost:.0%} of its energy (at most "
                    f"{MOST_LOST:.0%} is let pass); lower --bin-frames"
                )
        elif size == (side, side):
            notes.append(_taken_as_it_is(side))
    patches, pixel = contents.label_patches, contents.detector_pixel_m
    if patches is not None:
        patches = DerivedFrames(
            as_source(patches),
            lambda field, rows: resample.centred_window(field, side),
            image=(side, side),
        )
    return contents.changed(
        *notes,
        probe=probe,
        label_patches=patches,
        detector_pixel_m=None if pixel is None else pixel * b,
        saturation=None,
        units_given=True,
    )


def _without_patches(contents: Contents, why: str) -> Contents:
    if contents.label_patches is None:
        return contents
    return contents.changed(f"the label patches were left out: {why}", label_patches=None)


def is_field(probe: np.ndarray | None) -> TypeGuard[np.ndarray]:
    """Whether a probe has pixels and numbers; others are left to be refused by `Scan`."""
    return probe is not None and probe.ndim >= 2 and probe.dtype.kind in "iufc"


def _taken_as_it_is(side: int) -> str:
    return f"the probe has {side} x {side} px already and is taken as it is"


def _lost(before: np.ndarray | None, after: np.ndarray) -> float:
    """The share of the probe's energy that is lost."""
    energy = 0.0 if before is None else resample.energy(before)
    return 1.0 - resample.energy(after) / energy if energy > 0 else 0.0


def _loss_notes(what: str, lost: float) -> list[str]:
    return [f"{what} {lost:.2%} of the probe's energy"] if lost > _TOLD else []
