"""From a legacy configuration, or the legacy dictionary, to ours: checked before any work.

Every field is translated, or has no effect here and is named in a note when it was changed, or is
refused with a sentence (`pinn.io.legacy.fields` lists them all). Where there is a configuration it
counts, whatever the global dictionary says; where they disagree a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pinn.errors import ConfigError
from pinn.io.legacy.configuration import InferenceConfig, ModelConfig, TrainingConfig
from pinn.io.legacy.dictionary import (
    DEFAULTS,
    KEY_MAPPINGS,
    AnyConfig,
    LegacyDictionary,
    config_from_dict,
    dataclass_to_legacy_dict,
    summary,
)
from pinn.io.legacy.execution import PyTorchExecutionConfig
from pinn.io.legacy.execution_options import execution_options
from pinn.io.legacy.fields import NO_EFFECT, TRANSLATED
from pinn.io.legacy.model_options import model_options
from pinn.io.legacy.training_options import LEARNING_RATE, training_options
from pinn.io.legacy.values import BACKENDS, checked

if TYPE_CHECKING:
    from pinn import config as ours

Kind = Literal["training", "inference"]


@dataclass(frozen=True)
class Translation:
    """Our configuration for what a legacy caller asked for.

    Attributes:
        model: network and physics.
        train: the run; None if a reconstruction was asked for.
        reconstruct: inference and stitching.
        scan: how to read a scan: photons per frame of frames that are no counts.
        backend: tensorflow, torch or jax.
        device: auto, cpu, gpu, cuda or mps.
        n_groups: of a reconstruction: how many groups are wanted; None for all.
        subsample, subsample_seed: of a reconstruction: how many frames to keep of the scan.
        oversampling: whether more groups than frames are allowed.
        train_file, test_file, model_path, output: what the caller named; None for nothing and for
            the placeholder `Path()`.
        notes: sentences worth showing.
    """

    model: ours.ModelConfig
    train: ours.TrainConfig | None
    reconstruct: ours.ReconstructConfig
    scan: ours.ScanConfig
    backend: str = "tensorflow"
    device: str = "auto"
    n_groups: int | None = None
    subsample: int | None = None
    subsample_seed: int | None = None
    oversampling: bool = False
    train_file: Path | None = None
    test_file: Path | None = None
    model_path: Path | None = None
    output: Path | None = None
    notes: tuple[str, ...] = ()

    def for_scan(self, frames: int, counts: bool) -> Translation:
        """The same for a scan that is at hand.

        Args:
            frames: how many it has.
            counts: its numbers are counts, which carry their own dose.

        Raises:
            ConfigError: more groups than frames without leave to.
        """
        notes, scan, train = list(self.notes), self.scan, self.train
        photons = scan.photons_per_frame
        if counts and photons is not None:
            scan = scan.replace(photons_per_frame=None)
            notes.append(f"nphotons {photons:g} has no effect: the frames are counts")
        wanted = None if train is None else train.n_groups
        if train is not None and wanted is not None:
            kept = min(frames, train.subsample or frames)
            if wanted > kept and self.model.gridsize == 1:
                notes.append(
                    f"n_groups {wanted} is more than the {kept} frames, each of which is one "
                    f"group with gridsize 1: {kept} are used"
                )
                train = train.replace(n_groups=kept)
            elif wanted > kept and not self.oversampling:
                raise ConfigError(
                    f"n_groups is {wanted}, but there are {kept} frames; ask for fewer, or set "
                    "enable_oversampling and a neighbor_pool_size"
                )
        return replace(self, scan=scan, train=train, notes=tuple(notes))


def to_pinn(
    config: AnyConfig | Mapping[str, Any],
    *,
    dictionary: Mapping[str, Any] | None = None,
    execution: PyTorchExecutionConfig | None = None,
    kind: Kind = "training",
    exact: bool = False,
) -> Translation:
    """Translate, with all checks, before anything is read or built.

    Args:
        config: a canonical configuration (it counts), or a legacy dictionary (for want of one).
        dictionary: the legacy dictionary beside a configuration: only compared with it.
        execution: options of the PyTorch side; they count before those of the configuration.
        kind: what to make of a dictionary.
        exact: the network as the reference builds it, to load its archives.

    Raises:
        ConfigError: a value with a wrong type or range, or an option that is not here.
    """
    notes: list[str] = []
    if isinstance(config, Mapping):
        if dictionary is not None:
            raise ConfigError("two legacy dictionaries were given; give a configuration or one")
        notes += doubts(config)
        config = config_from_dict(config, kind)
    elif dictionary is not None:
        notes += _disagreements(config, dictionary)
    if not isinstance(config, AnyConfig):
        raise ConfigError(
            f"{type(config).__name__} is no legacy configuration; ModelConfig, TrainingConfig, "
            "InferenceConfig or a legacy dictionary is required"
        )
    values = checked(config)
    notes += _without_effect(values)
    of_execution = execution_options(execution, values, notes)
    model = model_options(values, notes, exact)
    train: dict[str, Any] | None = None
    found: dict[str, Any] = {"backend": BACKENDS[values.get("backend", "tensorflow")]}
    if isinstance(config, TrainingConfig):
        rate = LEARNING_RATE if execution is None else execution.learning_rate
        train = training_options(values, notes, rate) | of_execution.train
        found["oversampling"] = values["enable_oversampling"]
    elif isinstance(config, InferenceConfig):
        notes += [
            f"{name} {values[name]!r} has no effect: in a reconstruction a group is its frame and "
            "the nearest others"
            for name in ("neighbor_count", "enable_oversampling", "neighbor_pool_size")
            if values[name] != getattr(InferenceConfig, name)
        ]
        for name, value in (("n_groups", "n_groups"), ("subsample", "n_subsample")):
            found[name] = values[value]
        found["subsample_seed"] = values["subsample_seed"]
    for name, value in (
        ("train_file", "train_data_file"),
        ("test_file", "test_data_file"),
        ("model_path", "model_path"),
        ("output", "output_dir"),
    ):
        found[name] = _path(values.get(value))
    return _built(model | of_execution.model, train, of_execution, values, found, notes)


def _built(
    model: dict[str, Any],
    train: dict[str, Any] | None,
    of_execution: Any,
    values: dict[str, Any],
    found: dict[str, Any],
    notes: list[str],
) -> Translation:
    from pinn import config as ours

    return Translation(
        model=ours.ModelConfig(**model),
        train=None if train is None else ours.TrainConfig(**train),
        reconstruct=ours.ReconstructConfig(**of_execution.reconstruct),
        scan=ours.ScanConfig(photons_per_frame=values.get("nphotons")),
        device=of_execution.device,
        notes=tuple(notes),
        **found,
    )


def _path(value: Path | str | None) -> Path | None:
    return None if value is None or Path(value) == Path() else Path(value)


def _without_effect(values: dict[str, Any]) -> list[str]:
    plain = {**checked(TrainingConfig(ModelConfig())), "debug": None}
    return [
        f"{name} {value!r} has no effect: {NO_EFFECT[name]}"
        for name, value in values.items()
        if name in NO_EFFECT and name != "debug" and value != plain[name]
    ]


def _disagreements(config: AnyConfig, dictionary: Mapping[str, Any]) -> list[str]:
    """What the dictionary says otherwise; the configuration counts."""
    notes = []
    for key, value in dataclass_to_legacy_dict(config).items():
        old = dictionary.get(key)
        if old is None or _same(old, value):
            continue
        if not _updated(dictionary) and key in DEFAULTS and _same(old, DEFAULTS[key]):
            continue  # nobody asked for it
        held = f"{key} = {summary(old)}"
        if value is None:
            notes.append(
                f"the legacy dictionary still has {held}, which the configuration leaves unset: "
                "unset counts"
            )
        else:
            notes.append(
                f"the legacy dictionary has {held}, the configuration {value!r}: the "
                "configuration counts"
            )
    return notes


def doubts(cfg: Mapping[str, Any]) -> list[str]:
    """What is doubtful about a dictionary that nothing stands beside: stale values, defaults that
    nobody asked for, keys without effect."""
    notes = []
    if isinstance(cfg, LegacyDictionary):
        notes += [
            f"{key} = {summary(cfg[key])} was left in the legacy dictionary by an earlier "
            "configuration: it counts as unset"
            for key in sorted(cfg.stale & cfg.keys())
        ]
    if not _updated(cfg):
        classes = dataclass_to_legacy_dict(TrainingConfig(ModelConfig()))
        doubtful = [
            f"{key} {cfg[key]!r} ({classes[key]!r})"
            for key in DEFAULTS
            if key in classes
            and key in cfg
            and _same(cfg[key], DEFAULTS[key])
            and not _same(classes[key], DEFAULTS[key])
        ]
        if doubtful:
            notes.append(
                "no configuration was written into the legacy dictionary (update_legacy_dict), "
                "and these of its own defaults are others than those of the classes: "
                + ", ".join(doubtful)
            )
    names = {key: name for name, key in KEY_MAPPINGS.items()}
    of_classes = {field.name for kind in (ModelConfig, TrainingConfig) for field in fields(kind)}
    for key, value in cfg.items():
        name = names.get(key, key)
        if name in TRANSLATED:
            continue
        if name not in NO_EFFECT:
            notes.append(f"{key} in the legacy dictionary is no option and has no effect")
        elif key in DEFAULTS and name not in of_classes and not _same(value, DEFAULTS[key]):
            notes.append(f"{key} {summary(value)} has no effect: {NO_EFFECT[name]}")
    return notes


def _updated(cfg: Mapping[str, Any]) -> bool:
    return "architecture" in cfg  # which every update with a configuration writes


def _same(one: Any, other: Any) -> bool:
    return type(one) not in (list, tuple) and not hasattr(one, "shape") and bool(one == other)
