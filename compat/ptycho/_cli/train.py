"""`ptycho_train`: train on a scan file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pinn.errors import ConfigError
from pinn.io.atomic import check_writable
from ptycho._bundle import save
from ptycho._classes import ModelConfig, TrainingConfig
from ptycho._cli import add_logging, deprecated, run, start_logging
from ptycho._cli.flags import add_fields, read_yaml
from ptycho._cli.torch_flags import DOMAINS, add_torch_flags, execution_of
from ptycho._files import save_outputs
from ptycho._raw import RawData
from ptycho._run import run_cdi_example

CLASSES = (ModelConfig, TrainingConfig)
NAMES = {field.name for kind in CLASSES for field in fields(kind)} - {"model"}


def parser() -> argparse.ArgumentParser:
    """All flags."""
    made = argparse.ArgumentParser(
        "ptycho_train",
        description="Train a network on a ptychographic scan. The command line counts before the "
        "YAML file, and that before the defaults.",
        allow_abbrev=False,
    )
    made.add_argument("--config", type=Path, metavar="YAML", help="file with any of the fields")
    made.add_argument("--do_stitching", "--do-stitching", action="store_true",
                      help="reconstruct the test scan, or else the training scan")  # fmt: skip
    add_logging(made)
    add_fields(made, ModelConfig, "the network")
    add_fields(made, TrainingConfig, "the run", leave_out=("model",))
    add_torch_flags(made)
    return made


def configuration(arguments: Sequence[str] | None) -> tuple[TrainingConfig, Any, Any]:
    """The configuration, the execution configuration or None, and the other options.

    Raises:
        ConfigError: an unknown or impossible value.
    """
    other = parser().parse_args(arguments)
    start_logging(other)
    options = vars(other)
    stated = {} if other.config is None else read_yaml(other.config, *CLASSES)
    execution = execution_of(options)
    stated |= {name: options[name] for name in NAMES if name in options}
    config = configuration_of(stated)
    if "N" not in stated:
        config.model.N = 0  # that of the frames
    if config.train_data_file is None:
        raise ConfigError("no scan to train on; give --train_data_file")
    return config, execution, other


def configuration_of(stated: dict[str, Any]) -> TrainingConfig:
    """The configuration for the fields that were stated, those of the network among them."""
    if stated.get("n_images") is not None:
        deprecated("n_images", "n_groups, which counts groups and not images")
        images = stated.pop("n_images")
        if stated.get("n_groups") is None:
            stated["n_groups"] = images
    of_model = {f.name for f in fields(ModelConfig)}
    model = ModelConfig(**{k: v for k, v in stated.items() if k in of_model})
    return TrainingConfig(model, **{k: v for k, v in stated.items() if k not in of_model})


def work(arguments: Sequence[str] | None = None) -> None:
    """Train, save, and reconstruct where that is asked for."""
    config, execution, other = configuration(arguments)
    assert config.train_data_file is not None
    check_writable(config.output_dir)
    train = RawData.from_file(config.train_data_file, config if config.model.N else None)
    test = None if config.test_data_file is None else RawData.from_file(config.test_data_file)
    for raw in (train, test):
        if raw is not None:
            raw.units = DOMAINS.get(other.frames, raw.units)
    amplitude, phase, results = run_cdi_example(
        train, test, config, do_stitching=other.do_stitching, torch_execution_config=execution
    )
    save(Path(config.output_dir) / "wts.h5.zip")
    save_outputs(amplitude, phase, results, config.output_dir)


def main() -> None:
    """The console script."""
    run(work)
