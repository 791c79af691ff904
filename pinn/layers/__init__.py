"""Keras layers: thin, serialisable, float32 physics on the functions of `pinn.ops`."""

PACKAGE = "pinn"
