"""Refinement on the three backends: the same object from the same batches."""

import numpy as np
import pytest
from test_parity import BACKENDS


def _relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.fixture(scope="module")
def results(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refine")
    for backend in BACKENDS:
        run(backend, "refine", folder)
    return [dict(np.load(folder / f"refined_{backend}.npz")) for backend in BACKENDS]


def test_first_order_steps_give_the_same_result(results):
    # roundings of float32 grow a little over 40 steps; no gauge is left to differ in
    for other in results[1:]:
        for name in ("object", "probe"):
            assert _relative(other[f"plain/{name}"], results[0][f"plain/{name}"]) < 1e-3
        off = other["plain/positions"] - results[0]["plain/positions"]
        assert np.abs(off).max() < 0.02


def test_polished_results_have_the_same_likelihood(results):
    # a line search decides by comparing numbers that differ in their last digits, and the end is
    # where thousandths are gained no more
    for other in results[1:]:
        mean, own = (np.mean(r["polished/likelihood"]) for r in (other, results[0]))
        assert mean == pytest.approx(own, rel=3e-3)
