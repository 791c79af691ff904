"""What frame values are: counts, amplitudes, or something scaled."""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.check.look import Look
from pinn.check.report import Finding
from pinn.config import ScanConfig
from pinn.data.quantum import found_quantum, said_of_quantum
from pinn.data.scan import Scan

_BRIGHT = 1e7  # counts in one pixel that no frame of a counting detector has


def unit_findings(scan: Scan, config: ScanConfig, seen: Look) -> list[Finding]:
    """Whether the values are what they are taken for."""
    values = seen.values
    if scan.units == "counts":
        return _of_counts(scan, config, values)
    powers = values**2 if scan.units == "amplitude" else values
    stats = scan.statistics()
    found = []
    largest = float(powers.max(initial=0.0))
    whole = bool(np.all(values == np.rint(values))) and float(values.max(initial=0.0)) > 1
    if whole and scan.units == "amplitude":
        found.append(
            Finding(
                "warning",
                "units",
                f"the frames are read as amplitude, but hold whole numbers up to "
                f"{values.max():g} as counts do",
                _called(scan, config, "counts"),
            )
        )
        return found
    step = found_quantum(scan, values)
    if step is not None and config.photons_per_frame is None:
        photons = stats.mean_counts / stats.rescale / step
        found.append(
            Finding(
                "remark",
                "dose-found",
                said_of_quantum(scan, step, photons),
                {"photons_per_frame": float(f"{photons:.4g}")},
            )
        )
    elif not stats.photons_known:
        found.append(
            Finding(
                "remark",
                "dose-unknown",
                "the numbers do not tell how many photons were counted; the likelihood takes "
                f"{stats.mean_counts:.3g} per frame; give --photons-per-frame if you know better",
            )
        )
    if scan.units == "amplitude" and largest > _BRIGHT:
        found.append(
            Finding(
                "warning",
                "units",
                f"the frames are read as amplitude, but the largest of them would mean "
                f"{largest:.1e} counts in one pixel; they look like intensities",
                _called(scan, config, "intensity"),
            )
        )
    return found


def _of_counts(scan: Scan, config: ScanConfig, values: np.ndarray) -> list[Finding]:
    found = []
    if not scan.statistics().integer_valued:
        found.append(
            Finding(
                # No option: file or user said counts, and a simulation without noise is right.
                "remark",
                "units",
                "the frames are said to be counts, but hold values that are not whole, as expected "
                "counts of a simulation without noise do; numbers that are merely proportional to "
                "counts should be called intensity",
            )
        )
        return found
    positive = values[values > 0].astype(np.int64)
    common = int(np.gcd.reduce(positive)) if len(positive) else 1
    if common > 1 and len(np.unique(positive)) > 5:
        called = _called(scan, config, "intensity")
        photons = float(f"{scan.statistics().mean_counts / common:.4g}")
        found.append(
            Finding(
                "warning",
                "gain",
                f"all counts are multiples of {common}: a photon is {common} units, and the noise "
                "is larger than the numbers say",
                {**called, "photons_per_frame": photons} if called else {},
            )
        )
    return found


def _called(scan: Scan, config: ScanConfig, units: str) -> dict[str, Any]:
    """The option that says what frames are, or nothing if the file says something else.

    A file that contradicts the option is refused, so that its proposal could not be followed.
    """
    return {} if scan.units_given and config.frames == "auto" else {"frames": units}
