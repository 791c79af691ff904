"""What to do next for a better picture: one sentence, and a command that can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from pinn.check import options_text
from pinn.cli.common import Common
from pinn.cli.options import OPTIONS_FILE, Resolved
from pinn.config import RefineConfig, ScanConfig
from pinn.data.scan import Scan
from pinn.io.product import Reconstruction
from pinn.progress import ALL_DONE, OVER, SETTLED

# Passes of a usual refinement over the frames: 12 epochs, 35 iterations of L-BFGS, and as much
# again for its two halves; each takes about as long as the pass for the likelihood of the frames.
_PASSES = 90


def after_reconstruction(
    common: Common, source: Path, output: Path, recon: Reconstruction, scan: Scan, given: Resolved
) -> str:
    """How to refine a network's result, or "" where that is not possible."""
    if recon.probe is None and scan.probe is None:
        return ""
    reading = given.given(ScanConfig)
    flags = {name: v for name, v in reading.items() if name not in ScanConfig.keys_only}
    words = [shlex.quote(str(source)), _typed({**flags, **_common(common)})]
    if len(flags) < len(reading):  # what has no flag stands in the file alone
        words.append(_options_file())
    words += [f"--start {shlex.quote(str(output))}", f"--output {_free(output)}"]
    one = recon.statistics.get("seconds", {}).get("likelihood")
    time = "" if one is None else f"; that takes roughly {_seconds(_PASSES * one)}"
    return f"refinement makes the picture sharper{time}:\n  {_command(words)}"


def after_refinement(
    common: Common, source: Path, recon: Reconstruction, given: Resolved, other: Mapping[str, Any]
) -> str:
    """Whether more time or more epochs would help, and the command for it.

    Args:
        common: backend and device.
        source: file of the scan.
        recon: the result.
        given: the options of the run.
        other: options of the run that are no fields of a configuration; None is not given.
    """
    done, config = recon.statistics["refinement"], given.build(RefineConfig)
    rows = recon.statistics["history"]
    more: dict[str, Any]
    if done["ended"] == OVER:
        more, why = {"seconds": 2 * (config.seconds or 1.0)}, "the time limit ended it"
        time = more["seconds"]
    elif done["ended"] == ALL_DONE:
        more, why = {"epochs": 2 * config.epochs}, "all its epochs were used"
        time = config.epochs * _pass(rows)
    elif 0 < config.lbfgs_iterations <= done["lbfgs_iterations"]:
        more = {"lbfgs_iterations": 2 * config.lbfgs_iterations}
        why, time = "all iterations of L-BFGS were used", config.lbfgs_iterations * _pass(rows)
    elif done["ended"] == SETTLED:
        return "the likelihood no longer improves: more epochs will not help"
    else:
        return ""
    if config.split_half and done["ended"] != OVER:
        time += (len(rows) + time / max(_pass(rows), 1e-9)) * _pass(rows)
    command = to_resume(common, source, given, other, more)
    return f"{why}; to go on for roughly {_seconds(time)}:\n  {command}"


def to_resume(
    common: Common,
    source: Path,
    given: Resolved,
    other: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> str:
    """The command that goes on with a refinement, with other values of the options in `more`."""
    others = {name: value for name, value in other.items() if value is not None}
    stated = {**given.stated(ScanConfig, RefineConfig), **_common(common), **others, **(more or {})}
    return _command([shlex.quote(str(source)), _options_file(), _typed(stated), "--resume"])


def _command(words: list[str]) -> str:
    return " ".join(["pinn refine", *(word for word in words if word)])


def _common(common: Common) -> dict[str, Any]:
    """Backend and device, as far as they were asked for."""
    device = None if common.device == "auto" else common.device
    asked = {"backend": common.backend, "device": device}
    return {name: value for name, value in asked.items() if value is not None}


def _options_file() -> str:
    path = click.get_current_context().meta.get(OPTIONS_FILE)
    return "" if path is None else f"--config {shlex.quote(str(path))}"


def _typed(options: Mapping[str, Any]) -> str:
    """Options as they are typed; switches without a value."""
    words = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words.append(options_text({name: "none" if value is None else value}))
    return " ".join(words)


def _free(output: Path) -> str:
    """A folder beside the output that is not there yet."""
    folder, number = Path(f"{output}-refined"), 2
    while folder.exists():
        folder, number = Path(f"{output}-refined-{number}"), number + 1
    return shlex.quote(str(folder))


def _pass(rows: list[dict[str, Any]]) -> float:
    """Seconds of one pass over the frames: the median, for the first one compiles."""
    return float(np.median([row["seconds"] for row in rows])) if rows else 0.0


def _seconds(value: float) -> str:
    if value < 100:
        return f"{max(value, 1):.0f} s"
    return f"{value / 60:.0f} min" if value < 6000 else f"{value / 3600:.1f} h"
