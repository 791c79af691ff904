"""Options generated from the configuration classes, an options file, and where values came from."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
from click.core import ParameterSource
from pydantic.fields import FieldInfo

from pinn.cli.common import COMMANDS, need
from pinn.config import Config, from_toml, successors
from pinn.errors import ConfigError
from pinn.io.text import aligned

DEFAULT, _FILE, _LINE = "default", "options file", "command line"
_SOURCES = {ParameterSource.COMMANDLINE: _LINE, ParameterSource.DEFAULT_MAP: _FILE}
_ALL = "pinn.help_all"
OPTIONS_FILE = "pinn.options_file"  # where the context keeps its path
_SHORT_LIST = 8  # choices that still fit beside the option's name
AnyConfig = TypeVar("AnyConfig", bound=Config)


@dataclass(frozen=True)
class Resolved:
    """Values of all configuration fields of a command, and where each came from."""

    values: dict[str, Any]
    sources: dict[str, str]
    owners: dict[str, type[Config]]

    def given(self, *classes: type[Config]) -> dict[str, Any]:
        """Fields of these classes that are not left at their defaults."""
        return {
            name: value
            for name, value in self.values.items()
            if self.sources[name] != DEFAULT and self.owners[name] in classes
        }

    def stated(self, *classes: type[Config]) -> dict[str, Any]:
        """Fields of these classes that stand on the command line."""
        given = self.given(*classes)
        return {name: v for name, v in given.items() if self.sources[name] == _LINE}

    def build(self, cls: type[AnyConfig]) -> AnyConfig:
        """The configuration, validated.

        Raises:
            ConfigError: an impossible value or combination.
        """
        return cls(**self.given(cls))


class _OrNone(click.ParamType):
    """A type whose value may also be the word none."""

    def __init__(self, inner: click.ParamType) -> None:
        self.inner, self.name = inner, inner.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if _is_none(value):
            return None
        return self.inner.convert(value, param, ctx)


def _is_none(value: Any) -> bool:
    return isinstance(value, str) and value.lower() == "none"


class ConfigCommand(click.Command):
    """A command whose options are the fields of configuration classes.

    The function gets a `Resolved` as `resolved` besides its own parameters.

    Args:
        configs: the classes; a field name must occur in one of them only.
        leave_out: fields that are no options, by class.
        needed: names of the parameters that must be given (see `need`).
        first: names of the parameters that `--help` shows; the others are shown by `--help-all`.
    """

    def __init__(
        self,
        *args: Any,
        configs: Sequence[type[Config]] = (),
        leave_out: Mapping[type[Config], Sequence[str]] | None = None,
        needed: Sequence[str] = (),
        first: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.configs, self.needed = configs, needed
        self.first = (*first, "config_file", "help_all", "help")
        self.context_settings.setdefault("token_normalize_func", _dashes)
        self.fields: dict[str, type[Config]] = {}
        for cls in configs:
            for name, field in cls.model_fields.items():
                if name in (leave_out or {}).get(cls, ()):
                    continue
                if name in self.fields:
                    raise TypeError(f"{name} is a field of both {self.fields[name]} and {cls}")
                self.fields[name] = cls
                if name not in cls.keys_only:
                    self.params.append(_option(name, field))
        self.params += [
            click.Option(
                ["--config", "config_file"],
                type=click.Path(dir_okay=False, path_type=Path),
                is_eager=True,
                expose_value=False,
                callback=_read_file,
                help="TOML file with options by name. A table [COMMAND] holds options of one "
                "command. The command line takes precedence.",
            ),
            click.Option(
                ["--show-config", "show_config"],
                is_flag=True,
                help="Show every option with its value and source, and exit.",
            ),
            click.Option(
                ["--help-all", "help_all"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_help_all,
                help="Show all options and exit.",
            ),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; an option of an earlier version gets a sentence with its successor."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            told = self.explain(_underscores(error.option_name.strip("-")).removeprefix("no_"))
            raise (error if told is None else click.UsageError(told, ctx)) from None

    def explain(self, name: str) -> str | None:
        """What became of an option that this command does not have; None: there was none."""
        if name in self.fields:
            return (
                f"{name} has no option on the command line; state it in a TOML file (--config) or "
                "in Python"
            )
        return successors.sentence(name, *(cls.__name__ for cls in self.configs))

    def invoke(self, ctx: click.Context) -> Any:
        """Resolve, check, and run or show."""
        values, sources = {}, {}
        stated = ctx.default_map or {}
        for name, cls in self.fields.items():
            field = cls.model_fields[name]
            source = ctx.get_parameter_source(name)
            value = ctx.params.pop(name, field.default)
            if source is ParameterSource.DEFAULT_MAP or (source is None and name in stated):
                # as the file states it: click would make 3 of 3.7, pydantic refuses
                source, value = ParameterSource.DEFAULT_MAP, stated[name]
                if _is_none(value) and _optional(field):
                    value = None
            values[name] = value
            sources[name] = _SOURCES.get(source, DEFAULT) if source else DEFAULT
        self.complete(ctx, values, sources)
        resolved = Resolved(values, sources, self.fields)
        for cls in self.configs:
            resolved.build(cls)
        if ctx.params.pop("show_config"):
            click.echo(self._table(resolved))
            return None
        need(ctx, self.needed)
        ctx.params["resolved"] = resolved
        return super().invoke(ctx)

    def complete(self, ctx: click.Context, values: dict[str, Any], sources: dict[str, str]) -> None:
        """Take values from elsewhere, in place, before they are checked; here none."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options needed first; with `--help-all` all of them, under their headings."""
        headings = {name: title for cls in self.configs for name, title in _headings(cls).items()}
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        everything, hidden = ctx.meta.get(_ALL, False), 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is None:
                continue
            name = str(param.name)
            if everything:
                sections.setdefault(headings.get(name, "Options"), []).append(record)
            elif name in self.first:
                sections["Options"].append(record)
            else:
                hidden += 1
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"{hidden} more options: {ctx.command_path} --help-all")

    def _table(self, resolved: Resolved) -> str:
        rows = [
            (name, "none" if value is None else str(value), resolved.sources[name])
            for name, value in resolved.values.items()
        ]
        return aligned(rows)


