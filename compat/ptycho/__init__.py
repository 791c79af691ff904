"""PtychoPINN's package name on top of `pinn`, for programs that were written for it.

Every module here is a few lines over `pinn`; importing any of them loads no framework. See
compat/README.md for what differs from the original.
"""

__version__ = "0.2.0"  # in step with pinn
