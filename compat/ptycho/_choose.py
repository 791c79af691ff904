"""What a caller of the original asks for, and what is done: network, backend, options.

Two words of its configuration are defaults that its callers never state: the network `cnn` and the
backend `tensorflow`. Left at that, the network is `lean`, which is better and smaller, and the
backend is the one that is there. Stated ones count, whatever they are.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pinn
from pinn.backend import selection
from pinn.errors import ConfigError
from pinn.io.legacy import Translation
from pinn.io.legacy.table import Unstated
from ptycho._classes import ModelConfig, translated
from ptycho._dictionary import LEGACY, config_from_dict
from ptycho._doubts import disagreements, doubts

_log = logging.getLogger("ptycho")
VARIABLE = "PTYCHO_ARCHITECTURE"
# Options of the reference's own topology, which `lean` has no place for.
_OF_CNN = ("pad_object", "probe_big")
_told: set[str] = set()


@dataclass(frozen=True)
class Choice:
    """What will be done.

    Attributes:
        asked: our configuration and its notes.
        backend: `jax`, `torch` or `tensorflow`.
        worker: it is another than that of this process.
    """

    asked: Translation
    backend: str
    worker: bool

    @property
    def word(self) -> str:
        """The backend by the reference's name."""
        return {"torch": "pytorch"}.get(self.backend, self.backend)


def choose(
    config: Any = None,
    *,
    architecture: str | None = None,
    backend: str | None = None,
    execution: Any = None,
    N: int | None = None,
) -> Choice:
    """Translate and check a configuration, before any work.

    Args:
        config: of `ptycho.config.config`; default the legacy dictionary.
        architecture: counts before the configuration's, as `PTYCHO_ARCHITECTURE` does.
        backend: counts before the configuration's.
        execution: a `PyTorchExecutionConfig`.
        N: side of the frames at hand, where the configuration has none (0) or another.

    Raises:
        ConfigError: a value that cannot be.
        BackendError: unknown, or not installed.
    """
    dictionary: Mapping[str, Any] | None = LEGACY.cfg
    if config is None:
        for note in doubts(LEGACY.cfg):
            say(note)
        config, dictionary = config_from_dict(LEGACY.cfg), None
        # The dictionary does not say whether these two were stated; hardly anybody does.
        if config.model.architecture == ModelConfig.architecture:
            config.model.architecture = ModelConfig.architecture
        if config.backend == type(config).backend:
            config.backend = type(config).backend
    if backend is not None:
        config = replace(config, backend=backend, n_images=None)
    model, changed = network(config.model, architecture or os.environ.get(VARIABLE), N)
    if backend is not None:
        changed["backend"] = backend
    if dictionary is not None:
        dictionary = {**dictionary, **{k: v for k, v in changed.items() if k in dictionary}}
    config = replace(config, model=model, n_images=None)
    for note in () if dictionary is None else disagreements(config, dictionary):
        say(note)
    asked = translated(config, execution)
    if model.architecture == "lean" and asked.model.n_filters_scale != model.n_filters_scale:
        # its width is a translation already, which to_pinn takes for a default of the reference
        asked = replace(asked, model=asked.model.replace(n_filters_scale=model.n_filters_scale))
    for note in asked.notes:
        say(note)
    return Choice(asked, *backend_of(config.backend))


def backend_of(asked: str) -> tuple[str, bool]:
    """The backend to run on, and whether that takes a worker process.

    Args:
        asked: of a configuration; a default that nobody stated is whatever is there.

    Raises:
        BackendError: unknown, or not installed.
    """
    if isinstance(asked, Unstated):
        return selection.select().backend, False
    wanted = selection.available(asked)
    worker = pinn.remote.needs_worker(wanted)
    if not worker:
        selection.select(wanted)
    return wanted, worker


def network(
    model: ModelConfig, architecture: str | None, N: int | None = None
) -> tuple[ModelConfig, dict[str, Any]]:
    """The network to build, and the fields that differ from those asked for, by their old keys."""
    if N is not None and model.N != N:
        if model.N:
            say(f"N is {model.N} in the configuration, but the frames are {N} x {N}: that counts")
        model = replace(model, N=N)
    changed: dict[str, Any] = {"N": model.N}
    if architecture:
        model = replace(model, architecture=architecture)
    elif isinstance(model.architecture, Unstated):
        width = max(1, model.n_filters_scale // 2)
        plain = {name: getattr(ModelConfig, name) for name in _OF_CNN}
        say(
            f"the network is lean, of width {width}, in place of the default cnn of width "
            f"{model.n_filters_scale}: better and smaller; {VARIABLE}=cnn or architecture='cnn' "
            "asks for the original's"
        )
        model = replace(model, architecture="lean", n_filters_scale=width, **plain)
        changed |= {"n_filters_scale": width, "pad_object": True, "probe.big": True}
    changed["architecture"] = model.architecture
    return model, changed


def fitted(asked: Translation, frames: int, counts: bool) -> Translation:
    """The same for a scan that is at hand.

    Args:
        frames: how many it has.
        counts: its numbers are counts, which carry their own dose.

    Raises:
        ConfigError: more groups than frames without leave to.
    """
    notes, scan, train = list(asked.notes), asked.scan, asked.train
    photons = scan.photons_per_frame
    if counts and photons is not None:
        scan = scan.replace(photons_per_frame=None)
        notes.append(f"nphotons {photons:g} has no effect: the frames are counts")
    wanted = None if train is None else train.n_groups
    if train is not None and wanted is not None:
        kept = min(frames, train.subsample or frames)
        if wanted > kept and asked.model.gridsize == 1:
            notes.append(
                f"n_groups {wanted} is more than the {kept} frames, each of which is one "
                f"group with gridsize 1: {kept} are used"
            )
            train = train.replace(n_groups=kept)
        elif wanted > kept and not asked.oversampling:
            raise ConfigError(
                f"n_groups is {wanted}, but there are {kept} frames; ask for fewer, or set "
                "enable_oversampling and a neighbor_pool_size"
            )
    return replace(asked, scan=scan, train=train, notes=tuple(notes))


def say(text: str) -> None:
    """One line for people, once."""
    if text not in _told:
        _told.add(text)
        _log.info("%s", text)
