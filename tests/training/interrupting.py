"""Runs that are stopped at a report, and what they are compared with."""

import numpy as np
import pytest

from pinn.progress import StopRequested


class StopAt:
    """Asks for a stop with the n-th report; reports inside an epoch come at every batch here."""

    def __init__(self, monkeypatch, count):
        monkeypatch.setattr("pinn.training.callback._EVERY", 0.0)
        self.left = count

    def __call__(self, report):
        self.left -= 1
        if self.left == 0:
            raise StopRequested


def same_run(part, whole):
    assert len(part.history) == len(whole.history)
    for ours, theirs in zip(part.history, whole.history, strict=True):
        for name in set(theirs) - {"seconds", "groups_per_second"}:
            if name == "backend":
                assert ours[name] == theirs[name]
            else:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-6), name
    for ours, theirs in (
        (part.network.named_arrays(), whole.network.named_arrays()),
        (part.optimizer_arrays, whole.optimizer_arrays),
    ):
        values = list(zip(ours.values(), theirs.values(), strict=True))
        assert [a.shape for a, _ in values] == [b.shape for _, b in values]
        for a, b in values:  # Keras numbers the names of unnamed layers anew
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
