"""Backends: which framework computes, on which device, and what it is asked for.

`selection` decides before Keras is imported, `machine` says what computes; `framework` and
`gradients` are the only modules that import one.
"""

from __future__ import annotations

from pinn.backend.framework import (
    compile_function,
    compile_inference,
    deterministic,
    full_precision,
    loaded_keras,
    ordered_updates,
    seed_everything,
    select_device,
    trains_in_bfloat16,
)
from pinn.backend.gradients import value_and_grad
from pinn.backend.machine import hardware, peak_memory_mb, versions
from pinn.backend.memory import out_of_memory, said_of, told_what_to_lower
from pinn.backend.selection import BACKENDS, DEVICES, Selection, select

__all__ = [
    "BACKENDS",
    "DEVICES",
    "Selection",
    "compile_function",
    "compile_inference",
    "deterministic",
    "full_precision",
    "hardware",
    "loaded_keras",
    "ordered_updates",
    "out_of_memory",
    "peak_memory_mb",
    "said_of",
    "seed_everything",
    "select",
    "select_device",
    "told_what_to_lower",
    "trains_in_bfloat16",
    "value_and_grad",
    "versions",
]
