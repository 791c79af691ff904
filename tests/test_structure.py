"""The rules of the house that a machine can check: who imports whom, and what nobody does."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pinn

PACKAGE = Path(pinn.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
FRAMEWORKS = {"jax", "jaxlib", "torch", "tensorflow", "optree"}
LIMIT = 400

# Everything of ours that is built on Keras.
ON_KERAS = {
    "keras",
    "pinn.backend",
    "pinn.contrast",
    "pinn.inference",
    "pinn.initialise",
    "pinn.layers",
    "pinn.model",
    "pinn.networks",
    "pinn.objective",
    "pinn.ops",
    "pinn.optimisation",
    "pinn.predictor",
    "pinn.refinement",
    "pinn.trained",
    "pinn.training",
}
FORBIDDEN = {
    "ops": ON_KERAS - {"keras", "pinn.ops"} | {"pinn.io", "pinn.data"},
    "layers": {"pinn.io", "pinn.data", "pinn.model", "pinn.networks", "pinn.training"},
    "networks": {"pinn.io", "pinn.data", "pinn.model", "pinn.training"},
    "io": ON_KERAS | {"pinn.cli"},
    "data": ON_KERAS | {"pinn.cli"},
    "metrics": ON_KERAS | {"pinn.cli"},
    "simulate": ON_KERAS | {"pinn.cli"},
    "check": ON_KERAS | {"pinn.cli"},
    "studies": ON_KERAS | {"pinn.cli"},
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module and every `from` target that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, names: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:n]) in names for n in range(1, len(parts) + 1))


def test_the_package_is_found():
    assert len(MODULES) > 30
    assert {"ops", "layers", "io", "data", "metrics", "simulate"} <= {
        path.parent.name for path in MODULES
    }


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_lower_folders_do_not_import_higher_ones(folder):
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in sorted((PACKAGE / folder).rglob("*.py"))
        for name in imports(path)
        if within(name, FORBIDDEN[folder])
    ]
    assert wrong == []


def test_frameworks_are_imported_by_the_backend_module_only():
    users = {
        name_of(path)
        for path in MODULES
        if any(within(name, FRAMEWORKS | {"keras.src"}) for name in imports(path))
    }
    assert users == {"backend.py"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_short_and_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LIMIT, "a file holds one idea: split it"
    assert ast.get_docstring(ast.parse(text)), "the module has no docstring"


def test_nothing_is_unpickled_or_evaluated():
    wrong = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="eval" | "exec" | "compile" as name)):
                    wrong.append(f"{name_of(path)}:{node.lineno} calls {name}")
                case ast.keyword(arg="allow_pickle", value=ast.Constant(value=value)) if value:
                    wrong.append(f"{name_of(path)}:{node.value.lineno} allows pickle")
        wrong += [
            f"{name_of(path)} imports {name}"
            for name in imports(path)
            if within(name, {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"})
        ]
    assert wrong == []


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    end = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{end}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_pinn_is_light():
    loaded = loaded_after("import pinn; assert pinn.__version__; dir(pinn)")
    assert not loaded & (FRAMEWORKS | {"keras", "numpy", "matplotlib", "scipy", "pydantic"})


def test_names_that_need_no_network_load_no_keras():
    code = (
        "import pinn\n"
        "pinn.Scan, pinn.ScanConfig, pinn.ModelConfig, pinn.TrainConfig, pinn.ReconstructConfig\n"
        "pinn.load, pinn.load_reconstruction, pinn.Reconstruction, pinn.evaluate\n"
        "pinn.SimulateConfig, pinn.simulate.simulate, pinn.Progress, pinn.StopRequested\n"
    )
    assert not loaded_after(code) & (FRAMEWORKS | {"keras"})


def test_every_public_name_has_a_home_and_unknown_ones_are_refused():
    homes = pinn._HOMES
    assert set(pinn.__all__) == set(homes) | pinn._MODULES | {"__version__"}
    for name, home in homes.items():
        path = PACKAGE.parent / Path(*home.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defined = {getattr(node, "name", None) for node in tree.body}
        imported = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert name in defined | imported, f"{home} has no {name}"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pinn.nonsense
