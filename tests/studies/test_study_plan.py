"""The TOML format of a study: what it means, and a sentence for everything else."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from small_study import content

from pinn.errors import ConfigError
from pinn.studies.cells import cells_of
from pinn.studies.names import option_name, section_of
from pinn.studies.plan import Layout, read_plan

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("*.toml"))


def refused(match, only=(), **changes):
    with pytest.raises(ConfigError, match=match) as caught:
        cells_of(read_plan(content(**changes)), only)
    assert "\n" not in str(caught.value)


# -- names --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("epochs", "epochs", ("train", "epochs")),
        ("n-groups", "n_groups", ("train", "n_groups")),
        ("train.epochs", "epochs", ("train", "epochs")),
        ("gridsize", "gridsize", ("model", "gridsize")),
        ("batch_size", "batch_size", ("train", "batch_size")),
        ("reconstruct.batch_size", "reconstruct.batch_size", ("reconstruct", "batch_size")),
        ("calibrate", "calibrate", ("reconstruct", "calibrate")),
        ("frame_size", "frame_size", ("scan", "frame_size")),
        ("scan.frame_size", "frame_size", ("scan", "frame_size")),
        ("simulate.seed", "simulate.seed", ("simulate", "seed")),
        ("scan.photons_per_frame", "scan.photons_per_frame", ("scan", "photons_per_frame")),
        ("scan.propagation", "propagation", ("scan", "propagation")),
    ],
)
def test_an_option_has_one_name_and_one_place(text, name, place):
    assert option_name(text) == name == option_name(name)
    assert section_of(name) == place


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("epoch", "did you mean epochs"),
        ("overlap", "write simulate.overlap"),
        ("photons_per_frame", "write scan.photons_per_frame or simulate.photons_per_frame"),
        ("N", "write simulate.N"),
        ("model.probe_modes", "fixed by the scan"),
        ("model.propagation", "write scan.propagation"),
        ("weights_seed", "'weights_seed' is gone since 0.2"),
        ("simulate.exponent", "'exponent' is gone since 0.2"),
        ("simulate.epochs", "unknown option"),
        ("trian.epochs", "did you mean train"),
    ],
)
def test_names_that_are_refused(text, match):
    with pytest.raises(ConfigError, match=match):
        option_name(text)


# -- cells --------------------------------------------------------------------------------


def test_every_combination_is_a_cell_the_last_axis_fastest():
    cells = cells_of(read_plan(content()))
    expected = itertools.product([8, 64], [1, 2], [0, 1, 2])
    assert [tuple(cell.axes.values()) for cell in cells] == list(expected)
    assert cells[1].parts()["train"] == {"epochs": 2, "n_groups": 8, "seed": 1}
    assert cells[1].parts()["model"] == {"gridsize": 1}


def test_prefixed_axes_may_be_dotted_or_tables():
    table = {"simulate": {"photons_per_frame": [1e3, 1e6]}, "reconstruct": {"batch_size": [4]}}
    plan = read_plan(content(sweep=table))
    assert list(plan.axes) == ["simulate.photons_per_frame", "reconstruct.batch_size"]
    assert cells_of(plan)[1].parts()["simulate"] == {"photons_per_frame": 1e6}


def test_variants_are_an_axis_of_named_options():
    changes = {
        "variant": {"small": {"n_filters_scale": 1}, "wide": {"n_filters_scale": 2, "epochs": 3}},
        "sweep": {"seed": [0]},
    }
    plan = read_plan(content(**changes))
    assert plan.axes == {"variant": ["small", "wide"], "seed": [0]}
    small, wide = cells_of(plan)
    assert small.parts()["train"]["epochs"] == 2 and wide.parts()["train"]["epochs"] == 3
    assert wide.parts()["model"] == {"n_filters_scale": 2}
    plan = read_plan(content(**{**changes, "sweep": {"seed": [0], "variant": ["wide"]}}))
    assert [cell.axes["variant"] for cell in cells_of(plan)] == ["wide"]


def test_combinations_are_left_out_and_options_set_where_they_are_asked_for():
    plan = read_plan(
        content(
            exclude=[{"n_groups": 8, "gridsize": [2]}],
            when=[{"if": {"n_groups": 64}, "set": {"epochs": 9, "batch_size": 4}}],
        )
    )
    cells = cells_of(plan)
    assert len(cells) == 9
    assert not any(c.axes["n_groups"] == 8 and c.axes["gridsize"] == 2 for c in cells)
    for cell in cells:
        few = cell.axes["n_groups"] == 8
        assert cell.parts()["train"]["epochs"] == (2 if few else 9)
        assert cell.value("batch_size") == (8 if few else 4)


def test_several_data_sets_are_an_axis():
    data = {
        "a": {"train": "lines", "test": "other"},
        "b": {"train": ["lines", "leaves"], "test": {"x": "other", "y": "scan.npz"}},
    }
    plan = read_plan(content(data=data, sweep={"seed": [0]}))
    first, second = cells_of(plan)
    assert (first.axes["data"], second.axes["data"]) == ("a", "b")
    assert first.data.test == {"test": "other"} and second.data.train == ["lines", "leaves"]
    assert plan.tests == ["test", "x", "y"]


def test_only_takes_cells_by_their_values():
    plan = read_plan(content())
    cells = cells_of(plan, ["n-groups=8", "seed=0", "seed=2"])
    assert [tuple(cell.axes.values()) for cell in cells] == [
        (8, 1, 0), (8, 1, 2), (8, 2, 0), (8, 2, 2),
    ]  # fmt: skip
    plan = read_plan(content(sweep={"simulate.photons_per_frame": [1e3, 1e6], "calibrate": [True]}))
    (cell,) = cells_of(plan, ["simulate.photons_per_frame=1000000", "calibrate=true"])
    assert cell.axes["simulate.photons_per_frame"] == 1e6


def test_quick_replaces_options_and_values():
    quick = {"options": {"epochs": 1, "batch_size": 2}, "sweep": {"seed": [5]}}
    assert len(cells_of(read_plan(content(quick=quick)))) == 12
    plan = read_plan(content(quick=quick)).shortened()
    cells = cells_of(plan)
    assert [cell.axes["seed"] for cell in cells] == [5] * 4
    assert cells[0].parts()["train"] == {"epochs": 1, "batch_size": 2, "n_groups": 8, "seed": 5}


def test_none_is_no_value_where_an_option_may_have_none():
    plan = read_plan(content(sweep={"clip_norm": ["none", 0.5], "head": ["polar"]}))
    assert plan.axes == {"clip_norm": [None, 0.5], "head": ["polar"]}
    assert cells_of(plan)[0].label == "clip_norm = none, head = polar"


def test_the_report_has_sensible_defaults():
    plan = read_plan(content(report=None))
    assert plan.layout == Layout("n_groups", ("gridsize",), ("seed",))
    assert plan.report.metrics == ["nrmse", "amplitude_psnr_db", "phase_mae_rad", "frc50"]
    plan = read_plan(content(sweep={"mode": ["pinn", "supervised"], "n_groups": [1, 2]}))
    assert plan.layout == Layout("n_groups", ("mode",), ())


# -- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("study: name is missing", {"name": None}),
        ("study: unknown key 'sweeps'; did you mean sweep", {"sweeps": {}}),
        ("options: unknown option 'epoch'; did you mean epochs", {"options": {"epoch": 2}}),
        (r"options: epochs is \[1, 2\]; give one plain value", {"options": {"epochs": [1, 2]}}),
        ("options: epochs is stated twice", {"options": {"epochs": 1, "train": {"epochs": 2}}}),
        ("options: give a table of options, not 3", {"options": 3}),
        ("options: seed is an axis", {"options": {"seed": 1}}),
        ("sweep: n_groups is 8; give a list", {"sweep": {"n_groups": 8}}),
        (r"sweep: seed is \[\]", {"sweep": {"seed": []}}),
        (r"sweep: seed is \[1, 1\]; .*each of them once", {"sweep": {"seed": [1, 1]}}),
        ("sweep: there is no variant 'b'", {"sweep": {"variant": ["b"]}}),
        ("variant.a: seed is an axis", {"variant": {"a": {"seed": 1}}}),
        ("epochs = 0: option 'epochs'", {"options": None, "sweep": {"epochs": [0]}}),
        ("mode = supervised, loss = mae: .*label terms", {
            "sweep": {"mode": ["supervised"], "loss": ["mae"]}}),
        ("study: data is missing", {"data": None}),
        ("data: unknown key 'trian'", {"data": {"train": "lines", "trian": "x"}}),
        ("data.test is missing", {"data": {"train": "lines"}}),
        ("data.train: .* 3", {"data": {"train": 3, "test": "other"}}),
        ("data: 'liens' is neither a recipe nor a file; did you mean lines", {
            "data": {"train": "liens", "test": "other"}}),
        ("recipe.a: unknown option 'simulate.size_px'", {"recipe": {"a": {"size_px": 3}}}),
        ("recipe.a.like: there is no recipe 'b'; there are a", {"recipe": {"a": {"like": "b"}}}),
        ("recipes a, b are like each other", {
            "recipe": {"a": {"like": "b"}, "b": {"like": "a"}}}),
        ("exclude.0: there is no axis 'epochs'", {"exclude": [{"epochs": 2}]}),
        ("exclude.0: there is no value of seed 7", {"exclude": [{"seed": 7}]}),
        ("exclude: .*valid list", {"exclude": {"seed": 0}}),
        ("leave no cell", {"exclude": [{"seed": [0, 1, 2]}]}),
        ("when.0.set is missing", {"when": [{"if": {"seed": 0}}]}),
        ("when.0.set: .* at least 1", {"when": [{"if": {"seed": 0}, "set": {}}]}),
        ("when.0.set: seed is an axis", {"when": [{"if": {"seed": 0}, "set": {"seed": 1}}]}),
        ("quick.sweep: there is no axis 'epochs'", {"quick": {"sweep": {"epochs": [1]}}}),
        (r"evaluate.border: .* equal to 0 \(got -1\)", {"evaluate": {"border": -1}}),
        (r"evaluate.register: .*'complex' \(got 'x'\)", {"evaluate": {"register": "x"}}),
        ("report.metrics: unknown metric 'psnr'", {"report": {"metrics": ["psnr"]}}),
        (r"report.metrics: unknown metric \['a'\]", {"report": {"metrics": ["nrmse", ["a"]]}}),
        (r"report.metrics: metrics is \[\]", {"report": {"metrics": []}}),
        ("report: there is no axis 'epochs'; there are n_groups", {"report": {"x": "epochs"}}),
        ("report: seed is two of x, lines and over", {"report": {"x": "seed"}}),
        ("'we': at n_groups is '8', but n_groups is a number", {
            "reference": [{"label": "we", "nrmse": 1, "at": {"n_groups": "8"}}]}),
        ("'we': at learning_rate is '1e-3', but", {
            "reference": [{"label": "we", "nrmse": 1, "at": {"learning_rate": "1e-3"}}]}),
        ("'we': at mode is 3, but mode is a text", {
            "reference": [{"label": "we", "nrmse": 1, "at": {"mode": 3}}]}),
        ("reference.0.label is missing", {"reference": [{"nrmse": 1}]}),
        ("'we': there is no metric", {"reference": [{"label": "we"}]}),
        ("reference.0.nrmse: .*number .got '1'", {"reference": [{"label": "we", "nrmse": "1"}]}),
        ("reference.0: unknown key 'nmse'; did you mean nrmse", {
            "reference": [{"label": "we", "nmse": 1}]}),
        ("reference.0.test: there is no test 'x'", {
            "reference": [{"label": "we", "nrmse": 1, "test": "x"}]}),
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_place(match, changes):
    refused(match, **changes)


@pytest.mark.parametrize(
    ("only", "match"),
    [("seed", "must be AXIS=VALUE"), ("epochs=1", "the axes are"), ("seed=9", "are 0, 1, 2")],
)
def test_only_is_checked(only, match):
    refused(match, only=[only])


def test_a_file_is_read_and_its_name_begins_every_error(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\n[data]\ntrain = "a.npz"\ntest = "b.npz"\n[sweep]\nseeds = [1]\n')
    with pytest.raises(ConfigError, match=r"^mine.toml: sweep: unknown option 'seeds'"):
        read_plan(path)
    path.write_text("name = ")
    with pytest.raises(ConfigError, match=r"mine\.toml is not valid TOML"):
        read_plan(path)
    with pytest.raises(ConfigError, match="does not exist"):
        read_plan(tmp_path / "none.toml")


# -- the studies of the house -------------------------------------------------------------


def test_the_studies_that_are_promised_are_there():
    names = {path.stem for path in EXAMPLES}
    assert {"training_size", "dose", "distribution", "gridsize", "networks"} <= names


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_can_be_read_whole_and_quick(path):
    plan = read_plan(path)
    quick = plan.shortened()
    assert 1 <= len(cells_of(quick)) < len(cells_of(plan)) <= 40
    assert plan.layout.over == ("seed",)
    text = path.read_text(encoding="utf-8")
    assert f"examples/studies/{path.name}" in text, "the command that runs it"
    assert not re.search(r"[\s\"'=]/\w", text), "a path of one machine"
