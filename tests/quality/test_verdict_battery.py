"""Twelve cases of the battery: what is wrong is doubted, and what is right is not condemned."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.full, pytest.mark.one_backend]
BATTERY = Path(__file__).parents[2] / "benchmarks" / "verdicts.py"
BASES = {  # 1 and 17 had no part in choosing the limits of the verdict
    0: ("frames upside down", "axes of positions swapped"),
    1: ("pixel size 10 % too small", "positions off by 2 px"),
    8: ("pixel size 10 % too large", "turned by 15 degrees"),
    17: ("frames upside down", "two frames"),
}


@pytest.fixture(scope="module")
def battery():
    spec = importlib.util.spec_from_file_location("verdict_battery", BATTERY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    yield (spec.loader.exec_module(module), module)[1]
    del sys.modules[spec.name]


@pytest.mark.parametrize("base", BASES)
def test_wrong_pictures_are_doubted_and_right_ones_are_not_condemned(battery, base, tmp_path):
    rows = {}
    for wrong in ("from the truth", battery.RIGHT, *BASES[base]):
        row = battery.run(battery.Case(base, wrong, "refine"), tmp_path)
        rows[row["key"]] = row
    for row in list(rows.values())[1:]:
        if battery.is_wrong(row, rows):
            assert not row["verdict"].startswith("Nothing measured"), row
        else:
            assert not row["verdict"].startswith("Not to be trusted"), row
    assert sum(battery.is_wrong(row, rows) for row in rows.values()) >= 2
