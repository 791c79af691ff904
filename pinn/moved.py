"""Where modules of 0.1.0 are now. Importing an old name gives one sentence with the new one."""

from __future__ import annotations

import sys
from typing import Any

# The old name, then the new one; a package stands for all that was in it.
MODULES = {
    "pinn.comparison_many": "pinn.quality.compare",
    "pinn.comparison_pictures": "pinn.plots.comparison",
    "pinn.contrast": "pinn.reconstruction.contrast",
    "pinn.inference": "pinn.reconstruction.inference",
    "pinn.initialise": "pinn.networks.initialise",
    "pinn.lighting": "pinn.reconstruction.illumination",
    "pinn.live": "pinn.reconstruction.streaming",
    "pinn.machine": "pinn.backend.machine",
    "pinn.metrics": "pinn.quality",
    "pinn.model": "pinn.networks.model",
    "pinn.objective": "pinn.networks.objective",
    "pinn.optimisation": "pinn.training.optimisation",
    "pinn.panels": "pinn.plots.panels",
    "pinn.pictures": "pinn.plots.pictures",
    "pinn.predictor": "pinn.networks.predictor",
    "pinn.results": "pinn.data.result",
    "pinn.selection": "pinn.backend.selection",
    "pinn.staging": "pinn.training.staging",
    "pinn.stitching": "pinn.reconstruction.canvas",
    "pinn.synchronise": "pinn.reconstruction.phases",
    "pinn.trained": "pinn.networks.trained",
    "pinn.trust": "pinn.quality",
    "pinn.varpro": "pinn.reconstruction.contrast_fit",
    "pinn.io.cxi": "pinn.io.formats.cxi",
    "pinn.io.electron": "pinn.io.formats.electron",
    "pinn.io.npz": "pinn.io.formats.npz",
    "pinn.io.npz_writer": "pinn.io.formats.npz_writer",
    "pinn.io.nxcxi": "pinn.io.formats.nxcxi",
    "pinn.io.plain_hdf5": "pinn.io.formats.plain_hdf5",
    "pinn.io.ptychoshelves": "pinn.io.formats.ptychoshelves",
    "pinn.io.ptychovit": "pinn.io.formats.ptychovit",
    "pinn.io.ptyd": "pinn.io.formats.ptyd",
    "pinn.refinement.picture": "pinn.reconstruction.network_start",
    "pinn.simulate.error_options": "pinn.simulate.options",
    "pinn.simulate.images": "pinn.simulate.object_file",
    "pinn.simulate.misplaced": "pinn.simulate.position_errors",
    "pinn.simulate.noise": "pinn.simulate.random_fields",
    "pinn.simulate.probe_options": "pinn.simulate.options",
    "pinn.simulate.procedural": "pinn.simulate.layers",
    "pinn.simulate.sample_options": "pinn.simulate.options",
    "pinn.simulate.scan_options": "pinn.simulate.options",
    "pinn.simulate.solids": "pinn.simulate.polyhedra",
    "pinn.simulate.variation": "pinn.simulate.illumination",
    "pinn.studies.figures": "pinn.plots.study",
}


class Signpost:
    """The last finder of modules: what no other finder knows may have moved."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse a name of 0.1.0 with the new one, and leave all others alone.

        Raises:
            ModuleNotFoundError: the module has moved. It is raised without `name`, for Python
                would not show its text for `from pinn import metrics` otherwise.
        """
        if name in MODULES:
            raise ModuleNotFoundError(f"{name} is {MODULES[name]} since pinn 0.2")


def put_up_signpost() -> None:
    """Append the finder, once."""
    if not any(isinstance(finder, Signpost) for finder in sys.meta_path):
        sys.meta_path.append(Signpost())
