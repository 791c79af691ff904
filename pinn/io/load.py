"""From a scan file of any known format to a `Scan`: `load`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data.dose import Dose
from pinn.data.pattern_probe import probe_from_optics
from pinn.data.prepare import said
from pinn.data.scan import Scan
from pinn.data.validation import check_stack
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.registry import FORMATS, Format, recognise
from pinn.io.opened import collected
from pinn.io.optics import with_optics
from pinn.io.placement import (
    in_pixels,
    one_part,
    resampled_truth,
    turned,
    without_duplicates,
)
from pinn.io.prepared_frames import beamstop, chosen_probe, prepared_frames
from pinn.io.stored_frames import (
    checked_arrays,
    chosen_frames,
    masked_pixels,
    paired,
    settled_values,
    stated_values,
    valid_pixels,
)

__all__ = ["FORMATS", "Format", "load", "scan_of"]

# What is done to what a reader found, in this order. Each leaves a record of what it did.
STEPS: tuple[Callable[[Contents, ScanConfig], Contents], ...] = (
    with_optics,
    paired,
    checked_arrays,
    chosen_frames,
    masked_pixels,
    stated_values,
    settled_values,
    beamstop,
    chosen_probe,
    prepared_frames,
    in_pixels,
    turned,
    resampled_truth,
    without_duplicates,
    one_part,
)


# A file may hold any number: what is not finite or too large is found by its value, and a warning
# of NumPy would tell nobody where it was.
@np.errstate(all="ignore")
def load(path: str | Path, config: ScanConfig | None = None, **options: Any) -> Scan:
    """Open a scan file. Frames stay in the file until they are needed.

    Args:
        path: the file; its format is told from its content, not from its name.
        config: how to read it.
        options: single fields of `ScanConfig`, for instance `frames="counts"`.

    Raises:
        ScanError: the file is missing, foreign, damaged, breaks the contract, or says something
            else than the options do.
        ConfigError: an unknown option, or one that means nothing to the file's format.
    """
    path = Path(path)
    config = (config or ScanConfig()).replace(**options)
    known = recognise(path, config)
    try:
        with collected() as files:
            contents = known.contents(path, config)
        contents.files += files
        try:
            return scan_of(path, contents, config, known)
        except BaseException:
            contents.close()
            raise
    except MemoryError as error:
        raise ScanError(
            f"{path} asks for more memory than there is ({str(error) or 'out of memory'}); it is "
            "damaged, or too large for this machine"
        ) from None


def scan_of(path: Path, contents: Contents, config: ScanConfig, known: Format) -> Scan:
    """What a reader found, prepared as the options say.

    Raises:
        ScanError: see `load`.
    """
    numbered = contents.scan_index is not None or "scan_number" in known.options
    if config.scan_number is not None and not numbered:
        raise ScanError(
            f"scan_number is {config.scan_number}, but {path} does not say which of several "
            "scans a frame belongs to ('scan_index'); leave the option out"
        )
    beside = (config.probe, config.diffraction, config.bad_pixels)
    files = [path, *contents.files, *(file for file in beside if file is not None)]
    contents = replace(contents, name=path.stem, source=path, files=files)
    check_stack(contents.frames, contents.where)
    stored = contents
    for step in STEPS:
        contents = step(contents, config)
    contents = contents.changed(*(f"prepared: {said(record)}" for record in contents.steps))
    return _with_optics_probe(_with_dose(contents, stored, config), config)


def _with_optics_probe(scan: Scan, config: ScanConfig) -> Scan:
    """The scan, with a probe from the optics that the options tell."""
    defocus, diameter = config.probe_defocus_m, config.probe_diameter_m
    if defocus is None and diameter is None:
        return scan
    probe, note = probe_from_optics(scan, defocus, diameter)
    stated = {"defocus_m": defocus, "diameter_m": diameter}
    record = {"step": "probe", **{k: value for k, value in stated.items() if value is not None}}
    return replace(
        scan,
        probe=probe,
        probe_variations=None,
        probe_weights=None,
        steps=[*scan.steps, record],
        notes=[*scan.notes, note],
    )


def _with_dose(contents: Contents, stored: Contents, config: ScanConfig) -> Scan:
    """The scan, scaled to the photons per frame that the option or else the file says."""
    scan = Scan(**{**contents.attributes(), "photons_per_frame": None})
    photons, notes = config.photons_per_frame, []
    if photons is None and contents.photons_per_frame is not None:
        # Only when the units are known is it known whether the frames carry a dose of their own.
        if scan.units == "counts":
            return scan
        photons = contents.photons_per_frame
        notes.append(f"the file says {photons:.4g} photons per frame: frames scaled to that")
    if photons is None:
        return scan
    dose = None
    if contents.frames is not stored.frames or config.beamstop is not None:
        # The same frame holds the same counts, whatever else is used.
        where = str(contents.source)
        limit = config.saturation or stored.saturation
        dose = Dose(stored.frames, valid_pixels(stored, config), limit, photons, where)
        notes.append(
            f"{photons:.4g} photons per frame is the mean of all {len(stored)} frames as stored, "
            "before frames and pixels were left out"
        )
    notes = [*scan.notes, *notes]
    return replace(scan, photons_per_frame=photons, dose=dose, notes=notes)
