"""The rules of the house that a machine can check: who imports whom, and what nobody does."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import pinn

PACKAGE = Path(pinn.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
FRAMEWORKS = {"jax", "jaxlib", "torch", "tensorflow", "optree"}
LIMIT = 400
# Packages that are installed beside pinn, by the folder that holds them.
_BESIDE = Path(__file__).parents[1] / "compat"
COMPAT = {_BESIDE: ("ptycho", "ptycho_torch"), _BESIDE / "archives": ("pinn_archives",)}

# What each room may import besides itself, the errors and the progress reports. `pinn.check` loads
# the forward model for its short fits only; training and refinement begin with the probe that it
# fits where a scan has none.
ALLOWED = {
    "errors": set(),
    "moved": set(),
    "progress": set(),
    "config": set(),
    "backend": set(),
    "ops": set(),
    "layers": {"ops"},
    "data": {"config"},
    "io": {"config", "data"},
    "networks": {"backend", "config", "data", "io", "layers", "ops"},
    "quality": {"backend", "config", "data", "ops"},
    "plots": {"config", "data", "io", "quality"},
    "reconstruction": {"backend", "config", "data", "io", "networks", "ops", "quality"},
    "refinement": {
        "backend",
        "check",
        "config",
        "data",
        "io",
        "networks",
        "ops",
        "quality",
        "reconstruction",
    },
    "training": {
        "backend",
        "check",
        "config",
        "data",
        "io",
        "networks",
        "ops",
        "plots",
        "quality",
        "reconstruction",
    },
    "simulate": {"config", "data", "io"},
    "check": {"backend", "config", "data", "io", "ops"},
    "studies": {"backend", "config", "data", "io", "plots", "quality", "simulate"},
    "remote": {
        "backend",
        "config",
        "data",
        "io",
        "networks",
        "reconstruction",
        "refinement",
        "training",
    },
    "interop": {"backend", "config", "data", "io"},
    "cli": {
        "backend",
        "check",
        "config",
        "data",
        "io",
        "plots",
        "quality",
        "refinement",
        "remote",
        "simulate",
        "studies",
    },
}
EVERYWHERE = {"errors", "progress"}
WITHOUT_KERAS = ("config", "data", "io", "plots", "simulate", "studies", "cli")
# The independent oracle: it is what the forward model is tested against.
ORACLE = "pinn.simulate.forward"
# Who moves the zero frequency by its name; `pinn/ops/fourier.py` does by signs and by `roll`.
SHIFTS = {"fftshift", "ifftshift"}
SHIFTERS = {"data/fourier.py", "simulate/forward.py", "simulate/optics.py"}

# Imports of our own packages inside functions, by what they keep from loading with the module.
LATE = {
    # pinn._HOMES: everything is loaded when it is first used
    "all of pinn": {("pinn", "pinn.backend")},
    "Keras": {("pinn.check", "pinn.check.first_probe"), ("pinn.check", "pinn.check.ranking")},
    "pandas, an extra": {
        ("pinn.cli.study", "pinn.cli.study_run"),
        ("pinn.studies", "pinn.studies.execute"),
        ("pinn.studies", "pinn.studies.run"),
    },
    # `import ptycho` is to be as quick as the original's callers know it
    "Keras, Matplotlib, h5py, SciPy or pydantic": {
        ("pinn.io.legacy.back", "pinn.config"),
        ("pinn.io.legacy.forward", "pinn.config"),
        ("ptycho._bundle", "pinn.io.convert_archive"),
        ("ptycho._cli.inference", "pinn.plots.pictures"),
        ("ptycho._files", "pinn.plots.pictures"),
        ("ptycho._grouped", "pinn.data.labels"),
        ("ptycho._network", "pinn.data.fingerprint"),
        ("ptycho._network", "pinn.data.grouping"),
        ("ptycho._network", "pinn.remote.patches"),
        ("ptycho._patches", "pinn.reconstruction.canvas"),
        ("ptycho._raw", "pinn.data.legacy_grouping"),
        ("ptycho._run", "pinn.data.fingerprint"),
        ("ptycho._run", "pinn.data.grouping"),
        ("ptycho._simulated", "pinn.simulate.forward"),
        ("ptycho._stitch", "pinn.reconstruction.canvas"),
        ("ptycho._stitch", "pinn.reconstruction.contrast"),
    },
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


def test_no_two_test_files_have_one_name():
    """They are imported by their name alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_the_package_is_found():
    assert len(MODULES) > 30
    assert {"ops", "layers", "io", "data", "quality", "simulate"} <= {
        path.parent.name for path in MODULES
    }


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    """The rooms that a module imports, wherever in the file."""
    found = set()
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "pinn" and len(parts) > 1 and parts[1] in ALLOWED:
            found.add(parts[1])
    return found - {room_of(path)}


def test_every_room_is_in_the_table():
    assert {room_of(path) for path in MODULES} == set(ALLOWED) | {"__init__", "__main__"}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_rooms_import_what_the_table_allows(room):
    allowed = ALLOWED[room] | EVERYWHERE
    wrong = {
        f"{name_of(path)} imports pinn.{other}"
        for path in MODULES
        if room_of(path) == room
        for other in rooms_imported(path) - allowed
    }
    assert wrong == set()


@pytest.mark.parametrize("room", WITHOUT_KERAS)
def test_rooms_without_keras_do_not_import_it(room):
    wrong = {
        f"{name_of(path)} imports {name}"
        for path in MODULES
        if room_of(path) == room
        for name in imports(path)
        if within(name, {"keras"})
    }
    assert wrong == set()


