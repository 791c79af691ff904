"""`RawData`: frames, positions and probe as PtychoPINN's callers hand them over."""

from ptycho._grouped import Grouped
from ptycho._raw import RawData

__all__ = ["Grouped", "RawData"]
