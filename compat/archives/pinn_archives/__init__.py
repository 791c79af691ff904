"""Model archives of PtychoPINN, read without running anything of theirs: for `pinn convert`."""

__version__ = "0.2.0"  # in step with pinn
