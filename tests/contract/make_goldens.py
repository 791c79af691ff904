"""Writes `goldens.npz`: inputs, and what version 0.1.0 made of them.

The arrays change only by a decision page in docs/decisions that says what changes and why. One set
serves all backends; it was made on PyTorch, which
sums pairwise::

    KERAS_BACKEND=torch PYTHONPATH=. python tests/contract/make_goldens.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "ops")]  # where `gradients` is

import cases  # noqa: E402


def main() -> None:
    """Write everything anew."""
    inputs = cases.make_inputs()
    stored: dict[str, Any] = {f"in/{name}": array for name, array in inputs.items()}
    for name, case in cases.CASES.items():
        found = case(inputs)
        decision = found.pop("decision", None)
        stored |= {f"out/{name}/{key}": np.asarray(array) for key, array in found.items()}
        if decision is not None:
            stored[f"out/{name}/decision"] = np.array(json.dumps(decision, sort_keys=True))
    np.savez_compressed(HERE / "goldens.npz", **stored)


if __name__ == "__main__":
    main()
