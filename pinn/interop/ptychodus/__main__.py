"""`python -m pinn.interop.ptychodus`: ptychodus with the algorithms of pinn in it."""

from __future__ import annotations

import sys

if __name__ == "__main__":  # processes that ptychodus spawns import this module again
    from pinn.errors import ConfigError

    try:
        from pinn.interop.ptychodus import main
    except ConfigError as error:
        sys.exit(f"error: {error}")
    sys.exit(main())