def test_rooms_make_no_circles():
    arrows: dict[str, set[str]] = {}
    for path in MODULES:
        arrows.setdefault(room_of(path), set()).update(rooms_imported(path))
    del arrows["__init__"]

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for other in arrows.get(waiting.pop(), set()) - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    circles = {
        tuple(sorted((room, other)))
        for room in arrows
        for other in arrows[room]
        if room in reached(other)
    }
    assert circles == set()


def test_modules_make_no_circles():
    """Also within a room, and by their types: what a module imports never comes back to it."""
    names = {module_name(path): path for path in MODULES}
    del names["pinn"]  # it names everything, and loads nothing
    refuse_circles(names, named_by)


def test_compat_makes_no_circles():
    """Of its distributions, with what their functions import: pinn is the only reason to wait."""
    names = modules_of_compat()
    assert {name.split(".")[0] for name in names} == {"ptycho", "ptycho_torch", "pinn_archives"}
    refuse_circles(names, imported_by)
    late = [f"{name} imports {other}" for name in names for other in waiting(names, name)]
    assert late == [], "modules of compat are light: import them at the top"


def modules_of_compat() -> dict[str, Path]:
    return {
        module_name(path, root): path
        for root, packages in COMPAT.items()
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def refuse_circles(
    names: dict[str, Path], arrows_of: Callable[[Path, dict[str, Path]], set[str]]
) -> None:
    arrows = {name: arrows_of(path, names) for name, path in names.items()}
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in sorted(arrows[name]):
                walk(other, (*way, name))
            done.add(name)

    for name in names:
        walk(name, ())


def module_name(path: Path, root: Path = PACKAGE.parent) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def loaded_with(path: Path, names: dict[str, Path]) -> set[str]:
    """Modules of ours that a module imports at its top."""
    return _targets(ast.parse(path.read_text(encoding="utf-8")).body, names)


def named_by(path: Path, names: dict[str, Path]) -> set[str]:
    """Modules of ours that a module imports at its top, for their types alone as well."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    inner = [node for outer in nodes if isinstance(outer, ast.If) for node in outer.body]
    return _targets([*nodes, *inner], names)


def imported_by(path: Path, names: dict[str, Path]) -> set[str]:
    """Modules of ours that a module imports anywhere, types left out."""
    nodes, found = [ast.parse(path.read_text(encoding="utf-8"))], []
    while nodes:
        node = nodes.pop()
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            found.append(node)
            nodes += ast.iter_child_nodes(node)
    return _targets(found, names)


def waiting(names: dict[str, Path], name: str) -> set[str]:
    """Modules of ours that a module imports in its functions only."""
    return imported_by(names[name], names) - loaded_with(names[name], names)


def _targets(nodes: Iterable[ast.AST], names: dict[str, Path]) -> set[str]:
    """Modules of ours that these statements import."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in names else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(names)


def test_nothing_but_the_simulator_imports_the_oracle():
    users = {room_of(path) for path in MODULES if ORACLE in imports(path)}
    assert users == {"simulate"}


def test_the_zero_frequency_is_moved_by_its_owners_and_the_oracle_only():
    users = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if {getattr(node, key, None) for key in ("attr", "id", "name")} & SHIFTS
    }
    assert users == SHIFTERS


def test_functions_import_ours_only_where_the_table_says_why():
    files = {module_name(path): path for path in MODULES} | modules_of_compat()
    late = {
        (name, target)
        for name, path in files.items()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for target in _targets(ast.walk(function), files)
    }
    assert late == set().union(*LATE.values())


def test_frameworks_are_imported_by_the_backend_module_only():
    users = {
        name_of(path)
        for path in MODULES
        if any(within(name, FRAMEWORKS | {"keras.src"}) for name in imports(path))
    }
    assert users == {"backend/framework.py", "backend/gradients.py"}


@pytest.mark.parametrize(
    "path", [*MODULES, *modules_of_compat().values()], ids=lambda path: path.as_posix()[-40:]
)
def test_module_is_short_and_says_what_it_is_for(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LIMIT, "a file holds one idea: split it"
    assert ast.get_docstring(ast.parse(text)), "the module has no docstring"


def test_nothing_is_unpickled_or_evaluated():
    wrong = []
    for path in (*MODULES, *modules_of_compat().values()):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id="eval" | "exec" | "compile" as name)):
                    wrong.append(f"{path.name}:{node.lineno} calls {name}")
                case ast.keyword(arg="allow_pickle", value=ast.Constant(value=value)) if value:
                    wrong.append(f"{path.name}:{node.value.lineno} allows pickle")
        wrong += [
            f"{path.name} imports {name}"
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
    assert not loaded & (
        FRAMEWORKS | {"keras", "numpy", "matplotlib", "scipy", "pydantic", "pandas"}
    )


def test_names_that_need_no_network_load_no_keras():
    code = (
        "import pinn\n"
        "pinn.Scan, pinn.ScanConfig, pinn.ModelConfig, pinn.TrainConfig, pinn.ReconstructConfig\n"
        "pinn.load, pinn.load_reconstruction, pinn.Reconstruction, pinn.evaluate\n"
        "pinn.export\n"
        "pinn.SimulateConfig, pinn.simulate.simulate, pinn.Progress, pinn.StopRequested\n"
        "pinn.study\n"
    )
    assert not loaded_after(code) & (FRAMEWORKS | {"keras", "pandas"})


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
