"""Automatic differentiation, the same on every backend: values and gradients of pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pinn.backend.framework import loaded_keras


def value_and_grad(function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """A function that returns the value of another one and its gradient.

    It may stand inside a function that is compiled (`compile_function`), and is compiled with it.

    Args:
        function: of tensors, or nested structures of them, to a scalar tensor; on `keras.ops`.

    Returns:
        A function of the same arguments (NumPy arrays are taken too, float64 as float32). It
        returns the value, and the gradient with respect to the first argument, in its structure:
        zero for what the value does not depend on.
    """
    keras = loaded_keras()
    kinds = {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}
    both = kinds[keras.config.backend()](function, keras.tree)

    def tensor(value: Any) -> Any:
        kind = getattr(value, "dtype", None)
        return keras.ops.convert_to_tensor(value, "float32" if str(kind) == "float64" else None)

    def with_tensors(*inputs: Any) -> tuple[Any, Any]:
        return both(*keras.tree.map_structure(tensor, inputs))

    return with_tensors


def _jax(function: Callable[..., Any], tree: Any) -> Callable[..., tuple[Any, Any]]:
    import jax

    return jax.value_and_grad(function)


def _torch(function: Callable[..., Any], tree: Any) -> Callable[..., tuple[Any, Any]]:
    import torch

    def both(first: Any, *rest: Any) -> tuple[Any, Any]:
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_(True) for x in tree.flatten(first)]
            value = function(tree.pack_sequence_as(first, leaves), *rest)
            gradients = torch.autograd.grad(value, leaves, allow_unused=True)
        found = [
            torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True)
        ]
        return value.detach(), tree.pack_sequence_as(first, found)

    return both


def _tensorflow(function: Callable[..., Any], tree: Any) -> Callable[..., tuple[Any, Any]]:
    import tensorflow as tf

    def both(first: Any, *rest: Any) -> tuple[Any, Any]:
        leaves = tree.flatten(first)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(leaves)
            value = function(first, *rest)
        gradients = tape.gradient(value, leaves, unconnected_gradients="zero")
        return value, tree.pack_sequence_as(first, gradients)

    return both
