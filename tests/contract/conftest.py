"""Where the contract finds the gradients of each framework."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "ops"))
