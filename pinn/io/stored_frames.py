"""Steps of loading, first half: which frames of a file, which pixels, and what the values mean.

A step takes what was read and the options, and returns it changed: with a sentence where something
was decided, and a record where something was done (see `Measurement.steps`). `pinn.io.load` lists
them in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data import subset
from pinn.data import validation as check
from pinn.data.frame_values import Mask, Sample, choose_centre, choose_units
from pinn.data.frames import DerivedFrames, FrameSource, as_source
from pinn.data.position_check import check_coordinates
from pinn.data.prepare import Crop
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.extras import read_mask

_PIECE_BYTES = 16 << 20
_MOST_MISSED = 1 / 3  # of the pixels of a frame, by a beam centre far from its middle
_MANY_NEGATIVE = 0.02
_OFF_PIXEL = 0.25  # a beam centre further than this from the middle of a pixel is told


def checked_arrays(contents: Contents, config: ScanConfig) -> Contents:
    """Arrays of frames, and what goes with single frames, have an entry for each.

    Raises:
        ScanError: something has not.
    """
    M, where, bad = len(contents), contents.where, contents.bad_pixels
    if bad is not None:
        _check_bad(bad, (contents.image, (M, *contents.image)), f"'bad_pixels' in {where}")
    weights = contents.probe_weights
    if weights is not None and (np.ndim(weights) < 1 or len(weights) != M):
        raise ScanError(
            f"probe_weights of {where} are {np.shape(weights)}, but there are {M} frames; each "
            "frame needs one"
        )
    index = check.check_index(contents.scan_index, check.Subject(where, "scan_index", M))
    contents, patches = contents.changed(scan_index=index), contents.label_patches
    if patches is None:
        return contents
    patches = as_source(patches)
    shape, dtype = tuple(patches.shape), patches.dtype
    if shape == (M, *contents.image) and dtype.kind in "fc":
        return contents.changed(label_patches=patches)
    note = f"label patches {shape} of {dtype} do not match the frames: left out"
    return contents.changed(note, label_patches=None)


def paired(contents: Contents, config: ScanConfig) -> Contents:
    """With a position for each frame: where their numbers differ, those that the options pair.

    Frames that are dropped by number may have no position. With the word `unpaired` the first
    frame belongs to the first position, and so on; what is left of either has no partner.

    Raises:
        ScanError: their numbers differ, and no option says what belongs together.
    """
    M, K = len(contents), _positions_of(contents)
    if K in (None, M):
        return contents
    numbers, unpaired = subset.split_unpaired(config.drop_frames)
    kept = np.arange(M)
    if numbers is not None:
        kept = np.setdiff1d(kept, subset.parse_frames(numbers, M, contents.where))
    if len(kept) != K and unpaired:
        kept = np.arange(min(M, K))
    elif len(kept) != K:
        raise _unequal(contents, M, K, len(kept))
    changed: dict[str, Any] = {}
    for name in ("positions_px", "positions_m", "positions_nominal_px", "scan_index"):
        given = getattr(contents, name)
        if given is not None and len(given) == K:
            none = 0 if name == "scan_index" else np.nan
            full = np.full((M, *np.shape(given)[1:]), none, np.asarray(given).dtype)
            full[kept] = given[: len(kept)]
            changed[name] = full
    note = f"{M} frames and {K} positions: " + (
        "each frame that was not dropped has one"
        if len(kept) == K < M and not unpaired
        else f"the first {len(kept)} of both belong together, as drop_frames says"
    )
    return contents.changed(note, **changed)


def _positions_of(contents: Contents) -> int | None:
    """How many positions there are, if they are any."""
    given = contents.positions_px if contents.positions_m is None else contents.positions_m
    real = isinstance(given, np.ndarray) and given.ndim == 2 and given.dtype.kind == "f"
    return len(given) if given is not None and real else None


def _unequal(contents: Contents, M: int, K: int, kept: int) -> ScanError:
    named = f" ({contents.positions_key})" if contents.positions_key else ""
    left = "" if kept == M else f", and {kept} frames without those of drop_frames"
    if K < M:
        advice = (
            f"leave out by number the frames without one ({M - K}, --drop-frames NUMBERS), or "
            f"those at the end (--drop-frames {subset.UNPAIRED})"
        )
    else:
        advice = (
            f"if the first {M} positions are those of the frames, say --drop-frames "
            f"{subset.UNPAIRED}"
        )
    return ScanError(f"{contents.where} has {M} frames but {K} positions{named}{left}; {advice}")


def chosen_frames(contents: Contents, config: ScanConfig) -> Contents:
    """With each frame at the position that belongs to it, without the frames that were dropped by
    number, and of one of several scans.

    Raises:
        ScanError: no such frames or none left, or positions of those left that are not finite.
    """
    M, where = len(contents), contents.where
    rows = np.arange(M)
    if config.frames_late:
        contents, alone = _later(contents, config.frames_late)
        rows = np.setdiff1d(rows, alone)
    if config.drop_frames is not None:
        dropped = _dropped(contents, config.drop_frames)
        rows = np.setdiff1d(rows, dropped)
        record = {"step": "drop_frames", "frames": subset.frames_text(dropped)}
        contents = contents.changed(record=record)
    if config.scan_number is not None and contents.scan_index is not None:
        scan = subset.one_scan(contents.scan_index, config.scan_number, where)
        rows = np.intersect1d(rows, scan)
        contents = contents.changed(record={"step": "scan_number", "number": config.scan_number})
    if not len(rows):
        raise ScanError(f"all {M} frames of {where} are left out; drop fewer")
    # Here the numbers are still those of the file, by which the user can drop frames.
    places = {"positions_px" if contents.positions_m is None else "positions_m": where}
    if contents.positions_nominal_px is not None:
        places["positions_nominal_px"] = f"{where} (nominal)"
    checked: dict[str, Any] = {
        name: check_coordinates(getattr(contents, name), M, whose, rows)
        for name, whose in places.items()
    }
    contents = contents.changed(**checked)
    return contents if len(rows) == M else contents.select(rows)


def _later(contents: Contents, late: int) -> tuple[Contents, np.ndarray]:
    """Positions moved on to the frames that come `late` places after them, and the frames that
    have none then: at an end of the file, or of one of its scans."""
    M = len(contents)
    partner = np.arange(M) - late
    alone = (partner < 0) | (partner >= M)
    partner = np.clip(partner, 0, M - 1)
    index = contents.scan_index
    if index is not None:
        alone |= index != index[partner]
    names = ("positions_px", "positions_m", "positions_nominal_px")
    given = {name: getattr(contents, name) for name in names}
    moved = {name: np.asarray(v)[partner] for name, v in given.items() if np.shape(v)[:1] == (M,)}
    frames = np.flatnonzero(alone)
    record = {"step": "frames_late", "by": late, "left_out": subset.frames_text(frames)}
    return contents.changed(record=record, **moved), frames


def _dropped(contents: Contents, text: str) -> np.ndarray:
    """Frames that are left out: by number, and on request those without a position."""
    M = len(contents)
    numbers, unpaired = subset.split_unpaired(text)
    found = [np.empty(0, np.int64)]
    if numbers is not None:
        found.append(subset.parse_frames(numbers, M, contents.where))
    given = contents.positions_px if contents.positions_m is None else contents.positions_m
    if unpaired and _positions_of(contents) == M:
        found.append(np.flatnonzero(~np.isfinite(np.asarray(given)).all(1)))
    return np.unique(np.concatenate(found))


def valid_pixels(contents: Contents, config: ScanConfig) -> Mask:
    """The file's mask and the option's, laid out as the stored frames are.

    Returns:
        bool `(H, W)`, a source of `(M, H, W)`, or None where every pixel may be used.

    Raises:
        ScanError: another shape or type, or no pixel left.
    """
    static, bad = np.ones(contents.image, bool), contents.bad_pixels
    each: FrameSource | None = None
    if isinstance(bad, np.ndarray) and bad.ndim == 2:
        static &= bad == 0
    elif bad is not None:
        each = as_source(bad)
    if config.bad_pixels is not None:
        static &= ~_extra_bad(contents, config)
    if not static.any():
        raise all_bad(contents, config)
    if each is None:
        return None if static.all() else static
    return DerivedFrames(each, lambda bad, rows: (bad == 0) & static, dtype=bool)


def masked_pixels(contents: Contents, config: ScanConfig) -> Contents:
    """With the mask of `valid_pixels`, and the saturation of the option, else of the file.

    Raises:
        ScanError: see `valid_pixels`.
    """
    mask = valid_pixels(contents, config)
    if isinstance(mask, FrameSource):
        size = max(1, _PIECE_BYTES // int(np.prod(contents.image)))
        if not any(block.any() for _, block in mask.chunks(size)):
            raise all_bad(contents, config)
    if config.bad_pixels is not None:
        count = int(np.count_nonzero(_extra_bad(contents, config)))
        record = {"step": "bad_pixels", "file": config.bad_pixels.name, "pixels": count}
        contents = contents.changed(record=record)
    contents = contents.changed(valid_mask=mask, bad_pixels=None)
    if config.saturation is None:
        limit = check.check_positive(
            contents.saturation, check.Subject(contents.where, "saturation")
        )
        return contents.changed(saturation=limit)
    record = {"step": "saturation", "value": config.saturation}
    return contents.changed(record=record, saturation=config.saturation)


def _extra_bad(contents: Contents, config: ScanConfig) -> np.ndarray:
    assert config.bad_pixels is not None
    extra = read_mask(config.bad_pixels, config.bad_pixels_polarity)
    _check_bad(extra, (contents.image,), str(config.bad_pixels))
    return extra


def _check_bad(
    bad: np.ndarray | FrameSource, shapes: tuple[tuple[int, ...], ...], what: str
) -> None:
    if tuple(bad.shape) not in shapes or bad.dtype.kind not in "biu":
        wanted = " or ".join(map(str, shapes))
        raise ScanError(
            f"{what} is {tuple(bad.shape)} of {bad.dtype}, but bool {wanted}, True = bad, is "
            "required to match the frames"
        )


def all_bad(contents: Contents, config: ScanConfig) -> ScanError:
    """What is said when no pixel is left."""
    advice = "write the file's own mask again"
    if config.bad_pixels is not None or config.mask_path is not None:
        other = "good" if config.bad_pixels_polarity == "bad" else "bad"
        advice = f"--bad-pixels-polarity {other}"
    return ScanError(
        f"the bad pixels of {contents.where} cover all frames; True means BAD, so invert the mask "
        f"if it marks the good ones ({advice})"
    )


# -- what the values are, and where the beam is -------------------------------------------


def stated_values(contents: Contents, config: ScanConfig) -> Contents:
    """Units and centre as the option or else the file says; the pixel of the zero frequency.

    Raises:
        ScanError: option and file contradict each other, or the beam misses the frames.
    """
    units = _agree(contents, "frames", config.frames, contents.units)
    centre = _agree(contents, "centre", config.centre, contents.centre)
    beam = contents.beam_centre if config.centre == "auto" else None
    if config.beam_pixel is not None:
        beam = config.beam_pixel
    H, W = contents.image
    if beam is None:
        frame_side(contents, config, (H // 2, W // 2))
        return contents.changed(units=units, centre=centre, beam_centre=(H // 2, W // 2))
    if centre == "corner":
        raise ScanError(
            f"{contents.where} says both that its frames are corner and that the beam hits pixel "
            f"{list(beam)}; leave out beam_centre, or say --centre centred"
        )
    row, column = (int(np.floor(place + 0.5)) for place in beam)
    if not (0 <= row < H and 0 <= column < W):
        raise ScanError(
            f"the beam hits pixel [{beam[0]:g}, {beam[1]:g}] of {contents.where}, but its frames "
            f"are {H} x {W}; say where with --beam-centre"
        )
    note = None
    if max(abs(beam[0] - row), abs(beam[1] - column)) > _OFF_PIXEL:
        note = (
            f"the beam hits [{beam[0]:g}, {beam[1]:g}], between pixels: [{row}, {column}] is "
            "taken for the zero frequency, which leaves a phase ramp"
        )
    _check_beam(contents, (row, column), frame_side(contents, config, (row, column)))
    return contents.changed(note, units=units, centre="centred", beam_centre=(row, column))


def _agree(contents: Contents, option: str, wanted: str, tag: str | None) -> str:
    """What the option or else the file says."""
    if tag is None:
        return wanted
    if wanted not in ("auto", tag):
        raise ScanError(
            f"{contents.where} says that its frames are {tag}, but the option {option} says "
            f"{wanted}; which is it? Leave out --{option} to believe the file, or correct the "
            "file"
        )
    return tag


def frame_side(contents: Contents, config: ScanConfig, beam: tuple[int, int]) -> int:
    """Side of the frames after they are cropped, and before pixels are added up.

    Raises:
        ScanError: the option's or the file's side is not possible.
    """
    (H, W), b = contents.image, config.bin_frames
    side = config.frame_size or (H if H == W else None)
    low, high = check.SMALLEST, check.LARGEST
    if side is not None and side % (2 * b) == 0 and low <= side // b <= high:
        return side
    advice = check.frame_size_advice(H, W, beam, b)
    if config.frame_size is not None:
        raise ScanError(
            f"frame_size {config.frame_size} and bin_frames {b} make frames of "
            f"{config.frame_size / b:g} pixels of {contents.where}, but an even side from {low} to "
            f"{high} is required: {advice}"
        )
    key = f"{contents.frames_key!r} " if contents.frames_key else ""
    after = "" if b == 1 else f", after adding up {b} x {b} pixels,"
    raise ScanError(
        f"frames {key}of {contents.where} are {H} x {W} pixels, but{after} must be square with an "
        f"even side from {low} to {high}; crop or pad them: {advice}"
    )


def _check_beam(contents: Contents, beam: tuple[int, int], side: int) -> None:
    """Refuse a beam centre that leaves much of the frames out of the square around it."""
    H, W = contents.image
    kept = int(Crop(*beam, side).mask(np.ones((H, W), bool)).sum())
    if kept >= (1 - _MOST_MISSED) * min(H, side) * min(W, side):
        return
    near = min(*beam, H - beam[0], W - beam[1])
    smaller = f", or say --frame-size {2 * near}" if 2 * near >= check.SMALLEST else ""
    raise ScanError(
        f"of {side} x {side} pixels around the beam at pixel {list(beam)} of {contents.where}, "
        f"{1 - kept / side**2:.0%} lie outside its frames of {H} x {W}; if the zero frequency is "
        "in the corner of the frames say --centre corner instead, else correct "
        f"--beam-centre{smaller}"
    )


def moves(contents: Contents, config: ScanConfig) -> bool:
    """Whether a step needs to know where the zero frequency is."""
    H, W = contents.image
    off = contents.beam_centre != (H // 2, W // 2)
    sized = H != W or config.frame_size not in (None, H)
    turned = config.bin_frames > 1 or config.flip_frames != "none"
    return off or sized or turned or config.beamstop is not None


def settled_values(contents: Contents, config: ScanConfig) -> Contents:
    """Units and centre found out, as far as the steps that follow need them.

    Raises:
        ScanError: the frames do not tell.
    """
    if not moves(contents, config):
        return contents
    where, mask = contents.where, contents.valid_mask
    said, centre = contents.units or "auto", contents.centre or "auto"
    sample = Sample(contents.frames, mask, contents.saturation, said)
    units, note = choose_units(said, contents.frames, sample, mask, where)
    centre, centre_note = choose_centre(centre, units, sample, where)
    if config.bin_frames == 1:
        return contents.changed(centre_note, centre=centre)
    # Sums are made of values whose meaning is settled.
    notes = (note, _many_negative(units, sample), centre_note)
    return contents.changed(*notes, centre=centre, units=units, units_given=said != "auto")


def _many_negative(units: str, sample: Sample) -> str | None:
    """Intensities with the background subtracted lose every sum with a value below zero."""
    if units != "intensity" or sample.raw.dtype.kind not in "if":
        return None
    negative = sample.raw[(sample.raw < 0) & sample.allowed]
    share = negative.size / sample.raw.size
    # One value repeated marks bad pixels.
    if share <= _MANY_NEGATIVE or negative.min() == negative.max():
        return None
    return (
        f"{share:.0%} of the frame values are negative, which is no measurement, and a sum "
        "with such a value is not used; subtract less background, or do not add up pixels"
    )
