"""No name that version 0.1.0 had is gone: of Python, of the command line, of files it wrote.

Names may be added. What is renamed, removed or given another default by a decision stands in
`decided.json`, by kind: `renamed` (old name to new one), `removed` (old names), `values` (new name
to its new default). Names of the files that Keras is needed to write are in `test_v010.py`.
"""

import json
from pathlib import Path

import names
import pytest

import pinn

HERE = Path(__file__).parent
OLD = json.loads((HERE / "names.json").read_text())
DECIDED = json.loads((HERE / "decided.json").read_text())
CODE = (
    "public", "commands", "options", "configurations", "fields", "formats", "formats written",
    "exit codes",
)  # fmt: skip


@pytest.fixture(scope="module")
def now():
    return names.of_code()


@pytest.mark.parametrize("kind", CODE)
def test_names_of_the_code_are_there(now, kind):
    assert OLD[kind] and names.missing(OLD, {kind: now[kind]}, DECIDED) == []


def test_a_result_is_written_with_its_names(tmp_path):
    pinn.load_reconstruction(HERE / "v010" / "refined.h5").save(tmp_path)
    written = names.of_result(tmp_path / "reconstruction.h5")
    assert names.missing(OLD, written, DECIDED) == []


def test_decisions_are_about_names_that_were_there():
    for part in ("renamed", "removed"):
        for kind, of_kind in DECIDED[part].items():
            assert set(of_kind) <= set(OLD[kind]), f"{part} of {kind}"
    new = set().union(*(of_kind.values() for of_kind in DECIDED["renamed"].values()))
    for kind, of_kind in DECIDED["values"].items():
        assert set(of_kind) <= set(OLD[kind]) | new, f"values of {kind}"


def test_what_is_gone_is_noticed_and_what_was_decided_is_not():
    old = {"fields": {"A x": 1, "A y": 2, "A z": 3}}
    new = {"fields": {"A w": 1, "A z": 4, "A more": 0}}
    plain = {"renamed": {}, "removed": {}, "values": {}}
    assert len(names.missing(old, new, plain)) == 3
    assert names.missing(old, old, plain) == []
    decided = {
        "renamed": {"fields": {"A x": "A w"}}, "removed": {"fields": ["A y"]},
        "values": {"fields": {"A z": 4}},
    }  # fmt: skip
    assert names.missing(old, new, decided) == []
