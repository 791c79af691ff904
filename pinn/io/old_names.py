"""Names in files that version 0.1.0 wrote, and what they are called now."""

from __future__ import annotations

from typing import Any

_RENAMED = {
    "polish_iteration": "lbfgs_iteration",  # column of a refinement's history
    "polish_iterations": "lbfgs_iterations",  # of its statistics
    "shares": "opr_weights",  # array of its checkpoint
}


def with_new_names(value: Any) -> Any:
    """Dictionaries with the present names as keys, in whatever they are nested."""
    if isinstance(value, dict):
        return {_RENAMED.get(k, k): with_new_names(v) for k, v in value.items()}
    return [with_new_names(item) for item in value] if isinstance(value, list) else value