def _dashes(token: str) -> str:
    return token.replace("_", "-")


def _underscores(token: str) -> str:
    return token.replace("-", "_")


def _headings(cls: type[Config]) -> dict[str, str]:
    """The heading of each field: the class's own sections, or its first line for all."""
    heading = (cls.__doc__ or cls.__name__).strip().split(".")[0]
    headings = {}
    for name in cls.model_fields:
        heading = cls.sections.get(name, heading)
        headings[name] = heading
    return headings


def _help_all(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


def _option(name: str, field: FieldInfo) -> click.Option:
    flag = _dashes(name)
    kind = _plain(field.annotation)
    settings: dict[str, Any] = {}
    text = field.description or ""
    if kind is bool:
        flag = f"{flag}/--no-{flag}"
    elif typing.get_origin(kind) is Literal:
        words = [str(value) for value in typing.get_args(kind)]
        settings["type"] = click.Choice(words)
        if len(words) > _SHORT_LIST:
            settings["metavar"] = "NAME"
            text = f"{text} One of {', '.join(words)}."
    elif kind is Path:
        settings["type"] = click.Path(path_type=Path)
    elif kind in (int, float, str):
        settings["type"] = click.types.convert_type(kind)
    else:
        raise TypeError(f"field {name} has type {field.annotation}, which no option stands for")
    if _optional(field) and "type" in settings:
        settings["type"] = _OrNone(settings["type"])
    return click.Option(
        [name, f"--{flag}"],
        default=field.default,
        show_default=field.default is not None,
        help=text,
        **settings,
    )


def _optional(field: FieldInfo) -> bool:
    return _plain(field.annotation) is not field.annotation


def _plain(annotation: Any) -> Any:
    """The type itself, of one that may also be None."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return annotation


def _read_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    ctx.meta[OPTIONS_FILE] = path
    command = ctx.command
    assert isinstance(command, ConfigCommand)
    content = from_toml(path)
    commands = COMMANDS.keys()
    stated = {k: v for k, v in content.items() if not (k in commands and isinstance(v, dict))}
    table = content.get(str(command.name), {})
    if isinstance(table, dict):
        stated |= table
    options = {str(p.name) for p in command.params if isinstance(p, click.Option)}
    names = command.fields.keys() | options - {"config_file", "show_config", "help_all"}
    values = {_underscores(name): value for name, value in stated.items()}
    for name in sorted(values.keys() - names):
        told = command.explain(name) or f"unknown option {name!r}; {command.name} knows: " + (
            ", ".join(sorted(names))
        )
        raise ConfigError(f"{told} (in {path})")
    for name, value in values.items():
        if not isinstance(value, (bool, int, float, str)):
            raise ConfigError(f"option {name!r} in {path} is {value!r}; give one plain value")
    ctx.default_map = {**(ctx.default_map or {}), **values}
