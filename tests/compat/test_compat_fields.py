"""Every key of the legacy bridge as version 0.1.0 translated it, with typical and odd values."""

from __future__ import annotations

import gzip
import json

from legacy_cases import GOLDEN, observed

# Option of 0.1.0: its name today. The golden keeps the names of 0.1.0.
RENAMED: dict[str, str] = {}


def renamed(seen):
    """What was seen in 0.1.0, in today's names; notes in any order."""
    if isinstance(seen, list):
        return sorted(seen, key=str)
    if not isinstance(seen, dict):
        return seen
    return {RENAMED.get(name, name): renamed(value) for name, value in seen.items()}


def test_every_case_is_translated_as_in_version_0_1_0():
    golden = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    seen = observed()
    assert seen.keys() == golden.keys()
    wrong = {}
    for case, before in golden.items():
        now = seen[case]
        crashed = isinstance(before, str) and before.startswith("crashed")
        same = crashed and str(now).startswith("refused")  # 0.1.0 did not look at every type
        if not same and renamed(now) != renamed(before):
            wrong[case] = (now, before)
    assert not wrong, f"{len(wrong)} cases differ, {list(wrong.items())[:3]}"
