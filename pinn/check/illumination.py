"""The probe: whether its array holds it, and whether it explains the frames."""

from __future__ import annotations

import numpy as np

from pinn.check.places import Layout
from pinn.check.report import Finding
from pinn.data.scan import Scan

_EDGE = 8  # the border is N over this wide
_SPILL, _MUCH = 0.005, 0.03


def border_share(probe: np.ndarray) -> float:
    """Share of the power of a probe `(P, N, N)` in the outer eighth of its array."""
    power = np.sum(probe.real.astype(np.float64) ** 2 + probe.imag.astype(np.float64) ** 2, 0)
    width = max(1, len(power) // (2 * _EDGE))
    inner = power[width:-width, width:-width]
    return float(1 - inner.sum() / power.sum())


def probe_findings(scan: Scan, found: Layout) -> list[Finding]:
    """Whether the probe fits its array."""
    if scan.probe is None:
        return [
            Finding(
                "warning",
                "no-probe",
                "the scan has no probe: training and refinement begin with one that is fitted to "
                "some of the frames (pinn check SCAN --write-probe FILE writes it); better is a "
                "measured one (--probe FILE), or one from the optics (--probe-defocus-m or "
                "--probe-diameter-m)",
            )
        ]
    assert found.diameter is not None
    share = border_share(scan.probe)
    if share < _SPILL and found.diameter < 0.7 * scan.N:
        return []
    severe = share > _MUCH or found.diameter >= 0.7 * scan.N
    return [
        Finding(
            "warning" if severe else "remark",
            "probe-support",
            f"the probe is {found.diameter:.3g} px across in an array of {scan.N} and has "
            f"{share:.1%} of its power in the outer eighth: it reaches the edge, so the "
            "patterns are sampled too coarsely; it wants detector pixels that are smaller or "
            "not binned",
        )
    ]
