"""Several objects under several probes: one scan for each pair, each with a recipe of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinn.errors import ConfigError, OutputError
from pinn.io.atomic import check_writable
from pinn.progress import Progress
from pinn.simulate.config import DRAWN_WITH_FIELD, SimulateConfig
from pinn.simulate.identity import made_by, recipe_hash
from pinn.simulate.images import open_object
from pinn.simulate.recipe import SimulatedScan, arrange, lit_field, simulate_to_file
from pinn.simulate.scan_options import DEFAULT_FRAMES, DEFAULT_OVERLAP

# Independent seeds: those of neighbouring base seeds must not be each other's.
_OBJECT, _PROBE, _SCAN = range(3)


@dataclass(frozen=True)
class Written:
    """A file of a campaign.

    Attributes:
        path: of the NPZ.
        config: its recipe: `simulate_to_file(config, path)` makes the same file.
        scan: what was written; None: the file was there already, made by the same recipe.
    """

    path: Path
    config: SimulateConfig
    scan: SimulatedScan | None


def check_reusable(config: SimulateConfig, path: str | Path) -> bool:
    """Whether a file is there already, made by this recipe.

    Raises:
        OutputError: something else is there.
    """
    path = Path(path)
    if not path.exists():
        return False
    found = made_by(path)
    if found == recipe_hash(config):
        return True
    made = "no simulated scan" if found is None else f"made by another recipe ({found[:12]}...)"
    raise OutputError(
        f"{path} exists and is {made}; name another file, or overwrite it with --force (force=True)"
    )


def recipes(
    config: SimulateConfig, n_objects: int, n_probes: int
) -> Iterator[tuple[str, SimulateConfig]]:
    """Names and recipes of all pairs, object by object.

    All scans of one object have the same object, under whatever probe, and all of one probe the
    same probe up to its dose; positions and noise are of each scan alone. The seeds come from
    `config.seed` and the numbers of object and probe, so that more of either change none of them.

    Args:
        config: what they have in common.
        n_objects, n_probes: how many.

    Raises:
        ConfigError: the objects or probes would all be the same.
    """
    if n_objects < 1 or n_probes < 1:
        raise ConfigError(f"{n_objects} objects under {n_probes} probes; give one or more of each")
    for number, name in ((n_objects, "object"), (n_probes, "probe")):
        if number == 1 or (config.object_is_random if name == "object" else config.probe_is_random):
            continue
        remedy = (
            "take phase independent or another object"
            if name == "object"
            else "give probe_variation or another probe"
        )
        kind = getattr(config, name)
        raise ConfigError(
            f"nothing in {name} {kind} is random, so that {number} {name}s would be the same; "
            + remedy
        )
    drafts = {}
    for i in range(n_objects):
        for j in range(n_probes):
            changes: dict[str, int] = {"seed": _seed(config.seed, _SCAN, i, j)}
            changes["object_seed"] = _seed(
                config.seed if config.object_seed is None else config.object_seed, _OBJECT, i
            )
            if config.probe_is_random:
                base = config.seed if config.probe_seed is None else config.probe_seed
                changes["probe_seed"] = _seed(base, _PROBE, j)
            drafts[f"object{i}_probe{j}"] = config.replace(**changes)
    yield from _same_frame(config, drafts).items()


def simulate_many(
    config: SimulateConfig,
    folder: str | Path,
    n_objects: int = 1,
    n_probes: int = 1,
    progress: Callable[[Progress], None] | None = None,
    *,
    force: bool = False,
) -> list[Written]:
    """Simulate every object under every probe into `folder/object0_probe0.npz` and so on.

    A file that is there already and states the same recipe is kept: an interrupted campaign goes
    on where it stopped.

    Args:
        config: what all scans have in common.
        folder: made if need be.
        n_objects, n_probes: how many.
        progress: called after every chunk, with the frames of all scans together.
        force: write every file anew, whatever is there.

    Returns:
        the files, object by object.

    Raises:
        ConfigError, ScanError: as `simulate` and `recipes`.
        OutputError: a file cannot be written, or is there and of another recipe.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, but several scans need a folder; name another")
    planned = [
        (folder / f"{name}.npz", recipe) for name, recipe in recipes(config, n_objects, n_probes)
    ]
    kept = {path for path, recipe in planned if not force and check_reusable(recipe, path)}
    check_writable(folder)
    frames = {path: len(arrange(recipe)[0].positions_px) for path, recipe in planned}
    total, done = sum(frames.values()), 0
    files = []
    for path, recipe in planned:
        scan = None
        if path not in kept:
            before = done

            def report(p: Progress, before: int = before) -> None:
                if progress is not None:
                    progress(Progress(p.stage, before + p.done, total, p.rate))

            scan = simulate_to_file(recipe, path, report)
        done += frames[path]
        files.append(Written(path, recipe, scan))
    return files


def _same_frame(
    config: SimulateConfig, drafts: dict[str, SimulateConfig]
) -> dict[str, SimulateConfig]:
    """Recipes that give one object for one object seed: its size and field are those of all."""
    given = open_object(config)
    crop = given is not None and given.crop
    unspaced = config.step is None and config.overlap is None
    layouts = {name: arrange(draft) for name, draft in drafts.items()}
    changes: dict[str, float] = {}
    side_of_file = crop and (unspaced or config.n_frames is None)
    if config.size is None and config.positions_place != "absolute" and not side_of_file:
        changes["size"] = max(layout.size for layout, _ in layouts.values())
        if config.pattern != "file":
            # what was left open was resolved without a size: now it must be said
            changes["n_frames"] = config.n_frames or DEFAULT_FRAMES
            if unspaced and config.n_frames != 1:
                changes["overlap"] = DEFAULT_OVERLAP
    fills = config.object in DRAWN_WITH_FIELD if given is None else not crop
    if fills and config.field_px is None:
        changes["field_px"] = max(
            lit_field(drafts[name], layout, diameter)
            for name, (layout, diameter) in layouts.items()
        )
    return {name: draft.replace(**changes) for name, draft in drafts.items()}


def _seed(base: int, *key: int) -> int:
    return int(np.random.SeedSequence(base, spawn_key=key).generate_state(1)[0])
