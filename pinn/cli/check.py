"""`pinn check SCAN`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

import pinn
from pinn.backend.selection import select
from pinn.check import Report, check, fit_probe, options_text
from pinn.check.cost import MEASURED
from pinn.check.mend import stored_bad_pixels, write_fixed
from pinn.cli.check_report import show
from pinn.cli.common import PATH, Common, backend_options
from pinn.cli.measure import measure
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.errors import BackendError
from pinn.io.atomic import atomic_path, atomic_write_json


@click.command(
    "check",
    cls=ConfigCommand,
    configs=(ScanConfig,),
    needed=("scan",),
    first=(
        *("fix", "as_json", "write_bad_pixels", "write_probe", "orientations", "thorough"),
        "format",
        "bad_pixels",
    ),
)
@click.argument("scan", required=False, metavar="SCAN", type=PATH)
@click.option(
    "--fix",
    type=PATH,
    metavar="OUT",
    help="Write the scan to OUT, corrected as the errors and warnings propose.",
)
@click.option("--json", "as_json", type=PATH, help="Write the whole report to this JSON file.")
@click.option(
    "--write-bad-pixels",
    type=PATH,
    metavar="FILE.npy",
    help="Write a mask for --bad-pixels with the dead and hot pixels found and those given.",
)
@click.option(
    "--write-probe",
    type=PATH,
    metavar="FILE.npz",
    help="Write a probe for --probe, fitted to some of the frames. Takes seconds.",
)
@click.option(
    "--orientations/--no-orientations",
    default=True,
    show_default=True,
    help="Test the axes and signs of the positions against the frames. Takes seconds, at most a "
    "minute.",
)
@click.option(
    "--thorough",
    is_flag=True,
    help="Check every frame, double the data of the orientation test, and time a few training "
    "steps on the device. Takes minutes.",
)
@backend_options
@click.pass_obj
def command(
    common: Common,
    scan: Path,
    fix: Path | None,
    as_json: Path | None,
    write_bad_pixels: Path | None,
    write_probe: Path | None,
    orientations: bool,
    thorough: bool,
    resolved: Resolved,
) -> int:
    """Show what is in SCAN, what is wrong with it, and which options would fix it.

    The exit code is 2 if there are errors, even where --fix corrects them.
    """
    backend = _backend(common, thorough or write_probe is not None)
    config = resolved.build(ScanConfig)
    loaded = pinn.load(scan, config)
    report = check(
        loaded,
        config,
        orientation=orientations,
        thorough=thorough,
        backend=backend,
        progress=lambda text: common.say(f"{text} ..."),
    )
    measured: list[Any] = []
    if thorough:
        measured = measure(common, loaded)
    notes = loaded.notes
    if write_bad_pixels is not None:
        _write_mask(common, report, loaded, config, write_bad_pixels)
    if write_probe is not None:
        _write_probe(common, report, loaded, write_probe)
    loaded.close()
    show(report, config, notes, measured)
    if as_json is not None:
        extra = {"notes": list(notes), "measured": {f.name: f.value for f in measured}}
        atomic_write_json(as_json, {**report.to_dict(), **extra})
    if fix is not None:
        _fix(common, report, scan, config, fix)
    return 2 if report.errors else 0


def _backend(common: Common, needed: bool) -> str:
    """The backend whose rates are told. Only the test of orientations computes with it, and is left
    out without one, so that none is required."""
    try:
        if needed or common.backend is not None:
            common.select_backend()
        return select().backend
    except BackendError:
        if needed or common.backend is not None:
            raise
        return next(iter(MEASURED))


def _write_mask(common: Common, report: Report, scan: Scan, config: ScanConfig, path: Path) -> None:
    bad = stored_bad_pixels(report, scan, config)
    # In the polarity of the options, which may also tell that of a mask in the scan's own file.
    polarity = config.bad_pixels_polarity
    with atomic_path(path) as aside, open(aside, "wb") as file:
        np.save(file, bad if polarity == "bad" else ~bad)
    options = options_text({"bad_pixels": path, "bad_pixels_polarity": polarity})
    given = "" if config.bad_pixels is None else f", those of {config.bad_pixels} among them"
    common.say(f"wrote {path}: {int(bad.sum())} bad pixels{given}; read it with {options}")


def _write_probe(common: Common, report: Report, scan: Scan, path: Path) -> None:
    if report.errors:
        common.say(
            f"{path} was not written: a probe fitted to a scan with errors is wrong; correct them "
            "(--fix) and write the probe of the corrected scan"
        )
        return
    common.say("fitting a probe ...")
    found = fit_probe(scan)
    with atomic_path(path) as aside, open(aside, "wb") as file:
        np.savez(file, probeGuess=found.probe[0])
    how = "" if found.r_factor is None else f", R factor {found.r_factor:.3f}"
    common.say(
        f"wrote {path}: a probe from the frames{how}; read it with {options_text({'probe': path})}"
    )


def _fix(common: Common, report: Report, scan: Path, config: ScanConfig, target: Path) -> None:
    if not report.options and report.bad_pixels is None:
        common.say(f"nothing to correct, so {target} was not written")
        return
    with Reporter(common.quiet) as progress:
        fixed = write_fixed(report, scan, config, target, progress)
    done = [options_text(fixed.options)] if fixed.options else []
    if fixed.bad_pixels is not None:
        done.append(f"{int(fixed.bad_pixels.sum())} bad pixels masked")
    common.say(f"wrote {target}: {', '.join(done)}")
