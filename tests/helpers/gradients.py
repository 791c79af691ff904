"""Values and gradients on whichever backend is chosen, and in NumPy float64.

The only place in the tests of `pinn.ops` that imports a framework.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


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
        import jax

        return to_numpy(jax.jit(fn)(*tensors(*arrays)))
    return to_numpy(fn(*tensors(*arrays)))


def grad(
    fn: Callable[..., Any], *arrays: Any, compiled: bool | None = None
) -> tuple[float, list[np.ndarray]]:
    """Value of the scalar `fn(*arrays)` and its gradient with respect to every array.

    Args:
        fn: tensors to a scalar tensor.
        arrays: arguments, taken as float32.
        compiled: `jax.jit`, or `tf.function` with XLA; torch is always eager. Default: what is
            usual and quick, JAX compiled and TensorFlow eager.
    """
    inputs = tensors(*arrays)
    if compiled is None:
        compiled = keras.backend.backend() == "jax"
    match keras.backend.backend():
        case "jax":
            value, gradients = _jax(fn, inputs, compiled)
        case "torch":
            value, gradients = _torch(fn, inputs)
        case "tensorflow":
            value, gradients = _tensorflow(fn, inputs, compiled)
        case other:
            raise NotImplementedError(other)
    return float(ops.convert_to_numpy(value)), [ops.convert_to_numpy(g) for g in gradients]


def _jax(fn: Callable[..., Any], inputs: Sequence[Any], compiled: bool) -> tuple[Any, Any]:
    return _jax_value_and_grad(fn, len(inputs), compiled)(*inputs)


@functools.cache
def _jax_value_and_grad(fn: Callable[..., Any], arguments: int, compiled: bool) -> Any:
    """Kept per function, since JAX compiles anew for every new function object."""
    import jax

    both = jax.value_and_grad(fn, argnums=tuple(range(arguments)))
    return jax.jit(both) if compiled else both


def _torch(fn: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Any, Any]:
    import torch

    leaves = [x.detach().clone().requires_grad_(True) for x in inputs]
    value = fn(*leaves)
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    return value.detach(), [
        torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True)
    ]


def _tensorflow(fn: Callable[..., Any], inputs: Sequence[Any], compiled: bool) -> tuple[Any, Any]:
    import tensorflow as tf

    def both(*leaves: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = fn(*leaves)
        return value, tape.gradient(value, leaves, unconnected_gradients="zero")

    return (tf.function(both, jit_compile=True) if compiled else both)(*inputs)


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
