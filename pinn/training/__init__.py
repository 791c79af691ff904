"""Training: groups of one or several scans, one compiled step, an archive after every epoch."""

from pinn.training.run import train

__all__ = ["train"]
