"""What is doubtful about the legacy dictionary: said in notes, before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinn.io.legacy.table import KEY_MAPPINGS, KINDS, summary
from ptycho._classes import AnyConfig, ModelConfig, TrainingConfig
from ptycho._dictionary import DEFAULTS, LegacyDictionary, dataclass_to_legacy_dict

_REALSPACE = "the original computes it from a term that is always zero"
_GRID = "it describes the original's simulation on a regular grid; use pinn simulate"
_CANVAS = "the canvas of a group is sized from the positions"

# Key that is no field of a class: why it has no effect here.
ONLY_KEYS = {
    "tv_weight": _REALSPACE + "; use loss = 'poisson + w tv_phase'",
    "offset": _CANVAS,
    "big_gridsize": _CANVAS,
    "max_position_jitter": _CANVAS,
    "outer_offset_train": _GRID,
    "outer_offset_test": _GRID,
    "sim_jitter_scale": _GRID,
    "nimgs_train": _GRID,
    "nimgs_test": _GRID,
    "data_source": _GRID,
    "set_phi": _GRID,
    "size": _GRID,
    "default_probe_scale": "the probe comes with the scan",
    "label": "folders are named by output_dir alone",
    "h5_path": "archives are always named wts.h5.zip",
    "npseed": "the original seeds neither weights nor order with it; use seed",
    "use_xla_translate": "compilation is the backend's",
    "use_xla_compile": "compilation is the backend's",
    "intensity_scale": "it is a result of training and lies in the archive",
    "probe": "it comes with the scan and lies in the archive",
    "timestamp": "results carry their own",
    "_version": "it is the version of an archive",
    "bigN": "it is computed from N, gridsize and offset",
    "debug": KINDS["inference"]["debug"].why,
}

NO_EFFECT = ONLY_KEYS | {name: row.why for name, row in KINDS["training"].items() if row.why}


def disagreements(config: AnyConfig, dictionary: Mapping[str, Any]) -> list[str]:
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
    for key, value in cfg.items():
        name = names.get(key, key)
        if name not in (KINDS["training"] | KINDS["inference"]) and name not in ONLY_KEYS:
            notes.append(f"{key} in the legacy dictionary is no option and has no effect")
        elif key in DEFAULTS and name in ONLY_KEYS and not _same(value, DEFAULTS[key]):
            notes.append(f"{key} {summary(value)} has no effect: {NO_EFFECT[name]}")
    return notes


def _updated(cfg: Mapping[str, Any]) -> bool:
    return "architecture" in cfg  # which every update with a configuration writes


def _same(one: Any, other: Any) -> bool:
    return type(one) not in (list, tuple) and not hasattr(one, "shape") and bool(one == other)
