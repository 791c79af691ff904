"""The illumination of a scan that a network is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinn.data.fingerprint import digest
from pinn.data.quantum import counted
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.networks.trained import Model


@dataclass(frozen=True, eq=False)
class Illumination:
    """Probe of a scan, and the contrast of what it illuminates.

    Attributes:
        probe: `(P, N, N)` complex in the gauge.
        probe_counts: the same in square root of counts.
        contrast: `(2,)`, see `compile_predictor`, or None.
        trained: the model was trained on this very scan, and this is what training made of it.
    """

    probe: np.ndarray
    probe_counts: np.ndarray
    contrast: np.ndarray | None
    trained: bool


def counted_for(scan: Scan, model: Model) -> Scan:
    """The scan as if its dose had been stated, where its numbers tell it.

    Not where that would change the unit of counts beside a model that was trained in the old one.
    """
    found = counted(scan)
    if found is scan or found.statistics().rescale == 1.0:
        return found
    known = [bool(one.get("photons_known")) for one in model.provenance.get("scans", [])]
    return found if known and all(known) else scan


def illumination_of(scan: Scan, model: Model, factor: float) -> Illumination:
    """Probe and contrast for a scan: as training left them, else the scan's own, else the model's.

    Args:
        factor: exposure factor that normalises the frames.

    Raises:
        ScanError: frames of another size, or made by another instrument, than the model's.
    """
    N = scan.N if model.network.unrolled else model.config.N
    if scan.N != N:
        raise ScanError(
            f"scan {scan.name} has frames of {scan.N} x {scan.N}, but the model was trained on "
            f"{N} x {N}; train a model of that size or crop the frames"
        )
    for name in ("propagation", "detector_response"):
        here, there = getattr(scan, name), getattr(model.config, name)
        if here != there:
            raise ScanError(
                f"scan {scan.name} has {name} {here}, but the model was trained with {there}; "
                "correct the option or train another model"
            )
    number = model.scan_number(digest(scan))
    if number is not None:
        ratio = scan.statistics().exposure_factor / factor
        probe, counts = model.probe(number), model.probe_counts(number) * ratio
        return Illumination(probe, counts, model.contrast(number), True)
    if scan.probe is None and model.network.unrolled:
        raise ScanError(
            f"scan {scan.name} has no probe, which the unrolled network needs: give one "
            "(--probe FILE), or let pinn check --write-probe FILE fit one to the frames"
        )
    probe = scan.probe_gauge() if scan.probe is not None else model.probe()
    return Illumination(probe, probe / factor, None, False)
