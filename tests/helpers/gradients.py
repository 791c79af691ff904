"""Values and gradients on whichever backend is chosen, and in NumPy float64."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from pinn import backend


def tensors(*arrays: Any) -> list[Any]:
    """Float32 tensors of the chosen backend."""
    return [ops.convert_to_tensor(np.asarray(array, np.float32)) for array in arrays]


def to_numpy(result: Any) -> Any:
    """Tensors in tuples or lists to NumPy."""
    if isinstance(result, tuple | list):
        return tuple(to_numpy(item) for item in result)
    return ops.convert_to_numpy(result)


def evaluate(fn: Callable[..., Any], *arrays: Any) -> Any:
    """`fn` on float32 tensors made of `arrays`; NumPy out.

    JAX compiles, as it does in use; define `fn` once where it runs many times.
    """
    if keras.backend.backend() == "jax":
        return to_numpy(_compiled(fn)((), tensors(*arrays)))
    return to_numpy(fn(*tensors(*arrays)))


def grad(
    fn: Callable[..., Any], *arrays: Any, compiled: bool | None = None
) -> tuple[float, list[np.ndarray]]:
    """Value of the scalar `fn(*arrays)` and its gradient with respect to every array.

    Args:
        fn: tensors to a scalar tensor.
        arrays: arguments, taken as float32.
        compiled: by `pinn.backend.compile_function`. Default: what is usual and quick, JAX
            compiled and TensorFlow eager.
    """
    if compiled is None:
        compiled = keras.backend.backend() == "jax"
    value, gradients = _differentiated(fn, compiled)((), tensors(*arrays))
    return float(ops.convert_to_numpy(value)), [ops.convert_to_numpy(g) for g in gradients]


# Kept per function, since everything is compiled anew for every new function object. The first
# argument is empty: a compiled function may use up its memory.
@functools.cache
def _compiled(fn: Callable[..., Any]) -> Callable[..., Any]:
    return backend.compile_function(lambda _, inputs: fn(*inputs))


@functools.cache
def _differentiated(fn: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
    differentiated = backend.value_and_grad(lambda inputs: fn(*inputs))

    def both(_: Any, inputs: Any) -> Any:
        return differentiated(inputs)

    return backend.compile_function(both) if compiled else both


def numerical_grad(
    fn: Callable[..., float], *arrays: np.ndarray, step: float = 1e-5
) -> list[np.ndarray]:
    """Central differences of a float64 NumPy function, element by element.

    With a step of 1e-5 and arguments of order one the truncation error is about 1e-10 and the
    rounding error about 1e-11, far below the 1e-5 asked of float32 gradients.
    """
    arrays = [np.array(array, np.float64) for array in arrays]
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + step
            above = fn(*arrays)
            array[index] = kept - step
            below = fn(*arrays)
            array[index] = kept
            gradient[index] = (above - below) / (2 * step)
        gradients.append(gradient)
    return gradients


def relative_error(result: Any, expected: Any, reference: Any = None) -> float:
    """Norm of the difference over the norm of `reference` (default: of `expected`)."""
    reference = expected if reference is None else reference
    difference = np.asarray(result, np.complex128) - np.asarray(expected)
    return float(np.linalg.norm(difference.ravel()) / np.linalg.norm(np.ravel(reference)))
