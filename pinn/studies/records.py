"""What a run leaves in its folder: a JSON for the training, one for each test, whole or not there.

A record that cannot be read, or was made with other defaults, counts as not there. One process at a
time computes a run: the claim on its folder is a lock that ends with its owner, however that ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pinn.io.atomic import atomic_write_json
from pinn.io.lock import BusyError, held
from pinn.studies.runs import Run, same_options

SPEC, TRAINING, SPENT, ERROR = "run.json", "training.json", "spent.json", "error.txt"
CLAIM = ".claim"
ARCHIVE = "run/wts.h5.zip"
DONE, FAILED, BROKEN = "done", "failed", "broken"


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold a run's folder, made if need be; False if another process holds it.

    Raises:
        OutputError: the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder, CLAIM, again=False))
        except BusyError:
            yield False
            return
        yield True


def read_json(path: Path) -> dict[str, Any] | None:
    """Content of a record, or None: missing, damaged, or no record."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def test_path(folder: Path, id: str) -> Path:
    """The record of a test in the folder of its run."""
    return folder / "tests" / f"{id}.json"


def training_record(run: Run) -> dict[str, Any] | None:
    """The record of a run's training, or None."""
    return _record(run.folder / TRAINING, run.learning["resolved"])


def test_record(run: Run, id: str) -> dict[str, Any] | None:
    """The record of one test of a run, or None."""
    found = _record(test_path(run.folder, id), run.tests[id]["resolved"])
    complete = found and (found["status"] != DONE or isinstance(found.get("metrics"), dict))
    return found if complete else None


def state(run: Run, retry: bool = False) -> str:
    """`done` or `failed`: nothing is left to do; else `open`, or `begun` where something is there.

    Args:
        retry: what failed is to be tried again. What broke (a crash, not a refusal) always is.
    """
    training = training_record(run)
    final = (DONE,) if retry else (DONE, FAILED)
    if training is None or training["status"] not in final:
        return "begun" if (run.folder / ARCHIVE).exists() else "open"
    if training["status"] == FAILED:
        return "failed"
    tests = [test_record(run, id) for id in run.tests]
    if not all(test and test["status"] in final and _of(training, test) for test in tests):
        return "begun"
    return "failed" if any(test and test["status"] == FAILED for test in tests) else "done"


def ended(run: Run, retry: bool = False) -> bool:
    """Whether nothing is left to do (`state`)."""
    return state(run, retry) in ("done", "failed")


def outcome(run: Run) -> str:
    """What became of a run, for people."""
    for record in (training_record(run), *(test_record(run, id) for id in run.tests)):
        if record is not None and record["status"] != DONE:
            return f"failed: {record.get('error')}"
    return "done"


def record_failure(folder: Path, spec: Mapping[str, Any], status: str, sentence: str) -> None:
    """Record that the training of a run ended without a result.

    A finished training keeps its record; what failed are the tests that are missing.
    """
    known = read_json(folder / TRAINING)
    if known and known["status"] == DONE and same_options(known.get("resolved"), spec["resolved"]):
        for id, test in spec["tests"].items():
            found = read_json(test_path(folder, id))
            if found is None or found.get("status") != DONE:
                about = {"test": test["name"], "resolved": test["resolved"]}
                record = {"status": status, "error": sentence, **about}
                atomic_write_json(test_path(folder, id), record)
        return
    atomic_write_json(
        folder / TRAINING,
        {"status": status, "error": sentence, "resolved": spec["resolved"]},
    )


def _of(training: Mapping[str, Any], test: Mapping[str, Any]) -> bool:
    """Whether a test that is done is of this training, and not of one before it."""
    return test["status"] != DONE or test.get("trained") == training.get("stamp")


def _record(path: Path, resolved: Mapping[str, Any]) -> dict[str, Any] | None:
    found = read_json(path)
    if found is None or found.get("status") not in (DONE, FAILED, BROKEN):
        return None
    return found if same_options(found.get("resolved"), resolved) else None
