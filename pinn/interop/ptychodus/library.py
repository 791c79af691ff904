"""The library of algorithms that ptychodus registers, and how it gets into a running one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptychodus.api.reconstruct import Reconstructor, ReconstructorLibrary
from ptychodus.api.settings import SettingsRegistry
from ptychodus.model import ModelCore
from ptychodus.model.processing import ProcessingAlgorithmParameter

from pinn.interop.ptychodus.reconstructor import algorithms
from pinn.interop.ptychodus.settings import PinnSettings


class PinnReconstructorLibrary(ReconstructorLibrary):
    """`pinn_pinn`, `pinn_supervised`, `pinn_fit` and `pinn_refine`; built as those of ptychodus."""

    def __init__(
        self, settings_registry: SettingsRegistry, is_developer_mode_enabled: bool = False
    ) -> None:
        super().__init__("pinn")
        self.settings = PinnSettings(settings_registry)
        self._algorithms = algorithms(self.settings)

    @property
    def name(self) -> str:
        return "pinn"

    def __iter__(self) -> Iterator[Reconstructor]:
        return iter(self._algorithms)


def register(core: ModelCore) -> PinnReconstructorLibrary:
    """Add the algorithms to a ptychodus that is already built, before it opens settings.

    ptychodus 1.7 has no registry of reconstructors, only the list its `ModelCore` is built with;
    what that list leads to is extended here.
    """
    library = PinnReconstructorLibrary(core.settings_registry)
    processing = core.processing_core
    parameter: Any = processing.algorithm_parameter
    parameter._libraries = [*parameter._libraries, library]
    for algorithm in library:
        key = ProcessingAlgorithmParameter.generate_key(library.name, algorithm.name)
        parameter._reconstructor_map[key] = algorithm
    library.get_logger().addHandler(processing.processing_api.task_monitor.get_log_handler())
    return library


def main() -> int:
    """Start ptychodus, its window or its batch mode, with the algorithms of pinn in it."""
    from ptychodus import __main__ as application

    class Core(ModelCore):
        def __init__(
            self, settings_file: Path | None = None, *, log_level: int = logging.WARNING
        ) -> None:
            super().__init__(None, log_level=log_level)
            register(self)
            if settings_file is not None:
                self.settings_registry.open_settings(settings_file)

    application.ModelCore = Core
    return int(application.main())
