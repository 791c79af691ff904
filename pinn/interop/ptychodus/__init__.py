"""`pinn` as a reconstructor of ptychodus 1.7, without the detour over PtychoPINN's calls.

Importing this module imports neither ptychodus nor Keras.

    python -m pinn.interop.ptychodus            # ptychodus, with the algorithms of pinn in it
    register(core)                              # the same for a `ModelCore` of one's own
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

from pinn.errors import ConfigError

__all__ = ["PinnReconstructorLibrary", "main", "register"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        importlib.import_module("ptychodus.api.reconstruct")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("ptychodus"):
            raise
        try:
            found = f"ptychodus {importlib.metadata.version('ptychodus')} is installed"
        except importlib.metadata.PackageNotFoundError:
            found = "there is no ptychodus here"
        raise ConfigError(
            f"pinn.interop.ptychodus needs ptychodus 1.7 or later, but {found}; "
            "pip install 'ptychodus>=1.7'"
        ) from None
    return getattr(importlib.import_module("pinn.interop.ptychodus.library"), name)
