"""The recipes in `examples/recipes` run, and the gallery draws its picture."""

import runpy
import sys
from pathlib import Path

import pytest

import pinn.simulate
from pinn import cli
from pinn.simulate import made_by, simulate

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = sorted((EXAMPLES / "recipes").glob("*.toml"))


def test_there_are_recipes():
    assert len(RECIPES) >= 4


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs(recipe, tmp_path):
    out = tmp_path / "out.npz"
    options = ["--n-frames", "16", "--quiet"]
    assert cli.run(["simulate", str(out), "--config", str(recipe), *options]) == 0
    assert made_by(out)
    # as its first lines say
    assert f"--config examples/recipes/{recipe.name}" in recipe.read_text()


def test_the_gallery_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(pinn.simulate, "simulate", lambda config: simulate(config.replace(N=32)))
    target = tmp_path / "simulate.png"
    monkeypatch.setattr(sys, "argv", ["simulate_gallery.py", str(target)])
    runpy.run_path(str(EXAMPLES / "simulate_gallery.py"), run_name="__main__")
    assert target.read_bytes().startswith(b"\x89PNG")
