"""The reference's global dictionary: its keys, defaults and rules, and the way into and out of it.

Nothing in `pinn` reads a global dictionary. This one exists for callers that do, and has one
owner, `LEGACY`. Values that a later configuration leaves unset stay in it, as in the reference;
here they are remembered as stale, so that a translation of the dictionary alone leaves them out.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TextIO, overload

from pinn.errors import ConfigError
from pinn.io.legacy.configuration import (
    InferenceConfig,
    ModelConfig,
    TrainingConfig,
    Unstated,
    groups_of,
)

AnyConfig = ModelConfig | TrainingConfig | InferenceConfig

# Field of a class: key in the dictionary. Other names are the same in both.
KEY_MAPPINGS = {
    "object_big": "object.big",
    "probe_big": "probe.big",
    "probe_mask": "probe.mask",
    "probe_trainable": "probe.trainable",
    "intensity_scale_trainable": "intensity_scale.trainable",
    "positions_provided": "positions.provided",
    "output_dir": "output_prefix",
    "train_data_file": "train_data_file_path",
    "test_data_file": "test_data_file_path",
}

DEFAULTS: dict[str, Any] = {
    "N": 128,
    "offset": 4,
    "gridsize": 2,
    "outer_offset_train": None,
    "outer_offset_test": None,
    "batch_size": 16,
    "nepochs": 60,
    "n_filters_scale": 2,
    "output_prefix": "outputs",
    "big_gridsize": 10,
    "max_position_jitter": 10,
    "sim_jitter_scale": 0.0,
    "default_probe_scale": 0.7,
    "mae_weight": 0,
    "nll_weight": 1,
    "tv_weight": 0.0,
    "realspace_mae_weight": 0,
    "realspace_weight": 0,
    "nphotons": 1e9,
    "nimgs_train": 9,
    "nimgs_test": 3,
    "data_source": "generic",
    "probe.trainable": False,
    "intensity_scale.trainable": False,
    "positions.provided": False,
    "object.big": True,
    "probe.big": False,
    "probe_scale": 10.0,
    "set_phi": False,
    "probe.mask": True,
    "pad_object": True,
    "model_type": "pinn",
    "label": "",
    "size": 392,
    "amp_activation": "sigmoid",
    "h5_path": "wts.h5",
    "npseed": 42,
    "debug": True,
    "gaussian_smoothing_sigma": 0.0,
    "use_xla_translate": True,
}

# Results of a run rather than options of one; a sealed dictionary still takes them.
STATE_KEYS = frozenset({"intensity_scale", "probe", "timestamp"})

DATA_SOURCES = (
    *("lines", "grf", "experimental", "points", "testimg", "diagonals", "xpp", "V", "generic"),
)


class LegacyDictionary(dict[str, Any]):
    """A plain dictionary that remembers which values an update left from earlier.

    Attributes:
        stale: keys that the last update had nothing to say about although they hold a value. A
            key that is written to is no longer among them.
    """

    def __init__(self, values: Any = (), stale: frozenset[str] = frozenset()) -> None:
        super().__init__(values)
        self.stale = stale

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.stale -= {key}

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As of any dictionary."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> LegacyDictionary:  # type: ignore[override, misc]
        self.update(other)
        return self

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any], frozenset[str]]]:
        # The usual way of copies writes item by item, after which nothing would be stale.
        return type(self), (dict(self), self.stale)


def dataclass_to_legacy_dict(config: AnyConfig) -> dict[str, Any]:
    """A configuration as one flat dictionary with the old keys; unset values are None.

    Fields of the network stand beside those of the run, paths become text, and `n_groups` is
    what `n_images` or the default make of it.

    Raises:
        ConfigError: no configuration class of the bridge.
    """
    if not (is_dataclass(config) and isinstance(config, AnyConfig)):
        raise ConfigError(
            f"{type(config).__name__} is no legacy configuration; ModelConfig, TrainingConfig or "
            "InferenceConfig of the bridge is required"
        )
    flat = dict(_flat(config))
    return {KEY_MAPPINGS.get(name, name): _plain(value) for name, value in flat.items()}


def update_legacy_dict(cfg: MutableMapping[str, Any], config: AnyConfig) -> None:
    """Write a configuration into a legacy dictionary, in place.

    A value of None writes nothing and erases nothing, so that one of an earlier run stays. A
    `LegacyDictionary` remembers these. Keys that were not there are added.

    Raises:
        ConfigError: no configuration class of the bridge; nothing is written then.
    """
    flat = dataclass_to_legacy_dict(config)
    cfg.update({key: value for key, value in flat.items() if value is not None})
    if isinstance(cfg, LegacyDictionary):
        cfg.stale |= {k for k, v in flat.items() if v is None and cfg.get(k) is not None}


@overload
def config_from_dict(cfg: Mapping[str, Any], kind: Literal["training"] = ...) -> TrainingConfig: ...
@overload
def config_from_dict(cfg: Mapping[str, Any], kind: Literal["inference"]) -> InferenceConfig: ...
def config_from_dict(
    cfg: Mapping[str, Any], kind: Literal["training", "inference"] = "training"
) -> TrainingConfig | InferenceConfig:
    """The class whose fields a legacy dictionary holds; the inverse of `update_legacy_dict`.

    Stale values (see `LegacyDictionary`) count as unset. A key that is not there leaves its field
    at the default of the class.
    """
    known = _known(cfg)
    model = ModelConfig(**{f.name: known[f.name] for f in fields(ModelConfig) if f.name in known})
    if kind == "inference":
        known = {"model_path": Path(), "test_data_file": Path(), **known}
        own = {f.name for f in fields(InferenceConfig)} - {"model", "n_images"}
        return InferenceConfig(model, **{k: v for k, v in known.items() if k in own})
    own = {f.name for f in fields(TrainingConfig)} - {"model", "n_images"}
    return TrainingConfig(model, **{k: v for k, v in known.items() if k in own})


_PATHS = ("train_data_file", "test_data_file", "output_dir", "model_path")


def _known(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Fields and values of all keys that are set, not stale, and not None."""
    names = {key: name for name, key in KEY_MAPPINGS.items()}
    stale = cfg.stale if isinstance(cfg, LegacyDictionary) else ()
    known = {
        names.get(key, key): value
        for key, value in cfg.items()
        if value is not None and key not in stale
    }
    if "n_images" in known:
        known.setdefault("n_groups", known["n_images"])
    return {
        name: Path(value) if name in _PATHS and isinstance(value, str) else value
        for name, value in known.items()
    }


