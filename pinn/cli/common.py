"""What all commands share: backend, device, silence, and the check for what is required."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from pinn import backend
from pinn.backend import BACKENDS, DEVICES

# Name: what `pinn --help` says. The command of that name lives in the module of that name.
COMMANDS = {
    "demo": "Simulate, train, reconstruct, refine and compare, in two minutes.",
    "simulate": "Write a synthetic scan.",
    "train": "Train a network on one or many scans.",
    "reconstruct": "Reconstruct a scan with a trained network.",
    "refine": "Refine object, probe and positions through the forward model.",
    "evaluate": "Compare a reconstruction with a truth or with another one.",
    "check": "Show what is in a scan, what is wrong with it, and which options would fix it.",
    "convert": "Convert a scan to another format, a result to TIFF or NPY, an old archive to ours.",
    "compare": "Compare several reconstructions with one truth, side by side.",
    "study": "Run a sweep of trainings described in a TOML file.",
    "info": "Show what a model archive is and what it was trained on.",
}

Function = TypeVar("Function", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


@dataclass
class Common:
    """Options that stand before or after the command's name; the latter win."""

    backend: str | None = None
    device: str = "auto"
    quiet: bool = False
    reason: str = ""
    from_command_line: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.perf_counter)  # the command

    def say(self, text: str) -> None:
        """A line for people, on stderr, unless silence was asked for."""
        if not self.quiet:
            click.echo(text, err=True)

    def select_backend(self) -> None:
        """Decide the backend; quick, so that a wrong one is refused before any work."""
        self.reason = backend.select(self.backend).reason

    def start_device(self) -> None:
        """Load the framework on the chosen device and say in one line what was taken."""
        self.say(f"backend {backend.select_device(self.device)} (backend: {self.reason})")


def backend_options(function: Function) -> Function:
    """Decorator: `--backend`, `--device` and `--quiet`, kept in the context's `Common`."""
    device = click.option(
        "--device",
        type=click.Choice(DEVICES),
        help="Device to compute on. auto takes an accelerator if there is one. A device that is "
        "missing is an error.  [default: auto]",
        **_kept,
    )
    framework = click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        help="Framework to compute with.  [default: KERAS_BACKEND, a Keras configuration file, "
        "or the first installed]",
        **_kept,
    )
    return framework(device(quiet_option(function)))


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    common, name = ctx.ensure_object(Common), str(param.name)
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        common.from_command_line.add(name)
    elif source is not ParameterSource.DEFAULT_MAP or name in common.from_command_line:
        return
    setattr(common, name, value)


_kept: dict[str, Any] = {"expose_value": False, "callback": _keep}
quiet_option = click.option(
    "--quiet", is_flag=True, help="Show neither progress nor remarks.", **_kept
)


def need(ctx: click.Context, names: Iterable[str]) -> None:
    """Refuse to go on without the parameters named.

    They are not `required` for click, so that `--show-config` works without them.

    Raises:
        click.MissingParameter: exit code 2, with the usage.
    """
    for param in ctx.command.params:
        if param.name in names and ctx.params.get(param.name) in (None, ()):
            raise click.MissingParameter(ctx=ctx, param=param)
