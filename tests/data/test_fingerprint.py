"""A scan is recognised by its content and by how it is read, and the difference has a name."""

import hashlib
import re

import numpy as np
import pytest

from pinn.data.fingerprint import (
    describe,
    difference,
    digest,
    labels_digest,
    matched,
    same,
    stored_digest,
)
from pinn.data.scan import Scan

_RNG = np.random.default_rng(3)
COUNTS = _RNG.poisson(30.0, (24, 16, 16)).astype(np.uint16)
POSITIONS = _RNG.uniform(10, 50, (24, 2))
PROBE = np.outer(np.hanning(16), np.hanning(16)).astype(complex)
TRUTH = _RNG.normal(size=(80, 80)) + 1j
MASK = np.ones((16, 16), bool)
MASK[3, 4:6] = False


def scan(**options):
    return Scan(COUNTS, POSITIONS, probe=PROBE, **{"units": "counts", "truth": TRUTH, **options})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (dict(photons_per_frame=1e4), r"photons_per_frame 10000.0 \(was None\)"),
        (dict(units="amplitude"), r"units amplitude \(was counts\)"),
        (dict(saturation=35.0), "saturation 35.0"),
        (dict(valid_mask=MASK), "another valid_mask"),
        (dict(scan_index=np.repeat([0, 1], 12)), "another scan_index"),
        (dict(propagation="defocus:0.1"), r"propagation defocus:0.1 \(was far\)"),
        (dict(detector_response="leak:0.3"), r"detector_response leak:0.3 \(was none\)"),
    ],
)
def test_the_same_file_read_otherwise_is_another_scan(options, word):
    one, other = scan(), scan(**options)
    stored = describe(one, digest(one))
    assert digest(one) != digest(other) and stored_digest(one) == stored_digest(other)
    assert re.search(rf"the same file with {word}", difference(stored, other))
    assert difference(stored, scan()) is None


def test_what_says_nothing_changes_nothing():
    assert digest(scan()) == digest(
        scan(valid_mask=np.ones((16, 16), bool), scan_index=np.full(24, 7), truth=None)
    )
    moved = Scan(COUNTS, POSITIONS + 1e-3, probe=PROBE, units="counts")
    assert difference(describe(scan(), digest(scan())), moved).startswith("other frames")


def test_labels_count_where_they_are_used():
    one, other = scan(), scan(truth=TRUTH * 1j)
    shifted = scan(truth_origin_px=(1.0, 0.0))
    assert len({labels_digest(s) for s in (one, other, shifted)}) == 3
    assert "other labels" in difference(describe(one, digest(one), labels=True), other, labels=True)
    assert difference(describe(one, digest(one), labels=True), other) is None


def test_digests_of_earlier_archives_are_recognised():
    content = hashlib.sha256()  # as it was: positions, 16 frames, number, probe
    rows = np.unique(np.linspace(0, 23, 16).astype(np.int64))
    for part in (POSITIONS, COUNTS[rows], np.array([24]), scan().probe):
        content.update(str(part.dtype).encode())
        content.update(np.ascontiguousarray(part).tobytes())
    old = content.hexdigest()
    assert same(old, digest(scan())) and difference({"digest": old}, scan()) is None
    assert not same(None, digest(scan())) and not same("0" * 64, digest(scan()))


def test_scans_given_twice_are_matched_in_their_order():
    assert matched(["a", "b", "a"], ["a", "b", "a"]) == [0, 1, 2]
    assert matched(["a", "b", None], ["b", "a", "a", "c"]) == [1, 0, 0, None]
    assert matched(["a", "a"], ["a", "a", "a"]) == [0, 1, 1]
