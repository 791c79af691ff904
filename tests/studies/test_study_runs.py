"""Identity of trainings and tests, simulated scans, and what counts as done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_study import BACKEND, content, finish, small_study, write_test, write_training

from pinn.errors import ConfigError, OutOfMemoryError, OutputError, ScanError
from pinn.simulate import SimulateConfig, made_by, recipe_hash, simulate_to_file
from pinn.studies import records
from pinn.studies.cells import cells_of
from pinn.studies.execute import _attempt
from pinn.studies.numbers import cells_frame
from pinn.studies.plan import read_plan
from pinn.studies.records import BROKEN, FAILED, claimed
from pinn.studies.run import Study
from pinn.studies.runs import runs_of
from pinn.studies.scans import Scans, StudyScan


def ids(study):
    return [run.id for run in study.runs]


def test_each_cell_has_a_training_of_its_own_and_all_its_tests(tmp_path):
    study = small_study(tmp_path)
    assert len(set(ids(study))) == study.cells == 12
    for run in study.runs:
        assert [test["name"] for test in run.tests.values()] == ["same", "leaves"]


def test_cells_that_differ_in_reconstruction_share_a_training(tmp_path):
    study = small_study(tmp_path, sweep={"calibrate": [True, False], "seed": [0, 1]})
    assert study.cells == 4 and len(study.runs) == 2
    for run in study.runs:
        assert len(run.cells) == 2 and len(run.tests) == 4
        assert not set(run.need[0].values()) & set(run.need[1].values())


def test_identity_is_that_of_options_data_and_backend(tmp_path):
    first = ids(small_study(tmp_path))
    assert ids(small_study(tmp_path / "elsewhere")) == first
    assert ids(small_study(tmp_path, options={"epochs": 2, "schedule": "cosine"})) == first
    assert ids(small_study(tmp_path, evaluate={"border": 3})) == first, "no matter of training"
    changed = [
        small_study(tmp_path, options={"epochs": 3}),
        small_study(tmp_path, options={"epochs": 2, "simulate": {"photons_per_frame": 10.0}}),
    ]
    for study in changed:
        assert not set(ids(study)) & set(first)
    # as on another backend, which need not be installed here
    plan = read_plan(content())
    scans = Scans(plan, tmp_path / "scans", ())
    runs = runs_of(plan, cells_of(plan, ()), scans, tmp_path, "another")
    assert len(runs) == len(first) and not {run.id for run in runs} & set(first)


def test_trainings_are_those_of_version_0_1_0_and_tests_are_not(tmp_path):
    """What it trained is found again: these were written down with it.

    Its tests are not: frames were predicted and stitched several times each.
    """

    class Known:
        def find(self, name, parts, tested):
            return StudyScan(name, tmp_path / name, f"content of {name}")

        def with_paths(self, section, options):
            return dict(options)

    options = {"epochs": 2, "weighting": "uniform", "clip_norm": 0.5, "frame_size": 16}
    sweep = {"n_groups": [8, 64], "seed": [0]}
    plan = read_plan(content(options=options, sweep=sweep, evaluate={"border": 3}))
    runs = runs_of(plan, cells_of(plan), Known(), tmp_path, "jax")
    then = {
        "7bbac08f9ec5f008": ["95d4f441f1cdf21f", "415640d717560139"],
        "0876909c38aa155d": ["dfc37295f266bbe7", "9159953ded2cc438"],
    }
    assert {run.id for run in runs} == {*then}
    for run in runs:
        assert len(run.tests) == 2 and not {*run.tests} & {*then[run.id]}


def test_a_test_is_identified_by_its_scan_its_options_and_the_comparison(tmp_path):
    def tests(**changes):
        return list(small_study(tmp_path, **changes).runs[0].tests)

    first = tests()
    assert tests(evaluate={"border": 3}) != first
    assert tests(options={"epochs": 2, "weighting": "uniform"}) != first
    other = {**content()["recipe"], "leaves": {"like": "lines", "object": "leaves", "seed": 3}}
    assert tests(recipe=other)[0] == first[0] and tests(recipe=other)[1] != first[1]


def test_an_axis_of_the_simulation_holds_for_recipes_that_are_like_no_other(tmp_path):
    recipes = {**content()["recipe"], "fixed": {"like": "lines", "photons_per_frame": 77.0}}
    study = small_study(
        tmp_path,
        recipe=recipes,
        data={"train": "lines", "test": {"same": "other", "fixed": "fixed"}},
        sweep={"simulate": {"photons_per_frame": [1e3, 1e5]}},
    )
    for run, dose in zip(study.runs, (1e3, 1e5), strict=True):
        assert run.scans[0].recipe.photons_per_frame == dose
        same, fixed = (scan.recipe for scan in run.test_scans)
        assert (same.photons_per_frame, same.seed) == (dose, 1)
        assert (fixed.photons_per_frame, fixed.seed) == (77.0, 0)


def test_a_simulated_scan_is_made_once_and_is_that_of_its_recipe(tmp_path):
    study = small_study(tmp_path)
    scan = study.runs[0].scans[0]
    assert all(run.scans[0] is scan for run in study.runs)
    assert scan.make() and not scan.make()
    recipe = SimulateConfig(object="lines", N=16, n_frames=40, overlap=0.5)
    assert made_by(scan.path) == recipe_hash(recipe)
    assert scan.path.parent == tmp_path / "scans"


def files(folder, **options):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.npz"
    simulate_to_file(SimulateConfig(N=16, n_frames=40, overlap=0.5, **options), path)
    return path


DATA = {"train": "mine.npz", "test": "mine.npz"}


def test_files_are_found_in_the_data_folder_first_and_known_by_content(tmp_path):
    files(tmp_path / "a")
    files(tmp_path / "b")
    files(tmp_path / "c", seed=1)
    found = [
        Study(content(data=DATA), tmp_path, data=[tmp_path / name], backend=BACKEND)
        for name in ("a", "b", "c")
    ]
    assert found[0].runs[0].scans[0].path == tmp_path / "a" / "mine.npz"
    assert ids(found[0]) == ids(found[1]) and ids(found[0]) != ids(found[2])
    with pytest.raises(ScanError, match=r"mine.npz is not there .*name its folder with --data"):
        Study(content(data=DATA), tmp_path, data=[tmp_path / "d"], backend=BACKEND)


def test_any_change_of_a_file_is_other_data(tmp_path):
    """Frames between those that a sample would take, a mask, labels, an index of scans."""
    path = files(tmp_path)
    with np.load(path) as stored:
        arrays = dict(stored)
    name = next(key for key in ("diff3d", "diffraction") if key in arrays)
    frames = arrays[name].copy()
    frames[1, 3, 5] += 1

    def identity():
        return ids(Study(content(data=DATA), tmp_path, data=[tmp_path], backend=BACKEND))

    known = [identity()]
    assert identity() == known[0]
    changes = {
        name: frames,
        "bad_pixels": np.eye(16, dtype=bool),
        "scan_index": np.arange(len(frames)) // 20,
    }
    for key, value in changes.items():
        np.savez(path, **{**arrays, key: value})
        known.append(identity())
    assert all(not set(a) & set(b) for i, a in enumerate(known) for b in known[:i])


def test_a_test_scan_without_truth_is_refused_before_any_work(tmp_path):
    path = files(tmp_path)
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files if key != "objectGuess"}
    np.savez(path, **arrays)
    with pytest.raises(ScanError, match=r"mine.npz has no truth \(objectGuess\)"):
        Study(content(data=DATA), tmp_path, data=[tmp_path], backend=BACKEND)


def test_an_impossible_recipe_is_refused_by_name(tmp_path):
    recipes = {**content()["recipe"], "other": {"like": "lines", "feature_px": 3.0}}
    with pytest.raises(ConfigError, match=r"study: recipe.other: .*feature_px has no meaning"):
        small_study(tmp_path, recipe=recipes)


def test_the_example_of_the_documentation_is_a_study(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
    file = tmp_path / "example.toml"
    file.write_text(text.split("```toml\n")[1].split("```")[0])
    files(tmp_path).rename(tmp_path / "star.npz")
    study = Study(file, tmp_path / "out", backend=BACKEND)
    assert study.cells == 18 and list(study.runs[0].need[0]) == ["same", "leaves", "measured"]


def test_an_option_of_the_cell_is_blamed_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"with simulate.probe_diameter = 12 of the cell: "):
        small_study(tmp_path, sweep={"simulate.probe_diameter": [12]})


# -- what counts as done ------------------------------------------------------------------


def states(study):
    return [records.state(run) for run in study.runs]


@pytest.fixture
def two(tmp_path):
    return small_study(tmp_path, sweep={"seed": [0, 1]})


def test_a_run_is_done_when_its_training_and_every_test_are_recorded(two):
    run, other = two.runs
    assert states(two) == ["open", "open"]
    write_training(run)
    assert states(two) == ["begun", "open"]
    first, second = run.tests
    write_test(run, first, nrmse=0.5)
    assert states(two) == ["begun", "open"]
    write_test(run, second, nrmse=0.5)
    assert states(two) == ["done", "open"]
    assert two.todo() == [other]


@pytest.mark.parametrize("text", ["", "{", '{"status": "done"', "[1]", '{"status": "x"}'])
def test_a_damaged_record_is_no_record(two, text):
    run = two.runs[0]
    finish(run, 0)
    assert states(two) == ["done", "open"]
    path = records.test_path(run.folder, next(iter(run.tests)))
    whole = path.read_text()
    path.write_text(text)
    assert states(two) == ["begun", "open"]
    path.write_text(whole)
    (run.folder / "training.json").write_text(text)
    assert states(two) == ["open", "open"]


def test_a_record_of_other_defaults_does_not_count_and_one_of_fewer_options_does(two):
    run = two.runs[0]
    finish(run, 0)
    path = run.folder / "training.json"
    record = json.loads(path.read_text())
    del record["resolved"]["train"]["clip_norm"]
    record["resolved"]["train"]["gone"] = 3
    path.write_text(json.dumps(record))
    assert states(two) == ["done", "open"]
    record["resolved"]["train"]["learning_rate"] = 0.123
    path.write_text(json.dumps(record))
    assert states(two) == ["open", "open"]


def test_failures_are_final_unless_asked_for_and_crashes_are_not(two):
    failed, broken = two.runs
    write_training(failed, "failed")
    write_training(broken, "broken")
    assert states(two) == ["failed", "open"]
    assert two.todo() == [broken] and two.todo(retry=True) == [failed, broken]
    write_training(failed)
    first, second = failed.tests
    write_test(failed, first, nrmse=1.0)
    write_test(failed, second, "failed")
    assert states(two) == ["failed", "open"]
    assert records.state(failed, retry=True) == "begun"
    write_test(failed, second, "broken")
    assert states(two) == ["begun", "open"]


def test_a_test_of_an_earlier_training_is_shown_but_done_again(two):
    run = two.runs[0]
    finish(run, 0)
    path = run.folder / "training.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "stamp": "new"}))
    assert states(two) == ["begun", "open"]
    assert [*cells_frame(two.plan, [run])["status"]] == ["done", "done"]


def test_a_crash_over_a_new_test_leaves_the_finished_training(two):
    run = two.runs[0]
    first, second = run.tests
    write_training(run)
    write_test(run, first, nrmse=0.5)
    spec = run.spec()
    records.record_failure(run.folder, spec, records.BROKEN, "it crashed")
    assert [*cells_frame(two.plan, [run])["status"]] == ["done", "failed"]
    assert records.test_record(run, second)["error"] == "it crashed"
    assert states(two) == ["begun", "open"]
    write_training(run, "broken")
    records.record_failure(run.folder, spec, records.FAILED, "no use")
    assert states(two) == ["failed", "open"]


def test_the_reason_why_work_ended_is_not_hidden(two, monkeypatch):
    def broken(figures=True):
        raise OSError("no table")

    def executor(folder, spec):
        raise KeyboardInterrupt

    monkeypatch.setattr(two, "write", broken)
    with pytest.raises(KeyboardInterrupt) as caught:
        two.compute(executor)
    assert "no table" in caught.value.__notes__[0]


def test_the_listing_says_what_is_to_do(two):
    assert "2 cells, 2 trainings, 2 to do" in two.listing()
    finish(two.runs[0], 0)
    after = two.listing()
    assert after.splitlines()[0].startswith("done") and "1 to do" in after


def test_one_process_at_a_time_has_a_run(tmp_path):
    with claimed(tmp_path / "run") as first:
        assert first
        with claimed(tmp_path / "run") as second:
            assert not second
    with claimed(tmp_path / "run") as third:
        assert third
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write into"), claimed(tmp_path / "file"):
        pass


def test_work_goes_past_runs_that_another_process_has(two):
    started, said = [], []
    first, second = two.runs

    def executor(folder, spec):
        started.append(folder)
        return True

    with claimed(first.folder):
        result = two.compute(executor, lambda p: said.append(p.message))
    assert started == [second.folder] and result.busy == 1
    assert any("another process" in message for message in said)
    # taken between the look and the start of the work
    assert two.compute(lambda folder, spec: False).busy == 2


def test_memory_that_ran_out_is_tried_again(tmp_path):
    """It may be another process that had it; a refusal is final."""

    def raises(error):
        def work():
            raise error

        return work

    found = _attempt(tmp_path, raises(OutOfMemoryError("training needs more memory")))
    assert found == {"status": BROKEN, "error": "training needs more memory"}
    assert _attempt(tmp_path, raises(ConfigError("no")))["status"] == FAILED
