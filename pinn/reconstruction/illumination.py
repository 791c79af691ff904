"""What lights the patches of a scan that a network is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinn.data.fingerprint import digest
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.networks.trained import Model


@dataclass(frozen=True, eq=False)
class Light:
    """What lights the patches of a scan.

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


def light_of(scan: Scan, model: Model, factor: float) -> Light:
    """Probe and contrast for a scan: as training left them, else the scan's own, else the model's.

    Args:
        factor: exposure factor that normalises the frames.

    Raises:
        ScanError: frames of another size than the model's.
    """
    N = model.config.N
    if scan.N != N:
        raise ScanError(
            f"scan {scan.name} has frames of {scan.N} x {scan.N}, but the model was trained on "
            f"{N} x {N}; train a model of that size or crop the frames"
        )
    number = model.scan_number(digest(scan))
    if number is not None:
        ratio = scan.statistics().exposure_factor / factor
        probe = model.probe(number)
        return Light(probe, model.probe_counts(number) * ratio, model.contrast(number), True)
    probe = scan.probe_gauge() if scan.probe is not None else model.probe()
    return Light(probe, probe / factor, None, False)
