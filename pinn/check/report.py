"""What a check says: facts, findings with what to do, and the whole as a report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pinn.data.subset import UNPAIRED, frames_text, parse_frames, split_unpaired

if TYPE_CHECKING:
    from pinn.check.orientation import Orientation

Severity = Literal["error", "warning", "remark"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "remark")


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing.

    Attributes:
        severity: `error` (what comes out will be wrong), `warning` (it may be wrong or poor), or
            `remark`.
        code: short name that does not change, for programs.
        message: one sentence for a person.
        options: fields of `ScanConfig` that would mend it; of errors and warnings they are
            proposed as a whole and applied by `--fix`.
    """

    severity: Severity
    code: str
    message: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "options": dict(self.options),
        }


@dataclass(frozen=True)
class Fact:
    """A line of the table.

    Attributes:
        name: what.
        text: for people.
        value: for programs; None where it is not known.
    """

    name: str
    text: str
    value: Any = None


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of a check.

    Attributes:
        name: of the scan.
        facts: the table.
        findings: most severe first.
        orientation: of positions against frames; None if it was not tested.
        costs: estimates for training and reconstruction, see `pinn.check.cost`.
        bad_pixels: bool `(N, N)`, centred, True = BAD: pixels found dead or hot; or None.
        seconds: taken by the check.
    """

    name: str
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    orientation: Orientation | None = None
    costs: tuple[Fact, ...] = ()
    bad_pixels: np.ndarray | None = None
    seconds: float = 0.0

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that should stop a run."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def options(self) -> dict[str, Any]:
        """What the errors and warnings propose to change, as fields of `ScanConfig`."""
        return proposed(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        bad = None if self.bad_pixels is None else np.argwhere(self.bad_pixels).tolist()
        return {
            "name": self.name,
            "facts": {fact.name: {"text": fact.text, "value": fact.value} for fact in self.facts},
            "findings": [finding.to_dict() for finding in self.findings],
            "options": self.options,
            "orientation": None if self.orientation is None else self.orientation.to_dict(),
            "costs": {fact.name: {"text": fact.text, "value": fact.value} for fact in self.costs},
            "bad_pixels": bad,
            "seconds": self.seconds,
        }


def proposed(findings: Sequence[Finding]) -> dict[str, Any]:
    """Options of errors and warnings together; the more severe finding wins, lists are joined."""
    found: dict[str, Any] = {}
    for finding in ranked(findings):
        if finding.severity == "remark":
            continue
        for name, value in finding.options.items():
            if name == "drop_frames" and name in found:
                found[name] = _joined(found[name], str(value))
            else:
                found.setdefault(name, value)
    return found


def _joined(first: str, second: str) -> str:
    """Two lists of frames as one."""
    numbers, unpaired = split_unpaired(f"{first},{second}")
    assert numbers is not None  # a proposal names frames
    largest = max(int(word) for part in numbers.split(",") for word in part.split("-"))
    text = frames_text(parse_frames(numbers, largest + 1, "the scan"))
    return f"{text},{UNPAIRED}" if unpaired else text


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Most severe first, otherwise in the order given."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def options_text(options: Mapping[str, Any]) -> str:
    """Options as they are typed, `--orientation=-y+x --flip-frames=ud`; floats to the last bit."""
    words = []
    for name, value in options.items():
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e9
        # Not rounded: a threshold rounded up would let through what it was made to stop.
        text = (
            f"{value:.0f}"
            if whole
            else repr(float(value))
            if isinstance(value, float)
            else str(value)
        )
        words.append(shlex.quote(f"--{name.replace('_', '-')}={text}"))
    return " ".join(words)


def said(finding: Finding) -> str:
    """A finding on one line, with its options."""
    tail = f" [{options_text(finding.options)}]" if finding.options else ""
    return f"{finding.severity}: {finding.message}{tail}"
