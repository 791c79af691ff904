"""The scans of a study: files, and recipes that are simulated once each."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pinn.config import ScanConfig
from pinn.errors import ConfigError, ScanError
from pinn.io.load import load
from pinn.io.lock import awaited
from pinn.progress import Progress
from pinn.simulate.config import SimulateConfig
from pinn.simulate.identity import check_reusable, recipe_hash
from pinn.simulate.recipe import arrange, simulate_to_file
from pinn.studies.names import is_path, section_of, value_text
from pinn.studies.plan import Plan


@dataclass(frozen=True)
class StudyScan:
    """A scan a cell needs.

    Attributes:
        name: as the study calls it.
        path: where it is, or will be.
        identity: checksum of the content, or of the recipe.
        recipe: how it is made; None for a file.
    """

    name: str
    path: Path
    identity: str
    recipe: SimulateConfig | None = None

    def make(self, progress: Callable[[Progress], None] | None = None) -> bool:
        """Simulate it, unless it is a file or there already. Returns whether there was work.

        Of several processes that need it one makes it, and the others wait.
        """
        if self.recipe is None:
            return False
        with awaited(self.path.parent, f".{self.path.stem}.lock"):
            if check_reusable(self.recipe, self.path):
                return False
            simulate_to_file(self.recipe, self.path, progress)
        return True


class Scans:
    """Finds the scans of a study; each is examined once.

    Args:
        plan: the study.
        folder: where simulated scans go.
        data: folders in which files are looked for, in this order.
    """

    def __init__(self, plan: Plan, folder: Path, data: Sequence[str | Path] = ()) -> None:
        self._plan, self._folder = plan, folder
        self._data = [Path(place) for place in data]
        self._files: dict[tuple[Path, str], StudyScan] = {}
        self._recipes: dict[str, StudyScan] = {}

    def find(self, name: str, parts: Mapping[str, Mapping[str, Any]], tested: bool) -> StudyScan:
        """The scan of this name under the options of a cell.

        Args:
            name: of a recipe, or of a file.
            parts: options by section (`Cell.parts`).
            tested: it is compared with its truth.

        Raises:
            ScanError: no such file, one that cannot be read, or one to be tested without truth.
            ConfigError: a recipe that contradicts itself.
        """
        if name in self._plan.recipe:
            return self._simulated(name, parts["simulate"])
        scan = self._file(name, self.with_paths("scan", parts["scan"]))
        if tested and not scan.identity.endswith("truth"):
            raise ScanError(
                f"the test scan {scan.path} has no truth (objectGuess) to be compared with; test "
                "on a simulated scan"
            )
        return scan

    def with_paths(self, section: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options whose file names are found, JSON-ready."""
        return {
            field: str(self._path(value, f"{section}.{field}"))
            if isinstance(value, str) and is_path(f"{section}.{field}")
            else value
            for field, value in options.items()
        }

    def _file(self, name: str, options: dict[str, Any]) -> StudyScan:
        path = self._path(name, "the scan")
        key = path, repr(sorted(options.items()))
        if key not in self._files:
            scan = load(path, ScanConfig(**options))
            identity = _contents(scan.files) + ("+truth" if scan.truth is not None else "")
            self._files[key] = StudyScan(name, path, identity)
        return self._files[key]

    def _simulated(self, name: str, options: Mapping[str, Any]) -> StudyScan:
        place = f"recipe.{name}"
        if options:  # the blame may be theirs
            stated = ", ".join(f"simulate.{key} = {value_text(v)}" for key, v in options.items())
            place = f"{place} with {stated} of the cell"
        try:
            recipe = SimulateConfig(**self.with_paths("simulate", self._recipe(name, options)))
            identity = recipe_hash(recipe)
            if identity not in self._recipes:
                arrange(recipe)  # finds what only positions can contradict
                safe = re.sub(r"[^\w.-]+", "_", name)
                path = self._folder / f"{safe}-{identity[:12]}.npz"
                self._recipes[identity] = StudyScan(name, path, identity, recipe)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
        return self._recipes[identity]

    def _recipe(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a recipe states, over what the one it is like says; options of the cell hold for
        recipes that are like no other, in place of what they state."""
        stated = dict(self._plan.recipe[name])
        like = stated.pop("like", None)
        fields = {section_of(key)[1]: value for key, value in stated.items()}
        return {**fields, **options} if like is None else {**self._recipe(like, options), **fields}

    def _path(self, name: str, what: str) -> Path:
        for place in self._data:
            path = place / name
            if path.exists():
                return Path(os.path.abspath(path))
        looked = ", ".join(map(str, self._data))
        raise ScanError(
            f"{what} {name} is not there (looked in {looked}); name its folder with --data"
        )


def file_checksum(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal, remembered by path, size and time of its last change."""
    state = Path(path).stat()
    return _checksum(Path(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _checksum(path: Path, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _contents(files: Iterable[str | Path]) -> str:
    """Checksum of all that is in the files a scan was read from, wherever they lie.

    Whole files: what a sample leaves out (a frame, a mask, labels) would change unseen.
    """
    whole = hashlib.sha256()
    for path in dict.fromkeys(Path(file).resolve() for file in files):
        if path.is_file():
            whole.update(file_checksum(path).encode())
    return whole.hexdigest()
