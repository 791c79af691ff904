"""Every key of the legacy bridge as version 0.1.0 translated it, with typical and odd values."""

from __future__ import annotations

import gzip
import json

from legacy_cases import GOLDEN, observed

from pinn.config.successors import SUCCESSORS

# Option of 0.1.0: its name today. The golden keeps the names of 0.1.0.
RENAMED: dict[str, str] = {}
# Words of its notes: today's.
REWORDED = {
    "mae': the two pull on frames of": "mae': their gradients on frames of",
    "photons as in the reference, where the terms have": "photons are as in the reference, whose "
    "terms have",
    "no measurement does; probe_smoothing smooths the probe": "no measurement does",
    "'adamw', 'nadam', 'adamax', 'sgd', 'rmsprop', 'adagrad', 'adadelta', 'lion' or 'lamb'": (
        "'adamw', 'sgd' or 'rmsprop'"
    ),
    "true and false are no value of this option": "this option takes neither true nor false",
    "never built it; for steps use schedule stages with rate_stages": "never built it",
}
# Options that 0.2 does not have, and values of others (decision 10).
GONE = {*SUCCESSORS["ModelConfig"], *SUCCESSORS["TrainConfig"]}
GONE_VALUES = ("'lion'", "'nadam'", "'stages'")


def renamed(seen):
    """What was seen in 0.1.0, in today's names; notes in any order."""
    if isinstance(seen, list):
        return sorted(map(renamed, seen), key=str)
    if isinstance(seen, str):
        for old, new in REWORDED.items():
            seen = seen.replace(old, new)
        return seen
    if not isinstance(seen, dict):
        return seen
    return {
        RENAMED.get(name, name): renamed(value) for name, value in seen.items() if name not in GONE
    }


def test_every_case_is_translated_as_in_version_0_1_0():
    golden = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    golden = {k: v for k, v in golden.items() if not any(word in k for word in GONE_VALUES)}
    seen = {k: v for k, v in observed().items() if k in golden}
    assert seen.keys() == golden.keys()
    wrong = {}
    for case, before in golden.items():
        now = seen[case]
        crashed = isinstance(before, str) and before.startswith("crashed")
        same = crashed and str(now).startswith("refused")  # 0.1.0 did not look at every type
        if not same and renamed(now) != renamed(before):
            wrong[case] = (now, before)
    assert not wrong, f"{len(wrong)} cases differ, {list(wrong.items())[:3]}"
