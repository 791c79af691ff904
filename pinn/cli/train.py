"""`pinn train SCAN... --output DIR`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import pinn
from pinn.cli.common import PATH, Common, backend_options
from pinn.cli.options import DEFAULT, ConfigCommand, Resolved
from pinn.cli.progress import Reporter
from pinn.cli.scans import begin, check_option, load_scans
from pinn.cli.stop import StopOnSignal
from pinn.config import Config, ModelConfig, ScanConfig, TrainConfig
from pinn.errors import ConfigError

_ARCHIVE = "archive"
_CLASSES: dict[str, type[Config]] = {"scan": ScanConfig, "model": ModelConfig, "train": TrainConfig}


class TrainCommand(ConfigCommand):
    """With `--resume`, what is not stated is as it was when the run began."""

    def complete(self, ctx: click.Context, values: dict[str, Any], sources: dict[str, str]) -> None:
        """Take values from the `config.json` of the run that is resumed."""
        if not (ctx.params.get("resume") and ctx.params.get("output")):
            return
        stored = _stored_options(ctx.params["output"])
        for name in values:
            if sources[name] == DEFAULT and name in stored:
                values[name], sources[name] = stored[name], _ARCHIVE


@click.command(
    "train",
    cls=TrainCommand,
    configs=(ScanConfig, ModelConfig, TrainConfig),
    # The scan has them: an option could only agree or fail.
    leave_out={ModelConfig: ("N", "probe_modes", "propagation", "detector_response")},
    needed=("scans", "output"),
    first=(
        *("output", "start", "resume", "validation_scans", "architecture", "gridsize", "epochs"),
        *("batch_size", "n_groups", "mode", "seed", "backend", "device"),
    ),
)
@click.argument("scans", nargs=-1, metavar="SCAN...", type=PATH)
@click.option(
    "--output",
    type=PATH,
    help="Folder for wts.h5.zip, history.csv, config.json and pictures.  [required]",
)
@click.option(
    "--validation-scan",
    "validation_scans",
    multiple=True,
    metavar="FILE",
    type=PATH,
    help="Scan for validation, instead of held-out groups. May be repeated.",
)
@click.option(
    "--start",
    type=PATH,
    help="Trained model to train on: an archive, its folder, or pretrained for that of the "
    "package. Default: a new network.",
)
@click.option(
    "--resume", is_flag=True, help="Continue the run in the output folder, up to --epochs."
)
@check_option
@backend_options
@click.pass_obj
def command(
    common: Common,
    scans: tuple[Path, ...],
    output: Path,
    validation_scans: tuple[Path, ...],
    start: Path | None,
    resume: bool,
    check: bool,
    resolved: Resolved,
) -> None:
    """Train a network on one or more scans: through the physics, or against labels.

    The archive is saved after every epoch, so that an interrupted run can be resumed. Ctrl-C and
    SIGTERM finish the current step and save.
    """
    if start is not None and resume:
        raise ConfigError("give --start or --resume, not both: a run that is resumed has its start")
    reading = resolved.build(ScanConfig)
    loaded = begin(common, output, scans, reading, check)
    watched = load_scans(common, validation_scans, reading)
    common.start_device()
    try:
        with Reporter(common.quiet) as report, StopOnSignal(report) as stop:
            model = pinn.train(
                loaded,
                None if start is None else pinn.load_model(start),
                output=output,
                validation_scans=watched,
                resume=resume,
                progress=stop,
                record={
                    "scan": reading.to_dict(),
                    "scans": [str(scan) for scan in scans],
                    "preparation": [list(scan.steps) for scan in loaded],
                    "sources": resolved.sources,
                },
                **_stated(resolved),
            )
    except KeyboardInterrupt:
        if (output / "wts.h5.zip").exists():
            common.say(f"what was saved last is in {output}; --resume goes on from it")
        raise
    if stop.asked:
        common.say(f"stopped {_where(model)}; --resume goes on from there")
        raise KeyboardInterrupt
    common.say(f"wrote {output}: {_summary(model)}")


def _summary(model: Any) -> str:
    last = model.history[-1]
    restored = model.provenance.get("restored_epoch")
    text = f"{len(model.history)} epochs, last loss {last['loss']:.5g}"
    return text if restored is None else f"{text}, weights of epoch {restored}"


def _where(model: Any) -> str:
    cut = model.provenance.get("unfinished")
    if cut is None:
        return f"after epoch {len(model.history)}"
    return f"in epoch {cut['epoch']} after batch {cut['batch']}"


def _stated(resolved: Resolved) -> dict[str, Any]:
    """Options of model and run but those of the archive, which has them itself."""
    given = resolved.given(ModelConfig, TrainConfig)
    return {name: value for name, value in given.items() if resolved.sources[name] != _ARCHIVE}


def _stored_options(output: Path) -> dict[str, Any]:
    """Options of the run in a folder by name; none where its `config.json` cannot be read."""
    try:
        content = json.loads((output / "config.json").read_text(encoding="utf-8"))
        options: dict[str, Any] = {}
        for name, cls in _CLASSES.items():
            stored = content.get("scan", {}) if name == "scan" else content[name]
            options |= cls.from_stored(stored).model_dump(mode="json", exclude_unset=True)
        return options
    except ConfigError as error:  # an option of then has no counterpart any more
        raise ConfigError(
            f"{error}; {output / 'config.json'} says so, and a run with it cannot be resumed: "
            "start a new one, with another --output"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # `train` says what is wrong with it
