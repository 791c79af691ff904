"""What the physics and the runs give is what version 0.1.0 gave, on whichever backend runs.

`goldens.npz` holds inputs and outputs; it changes only by a decision page in docs/decisions.
Errors are relative to the largest modulus of an array.
"""

import json
from pathlib import Path

import cases
import keras
import numpy as np
import pytest

with np.load(Path(__file__).parent / "goldens.npz") as _stored:
    GOLDEN = dict(_stored)
INPUTS = {name.removeprefix("in/"): a for name, a in GOLDEN.items() if name.startswith("in/")}

# Float32 against float32 of another library differs in the last bits of every sum.
TOLERANCE = {
    "forward": 1e-6,
    # slopes of the deviance hold 1/rate, and the darkest rates are far-field sums that cancel
    "gradients": 5e-6,
    "merge": 1e-6,
    "windows": 1e-6,
    "contrast": 1e-6,
    # means over some thousand pixels, which JAX adds one after the other on a CPU
    "likelihoods": 4e-6,
    "frame_likelihood": 3e-6,
    "calibration": 1e-5,  # may move from float64 sums to float32
    "grouping": 1e-12,
    "stitching": 1e-6,
    "ring_correlation": 1e-9,
    "likeness": 1e-5,  # may move from float64 to float32
    # some hundred updates after another: the first version in complex128 differs by 1.3e-4 in R
    # factors and by 2e-3 in margins from itself in complex64; what is decided has to be the same
    "orientation": 5e-3,
    "refinement": 1e-4,
    "training_step": 1e-5,
}
# L-BFGS divides differences of slopes by each other, so rounding grows with every iteration.
POLISHED = 5e-4


def outputs(case):
    start = f"out/{case}/"
    return {name.removeprefix(start): a for name, a in GOLDEN.items() if name.startswith(start)}


def close(name, found, golden, tolerance):
    found = np.asarray(found)
    assert found.shape == golden.shape, name
    if golden.dtype.kind in "iub":
        assert np.array_equal(found, golden), name
        return
    known = np.isfinite(golden)
    assert np.array_equal(np.isfinite(found), known), name
    if known.any():
        error = np.abs(found[known].astype(complex) - golden[known]).max()
        assert error <= tolerance * np.abs(golden[known]).max(), f"{name}: {error:.2g}"


def test_every_case_has_a_tolerance_and_a_golden():
    assert set(TOLERANCE) == set(cases.CASES)
    assert all(outputs(case) for case in TOLERANCE)
    assert len(INPUTS) > 20


def in_the_fast_tier(case):
    """Where nothing is compiled, the many small steps of the orientation take half a minute."""
    slow = case == "orientation" and keras.config.backend() == "torch"
    return pytest.param(case, marks=pytest.mark.full) if slow else case


@pytest.mark.parametrize("case", [in_the_fast_tier(case) for case in cases.CASES])
def test_arrays_are_those_of_the_first_version(case):
    found, golden = cases.CASES[case](INPUTS), outputs(case)
    if "decision" in golden:
        assert json.loads(json.dumps(found.pop("decision"))) == json.loads(
            str(golden.pop("decision"))
        )
    assert not set(golden) - set(found), "arrays are missing"
    for name, array in golden.items():
        tolerance = POLISHED if name.startswith("polish/") else TOLERANCE[case]
        close(f"{case} {name}", found[name], array, tolerance)
