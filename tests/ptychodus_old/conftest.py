"""Runs in an environment that has ptychodus 1.2 or 1.4.2 in place of 1.7."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "ptychodus"))  # where `compare` is
