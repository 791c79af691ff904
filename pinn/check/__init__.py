"""Is this scan what it seems to be? Facts, findings and what to change: `check` and `quick`.

All of it is NumPy but the orientation test, which is on the forward model: it alone loads Keras,
when it is run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pinn.backend import loaded_keras
from pinn.check.cost import costs
from pinn.check.dose import dose_findings
from pinn.check.exposures import file_numbers, frame_findings, repeated
from pinn.check.facts import facts, truth_findings
from pinn.check.geometry import (
    explained,
    looks_turned,
    orientation_findings,
    rotation_findings,
    untested,
)
from pinn.check.illumination import probe_findings
from pinn.check.look import FRAMES, QUICK_FRAMES, Look, look
from pinn.check.numbers import unit_findings
from pinn.check.orientation import Orientation
from pinn.check.pixels import (
    Bad,
    find_all_bad,
    pattern_findings,
    pixel_findings,
    reversed_mask,
)
from pinn.check.places import Layout, layout, position_findings
from pinn.check.report import Fact, Finding, Report, options_text, ranked, said
from pinn.check.rotation import look_for_rotation
from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.errors import BackendError, ConfigError
from pinn.io.load import load

if TYPE_CHECKING:
    from pinn.check.first_probe import FirstProbe

__all__ = [
    "Fact",
    "Finding",
    "Orientation",
    "Report",
    "check",
    "fit_probe",
    "options_text",
    "quick",
    "rank_orientations",
    "said",
]

Progress = Callable[[str], None]


def check(
    scan: Scan | str | Path,
    config: ScanConfig | None = None,
    *,
    orientation: bool = True,
    thorough: bool = False,
    backend: str = "jax",
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Examine a scan.

    Args:
        scan: as loaded, or the file.
        config: how it was, or is to be, read; proposals are made on top of it.
        orientation: also test how positions lie against frames, which takes seconds to a minute
            and a backend; where none can be loaded, a remark says so instead.
        thorough: look at every frame, and give the orientation test twice the data.
        backend: whose rates to estimate costs from.
        progress: told in a word what is being done.
        options: single fields of `ScanConfig`.

    Raises:
        ScanError: the file cannot be read as a scan at all.
        ConfigError: an unknown option.
    """
    begun = time.monotonic()
    tell = progress or (lambda text: None)
    config = (config or ScanConfig()).replace(**options)
    if not isinstance(scan, Scan):
        opened = load(scan, config)
        try:
            return check(
                opened,
                config,
                orientation=orientation,
                thorough=thorough,
                backend=backend,
                progress=progress,
            )
        finally:
            opened.close()
    tell("counting")
    if (wrong := reversed_mask(scan, config)) is not None:
        return Report(scan.name, (), (wrong,), seconds=time.monotonic() - begun)
    scan.statistics()
    tell("looking at frames")
    frames = None if thorough else FRAMES
    seen, found = look(scan, frames), layout(scan)
    bad, findings = _findings(scan, config, seen, found, frames)
    findings += repeated(scan, config)
    turned = None
    if orientation:
        tell("trying orientations")
        curl = look_for_rotation(scan, None if bad.any is None else ~bad.any)
        angle = None if curl is None else curl.suspected
        try:
            angles = () if angle is None else (angle,)
            turned = rank_orientations(
                scan,
                bad_pixels=bad.any,
                thorough=thorough,
                angles=angles,
                turn=None if curl is None or not curl.sure else curl.plain.angle_deg,
                numbers=file_numbers(scan, config),
            )
            rotation = rotation_findings(curl, turned, config)
            findings += explained(orientation_findings(turned, scan, config), rotation)
            findings += rotation
        except (BackendError, ConfigError) as error:
            findings.append(untested(error))
            findings += rotation_findings(curl, None, config)
    tell("estimating costs")
    estimates, memory = costs(scan, found, backend)
    return Report(
        name=scan.name,
        facts=tuple(facts(scan, config, seen, found)),
        findings=ranked(findings + memory),
        orientation=turned,
        costs=tuple(estimates),
        bad_pixels=bad.any,
        seconds=time.monotonic() - begun,
    )


def quick(scan: Scan, config: ScanConfig | None = None) -> tuple[Finding, ...]:
    """The cheap part of a check, which training and reconstruction run first.

    It costs a second besides `scan.statistics()`, which they need anyway.

    Args:
        scan: as loaded.
        config: how it was read.

    Returns:
        Most severe first.
    """
    config = config or ScanConfig()
    if (wrong := reversed_mask(scan, config)) is not None:
        return (wrong,)
    scan.statistics()
    seen = look(scan, QUICK_FRAMES)
    bad, findings = _findings(scan, config, seen, layout(scan), QUICK_FRAMES)
    curl = look_for_rotation(scan, None if bad.any is None else ~bad.any)
    return ranked(findings + looks_turned(curl))


def _findings(
    scan: Scan, config: ScanConfig, seen: Look, found: Layout, frames: int | None
) -> tuple[Bad, list[Finding]]:
    """Pixels first: centre, units, dose and frames are judged without the bad ones."""
    bad, good, clean = find_all_bad(scan, seen, frames)
    findings = [
        *position_findings(scan, config, found),
        *unit_findings(good, config, clean),
        *dose_findings(good),
        *pixel_findings(scan, config, seen, bad),
        *pattern_findings(good, config, clean),
        *frame_findings(good, config),
        *probe_findings(scan, found),
        *truth_findings(scan),
    ]
    return bad, findings


def rank_orientations(
    scan: Scan,
    *,
    bad_pixels: np.ndarray | None = None,
    thorough: bool = False,
    angles: Sequence[float] = (),
    turn: float | None = None,
    numbers: np.ndarray | None = None,
) -> Orientation | None:
    """Rank the 32 ways to lay the positions of a scan against its frames.

    Loads Keras, on the backend of this process.

    Args:
        scan: as read, with the options given so far.
        bad_pixels: bool `(N, N)`, centred, True = leave out besides what is masked.
        thorough: twice the frames, regions and sweeps.
        angles: degrees from +x towards +y to turn the positions by, tried besides 0.
        turn: an angle that the centres of mass are sure of, weighed where the classes are not
            decided.
        numbers: `(M,)`, that the frames have in the file: where no class explains them, they are
            tried one and two places earlier and later.

    Returns:
        None if the scan has too few frames to tell anything.

    Raises:
        BackendError: no backend is installed, not the one asked for, or a broken one.
        ConfigError: the scan's propagation or detector response is of no known kind.
    """
    loaded_keras()
    from pinn.check.ranking import rank

    return rank(scan, bad_pixels, thorough, angles, turn, numbers)


def fit_probe(scan: Scan) -> FirstProbe:
    """Fit a probe to some frames of a scan, without looking at the one it has.

    Loads Keras, on the backend of this process.

    Args:
        scan: as read.

    Returns:
        The probe, how well it explains frames, and a sentence.

    Raises:
        BackendError: no backend is installed, not the one asked for, or a broken one.
        ScanError: all frames are dark.
    """
    loaded_keras()
    from pinn.check.first_probe import first_probe

    return first_probe(scan)
