"""The trainings behind the cells of a study.

Cells that differ only in how their scans are reconstructed share a training. A training is
identified by its options, the content of its scans and the backend; a test by the training, its own
options and its scan. What is left at its default does not count, so that options added later change
no identity; `resolved` tells whether a default has changed since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pinn.studies.cells import Cell
from pinn.studies.names import SECTIONS
from pinn.studies.plan import Plan
from pinn.studies.scans import Scans, StudyScan, file_checksum

# Raised when the same options give other numbers: of a training with all that follows, or of a test
# alone. 2: networks that see one frame at a time predict and stitch each frame once (0.1.0: about
# four times), so that the tests of a study begun by 0.1.0 are done again with its trainings.
VERSION = 1
TESTS = 2
_LEARNING = ("train", "model", "scan")
_BY_THE_SCAN = {"model": {"N", "probe_modes"}}


@dataclass
class Run:
    """One training and its tests.

    Attributes:
        id: of the training.
        folder: of everything about it.
        backend: that computes it.
        learning: options by section, and the scans: what identifies the training.
        scans: it learns from.
        tests: by identity, in order: name, scan and options.
        cells: those that need it.
        need: of each cell, name of the test to its identity.
    """

    id: str
    folder: Path
    backend: str
    learning: dict[str, Any]
    scans: list[StudyScan]
    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    test_scans: list[StudyScan] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    need: list[dict[str, str]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """For people: the cell, and how many others share the training."""
        others = len(self.cells) - 1
        first = self.cells[0].label or "the only cell"
        return first if not others else f"{first} (and {others} more of the same training)"

    def add_test(
        self, name: str, scan: StudyScan, parts: Mapping[str, Mapping[str, Any]], plan: Plan
    ) -> str:
        """Add the test on a scan with the options of a cell, unless it is there; its identity."""
        test = {
            "scan": _stated("scan", parts["scan"]),
            "reconstruct": _stated("reconstruct", parts["reconstruct"]),
            "evaluate": plan.evaluate.model_dump(by_alias=True),
            "identity": scan.identity,
        }
        whose = {"tests": TESTS, "training": self.id}
        key = _checksum({**test, "scan": _nameless(test["scan"]), **whose})
        if key not in self.tests:
            resolved = _resolved("reconstruct", parts["reconstruct"])
            self.tests[key] = {**test, "name": name, "path": str(scan.path), "resolved": resolved}
            self.test_scans.append(scan)
        return key

    def spec(self) -> dict[str, Any]:
        """What the process that computes it needs to know, JSON-ready."""
        return {
            "format": VERSION,
            "id": self.id,
            "backend": self.backend,
            "cells": [cell.label for cell in self.cells],
            "scans": [str(scan.path) for scan in self.scans],
            "options": self.learning["options"],
            "tests": self.tests,
            "resolved": self.learning["resolved"],
        }


def runs_of(
    plan: Plan, cells: Iterable[Cell], scans: Scans, folder: Path, backend: str
) -> list[Run]:
    """The trainings of these cells, in their order.

    Args:
        plan: the study.
        cells: of it.
        scans: finder of their scans.
        folder: of the study's output.
        backend: name.

    Raises:
        ScanError, ConfigError: a scan that is not there or cannot be made.
    """
    runs: dict[str, Run] = {}
    for cell in cells:
        parts = cell.parts()
        parts["scan"] = scans.with_paths("scan", parts["scan"])
        learned = [scans.find(name, parts, False) for name in cell.data.train]
        learning = {
            "study": VERSION,
            "backend": backend,
            "scans": [scan.identity for scan in learned],
            "options": {name: _stated(name, parts[name]) for name in _LEARNING},
        }
        id = _checksum({**learning, "options": _nameless(learning["options"])})
        if id not in runs:
            learning["resolved"] = {name: _resolved(name, parts[name]) for name in _LEARNING}
            runs[id] = Run(id, folder / "runs" / id, backend, learning, learned)
        need = {}
        for name, item in cell.data.test.items():
            need[name] = runs[id].add_test(name, scans.find(item, parts, True), parts, plan)
        runs[id].cells.append(cell)
        runs[id].need.append(need)
    return list(runs.values())


def same_options(stored: Any, present: Mapping[str, Any]) -> bool:
    """Whether two sets of resolved options agree in what both of them know."""
    if not isinstance(stored, Mapping):
        return False
    return all(
        same_options(stored[name], present[name])
        if isinstance(present[name], Mapping)
        else stored[name] == present[name]
        for name in stored.keys() & present.keys()
    )


def _stated(section: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the defaults, JSON-ready."""
    config = SECTIONS[section](**options)
    return config.model_dump(mode="json", exclude_defaults=True)


def _resolved(section: str, options: Mapping[str, Any]) -> dict[str, Any]:
    leave = _BY_THE_SCAN.get(section, set())
    values = SECTIONS[section](**options).to_dict()
    return {name: value for name, value in values.items() if name not in leave}


def _nameless(options: Any) -> Any:
    """Options with the checksums of files in place of their paths: where they lie is no matter."""
    if isinstance(options, Mapping):
        return {name: _nameless(value) for name, value in options.items()}
    if isinstance(options, str) and Path(options).is_absolute() and Path(options).is_file():
        return file_checksum(options)
    return options


def _checksum(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
