"""Files that say how the light went to the detector, and what is not computed by default."""

from __future__ import annotations

import re

from pinn.config import ScanConfig
from pinn.data.geometry import FAR
from pinn.errors import ScanError
from pinn.io.data_file import DataFile

_NEAR = ("nearfield", "near", "fresnel")


def refuse_near_field(file: DataFile, name: str, config: ScanConfig) -> None:
    """Believe a word of a file, as `nearfield`, where it has one under this name.

    Raises:
        ScanError: it is in the near field, and the options do not name a propagation for that.
    """
    said = file.text(name) or ""
    if re.sub("[^a-z]", "", said.lower()) in _NEAR:
        refuse_as_near(file, name, said[:40], config)


def refuse_as_near(file: DataFile, name: str, said: object, config: ScanConfig) -> None:
    """Refuse a file that says that it is in the near field, unless a propagation is named.

    Raises:
        ScanError: none is named.
    """
    if config.propagation == FAR:
        raise ScanError(
            f"{file.full(name)!r} in {file.path} says {said!r}, which is the near field, but pinn "
            "computes the far field: of such a scan nothing would fit; name a propagation of your "
            "own (key 'propagation' of a TOML file, --config), or correct the file if that is wrong"
        )
