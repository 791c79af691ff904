"""The names that the world outside uses: read from the code, and from what it writes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import subject

# What was decided since 0.1.0 (a page in docs/decisions each): per kind, old names to new ones,
# and names that are gone. Names inside one another are joined by a space: `train --epochs`.
Decided = Mapping[str, Mapping[str, Any]]


_OPEN = ("sha256", "versions", "hardware", "unfinished")


def of_code() -> dict[str, dict[str, Any]]:
    """Names by kind, each with what belongs to it: a default, a number, or None."""
    return {
        "public": dict.fromkeys(subject.public_names()),
        "commands": dict.fromkeys(subject.commands()),
        "options": dict.fromkeys(
            f"{command} {option}"
            for command, options in subject.commands().items()
            for option in options
        ),
        "configurations": dict.fromkeys(subject.configurations()),
        "fields": {
            f"{name} {field}": default
            for name, fields in subject.configurations().items()
            for field, default in fields.items()
        },
        "formats": dict.fromkeys(subject.formats()),
        "formats written": dict.fromkeys(subject.formats(writable=True)),
        "exit codes": subject.exit_codes(),
    }


def of_archive(path: Path) -> dict[str, dict[str, Any]]:
    """Members of an archive, entries of its JSON members, columns of its history, its arrays."""
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        texts = {n: archive.read(n).decode() for n in members if n.endswith((".json", ".csv"))}
        entries: list[str] = []
        for name in sorted(texts):
            if name.endswith(".json"):
                entries += _entries(name, json.loads(texts[name]))
        weights = []
        with archive.open("model.weights.h5") as member, h5py.File(member, "r") as h5:
            weights += list(h5)
    return {
        "archive members": dict.fromkeys(members),
        "archive entries": dict.fromkeys(entries),
        "archive arrays": dict.fromkeys(weights),
        "training columns": dict.fromkeys(texts["history.csv"].splitlines()[0].split(",")),
    }


def of_config(path: Path) -> dict[str, dict[str, Any]]:
    """Entries of the `config.json` beside an archive."""
    return {"config.json": dict.fromkeys(_entries("", json.loads(path.read_text())))}


def of_result(path: Path) -> dict[str, dict[str, Any]]:
    """Datasets and attributes of a result file, and the columns of a refinement's history."""
    datasets: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    with h5py.File(path, "r") as h5:
        attributes |= dict.fromkeys(h5.attrs)

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                datasets[name] = f"{item.dtype.kind}{item.dtype.itemsize}, {item.ndim} axes"
            attributes.update(dict.fromkeys(f"{name} {key}" for key in item.attrs))

        h5.visititems(visit)
        statistics = json.loads(h5["pinn/statistics"][()])
    columns = dict.fromkeys(key for row in statistics.get("history", []) for key in row)
    return {
        "result datasets": datasets,
        "result attributes": attributes,
        "result statistics": dict.fromkeys(_entries("", statistics)),
        "refinement columns": columns,
    }


def _entries(first: str, value: Any, depth: int = 2) -> list[str]:
    """Keys of an object and of the objects in it, joined by spaces; inside the objects left out
    they depend on the machine, the backend, or where a run was cut."""
    found = []
    if isinstance(value, dict) and depth:
        for key, inner in value.items():
            name = f"{first} {key}".strip()
            found += [name, *([] if key in _OPEN else _entries(name, inner, depth - 1))]
    return found


def missing(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], decided: Decided
) -> list[str]:
    """What is gone or has another value, of the kinds in `new`, but for what was decided."""
    wrong = []
    for kind, names in new.items():
        renamed = decided.get("renamed", {}).get(kind, {})
        removed = decided.get("removed", {}).get(kind, [])
        values = decided.get("values", {}).get(kind, {})
        for name, value in old[kind].items():
            if name in removed:
                continue
            now = renamed.get(name, name)
            wanted = values.get(now, value)
            if now not in names:
                wrong.append(f"{kind}: {now} is missing")
            elif names[now] != wanted:
                wrong.append(f"{kind}: {now} is {names[now]!r}, it was {wanted!r}")
    return wrong
