"""From the orientation test to findings: what to change, what the data cannot tell, what would."""

from __future__ import annotations

from pinn.check.orientation import Orientation, Scale
from pinn.check.report import Finding
from pinn.check.symmetry import Choice, composed
from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.errors import BackendError, ConfigError

DECIDE = (
    "what would tell: a probe known from another scan, complex and asymmetric (--probe FILE); a "
    "mark on the sample whose handedness is known; or the direction in which the stage moves"
)


def orientation_findings(
    found: Orientation | None, scan: Scan, config: ScanConfig
) -> list[Finding]:
    """What the orientation test says, as findings."""
    if found is None:
        return [
            Finding(
                "remark",
                "orientation-untested",
                "too few frames to test how positions lie against frames",
            )
        ]
    findings = [_of_class(found, config)]
    if found.scale is not None and found.scale.factor != 1.0:
        findings.append(_of_scale(found.scale, scan))
    if found.decided and found.probe == "poor" and found.probe_r_factor is not None:
        findings.append(
            Finding(
                "remark",
                "probe-poor",
                f"the probe of the file explains the frames badly (R factor "
                f"{found.probe_r_factor:.2f}; a fitted one {found.free_r_factor:.2f}): let it be "
                "refined (train --probe-trainable), or give a better one with --probe",
            )
        )
    return findings


def untested(error: BackendError | ConfigError) -> Finding:
    """That the test was left out, for it needs a backend, and the kinds of physics of the scan."""
    needs = (
        "which needs a backend" if isinstance(error, BackendError) else "which needs its physics"
    )
    return Finding(
        "remark",
        "orientation-untested",
        f"how positions lie against frames was not tested, {needs}: {error}",
    )


def _of_class(found: Orientation, config: ScanConfig) -> Finding:
    best = found.classes[found.best]
    if not found.decided:
        names = " or ".join(
            f"'{found.classes[k].name}'" for k in sorted((found.best, *found.rivals))
        )
        return Finding(
            "remark" if 0 in (found.best, *found.rivals) else "warning",
            "orientation-open",
            f"the frames do not tell how the positions lie against them ({names}): too little "
            "counts, structure or overlap, positions that are wrong by more than their axes, or a "
            "probe that is far from the true one",
        )
    margin = min(score.margin for k, score in enumerate(found.classes) if k not in (found.best,))
    choice = found.choice
    options = composed(choice, config.orientation, config.rotation_deg, config.flip_frames)
    sure = (
        f"R factor {best.r_factor:.3f} against "
        f"{min(s.r_factor for k, s in enumerate(found.classes) if k != found.best):.3f}, "
        f"{margin:.0f} standard errors"
    )
    others = len(found.members) - 1
    if not options:
        tail = "" if not others else f"; {_equal(others)}"
        return Finding(
            "remark", "orientation", f"positions and frames fit together as they are ({sure}){tail}"
        )
    if found.best == 0:
        message = (
            f"positions and frames fit together, but the given probe fits them only with "
            f"{_said(choice)} ({_sigmas(found)}); if the axes are known to be right, it is the "
            "probe that is stored turned over or conjugated"
        )
    else:
        message = f"the positions do not lie as the frames do: {best.name} is right ({sure})"
        if not others:
            message += f"; the probe tells which of eight equal ways ({_sigmas(found)})"
        else:
            message += f"; {_equal(others)}"
    return Finding("error", "orientation", message, options)


def _of_scale(scale: Scale, scan: Scan) -> Finding:
    pixel = scan.pixel_size_m
    return Finding(
        "warning",
        "positions-scale",
        f"positions about {scale.factor:.2g} times as large explain the frames better (R factor "
        f"{scale.r_factor:.3f} against {scale.given_r_factor:.3f}, {scale.margin:.0f} standard "
        "errors), as if the pixel size or the unit of the positions was wrong by that or, if the "
        "probe is out of focus, by more"
        + ("" if pixel is None else f"; a pixel of about {pixel / scale.factor:.2g} m would fit"),
    )


def _equal(others: int) -> str:
    word = "one other choice is" if others == 1 else f"{others} other choices are"
    return f"{word} as likely and give the same object turned over or conjugated"


def _sigmas(found: Orientation) -> str:
    return "" if found.member_margin is None else f"{found.member_margin:.0f} standard errors"


def _said(choice: Choice) -> str:
    words = []
    if choice.orientation != "+y+x":
        words.append(f"positions {choice.orientation}")
    if choice.flip != "none":
        words.append(f"frames flipped {choice.flip}")
    return " and ".join(words) or "as given"
