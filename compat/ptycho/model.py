"""`params()`, through which callers up to ptychodus 1.2 read `intensity_scale`."""

from ptycho.params import params

__all__ = ["params"]
