"""The bridge to the reference system: fields of its configuration, and ours.

Nothing else in `pinn` knows these fields: they are translated into our own configuration first, and
checked then. What becomes of each stands in `table.toml`. The classes and the dictionary that
programs written for the reference use are made from it in `compat/`. Nothing here imports a
framework.

    from pinn.io.legacy import to_legacy, to_pinn

    new = to_pinn({"N": 128, "gridsize": 2, "nphotons": 1e6})
    new.model, new.train, new.scan, new.notes
    fields, notes = to_legacy(new.model, new.train, new.scan)
"""

from pinn.io.legacy.back import to_legacy
from pinn.io.legacy.forward import Translation, to_pinn

__all__ = ["Translation", "to_legacy", "to_pinn"]
