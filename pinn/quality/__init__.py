"""Comparison of objects: placing, alignment, image measures and Fourier ring correlation.

NumPy arrays in, plain numbers out; nothing here knows a network. See `pinn.quality.evaluate`.
"""

from __future__ import annotations

from pinn.quality.evaluate import Evaluation, evaluate
from pinn.quality.frames import Placed, Region
from pinn.quality.frc import FrcCurve, frc, half_bit, threshold_crossing

__all__ = [
    "Evaluation",
    "FrcCurve",
    "Placed",
    "Region",
    "evaluate",
    "frc",
    "half_bit",
    "threshold_crossing",
]
