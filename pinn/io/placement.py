"""Steps of loading, the end: where the frames lie, and which of them make a part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pinn.config import ScanConfig
from pinn.data import geometry, resample, subset
from pinn.data import validation as check
from pinn.data.position_check import check_pixel
from pinn.data.prepare import orient
from pinn.io.contents import Contents
from pinn.io.optics import need_pixel


def in_pixels(contents: Contents, config: ScanConfig) -> Contents:
    """With positions, and the object pixel, of the prepared frames.

    Raises:
        ScanError: positions in a unit of length, and the object pixel is not known.
    """
    unit, scale = config.positions_unit, np.array(contents.scale)
    lengths, nominal = contents.positions_m, contents.positions_nominal_px
    if lengths is None:
        places, given = contents.positions_px, "px" if unit == "auto" else unit
    elif unit == "auto":
        places, given = lengths, "m"
    else:  # the numbers of the file, if the option says what they are
        places, given = lengths * (1.0 / contents.positions_unit_m), unit
    assert places is not None
    pixel = contents.pixel_size_m
    if given == "px":
        places, nominal_factor = places * scale, scale
    else:
        pixel_now = need_pixel(contents, given) / contents.scale[1]
        factor = geometry.LENGTH_UNITS[given] / pixel_now
        places = places * factor
        check_pixel(places, pixel_now, given, contents.where)
        nominal_factor = scale if lengths is not None else np.full(2, factor)
    made = contents.made_with
    if made is not None and made.positions_px is not None:
        made = replace(made, positions_px=made.positions_px * scale)
    return contents.changed(
        record=None if unit == "auto" else {"step": "positions_unit", "unit": unit},
        positions_px=places,
        positions_m=None,
        positions_from_m=given != "px",
        positions_nominal_px=None if nominal is None else nominal * nominal_factor,
        pixel_size_m=None if pixel is None else pixel / contents.scale[1],
        made_with=made,
    )


def turned(contents: Contents, config: ScanConfig) -> Contents:
    """With positions in the axes that the options say; what lies as before is left out."""
    axes, angle = config.orientation, config.rotation_deg
    if axes == "+y+x" and angle == 0:
        return contents
    assert contents.positions_px is not None
    nominal, made = contents.positions_nominal_px, contents.made_with
    if made is not None and made.positions_px is not None:
        made = replace(made, positions_px=orient(made.positions_px, axes, angle))
    notes = []
    if contents.truth is not None:
        notes.append("the truth was left out: the positions were turned against it")
    if contents.label_patches is not None:
        notes.append("the label patches were left out: the positions were turned against them")
    return contents.changed(
        *notes,
        record={"step": "orient", "orientation": axes, "rotation_deg": angle},
        positions_px=orient(contents.positions_px, axes, angle),
        positions_nominal_px=None if nominal is None else orient(nominal, axes, angle),
        made_with=made,
        truth=None,
        truth_origin_px=(0.0, 0.0),
        label_patches=None,
    )


def resampled_truth(contents: Contents, config: ScanConfig) -> Contents:
    """With the truth on the grid of the positions."""
    truth = contents.truth
    if truth is None:
        return contents.changed(truth_origin_px=(0.0, 0.0))
    if contents.scale == (1.0, 1.0) or np.ndim(truth) != 2 or not np.isfinite(truth).all():
        return contents
    truth, origin = resample.resample_truth(truth, contents.truth_origin_px, contents.scale)
    note = f"the truth was resampled to {truth.shape[0]} x {truth.shape[1]} object pixels"
    return contents.changed(note, truth=truth, truth_origin_px=origin)


def without_duplicates(contents: Contents, config: ScanConfig) -> Contents:
    """Without the frames whose place an earlier frame of the same scan has."""
    if config.duplicates != "drop":
        return contents
    assert contents.positions_px is not None
    keep = subset.first_of_place(contents.positions_px, contents.scan_index)
    record = {"step": "duplicates", "dropped": len(contents) - len(keep)}
    contents = contents.changed(record=record)
    return contents if len(keep) == len(contents) else contents.select(keep)


def one_part(contents: Contents, config: ScanConfig) -> Contents:
    """The frames for training, or those for testing.

    Raises:
        ScanError: a part would be empty, or the probe does not fit the frames.
    """
    if config.part == "all":
        return contents
    assert contents.positions_px is not None
    side = contents.image[0]
    modes = check.check_probe(contents.probe, check.Subject(contents.where, "probe", side=side))
    guard = side / 2 if modes is None else geometry.probe_diameter_px(modes[0])
    part = subset.split_by_region(
        contents.positions_px,
        contents.scan_index,
        config.part,
        subset.TEST_FRACTION,
        guard,
        contents.where,
    )
    record = {
        "step": "part",
        "part": config.part,
        "test_fraction": subset.TEST_FRACTION,
        "guard_px": round(guard, 3),
    }
    return contents.changed(part.note, record=record).select(part.rows)
