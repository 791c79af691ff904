"""From a scan file of any known format to a `Scan`: `load`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pinn.config import ScanConfig
from pinn.data.dose import Dose
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.registry import FORMATS, Format, recognise
from pinn.io.opened import collected
from pinn.io.placement import scan_arguments
from pinn.io.stages import FrameStages

__all__ = ["FORMATS", "Format", "load", "scan_of"]


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
            found = known.contents(path, config)
        found.files += files
        try:
            return scan_of(path, found, config, known)
        except BaseException:
            found.close()
            raise
    except MemoryError as error:
        raise ScanError(
            f"{path} asks for more memory than there is ({str(error) or 'out of memory'}); it is "
            "damaged, or too large for this machine"
        ) from None


def scan_of(path: Path, found: Contents, config: ScanConfig, known: Format) -> Scan:
    """What a reader found, prepared as the options say.

    Raises:
        ScanError: see `load`.
    """
    stages = FrameStages(path, found, config, known)
    stages.leave_out()
    stages.mask_stored()
    stages.interpret()
    stages.lay_out()
    arguments = scan_arguments(stages)
    beside = (config.probe, config.diffraction, config.bad_pixels)
    arguments["files"] = [path, *found.files, *(file for file in beside if file is not None)]
    photons = config.photons_per_frame
    if photons is None and found.photons_per_frame is not None:
        # Only when the units are known is it known whether the frames carry a dose of their own.
        plain = Scan(**arguments)
        if plain.units == "counts":
            return plain
        photons = found.photons_per_frame
        told = f"the file says {photons:.4g} photons per frame: frames scaled to that"
        arguments["notes"].append(told)
    if photons is not None and not (
        arguments["frames"] is found.frames and stages.mask is stages.stored_mask
    ):
        # The same frame holds the same counts, whatever else is used.
        arguments["dose"] = Dose(
            found.frames, stages.stored_mask, stages.stored_saturation, photons, str(path)
        )
        arguments["notes"].append(
            f"{photons:.4g} photons per frame is the mean of all {stages.M} frames as stored, "
            "before frames and pixels were left out"
        )
    return Scan(**arguments, photons_per_frame=photons)
