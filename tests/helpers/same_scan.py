"""Two scans compared attribute by attribute, whatever attributes there are."""

import numpy as np

from pinn.data.fingerprint import digest
from pinn.data.frames import FrameSource

# They hold the same values in another form: a file instead of memory, a factor instead of frames.
_ELSEWHERE = {"frames", "valid_mask", "label_patches", "dose", "made_with"}


def assert_same_scan(one, other, but=(), rtol=0.0):
    """The attributes of two scans, but for some, and what is read and computed from them.

    Args:
        but: names of attributes that may differ.
        rtol: of arrays.
    """
    rows = np.arange(len(one))
    for name, mine in one.attributes().items():
        theirs = getattr(other, name)
        if name in but:
            continue
        if name in _ELSEWHERE:
            assert (mine is None) == (theirs is None), name
        if isinstance(mine, np.ndarray) and name not in _ELSEWHERE:
            np.testing.assert_allclose(theirs, mine, rtol=rtol, err_msg=name)
        elif name not in _ELSEWHERE:
            assert theirs == mine, name
    for name in {"valid_mask", "label_patches"} - set(but):
        mine, theirs = (_whole(getattr(scan, name), rows) for scan in (one, other))
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    assert one.frames.dtype == other.frames.dtype
    for mine, theirs in zip(one.read(rows), other.read(rows), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    if not rtol:
        assert digest(one) == digest(other)


def _whole(value, rows):
    return value.read(rows) if isinstance(value, FrameSource) else value
