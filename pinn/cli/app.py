"""The group of commands; each is imported when it is called, so that `--help` is quick."""

from __future__ import annotations

import importlib

import click

from pinn import __version__
from pinn.cli.common import COMMANDS, Common, backend_options


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"pinn.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pinn")
@backend_options
@click.pass_context
def pinn(ctx: click.Context) -> None:
    """Ptychography by a network that learns from the diffraction patterns alone."""
    ctx.ensure_object(Common)
