"""Memory that ran out: frameworks have exceptions of their own, a user gets one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pinn.errors import OutOfMemoryError, PinnError

# Classes by name, so that no framework need be loaded: PyTorch's of accelerators, TensorFlow's.
_CLASSES = {"OutOfMemoryError", "ResourceExhaustedError"}
# JAX says all with one class, PyTorch on the processor with RuntimeError, and so does Keras
# it cannot make an exception of the same class again.
_SPEAKING = {"XlaRuntimeError", "JaxRuntimeError", "InternalError", "RuntimeError"}
_WORDS = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|can't allocate memory|cannot allocate memory|"
    r"not enough memory|OOM when allocating|failed to allocate",
    re.IGNORECASE,
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception of Python, NumPy or a framework says that memory ran out.

    Or the one before it: of some exceptions in a layer Keras makes others, without their words.
    """
    if isinstance(error, PinnError):
        return False
    before = error.__cause__ or error.__context__
    return _says_so(error) or (before is not None and out_of_memory(before))


def _says_so(error: BaseException) -> bool:
    names = {cls.__name__ for cls in type(error).__mro__}
    return (
        isinstance(error, MemoryError)
        or bool(names & _CLASSES)
        or (bool(names & _SPEAKING) and _WORDS.search(str(error)) is not None)
    )


def said_of(error: BaseException) -> str:
    """What an exception says, in one line that is not endless."""
    text = " ".join(str(error).split()) or "no more is known"
    return text if len(text) <= 200 else f"{text[:200]} ..."


@contextmanager
def told_what_to_lower(work: str, options: str) -> Iterator[None]:
    """While entered, memory that runs out becomes one sentence.

    Args:
        work: what needs the memory.
        options: what to lower, for people.

    Raises:
        OutOfMemoryError: it ran out.
    """
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"{work} needs more memory than there is ({said_of(error)}); lower {options}, or take "
            "a device with more"
        ) from error
