"""What a user of ptychodus can set, in its settings file or by its parameters."""

from __future__ import annotations

import tomllib
from typing import Any

from ptychodus.api.observer import Observable, Observer
from ptychodus.api.settings import SettingsRegistry

from pinn import backend
from pinn.config import ModelConfig, RefineConfig, TrainConfig
from pinn.errors import ConfigError

GROUP = "Pinn"
STARTS = ("object", "flat", "network")


class PinnSettings(Observable, Observer):
    """The group `Pinn` of the settings.

    The usual options have parameters of their own. `Options`, `ReconstructOptions` and
    `RefineOptions` hold any others of `pinn train`, `pinn reconstruct` and `pinn refine`, as TOML
    with semicolons between them: `n_groups = 2000; loss = "poisson + 0.1 mae"`.
    """

    def __init__(self, registry: SettingsRegistry) -> None:
        super().__init__()
        model, train = ModelConfig(), TrainConfig()
        self._group = group = registry.create_group(GROUP)
        group.add_observer(self)
        self.epochs = group.create_integer_parameter("NumEpochs", train.epochs, minimum=1)
        self.batch_size = group.create_integer_parameter("BatchSize", train.batch_size, minimum=1)
        self.gridsize = group.create_integer_parameter(
            "GridSize", model.gridsize, minimum=1, maximum=5
        )
        self.architecture = group.create_string_parameter("Architecture", model.architecture)
        self.probe_trainable = group.create_boolean_parameter("ProbeTrainable", False)
        self.seed = group.create_integer_parameter("Seed", train.seed, minimum=0)
        self.units = group.create_string_parameter("Frames", "counts")
        self.picture_every = group.create_integer_parameter("PictureEvery", 5, minimum=1)
        self.backend = group.create_string_parameter("Backend", "")
        self.options = group.create_string_parameter("Options", "")
        self.reconstruct_options = group.create_string_parameter("ReconstructOptions", "")
        self.refine_start = group.create_string_parameter("RefineStart", STARTS[0])
        self.refine_options = group.create_string_parameter("RefineOptions", "")

    def training(self) -> dict[str, Any]:
        """Keywords of `pinn.train`, those of `Options` last.

        Raises:
            ConfigError: `Options` is no TOML.
        """
        return {
            "epochs": self.epochs.get_value(),
            "batch_size": self.batch_size.get_value(),
            "gridsize": self.gridsize.get_value(),
            "architecture": self.architecture.get_value(),
            "probe_trainable": self.probe_trainable.get_value(),
            "seed": self.seed.get_value(),
            **_parsed("Options", self.options.get_value()),
        }

    def reconstruction(self) -> dict[str, Any]:
        """Keywords of `pinn.reconstruct`.

        Raises:
            ConfigError: `ReconstructOptions` is no TOML.
        """
        return _parsed("ReconstructOptions", self.reconstruct_options.get_value())

    def refinement(self) -> RefineConfig:
        """Of `pinn.refine`, without the two halves unless `RefineOptions` asks for them.

        Raises:
            ConfigError: `RefineOptions` is no TOML, or has an option that cannot be.
        """
        given = _parsed("RefineOptions", self.refine_options.get_value())
        own = {"epochs": self.epochs.get_value(), "seed": self.seed.get_value()}
        return RefineConfig().replace(**{**own, "split_half": False, **given})

    def start(self) -> str:
        """Where a refinement begins: one of `STARTS`.

        Raises:
            ConfigError: another one is set.
        """
        name = self.refine_start.get_value()
        if name not in STARTS:
            raise ConfigError(
                f"{GROUP}.RefineStart of the ptychodus settings is {name!r}; known: "
                f"{', '.join(STARTS)}"
            )
        return name

    def select_backend(self) -> None:
        """Take the backend that is set, where one is.

        Raises:
            BackendError: unknown, not installed, or another one is loaded.
        """
        backend.select(self.backend.get_value() or None)

    def _update(self, observable: Observable) -> None:
        if observable is self._group:
            self.notify_observers()


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.replace(";", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{GROUP}.{name} of the ptychodus settings is {text!r}, but TOML such as "
            f"'n_groups = 2000; seed = 3' is required: {error}"
        ) from None
