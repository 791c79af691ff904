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


def in_pixels(found: Contents, config: ScanConfig) -> Contents:
    """With positions, and the object pixel, of the prepared frames.

    Raises:
        ScanError: positions in a unit of length, and the object pixel is not known.
    """
    unit, scale = config.positions_unit, np.array(found.scale)
    places, nominal, lengths = found.positions_px, found.positions_nominal_px, found.positions_m
    given = unit
    if unit == "auto":
        given = "px" if lengths is None else "m"
    elif lengths is not None:  # the numbers of the file, if the option says what they are
        places = lengths * (1.0 / found.positions_unit_m)
    if unit == "auto" and lengths is not None:
        places = lengths
    assert places is not None
    pixel = found.pixel_size_m
    if given == "px":
        places, nominal_factor = places * scale, scale
    else:
        pixel_now = need_pixel(found, given) / found.scale[1]
        factor = geometry.LENGTH_UNITS[given] / pixel_now
        places = places * factor
        check_pixel(places, pixel_now, given, found.where)
        nominal_factor = scale if lengths is not None else np.full(2, factor)
    made = found.made_with
    if made is not None and made.positions_px is not None:
        made = replace(made, positions_px=made.positions_px * scale)
    return found.changed(
        record=None if unit == "auto" else {"step": "positions_unit", "unit": unit},
        positions_px=places,
        positions_m=None,
        positions_from_m=given != "px",
        positions_nominal_px=None if nominal is None else nominal * nominal_factor,
        pixel_size_m=None if pixel is None else pixel / found.scale[1],
        made_with=made,
    )


def turned(found: Contents, config: ScanConfig) -> Contents:
    """With positions in the axes that the options say; what lies as before is left out."""
    axes, angle = config.orientation, config.rotation_deg
    if axes == "+y+x" and angle == 0:
        return found
    assert found.positions_px is not None
    nominal, made = found.positions_nominal_px, found.made_with
    if made is not None and made.positions_px is not None:
        made = replace(made, positions_px=orient(made.positions_px, axes, angle))
    notes = []
    if found.truth is not None:
        notes.append("the truth was left out: the positions were turned against it")
    if found.label_patches is not None:
        notes.append("the label patches were left out: the positions were turned against them")
    return found.changed(
        *notes,
        record={"step": "orient", "orientation": axes, "rotation_deg": angle},
        positions_px=orient(found.positions_px, axes, angle),
        positions_nominal_px=None if nominal is None else orient(nominal, axes, angle),
        made_with=made,
        truth=None,
        truth_origin_px=(0.0, 0.0),
        label_patches=None,
    )


def resampled_truth(found: Contents, config: ScanConfig) -> Contents:
    """With the truth on the grid of the positions."""
    truth = found.truth
    if truth is None:
        return found.changed(truth_origin_px=(0.0, 0.0))
    if found.scale == (1.0, 1.0) or np.ndim(truth) != 2 or not np.isfinite(truth).all():
        return found
    truth, origin = resample.resample_truth(truth, found.truth_origin_px, found.scale)
    note = f"the truth was resampled to {truth.shape[0]} x {truth.shape[1]} object pixels"
    return found.changed(note, truth=truth, truth_origin_px=origin)


def smoothed_probe(found: Contents, config: ScanConfig) -> Contents:
    """With a probe through a Gaussian, where the options say so."""
    sigma, probe = config.probe_smoothing_px, found.probe
    if sigma <= 0 or probe is None or probe.ndim < 2 or probe.dtype.kind not in "iufc":
        return found
    record = {"step": "probe_smoothing", "sigma_px": sigma}
    return found.changed(record=record, probe=resample.smooth_probe(probe, sigma))


def without_duplicates(found: Contents, config: ScanConfig) -> Contents:
    """Without the frames whose place an earlier frame of the same scan has."""
    if config.duplicates != "drop":
        return found
    assert found.positions_px is not None
    keep = subset.first_of_place(found.positions_px, found.scan_index)
    record = {"step": "duplicates", "dropped": len(found) - len(keep)}
    found = found.changed(record=record)
    return found if len(keep) == len(found) else found.select(keep)


def one_part(found: Contents, config: ScanConfig) -> Contents:
    """The frames for training, or those for testing.

    Raises:
        ScanError: a part would be empty, or the probe does not fit the frames.
    """
    if config.part == "all":
        return found
    assert found.positions_px is not None
    side = found.image[0]
    modes = check.check_probe(found.probe, check.Subject(found.where, "probe", side=side))
    guard = side / 2 if modes is None else geometry.probe_diameter_px(modes[0])
    part = subset.split_by_region(
        found.positions_px, found.scan_index, config.part, config.test_fraction, guard, found.where
    )
    record = {
        "step": "part",
        "part": config.part,
        "test_fraction": config.test_fraction,
        "guard_px": round(guard, 3),
    }
    return found.changed(part.note, record=record).select(part.rows)
