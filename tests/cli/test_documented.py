"""Every option stands in the documentation with an example of what it is for."""

import importlib
import re
from pathlib import Path

import click
import pytest

import pinn
from pinn.cli.common import COMMANDS

DOCS = Path(pinn.__file__).parents[1] / "docs"
# Tables of old names and of measurements are no examples.
PAGES = [
    *(p for p in DOCS.glob("*.md") if p.stem not in ("moving-to-0.2", "refine-tables")),
    DOCS.parent / "README.md",
    *(DOCS.parent / "examples").rglob("*.toml"),
]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
FLAGS = set(re.findall(r"--([a-zA-Z][\w-]*)", TEXT))
STATED = set(re.findall(r"^ *(\w+) *=", TEXT, re.MULTILINE))  # in TOML
KEYS = STATED | set(re.findall(r"`(\w+)", TEXT))
FEWEST = {"train": 73, "refine": 52, "simulate": 50}


def command(name):
    return importlib.import_module(f"pinn.cli.{name}").command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_documentation(name):
    options = [p for p in command(name).params if isinstance(p, click.Option) and not p.hidden]
    spelled = {str(p.name): {o.lstrip("-") for o in (*p.opts, *p.secondary_opts)} for p in options}
    assert [n for n, f in spelled.items() if not (f & FLAGS or n in STATED)] == []


@pytest.mark.parametrize("name", ["train", "refine", "simulate", "reconstruct"])
def test_every_key_without_a_flag_is_in_the_documentation(name):
    made = command(name)
    keys = [n for n, cls in made.fields.items() if n in cls.keys_only]
    assert [n for n in keys if n not in KEYS] == []


@pytest.mark.parametrize("name", FEWEST)
def test_commands_stay_small(name):
    made = command(name)
    flags = [n for n, cls in made.fields.items() if n not in cls.keys_only]
    assert len(flags) <= FEWEST[name]
