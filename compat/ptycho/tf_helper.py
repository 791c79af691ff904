"""Stitching of predicted patches. The name is the original's; there is no TensorFlow here."""

from ptycho._stitch import reassemble_position

__all__ = ["reassemble_position"]
