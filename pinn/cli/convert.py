"""`pinn convert IN OUT`: scans, results and old archives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pinn.cli.common import PATH, Common, quiet_option
from pinn.cli.options import ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.cli.scans import load_scans
from pinn.config import ScanConfig
from pinn.errors import ConfigError
from pinn.io.convert import check_target, write_scan
from pinn.io.convert_archive import MERGES, ROLES, archive_kind, convert_archive
from pinn.io.formats.registry import names
from pinn.plots.export import QUANTITIES, SUFFIXES, Exported, export


@click.command(
    "convert",
    cls=ConfigCommand,
    configs=(ScanConfig,),
    needed=("source", "target"),
    first=(
        *("to", "format", "frame_size", "bin_frames", "part", "bad_pixels", "merge"),
        *("quantity", "unwrap", "remove_phase_ramp", "force", "quiet"),
    ),
)
@click.argument("source", required=False, metavar="IN", type=PATH)
@click.argument("target", required=False, metavar="OUT", type=PATH)
@click.option(
    "--to",
    type=click.Choice(names(writable=True)),
    help="Format of the scan to write.  [default: by the file extension of OUT]",
)
@click.option(
    "--merge",
    type=click.Choice(MERGES),
    help="For an old model archive: weights of the patches in a group. legacy is PtychoPINN's "
    "rule.  [default: probe]",
)
@click.option(
    "--model-role",
    type=click.Choice(ROLES),
    help="For an old model archive: which of its models to convert.  [default: the first]",
)
@click.option(
    "--input-gain",
    type=click.FloatRange(min=0, min_open=True),
    help="For an old PyTorch archive: factor on the network's input.  [default: from its options]",
)
@click.option(
    "--quantity",
    type=click.Choice(QUANTITIES),
    help="For a result: what to write.  [default: the last word of OUT's name, as in "
    "scan7_phase.tif; object for .npy]",
)
@click.option("--unwrap", is_flag=True, help="For a result: take the jumps out of the phase.")
@click.option(
    "--remove-phase-ramp",
    is_flag=True,
    help="For a result: take mean and linear ramp off the phase, as phase.png does.",
)
@click.option("--force", is_flag=True, help="For a result: replace OUT if it is there.")
@quiet_option
@click.pass_obj
def command(
    common: Common,
    source: Path,
    target: Path,
    to: str | None,
    merge: str | None,
    model_role: str | None,
    input_gain: float | None,
    quantity: str | None,
    unwrap: bool,
    remove_phase_ramp: bool,
    force: bool,
    resolved: Resolved,
) -> None:
    """Convert a scan to another format, a result to TIFF or NPY, or an old model archive to ours.

    The options can prepare a scan on the way, for instance crop, bin or split it. A result
    (reconstruction.h5, its folder, or a ptychodus product) becomes a 32-bit TIFF with its pixel
    size if OUT is named like phase.tif or amplitude.tif, or an array if it is named like
    object.npy. PtychoPINN's archives are wts.h5.zip, the folder that holds it, or a Lightning
    checkpoint. They become OUT/wts.h5.zip, or OUT itself if it ends in .zip. No code in them is
    run. IN is not changed.
    """
    options = {"merge": merge, "model_role": model_role, "input_gain": input_gain}
    changes = {"unwrap": unwrap, "remove_phase_ramp": remove_phase_ramp, "force": force}
    if to is None and target.suffix.lower() in SUFFIXES:
        _refuse("old model archives", options, f"{source} is read as a result")
        given = resolved.given(ScanConfig)
        pixel = given.pop("pixel_size_m", None)
        _refuse("scans", given, f"{source} is read as a result")
        done = export(source, target, quantity, pixel_size_m=pixel, **changes)
        _say_exported(common, done)
        return
    why = f"OUT ({target}) does not end in one of {', '.join(SUFFIXES)}"
    _refuse("results", {"quantity": quantity, **changes}, why)
    if archive_kind(source) is not None:
        _archive(common, source, target, to, options, resolved)
        return
    _refuse("old model archives", options, f"{source} is not one")
    reading = resolved.build(ScanConfig)
    check_target(source, target, to, reading)
    (scan,) = load_scans(common, (source,), reading)
    with Reporter(common.quiet) as report:
        write_scan(scan, target, to, report)
    common.say(f"wrote {target}: {len(scan)} frames of {scan.N} x {scan.N}, {scan.units}")
    scan.close()


def _refuse(kind: str, options: Mapping[str, Any], why: str) -> None:
    """Refuse options that are for another kind of input."""
    for name, value in options.items():
        if value is not None and value is not False:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} is for {kind}, but {why}")


def _say_exported(common: Common, done: Exported) -> None:
    """Say what was written of a result, and what should be known about it."""
    shape = " x ".join(map(str, done.shape))
    common.say(f"wrote {done.path}: {done.quantity}, {shape} px")
    for note in done.notes:
        common.say(f"note: {note}")


def _archive(
    common: Common,
    source: Path,
    target: Path,
    to: str | None,
    options: dict[str, str | float | None],
    resolved: Resolved,
) -> None:
    """Convert an archive and say what went over."""
    given = resolved.given(ScanConfig)
    probe = given.pop("probe", None)
    if to is not None or given:
        names = ", ".join(f"--{n.replace('_', '-')}" for n in ("to",) * bool(to) + tuple(given))
        raise ConfigError(f"{names} is for scans, but {source} is a model archive; leave it out")
    done = convert_archive(
        source,
        target,
        merge=str(options["merge"] or "probe"),
        role=options["model_role"],  # type: ignore[arg-type]
        probe=probe,
        input_gain=options["input_gain"],  # type: ignore[arg-type]
    )
    common.say(f"{source} is an {done.kind}".replace("an Lightning", "a Lightning"))
    for title, lines in (
        ("carried over", done.carried),
        ("not carried over", done.lost),
        ("note", done.notes),
    ):
        for line in lines:
            common.say(f"{title}: {line}")
    common.say(f"wrote {done.path}")
