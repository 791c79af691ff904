"""From the orientation test to findings: what to change, what the data cannot tell, what would."""

from __future__ import annotations

from pinn.check.orientation import Late, Orientation, Scale
from pinn.check.report import Finding
from pinn.check.rotation import Centres
from pinn.check.symmetry import Choice, absolute
from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.errors import BackendError, ConfigError

REFUSED = 4.0  # standard errors
# What the proper ones of the orientations turn positions by, from +x towards +y.
QUARTERS = {"+y+x": 0.0, "+x-y": 90.0, "-y-x": 180.0, "-x+y": -90.0}
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
    if found.late is not None:
        return [_of_lateness(found.late, config)]  # all else was judged on frames out of step
    findings = [_of_class(found, config)]
    if found.unexplained:
        findings.append(
            Finding(
                "warning",
                "frames-unexplained",
                "no arrangement explains the frames: the best of all that were tried is far from "
                f"counting noise (R factor {found.free_r_factor:.3f}; noise alone "
                f"{found.noise:.3f}), and hardly better than others; look for frames or positions "
                "in a wrong order, for positions of another scan, or for a wrong centre",
            )
        )
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


def rotation_findings(
    seen: Centres | None, found: Orientation | None, config: ScanConfig
) -> list[Finding]:
    """What the centres of mass say of a rotation, where no fit confirmed it.

    Args:
        seen: of the centres of mass.
        found: by fits, where they were made.
        config: how the scan was read.
    """
    if seen is None or seen.suspected is None or (found is not None and found.rotation_deg):
        return []
    if found is not None and found.late is not None:
        return []
    if found is None and not seen.sure:
        angle = seen.suspected
        return [
            Finding(
                "remark",
                "positions-rotation",
                f"the centres of mass of the frames move as if the positions were turned against "
                f"the detector (by {angle:+.0f} degrees, or that and quarter turns); only fits, "
                "which need a backend, can tell",
            )
        ]
    turn = None if found is None else found.turn
    if not seen.sure or (found is not None and (found.decided or _refused(found))):
        return []
    curl = seen.plain
    angles = [curl.angle_deg, curl.angle_deg + 180.0]
    if turn is not None and turn.better:
        angles = [turn.angle_deg, turn.angle_deg + 180.0]
    first, second = (_turn(config.rotation_deg + angle) for angle in angles)
    message = (
        "the positions are turned against the detector: the centres of mass of the frames have "
        f"least curl with a rotation of {first:.0f} degrees from +x towards +y (+-"
        f"{curl.error_deg:.0f}; {curl.ratio:.0%} of the divergence is left)"
    )
    fits = (
        ""
        if turn is None or not turn.better
        else f"fits bear it out ({turn.margin:.0f} standard "
        f"errors, R factor {turn.r_factor:.4f} against {turn.given_r_factor:.4f})"
    )
    if fits and turn is not None and turn.single:
        message += f"; {fits}, and exclude half a turn more"
    else:
        message += f"; {fits or 'fits do not tell, or were not made'}; {second:.0f} degrees are "
        message += "as likely and give the same object turned and conjugated"
    return [
        Finding(
            "remark" if found is None else "error" if fits else "warning",
            "positions-rotation",
            message,
            {"rotation_deg": round(first, 1)},
        )
    ]


def looks_turned(seen: Centres | None) -> list[Finding]:
    """A warning where the centres of mass are sure of a rotation, without fits."""
    if seen is None or not seen.sure:
        return []
    first, second = (_turn(seen.plain.angle_deg + half) for half in (0.0, 180.0))
    return [
        Finding(
            "warning",
            "positions-rotation",
            f"the positions look turned against the detector, by {first:.0f} or {second:.0f} "
            "degrees from +x towards +y; pinn check SCAN --fix FIXED finds out which and mends it",
        )
    ]


def explained(orientation: list[Finding], rotation: list[Finding]) -> list[Finding]:
    """Findings of the orientation test without those that a rotation accounts for: positions that
    are turned leave the classes open."""
    turned = any(finding.severity == "error" for finding in rotation)
    return [f for f in orientation if not (turned and f.code == "orientation-open")]


def _refused(found: Orientation) -> bool:
    """Whether the frames are better predicted with the positions as given."""
    tried = found.angles if found.turn is None else (*found.angles, found.turn)
    return any(angle.margin <= -REFUSED for angle in tried)


def _turn(degrees: float) -> float:
    """The same angle in (-180, 180]."""
    return 180.0 - (180.0 - degrees) % 360.0


def turned(choice: Choice, found: Orientation, config: ScanConfig) -> dict[str, str | float]:
    """All options that do a choice on the positions as they were found to be turned, on top of
    those given. Quarter turns are added to the angle, where there is one."""
    angle = config.rotation_deg + found.rotation_deg
    quarter = QUARTERS.get(choice.orientation)
    if found.rotation_deg and quarter is not None and choice.flip == "none":
        options = absolute(Choice("+y+x", "none"), config.orientation, angle, config.flip_frames)
        angle += quarter
    else:
        options = absolute(choice, config.orientation, angle, config.flip_frames)
        angle = float(options["rotation_deg"])
    rounded = round(_turn(angle), 1) if found.rotation_deg else angle
    return {**options, "rotation_deg": rounded}


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
    given = config.model_dump()
    options = {k: v for k, v in turned(choice, found, config).items() if v != given[k]}
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
    if found.rotation_deg:
        angle = found.angles[-1]
        quarters = _said(choice)
        message = (
            f"the positions are turned against the detector: by about {found.rotation_deg:.0f} "
            f"degrees from +x towards +y{'' if quarters == 'as given' else f', then {quarters}'}, "
            f"they explain the frames better (R factor {angle.r_factor:.3f} against "
            f"{angle.given_r_factor:.3f}, {angle.margin:.0f} standard errors)"
        )
        message += f"; {_equal(others)}" if others else ""
    elif found.best == 0:
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


def _of_lateness(late: Late, config: ScanConfig) -> Finding:
    count = abs(late.frames)
    places = "one place" if count == 1 else f"{count} places"
    return Finding(
        "error",
        "frames-late",
        f"the frames come {places} too {'late' if late.frames > 0 else 'early'} for their "
        f"positions, as if a trigger was lost or a frame too many was taken: shifted by that they "
        f"are explained better (R factor {late.r_factor:.3f} against "
        f"{late.given_r_factor:.3f}, {late.margin:.0f} standard errors)",
        {"frames_late": config.frames_late + late.frames},
    )


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
