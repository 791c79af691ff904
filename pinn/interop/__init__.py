"""Doors through which other programs use `pinn`; none of them is imported by the rest of it."""
