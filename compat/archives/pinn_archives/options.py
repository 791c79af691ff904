"""The reference's dictionary of options, as far as a model depends on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pinn.errors import ArchiveError
from pinn_archives.unpickle import LARGE

MOST_ITEMS, MOST_LETTERS = 1000, 1000  # what is kept for the record

_ACTIVATIONS = {"silu": "swish"}
_KNOWN_ACTIVATIONS = ("sigmoid", "swish", "softplus", "relu")


def read_probe(parameters: Mapping[str, Any], where: str, masked: bool = False) -> np.ndarray:
    """The probe in the options as `(P, N, N)` complex128, its mask applied if there is one.

    Raises:
        ArchiveError: there is none, or it has another shape.
    """
    probe = parameters.get("probe")
    if not isinstance(probe, np.ndarray) or probe.dtype.kind not in "fc":
        raise ArchiveError(
            f"{where} holds no probe; name an NPZ file that has one with --probe FILE"
        )
    return square_probe(probe, where, masked)


def square_probe(probe: np.ndarray, where: str, masked: bool = False) -> np.ndarray:
    """A probe `(N, N)`, `(N, N, 1)` or `(..., P, N, N)` as `(P, N, N)` complex128.

    Args:
        masked: multiply by the reference's disc of radius `N // 4` pixels around the point
            between the four central pixels.

    Raises:
        ArchiveError: it has another shape.
    """
    shape: tuple[int, ...] = probe.shape
    if len(shape) == 3 and shape[2] == 1 and shape[0] == shape[1]:
        shape = shape[:2]
    modes, sides = math.prod(shape[-3:-2]), shape[-2:]
    if len(sides) != 2 or sides[0] != sides[1] or math.prod(shape[:-3]) != 1 or 0 in shape:
        raise ArchiveError(
            f"the probe in {where} has shape {probe.shape}; (N, N), (N, N, 1) or (modes, N, N) is "
            "expected"
        )
    found = np.asarray(probe, np.complex128).reshape(modes, *sides)
    if masked:
        N = found.shape[-1]
        axis = np.arange(N) - N / 2 + 0.5
        found = found * (np.hypot(axis[:, None], axis[None, :]) < N // 4)
    return found


def whole(parameters: Mapping[str, Any], name: str, where: str) -> int:
    """A whole number greater than zero.

    Raises:
        ArchiveError: missing or something else.
    """
    value = number(parameters.get(name))
    if value is None or value != int(value) or not 1 <= value < 1 << 31:
        raise ArchiveError(
            f"{where} says {name} is {short(parameters.get(name))}, but a whole number greater "
            "than 0 is needed"
        )
    return int(value)


def number(value: Any) -> float | None:
    """A finite number, also from an array of one; None for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0].item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def short(value: Any) -> str:
    """A value from a file for a message."""
    return ascii(as_json(value))[:60]


def activation(name: Any, where: str) -> str:
    """Our name of an activation of the amplitude.

    Raises:
        ArchiveError: we have none like it.
    """
    found = _ACTIVATIONS.get(str(name).lower(), str(name).lower())
    if found not in _KNOWN_ACTIVATIONS:
        raise ArchiveError(
            f"{where} has an amplitude made by {short(name)}; known are "
            + ", ".join(_KNOWN_ACTIVATIONS)
        )
    return found


def as_json(value: Any) -> Any:
    """Options as JSON can hold them: arrays by shape, odd numbers as words, long things cut."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype}"
    if isinstance(value, Mapping | list | tuple | set) and len(value) > MOST_ITEMS:
        return f"{len(value)} items"
    if isinstance(value, Mapping):
        return {str(key)[:MOST_LETTERS]: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [as_json(item) for item in value]
    if isinstance(value, str):
        return value[:MOST_LETTERS]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return LARGE
    if isinstance(value, bytes | complex) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        return str(value)[:MOST_LETTERS]
    return value
