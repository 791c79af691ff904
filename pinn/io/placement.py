"""Where the prepared frames lie, and what goes with each: the second half of `pinn.io.load`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pinn.data import geometry, subset
from pinn.data import validation as check
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.data.made_with import MadeWith
from pinn.data.prepare import orient, said
from pinn.data.spread import check_pixel
from pinn.errors import ScanError
from pinn.io.fields import prepared_labels, prepared_probe, prepared_truth
from pinn.io.stages import FrameStages


def scan_arguments(stages: FrameStages) -> dict[str, Any]:
    """All arguments of `Scan` but the dose.

    Args:
        stages: through with frames and masks.

    Raises:
        ScanError: positions, probe or part that cannot be.
    """
    found, optics, config = stages.found, stages.optics, stages.config
    places, nominal, turned, lengths = _positions(stages)
    probe = prepared_probe(stages)
    index = check.check_index(found.scan_index, stages.M, stages.where)
    weights = check.check_length(found.probe_weights, stages.M, "probe_weights", stages.where)
    if weights is not None and config.probe is not None and not _weighs(weights, probe):
        weights = None
        stages.notes.append(
            "the file's weights of probe variations were left out: the given probe has not as many"
        )
    if stages.rows is not None:
        places = places[stages.rows]
        nominal = None if nominal is None else nominal[stages.rows]
        index = None if index is None else index[stages.rows]
        weights = None if weights is None else weights[stages.rows]
    made = _made_with(stages)
    keep = _choose(stages, places, index, probe)
    truth = prepared_truth(stages, turned)
    labels = _rows(prepared_labels(stages, turned), stages.rows)
    pixel, detector = optics.pixel_size_m, optics.detector_pixel_m

    def some(array: np.ndarray | None) -> np.ndarray | None:
        return array if array is None or keep is None else array[keep]

    mask = stages.mask
    return {
        "frames": _rows(stages.frames, keep),
        "positions_px": some(places),
        "probe": probe,
        "probe_weights": some(weights),
        "valid_mask": mask if isinstance(mask, np.ndarray) else _rows(mask, keep),
        "units": stages.units,
        "centre": stages.centre,
        **truth,
        "label_patches": _rows(labels, keep),
        "scan_index": some(index),
        "pixel_size_m": None if pixel is None else pixel / stages.scale[1],
        "energy_ev": optics.energy_ev,
        "distance_m": optics.distance_m,
        "detector_pixel_m": None if detector is None else detector * config.bin_frames,
        "particle": optics.particle,
        "propagation": config.propagation,
        "detector_response": config.detector_response,
        "acquisition": found.acquisition,
        "saturation": stages.saturation,
        "steps": stages.records,
        "positions_from_m": lengths,
        "name": stages.path.stem,
        "source": stages.path,
        "positions_nominal_px": some(nominal),
        "made_with": made if made is None or keep is None else made.select(keep),
        "notes": [*stages.notes, *(f"prepared: {said(record)}" for record in stages.records)],
    }


def _weighs(weights: np.ndarray, probe: np.ndarray | None) -> bool:
    """Whether the weights are of as many coherent variations as the probe has."""
    several = probe is not None and probe.ndim == 4
    return several and probe is not None and weights.shape[1:] == (len(probe),)


def _positions(stages: FrameStages) -> tuple[np.ndarray, np.ndarray | None, bool, bool]:
    """Places of all the file's frames in prepared object pixels.

    And those commanded, whether they were turned, and whether they were lengths.
    """
    found, config, where = stages.found, stages.config, stages.where
    unit = config.positions_unit
    rows = stages.rows
    if found.positions_m is not None:
        given = "m" if unit == "auto" else unit
        # The numbers of the file, if the option says what they are.
        factor = 1.0 if unit == "auto" else 1.0 / found.positions_unit_m
        places = check.check_coordinates(found.positions_m, stages.M, where, rows) * factor
    elif found.positions_px is not None:
        given = "px" if unit == "auto" else unit
        places = check.check_coordinates(found.positions_px, stages.M, where, rows)
    else:
        raise ScanError(f"{stages.path} has no positions, which a scan needs")
    nominal = found.positions_nominal_px
    if nominal is not None:
        nominal = check.check_coordinates(nominal, stages.M, f"{where} (nominal)", rows)
    scale = np.array(stages.scale)
    if given == "px":
        places = places * scale
        nominal = None if nominal is None else nominal * scale
    else:
        pixel = stages.optics.need_pixel(stages.path, given) / stages.scale[1]
        factor = geometry.LENGTH_UNITS[given] / pixel
        places = places * factor
        check_pixel(places, pixel, given, where)
        if nominal is not None:
            nominal = nominal * (scale if found.positions_m is not None else factor)
    if unit != "auto":
        stages.record(step="positions_unit", unit=unit)
    axes, angle = config.orientation, config.rotation_deg
    turned = axes != "+y+x" or angle != 0
    if turned:
        places = orient(places, axes, angle)
        nominal = None if nominal is None else orient(nominal, axes, angle)
        stages.record(step="orient", orientation=axes, rotation_deg=angle)
    return places, nominal, turned, given != "px"


def _made_with(stages: FrameStages) -> MadeWith | None:
    """What a simulation's frames were made with, on the grid of the prepared ones.

    Images are left out where the frames were cropped, turned or added up.
    """
    made, config = stages.found.made_with, stages.config
    if made is None:
        return None
    places = made.positions_px
    if places is not None:
        places = places * np.array(stages.scale)
        places = orient(places, config.orientation, config.rotation_deg)
    if stages.steps:
        made = replace(made, probe=None, background=None)
    made = replace(made, positions_px=places)
    return made if stages.rows is None else made.select(stages.rows)


def _choose(
    stages: FrameStages, places: np.ndarray, index: np.ndarray | None, probe: np.ndarray | None
) -> np.ndarray | None:
    """Which of the frames stay after duplicates and part; None for all."""
    config = stages.config
    keep = np.arange(len(places))
    if config.duplicates == "drop":
        keep = subset.first_of_place(places, index)
        stages.record(step="duplicates", dropped=len(places) - len(keep))
    if config.part != "all":
        modes = check.check_probe(probe, stages.final, stages.where)
        guard = stages.final / 2 if modes is None else geometry.probe_diameter_px(modes)
        own = None if index is None else index[keep]
        part = subset.split_by_region(
            places[keep], own, config.part, config.test_fraction, guard, stages.where
        )
        keep = keep[part.rows]
        stages.notes.append(part.note)
        stages.record(
            step="part",
            part=config.part,
            test_fraction=config.test_fraction,
            guard_px=round(guard, 3),
        )
    return None if len(keep) == len(places) else keep


def _rows(source: FrameSource | None, rows: np.ndarray | None) -> FrameSource | None:
    return source if source is None or rows is None else DerivedFrames(source, rows=rows)
