"""Medians and spreads against NumPy, the table in its two forms, and what the figures show."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from small_study import BACKEND, content, finish, numbers, small_study, write_test, write_training

from pinn.studies import records
from pinn.studies.curves import curves_of
from pinn.studies.numbers import cells_frame, groups_frame, spread_of
from pinn.studies.run import Study

REFERENCE = [
    {
        "label": "theirs",
        "source": "a paper",
        "at": {"n_groups": 64, "gridsize": 2},
        "test": "leaves",
        "nrmse": 0.25,
    },
    {"label": "everywhere", "at": {"gridsize": 1}, "nrmse": 0.5, "amplitude_psnr_db": 20},
]


@pytest.fixture
def done(tmp_path):
    """The small study with every run finished."""
    study = small_study(tmp_path, reference=REFERENCE, evaluate={"border": 16})
    for number, run in enumerate(study.runs):
        finish(run, number)
    return study


def expected(group, test):
    """Values of three seeds of a group: its three runs follow each other."""
    return [numbers(3 * group + seed, test) for seed in range(3)]


# -- numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8])
def test_spread_is_extremes_of_few_and_quartiles_of_many(n):
    values = np.random.default_rng(n).normal(size=n)
    spread = spread_of(pd.Series([*values, None, math.nan, math.inf]))
    assert spread.n == n
    if n:
        assert spread.median == pytest.approx(np.median(values))
        low, high = (values.min(), values.max()) if n < 4 else np.percentile(values, (25, 75))
        assert (spread.low, spread.high) == pytest.approx((low, high))
    else:
        assert np.isnan(spread[:3]).all()
    kinds = {0: "no value", 1: "one value", 2: "min to max", 3: "min to max"}
    assert spread.kind == kinds.get(n, "quartiles")


def groups_of(study):
    return groups_frame(study.plan, cells_frame(study.plan, study.runs))


def test_groups_are_the_axes_without_seeds_and_medians_those_of_numpy(done):
    groups = groups_of(done)
    keys = groups[["n_groups", "gridsize", "test"]].itertuples(index=False, name=None)
    assert [*keys] == [(n, s, t) for n in (8, 64) for s in (1, 2) for t in ("same", "leaves")]
    for index, group in groups.iterrows():
        assert (group["n"], group["of"], group["failed"]) == (3, 3, 0)
        values = expected(index // 2, index % 2)
        for name, unit in (("nrmse", ""), ("amplitude_psnr_db", " [dB]")):
            numbers = [item[name] for item in values]
            assert group[f"{name} median{unit}"] == np.median(numbers)
            assert group[f"{name} low{unit}"] == min(numbers)
            assert group[f"{name} high{unit}"] == max(numbers)
        assert group["train_cpu_s median [CPU-s]"] == 101 + 3 * (index // 2)


def test_values_of_an_axis_need_not_be_of_one_kind(tmp_path):
    study = small_study(tmp_path, sweep={"clip_norm": ["none", 0.5], "seed": [0, 1]})
    for number, run in enumerate(study.runs):
        finish(run, number)
    groups = groups_of(study)
    assert [*groups["clip_norm"]] == [None, None, 0.5, 0.5] and [*groups["n"]] == [2] * 4
    result = study.write()
    assert "| none | same | 2 |" in result.table and "| 0.5 | leaves | 2 |" in result.table
    assert (tmp_path / "table.csv").read_text().count("\nnone,") == 2


def test_failed_and_missing_cells_are_counted_and_not_averaged(done):
    run = done.runs[1]
    write_training(run, "failed")
    (done.runs[2].folder / "training.json").unlink()
    result = done.write(figures=False)
    group, text = result.groups.iloc[0], result.table
    assert (group["n"], group["of"], group["failed"]) == (1, 3, 1)
    assert group["nrmse median"] == numbers(0, 0)["nrmse"]
    assert [*result.cells["status"][:6:2]] == ["done", "failed", "open"]
    assert [*result.failed["run"]] == [run.id] * 2
    assert "| 8 | 1 | same | 1 of 3 |" in text
    assert "Failed: it went wrong" in text
    assert "- n_groups = 8, gridsize = 1, seed = 1, test same" in text
    assert "Not computed yet: 2 of 24 rows" in text


def test_a_metric_that_some_runs_lack_says_how_many_have_it(done):
    run = done.runs[0]
    for id in run.tests:
        write_test(run, id, nrmse=None, amplitude_psnr_db=math.inf)
    text, plain = written(done)
    line = next(line for line in text.splitlines() if line.startswith("| 8 | 1 | same | 3 |"))
    assert line.count(", 2 of 3 |") == 2
    last = next(line for line in text.splitlines() if line.startswith("| 8 | 2 | same | 3 |"))
    assert "of 3" not in last
    body = "".join(x + "\n" for x in plain.splitlines() if not x.startswith("#"))
    row = next(iter(csv.DictReader(io.StringIO(body))))
    assert (row["n"], row["nrmse n"], row["train_cpu_s n"]) == ("3", "2", "3")


def test_memory_is_that_of_the_largest_process(done):
    run = done.runs[0]
    write_training(run, peak_memory_mb=900.0)
    first, second = run.tests
    record = records.read_json(records.test_path(run.folder, first))
    record["values"]["peak_memory_mb"] = 500.0
    records.test_path(run.folder, first).write_text(json.dumps(record))
    record["values"]["peak_memory_mb"] = 1100.0
    records.test_path(run.folder, second).write_text(json.dumps(record))
    assert [*cells_frame(done.plan, [run])["peak_memory_mb"]] == [900.0, 1100.0]


def test_a_part_of_the_study_says_that_it_is_one(done, tmp_path):
    part = Study(content(), done.folder, only=["seed=0", "gridsize=2"], backend=BACKEND)
    text = part.write().table
    sentence = "A part of the study: 2 of its 12 cells, those of --only seed=0 --only gridsize=2."
    assert sentence in text and sentence in (done.folder / "table.csv").read_text()
    assert "A part of" not in done.write().table


# -- table --------------------------------------------------------------------------------


def written(study):
    text = study.write(figures=False).table
    return text, (study.folder / "table.csv").read_text()


def test_the_heading_says_what_the_numbers_are(done):
    for text in written(done):
        for part in (
            "pixel grid of the truth, box of the scan positions less 16 px",
            "same: amplitude 0.75, phase 1.25 rad; leaves: amplitude 0.75",
            "cycles per pixel (Nyquist 0.5)",
            "median over seed",
            "CPU seconds",
            "keras 3.x",
        ):
            assert part in text


def test_markdown_has_one_row_for_each_group_and_reference(done):
    text, _ = written(done)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 8 + 2
    assert len({line.count("|") for line in lines}) == 1
    values = [item["nrmse"] for item in expected(0, 0)]
    middle, low, high = np.median(values), min(values), max(values)
    assert f"| 8 | 1 | same | 3 | {middle:.4f} ({low:.4f} to {high:.4f}) |" in text
    assert "101 (100 to 102)" in lines[2]
    assert lines[2].endswith("| everywhere |")
    assert lines[4].endswith("| no reference figure exists |")
    assert lines[9].endswith("| theirs |")
    assert lines[10] == "| 64 | 2 | leaves |  | 0.2500 | - | - | **theirs** (a paper) |"
    assert lines[11] == "|  | 1 |  |  | 0.5000 | 20.00 | - | **everywhere** |"


def test_csv_reads_back_to_the_same_numbers(done):
    _, text = written(done)
    plain = "".join(line + "\n" for line in text.splitlines() if not line.startswith("#"))
    rows = list(csv.DictReader(io.StringIO(plain)))
    assert len(rows) == 8 + 2
    for index, row in enumerate(rows[:8]):
        values = [item["amplitude_psnr_db"] for item in expected(index // 2, index % 2)]
        assert float(row["amplitude_psnr_db median [dB]"]) == np.median(values)
        assert float(row["amplitude_psnr_db low [dB]"]) == min(values)
        assert float(row["amplitude_psnr_db high [dB]"]) == max(values)
        assert (row["n"], row["failed"], row["spread"]) == ("3", "0", "min to max")
    assert float(rows[8]["nrmse median"]) == 0.25 and rows[8]["reference"] == "theirs"


def test_every_cell_is_in_a_table_of_its_own(done):
    written(done)
    with open(done.folder / "cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    for index, row in enumerate(rows):
        assert float(row["nrmse"]) == numbers(index // 2, index % 2)["nrmse"]
        assert row["run"] == done.runs[index // 2].id
        assert int(row["seed"]) == (index // 2) % 3


# -- figures ------------------------------------------------------------------------------


def curves_shown(study):
    return curves_of(study.plan, cells_frame(study.plan, study.runs), "nrmse")


def test_a_figure_shows_the_medians_along_its_axis(done):
    curves = curves_shown(done)
    assert (curves.x_label, curves.log_x, curves.ticks) == ("n_groups", True, None)
    assert [panel.title for panel in curves.panels] == ["test = same", "test = leaves"]
    for test, panel in enumerate(curves.panels):
        assert [line.label for line in panel.lines] == ["gridsize = 1", "gridsize = 2"]
        for size, line in enumerate(panel.lines):
            assert line.x == [8.0, 64.0]
            for place in range(2):
                values = [item["nrmse"] for item in expected(2 * place + size, test)]
                assert line.median[place] == np.median(values)
                assert (line.low[place], line.high[place]) == (min(values), max(values))
                assert line.values[place] == tuple(values)
    same, leaves = curves.panels
    assert [(m.label, m.x, m.value) for m in same.marks] == [("everywhere", None, 0.5)]
    assert ("theirs", 64.0, 0.25) in [(m.label, m.x, m.value) for m in leaves.marks]


def test_a_figure_may_run_along_the_tests_and_over_names(tmp_path):
    study = small_study(
        tmp_path,
        sweep={"architecture": ["a", "b"], "seed": [0, 1]},
        report={"x": "test", "lines": "architecture", "metrics": ["nrmse"]},
    )
    for number, run in enumerate(study.runs):
        finish(run, number)
    curves = curves_shown(study)
    assert curves.ticks == [(0.0, "same"), (1.0, "leaves")] and not curves.log_x
    (panel,) = curves.panels
    for index, line in enumerate(panel.lines):
        known = [[numbers(2 * index + s, t)["nrmse"] for s in range(2)] for t in range(2)]
        assert line.median == pytest.approx(np.median(known, axis=1))


def test_a_study_of_one_point_has_a_figure_and_no_reference_elsewhere(tmp_path):
    study = small_study(
        tmp_path,
        sweep={"seed": [0]},
        data={"train": "lines", "test": "other"},
        reference=[{"label": "other seeds", "at": {"seed": 5}, "nrmse": 0.1}],
    )
    finish(study.runs[0], 0)
    curves = curves_shown(study)
    (panel,) = curves.panels
    assert panel.lines[0].median == [numbers(0, 0)["nrmse"]] and panel.marks == []


def test_figures_are_written_for_what_has_values(done, tmp_path):
    done.write()
    for name in ("nrmse.png", "amplitude_psnr_db.png", "train_cpu_s.png"):
        path = done.folder / name
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
    small_study(tmp_path / "empty").write()
    assert not [*(tmp_path / "empty").glob("*.png")]


def test_a_panel_without_a_point_is_left_empty_on_a_logarithmic_axis(tmp_path):
    study = small_study(tmp_path, reference=REFERENCE)
    for number, run in enumerate(study.runs):
        finish(run, number)
        write_test(run, list(run.tests)[1], nrmse=None)
    study.write()
    curves = curves_shown(study)
    assert curves.log_x and [bool(p.lines[0].x) for p in curves.panels] == [True, False]
    assert (tmp_path / "nrmse.png").exists()


def test_a_result_can_be_read_while_nothing_is_computed(done):
    result = done.write(figures=False)
    assert {*result.cells["status"]} == {"done"} and result.failed.empty
    assert (result.folder / "table.md").read_text() == result.table
