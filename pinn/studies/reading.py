"""Reading a study, strictly: what is not understood is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn.config import from_toml
from pinn.errors import ConfigError
from pinn.studies.names import known_keys, nearest, option_name, option_value
from pinn.studies.page import Page, listed
from pinn.studies.plan import ONE, DataSet, Plan
from pinn.studies.reading_axes import read_axes, read_match, read_whens
from pinn.studies.reading_report import read_evaluation, read_references, read_report

_TABLES = (
    *("name", "about", "recipe", "data", "options", "sweep", "variant", "exclude", "when"),
    *("quick", "evaluate", "report", "reference"),
)


def read_plan(source: str | Path | Mapping[str, Any], *, quick: bool = False) -> Plan:
    """A study of a TOML file, or of a dictionary with the same content.

    Args:
        source: the file, or what it would hold; then file names are meant from here.
        quick: with the changes of its table `[quick]`: the same in minutes.

    Raises:
        ConfigError: a key, option, name or value that makes no sense, and where it stands.
    """
    if isinstance(source, Mapping):
        return _plan(Page(source, "study"), Path(), quick)
    path = Path(source)
    return _plan(Page(from_toml(path), path.name), path.parent, quick)


def _plan(page: Page, folder: Path, quick: bool) -> Plan:
    known_keys(page.content, _TABLES, page.file)
    name = page.content.get("name")
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{page.file}: name is {name!r}; give the study a name")
    recipes = _recipes(page)
    data = _data(page, recipes)
    variants = {
        key: page.options(table, f"[variant.{key}]")
        for key, table in page.tables("variant").items()
    }
    names = {"variant": list(variants), "data": [key for key in data if key != ONE]}
    options = page.options(page.table("options"), "[options]")
    axes = whole = read_axes(page, page.table("sweep"), "[sweep]", names, implied=True)
    short = page.table("quick")
    known_keys(short, ("options", "sweep"), page.where("[quick]"))
    changed = page.options(short.get("options", {}), "[quick.options]")
    replaced = read_axes(page, short.get("sweep", {}), "[quick.sweep]", names, implied=False)
    for axis in replaced:
        if axis not in axes:
            raise ConfigError(f"{page.where('[quick.sweep]')}: {axis} is no axis of [sweep]")
    if quick:
        options, axes = {**options, **changed}, {**axes, **replaced}
    when = list(read_whens(page, whole))
    for place, stated in (
        ("[options]", options),
        ("[quick.options]", changed),
        *((f"[variant.{key}]", table) for key, table in variants.items()),
        *(("[[when]] set", item.options) for item in when),
    ):
        for key in stated:
            if key in axes:
                raise ConfigError(
                    f"{page.where(place)}: {key} is an axis of [sweep] besides; leave one of them "
                    "out"
                )
    exclude = [read_match(page, item, whole, "[[exclude]]") for item in page.array("exclude")]
    tests = [test for item in data.values() for test in item.tests]
    return Plan(
        name=name,
        about=page.text("about"),
        where=page.file,
        folder=folder,
        recipes=recipes,
        data=data,
        options=options,
        axes=axes,
        variants=variants,
        exclude=exclude,
        when=when,
        evaluate=read_evaluation(page),
        report=read_report(page, axes),
        references=read_references(page, whole, tests),
    )


def _recipes(page: Page) -> dict[str, dict[str, Any]]:
    found = {}
    tables = page.tables("recipe")
    for name, table in tables.items():
        where = page.where(f"[recipe.{name}]")
        like = table.pop("like", None)
        if like is not None and (not isinstance(like, str) or like not in tables):
            raise ConfigError(f"{where}: like is {like!r}, but the recipes are {listed(tables)}")
        options = {} if like is None else {"like": like}
        for key, value in table.items():
            option = option_name(f"simulate.{key}", where)
            options[option] = option_value(option, value, where)
        found[name] = options
    for name in found:
        chain = [name]
        while (like := found[chain[-1]].get("like")) is not None:
            if like in chain:
                raise ConfigError(f"{page.file}: the recipes {listed(chain)} are like each other")
            chain.append(like)
    return found


def _data(page: Page, recipes: Mapping[str, Any]) -> dict[str, DataSet]:
    table = page.table("data")
    if not table:
        raise ConfigError(f"{page.file}: there is no [data]; name a train and a test scan in it")
    several = not {"train", "test"} & table.keys()
    sets = page.tables("data") if several else {ONE: table}
    return {
        name: _data_set(page, item, recipes, f"[data.{name}]" if several else "[data]")
        for name, item in sets.items()
    }


def _data_set(page: Page, table: dict[str, Any], recipes: Mapping[str, Any], at: str) -> DataSet:
    where = page.where(at)
    known_keys(table, ("train", "test"), where)
    train, test = table.get("train"), table.get("test")
    train = [train] if isinstance(train, str) else train
    test = {"test": test} if isinstance(test, str) else test
    if not isinstance(train, list) or not train:
        raise ConfigError(f"{where}: train is {train!r}; give a recipe, a file or a list of them")
    if not isinstance(test, Mapping) or not test:
        raise ConfigError(f"{where}: test is {test!r}; give a recipe, a file or a table of them")
    for name in (*train, *test.values()):
        if not isinstance(name, str) or (name not in recipes and not Path(name).suffix):
            hint = nearest(name, recipes) if isinstance(name, str) else ""
            raise ConfigError(f"{where}: {name!r} is neither a recipe nor a file{hint}")
    return DataSet(tuple(train), dict(test))
