"""The reference's group merge, against arrays measured from the reference itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gradients import evaluate, relative_error

from pinn.ops import legacy, patches

GOLDEN = Path(__file__).parents[1] / "goldens" / "merge.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return dict(arrays)


def _offsets(positions: np.ndarray) -> np.ndarray:
    """Reference `(B, 1, 2, C)`, `[x, y]`, negated, to ours: `(B, C, 2)`, `[y, x]`."""
    return -np.transpose(positions[:, 0, ::-1, :], (0, 2, 1))


def test_merge_equals_the_reference(golden):
    z = np.moveaxis(golden["merge_patches"], -1, 1)
    M = golden["merge_out"].shape[1]
    re, im = evaluate(
        lambda re, im, r: legacy.merge_legacy((re, im), r, M),
        z.real,
        z.imag,
        _offsets(golden["merge_pos"]),
    )
    want = golden["merge_out"][..., 0]
    # float32 on both sides, and the reference's interpolation rounds large coordinates.
    assert relative_error(re + 1j * im, want) < 2e-6
    # The norm is ruled by the thousandfold rim; the part that matters is checked by itself.
    inner = slice(M // 2 - 4, M // 2 + 4)
    assert relative_error((re + 1j * im)[:, inner, inner], want[:, inner, inner]) < 2e-5


def test_extraction_equals_the_reference(golden):
    canvas = golden["merge_out"][..., 0]
    N = golden["merge_patches"].shape[1]
    offsets = _offsets(golden["merge_pos"])

    def fn(re, im, r):
        matrices = patches.group_matrices(r, N, canvas.shape[1])
        return patches.extract(re, *matrices), patches.extract(im, *matrices)

    re, im = evaluate(fn, canvas.real, canvas.imag, offsets)
    want = golden["extract_out"][..., 0].reshape(re.shape)
    assert relative_error(re + 1j * im, want) < 2e-6


def test_reference_defect_is_there_and_absent_from_the_new_merge():
    """Full patches over central masks: the rim is amplified a thousandfold in the old rule only."""
    ones = np.ones((1, 1, 8, 8))
    offsets = np.zeros((1, 1, 2))
    old, _ = evaluate(lambda re, im, r: legacy.merge_legacy((re, im), r, 12), ones, ones, offsets)
    assert old[0, 3, 3] == pytest.approx(1000.0)
    assert old[0, 6, 6] == pytest.approx(1 / 1.001)
    (new, _), _ = evaluate(
        lambda re, im, r: patches.merge((re, im), None, *patches.group_matrices(r, 8, 12)),
        ones,
        ones,
        offsets,
    )
    assert new[0, 3, 3] == new[0, 6, 6] == 1.0
