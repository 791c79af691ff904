"""Which recipe made a scan: the recipe as a file states it, and its checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pinn.data.zipped import load_member, read_members
from pinn.errors import OutputError, ScanError
from pinn.io.product import RESULT_NAME
from pinn.simulate.config import SimulateConfig
from pinn.simulate.position_files import read_positions

VERSION = 1  # of the simulator: raised when the same recipe gives other numbers

# Options of the first release are always stated, later ones only when they are set: a new option
# changes neither the checksum nor the file of a recipe that does without it.
_FIRST = (
    *("N", "seed", "object", "object_seed", "size", "amplitude_min", "amplitude_max", "phase"),
    *("phase_min", "phase_max", "contrast", "lines", "spokes", "probe", "probe_file"),
    *("probe_diameter", "defocus", "central_stop", "aberration", "probe_modes", "mode_ratio"),
    *("pattern", "n_frames", "overlap", "step", "jitter", "position_error", "interpolation"),
    *("photons_per_frame", "poisson", "background", "bad_pixels", "beamstop", "frames"),
    "frames_dtype",
)
_FILES = {"probe_file": "probe", "object_file": "object", "phase_file": "phase"}


def recipe_of(config: SimulateConfig) -> dict[str, Any]:
    """The recipe, JSON-ready: `SimulateConfig(**recipe)` is the same one.

    Files are stated by name: where they lay is nobody's business.
    """
    values = config.to_dict()
    if config.object not in ("file", "reconstruction"):
        values["amplitude_min"], values["amplitude_max"] = config.amplitude_range
    recipe = {name: values.pop(name) for name in _FIRST}
    defaults = SimulateConfig.model_fields
    recipe |= {name: value for name, value in values.items() if value != defaults[name].default}
    for name in (*_FILES, "positions_file"):
        path = getattr(config, name)
        if path is not None:
            recipe[name] = path.name
    return recipe


def recipe_hash(config: SimulateConfig) -> str:
    """SHA-256 (hex) of the recipe, the simulator's version and the content of its files.

    Raises:
        ScanError: a file of the recipe cannot be read.
    """
    content: dict[str, Any] = {"simulator": VERSION, "recipe": recipe_of(config)}
    for name, what in _FILES.items():
        path = getattr(config, name)
        if path is not None:
            content[f"{what}_sha256"] = _file_hash(path, what)
    if config.positions_file is not None:
        # of the numbers alone: the file may be a whole scan
        positions = read_positions(config.positions_file)
        content["positions_sha256"] = hashlib.sha256(positions.tobytes()).hexdigest()
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def made_by(path: Path) -> str | None:
    """The checksum of the recipe that a simulated NPZ states; None: it states none."""
    try:
        members = read_members(path)
        metadata = json.loads(str(load_member(path, members["metadata"])))
        digest = metadata["recipe_sha256"]
    except (ScanError, OSError, KeyError, ValueError, TypeError):
        return None
    return digest if isinstance(digest, str) else None


def check_reusable(config: SimulateConfig, path: str | Path) -> bool:
    """Whether a file is there already, made by this recipe.

    Raises:
        OutputError: something else is there.
    """
    path = Path(path)
    if not path.exists():
        return False
    digest = made_by(path)
    if digest == recipe_hash(config):
        return True
    made = "no simulated scan" if digest is None else f"made by another recipe ({digest[:12]}...)"
    raise OutputError(
        f"{path} exists and is {made}; name another file, or overwrite it with --force (force=True)"
    )


def _file_hash(path: Path, what: str) -> str:
    if path.is_dir():
        path = path / RESULT_NAME
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ScanError(f"{what} file {path} cannot be read: {error.strerror}") from None