def _flat(config: AnyConfig) -> Iterator[tuple[str, Any]]:
    for field in fields(config):
        if field.name == "model":
            yield from _flat(config.model)  # type: ignore[union-attr]
        elif field.name == "n_groups" and not isinstance(config, ModelConfig):
            yield "n_groups", groups_of(config)
        else:
            yield field.name, getattr(config, field.name)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path | Unstated) else value


_MISSING = object()


class LegacyParams:
    """The reference's module `params`: one dictionary and the functions around it.

    Attributes:
        cfg: the dictionary. It is the same object for ever; writing to it directly skips every
            check, as in the reference.
    """

    def __init__(self) -> None:
        self.cfg = LegacyDictionary(DEFAULTS)
        self.sealed = False

    def get(self, key: str, default: Any = _MISSING) -> Any:
        """Value of a key; `bigN` is computed.

        Raises:
            KeyError: unknown, and no default given.
        """
        if key == "bigN":
            return self.bigN()
        return self.cfg[key] if default is _MISSING else self.cfg.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Set a key; a sealed dictionary warns of all but the results of a run.

        Raises:
            ConfigError: (a ValueError) a value the reference does not allow; the old one stays.
        """
        _check(key, value, self.cfg)
        if self.sealed and key not in STATE_KEYS:
            warnings.warn(
                f"{key} is set to {value!r} although the parameters are sealed: what was built "
                "before does not know of it",
                UserWarning,
                stacklevel=2,
            )
        self.cfg[key] = value

    def seal(self) -> None:
        """From now on `set` warns."""
        self.sealed = True

    def unseal(self) -> None:
        """`set` no longer warns."""
        self.sealed = False

    def reset(self) -> None:
        """Back to the defaults, unsealed; the dictionary stays the same object."""
        self.cfg.clear()
        self.cfg.update(DEFAULTS)
        self.cfg.stale = frozenset()
        self.sealed = False

    def bigN(self) -> int:
        """Side in pixels of the square that a regular group covers: N + (gridsize - 1) offset."""
        cfg = self.cfg
        return int(cfg["N"] + (cfg["gridsize"] - 1) * cfg["offset"])

    def padding_size(self) -> int:
        """What the reference's canvas has beyond N: (gridsize - 1) offset + jitter, in pixels."""
        cfg = self.cfg
        return int((cfg["gridsize"] - 1) * cfg["offset"] + cfg["max_position_jitter"])

    def padded_size(self) -> int:
        """Side of the reference's canvas in pixels (ours is sized from the positions)."""
        return int(self.cfg["N"]) + self.padding_size()

    def params(self) -> dict[str, Any]:
        """A copy with `bigN`."""
        return {**self.cfg, "bigN": self.bigN()}

    def print_params(self, stream: TextIO | None = None) -> None:
        """Write all keys in alphabetical order, arrays as a summary, to `stream` or stdout."""
        lines = [f"{key}: {summary(value)}" for key, value in sorted(self.params().items())]
        (stream or sys.stdout).write("\n".join(lines) + "\n")


def _check(key: str, value: Any, cfg: Mapping[str, Any]) -> None:
    """Rules for the value that is being set; others were checked, or written past the checks."""
    if key == "data_source" and value not in DATA_SOURCES:
        raise ConfigError(
            f"data_source is {value!r}, but one of {', '.join(DATA_SOURCES)} is required"
        )
    if key == "realspace_mae_weight" and value > 0 and not cfg.get("realspace_weight", 0) > 0:
        raise ConfigError(
            f"realspace_mae_weight is {value!r}, but counts only with a realspace_weight above 0; "
            "set that first"
        )


def summary(value: Any) -> str:
    """A value in one line, arrays by shape and type."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None or len(shape) == 0:
        return repr(value)
    return f"array of shape {tuple(shape)}, {dtype}"


LEGACY = LegacyParams()
