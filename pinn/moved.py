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
    "pinn.results": "pinn.io.product",
    "pinn.selection": "pinn.backend.selection",
    "pinn.staging": "pinn.training.staging",
    "pinn.stitching": "pinn.reconstruction.canvas",
    "pinn.synchronise": "pinn.reconstruction.phases",
    "pinn.trained": "pinn.networks.trained",
    "pinn.trust": "pinn.quality",
    "pinn.varpro": "pinn.reconstruction.contrast_fit",
    "pinn.check.light": "pinn.check.illumination",
    "pinn.cli.check_first": "pinn.cli.scans",
    "pinn.data.arrivals": "pinn.reconstruction.arrivals",
    "pinn.data.cover": "pinn.reconstruction.cover",
    "pinn.data.interpret": "pinn.data.frame_values",
    "pinn.data.made_with": "pinn.data.simulated_parts",
    "pinn.data.spool": "pinn.reconstruction.spool",
    "pinn.data.spread": "pinn.data.position_check",
    "pinn.io.cxi": "pinn.io.formats.cxi",
    "pinn.io.cxi_parts": "pinn.io.formats.cxi_geometry",
    "pinn.io.cxi_writer": "pinn.io.formats.cxi_writer",
    "pinn.io.electron": "pinn.io.formats.electron",
    "pinn.io.hxn": "pinn.io.formats.flat",
    "pinn.io.npz": "pinn.io.formats.npz",
    "pinn.io.npz_axes": "pinn.io.formats.npz_axes",
    "pinn.io.npz_writer": "pinn.io.formats.npz_writer",
    "pinn.io.nxcxi": "pinn.io.formats.nxcxi",
    "pinn.io.plain_hdf5": "pinn.io.formats.plain_hdf5",
    "pinn.io.ptychodus_patterns": "pinn.io.formats.ptychodus",
    "pinn.io.ptychodus_scan": "pinn.io.formats.ptychodus",
    "pinn.io.ptychodus_writer": "pinn.io.formats.ptychodus_writer",
    "pinn.io.ptychoshelves": "pinn.io.formats.ptychoshelves",
    "pinn.io.ptychovit": "pinn.io.formats.ptychovit",
    "pinn.io.ptychovit_writer": "pinn.io.formats.ptychovit_writer",
    "pinn.io.ptyd": "pinn.io.formats.ptyd",
    "pinn.io.ptylab": "pinn.io.formats.flat",
    "pinn.io.tike": "pinn.io.formats.flat",
    "pinn.ops.diffraction": "pinn.ops.forward",
    "pinn.ops.illumination": "pinn.ops.forward",
    "pinn.ops.translate": "pinn.ops.shift",
    "pinn.refinement.picture": "pinn.reconstruction.network_start",
    "pinn.refinement.polish": "pinn.refinement.lbfgs",
    "pinn.remote.functions": "pinn.remote",
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
    "pinn.studies.claims": "pinn.studies.records",
    "pinn.studies.content": "pinn.studies.scans",
    "pinn.studies.figures": "pinn.plots.study",
    "pinn.studies.reading": "pinn.studies.plan",
    "pinn.studies.rows": "pinn.studies.tables",
    "pinn.training.checkpoints": "pinn.training.checkpointer",
    "pinn.training.journal": "pinn.training.run_log",
    "pinn.training.keeper": "pinn.training.run_folder",
    "pinn.training.monitor": "pinn.training.history",
    "pinn.training.report": "pinn.training.pictures",
    "pinn.training.watched": "pinn.training.validation",
    "pinn.training.watcher": "pinn.training.callback",
}
# What to say besides, where a package did more than hold modules.
_ADVICE = {
    "pinn.metrics": "import from the modules in it, as from pinn.quality.evaluate import evaluate",
    "pinn.optimisation": "import from the modules in it",
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
            besides = f": {_ADVICE[name]}" if name in _ADVICE else ""
            raise ModuleNotFoundError(f"{name} is {MODULES[name]} since pinn 0.2{besides}")


def put_up_signpost() -> None:
    """Append the finder, once."""
    if not any(isinstance(finder, Signpost) for finder in sys.meta_path):
        sys.meta_path.append(Signpost())
