"""The original's global dictionary: its keys, defaults and rules, and the way into and out of it.

Nothing in `pinn` reads a global dictionary. This one exists for callers that do, and has one
owner, `LEGACY`. Values that a later configuration leaves unset stay in it, as in the original;
here they are remembered as stale, so that a translation of the dictionary alone leaves them out.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, MutableMapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TextIO

from pinn.errors import ConfigError
from pinn.io.legacy.table import KEY_MAPPINGS, KINDS, Unstated, summary
from ptycho._classes import AnyConfig, InferenceConfig, ModelConfig, TrainingConfig, values_of

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
    """A configuration as one flat dictionary with the old keys; unset values are None, paths text.

    Raises:
        ConfigError: no configuration class.
    """
    return {
        KEY_MAPPINGS.get(name, name): str(value) if isinstance(value, Path | Unstated) else value
        for name, value in values_of(config).items()
    }


def update_legacy_dict(cfg: MutableMapping[str, Any], config: AnyConfig) -> None:
    """Write a configuration into a legacy dictionary, in place.

    A value of None writes nothing and erases nothing, so that one of an earlier run stays. A
    `LegacyDictionary` remembers these. Keys that were not there are added.

    Raises:
        ConfigError: no configuration class; nothing is written then.
    """
    flat = dataclass_to_legacy_dict(config)
    cfg.update({key: value for key, value in flat.items() if value is not None})
    if isinstance(cfg, LegacyDictionary):
        cfg.stale |= {k for k, v in flat.items() if v is None and cfg.get(k) is not None}


def config_from_dict(
    cfg: Mapping[str, Any], kind: Literal["training", "inference"] = "training"
) -> Any:
    """The class whose fields a legacy dictionary holds; the inverse of `update_legacy_dict`.

    Stale values (see `LegacyDictionary`) count as unset. A key that is not there leaves its field
    at the default of the class.
    """
    names = {key: name for name, key in KEY_MAPPINGS.items()}
    stale = cfg.stale if isinstance(cfg, LegacyDictionary) else ()
    known = {names.get(k, k): v for k, v in cfg.items() if v is not None and k not in stale}
    if "n_images" in known:
        known.setdefault("n_groups", known.pop("n_images"))
    rows = KINDS[kind]
    for name, value in known.items():
        if isinstance(value, str) and name in rows and rows[name].how == "path":
            known[name] = Path(value)
    model = ModelConfig(**{f.name: known[f.name] for f in fields(ModelConfig) if f.name in known})
    run: type = TrainingConfig
    if kind == "inference":
        run, known = InferenceConfig, {"model_path": Path(), "test_data_file": Path(), **known}
    of_run = {field.name for field in fields(run)} - {"model", "n_images"}
    return run(model, **{name: value for name, value in known.items() if name in of_run})


_MISSING = object()


class LegacyParams:
    """The original's module `params`: one dictionary and the functions around it.

    Attributes:
        cfg: the dictionary. It is the same object for ever; writing to it directly skips every
            check, as in the original.
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
            ConfigError: (a ValueError) a value the original does not allow; the old one stays.
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
        """What the original's canvas has beyond N: (gridsize - 1) offset + jitter, in pixels."""
        cfg = self.cfg
        return int((cfg["gridsize"] - 1) * cfg["offset"] + cfg["max_position_jitter"])

    def padded_size(self) -> int:
        """Side of the original's canvas in pixels (ours is sized from the positions)."""
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


LEGACY = LegacyParams()
