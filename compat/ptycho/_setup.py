"""A configuration from the command line and a YAML file, as scripts written for the original ask
for it: `parse_arguments`, `setup_configuration`, `update_config_from_dict`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pinn.io.legacy.table import KEY_MAPPINGS
from ptycho._classes import TrainingConfig
from ptycho._cli.flags import converted, read_yaml
from ptycho._cli.torch_flags import execution_of
from ptycho._cli.train import CLASSES, NAMES, configuration_of, parser
from ptycho._dictionary import LEGACY, update_legacy_dict


class Stated(Namespace):
    """Options of a command line that has no defaults: whatever is here was stated."""


def parse_arguments(arguments: Sequence[str] | None = None) -> Namespace:
    """The flags of `ptycho_train` that were given, for `setup_configuration`."""
    return parser().parse_args(arguments, namespace=Stated())


def setup_configuration(args: Namespace, yaml_path: str | Path | None = None) -> TrainingConfig:
    """Defaults, then the YAML file, then the command line: the latter counts.

    The legacy dictionary is updated, and sealed.

    Args:
        args: of `parse_arguments`; or of a parser of the caller's that fills in defaults: there an
            option that is None, or has the default of its field, does not overrule the file.
        yaml_path: a file with any of the fields, flat or with those of the network under `model`;
            default `args.config`.

    Raises:
        ConfigError: an unknown option in the file, or a value of a wrong kind.
    """
    path = getattr(args, "config", None) if yaml_path is None else yaml_path
    stated = {} if path is None else read_yaml(Path(path), *CLASSES)
    known = {field.name: field for kind in CLASSES for field in fields(kind)}
    options = dict(vars(args))
    execution_of(options)  # which knows the old flags
    for name in sorted(NAMES & options.keys()):
        given = options[name]
        if given is not None:
            given = converted(known[name], given)
        filled_in = given is None or given == known[name].default
        if isinstance(args, Stated) or not filled_in:
            stated[name] = given
    config = configuration_of(stated)
    update_legacy_dict(LEGACY.cfg, config)
    LEGACY.seal()
    return config


def update_config_from_dict(config_updates: Mapping[str, Any]) -> None:
    """Write options, by their fields or their old keys, into the legacy dictionary.

    Raises:
        ConfigError: a value that the dictionary does not allow.
    """
    for name, value in config_updates.items():
        LEGACY.set(KEY_MAPPINGS.get(name, name), value)
