"""JAX compiles with care here: the long loops of the orientation test are worth it."""

import os
import sys

import pytest

QUICKLY = "jax_disable_most_optimizations"  # what tox.ini asks for in all other tests


@pytest.fixture(scope="module", autouse=True)
def _compiled_with_care():
    """At the level of XLA_FLAGS in tox.ini, and not at 0."""
    if os.environ.get("KERAS_BACKEND") != "jax":
        yield
        return
    import keras  # noqa: F401

    jax = sys.modules["jax"]
    before = jax.config.read(QUICKLY)
    jax.config.update(QUICKLY, False)
    yield
    jax.config.update(QUICKLY, before)
