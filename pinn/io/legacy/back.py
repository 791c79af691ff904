"""From our configuration to the reference's, for callers that read the legacy dictionary.

What the old classes cannot say is named in a note; nothing is dropped in silence.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pinn.errors import ConfigError
from pinn.io.legacy.run import PLAIN_NEIGHBOURS, loss_weight
from pinn.io.legacy.table import EXECUTION, KINDS, TABLE

if TYPE_CHECKING:
    from pinn import config as ours

_SAID = "cannot be said in the legacy configuration"
# Conversions that are made by the functions below; all other fields are copied.
_CONVERTED = {"network", "support", "loss", "neighbours", "clip", "schedule", "decay", "old name"}
AMPLITUDE = TABLE["amplitude"]
_RATE = EXECUTION["learning_rate"].default


def to_legacy(
    model: ours.ModelConfig,
    train: ours.TrainConfig | None = None,
    scan: ours.ScanConfig | None = None,
    *,
    backend: str = "tensorflow",
    strict: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Our configuration as the reference would write it.

    Args:
        model: network and physics.
        train: the run; default all defaults.
        scan: its photons per frame.
        backend: ours, tensorflow, torch (pytorch there) or jax (which the reference has not).
        strict: raise if something cannot be said.

    Returns:
        The fields that say something by name, and what they cannot say.

    Raises:
        ConfigError: with `strict`, what cannot be said.
    """
    from pinn import config as ours  # pydantic is slow to load, and nothing else here needs it

    train = train or ours.TrainConfig()
    exact = all(getattr(model, name) == value for name, value in TABLE["exact"].items())
    notes = _unsaid("model", model, set(TABLE["exact"]) if exact else set())
    notes += _unsaid("train", train, set())
    fields = _copied({"model": model, "train": train, "scan": scan})
    photons = fields.setdefault("nphotons", KINDS["training"]["nphotons"].default)
    fields |= {
        "backend": {"torch": "pytorch"}.get(backend, backend),
        "weight_decay": train.decay_of_weights,
        "neighbor_count": train.neighbours or model.gridsize**2 - 1 or PLAIN_NEIGHBOURS,
        **_network(model, train, notes, exact),
        **_weights(model, train, photons, notes),
        **_clip(train, notes),
        **_schedule(train, notes),
    }
    if strict and notes:
        raise ConfigError("; ".join(notes))
    return fields, notes


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    """Fields that go over unchanged; None is a default."""
    fields = {}
    for name, row in KINDS["training"].items():
        where, _, option = row.ours.partition(".")
        value = getattr(options.get(where), option, None)
        if value is not None and row.how not in _CONVERTED:
            fields[name] = value
    return fields


def _unsaid(where: str, config: Any, also: set[str]) -> list[str]:
    said = {option for row in KINDS["training"].values() for option in row.ours.split()}
    return [
        f"{where}.{name} {getattr(config, name)!r} {_SAID}"
        for name, field in type(config).model_fields.items()
        if f"{where}.{name}" not in said and name not in also
        if getattr(config, name) != field.default
    ]


def _network(
    model: ours.ModelConfig, train: ours.TrainConfig, notes: list[str], exact: bool
) -> dict[str, Any]:
    """Architecture, head and support of the probe."""
    name, spectral = model.architecture, model.architecture in ("fno", "ffno")
    supervised = train.mode == "supervised"
    if supervised and name == "cnn":
        notes.append(f"model.architecture 'cnn' of a supervised run {_SAID}: it means baseline")
    if model.head == "rectangular" and not spectral:
        notes.append(f"model.head 'rectangular' of {name} {_SAID}")
    activation = {"sigmoid2": "sigmoid"}.get(model.amp_activation, model.amp_activation)
    means = activation if exact else AMPLITUDE.get(activation, {"ours": activation})["ours"]
    if means != model.amp_activation:
        notes.append(
            f"model.amp_activation {model.amp_activation!r} {_SAID}: {activation} means {means}"
        )
    support: dict[str, Any] = {}
    if model.probe_support is not None:
        support["probe_mask"] = True
        if model.probe_support != model.N // 4:
            support["probe_mask_diameter"] = 2.0 * model.probe_support
    return {
        "architecture": "cnn" if supervised and name == "baseline" else name,
        "generator_output_mode": "amp_phase" if spectral and model.head == "polar" else "real_imag",
        "amp_activation": activation,
        **support,
    }


def _weights(
    model: ours.ModelConfig, train: ours.TrainConfig, photons: float, notes: list[str]
) -> dict[str, Any]:
    if train.mode == "supervised":
        if train.loss is not None:
            notes.append(f"train.loss {train.loss!r} of a supervised run {_SAID}")
        return {}
    terms = train.loss_terms
    other = sorted(set(terms) - {"poisson", "mae"})
    if other:
        notes.append(f"{', '.join(other)} in train.loss {_SAID}")
    if "mae" not in terms:
        return {}
    if "poisson" not in terms:
        return {"nll_weight": 0.0, "mae_weight": 1.0}
    ratio = terms["mae"] / terms["poisson"] / loss_weight(1.0, 1.0, model.N, photons)
    # Only the ratio means anything; the reference's rules want both weights from 0 to 1.
    return {"nll_weight": min(1.0, 1.0 / ratio), "mae_weight": min(1.0, ratio)}


def _clip(train: ours.TrainConfig, notes: list[str]) -> dict[str, Any]:
    values = {name: getattr(train, option) for name, option in TABLE["clip"].items()}
    given = {name: value for name, value in values.items() if value is not None}
    if len(given) > 1:
        notes.append(f"two ways of clipping at once ({', '.join(given)}) {_SAID}: the first counts")
    for name, value in given.items():
        return {"gradient_clip_val": value, "gradient_clip_algorithm": name}
    return {"gradient_clip_val": 0.0}


def _schedule(train: ours.TrainConfig, notes: list[str]) -> dict[str, Any]:
    floor, warm = train.rate_floor, train.warmup_epochs
    plain = floor == type(train).model_fields["rate_floor"].default
    match train.schedule:
        case "constant":
            return {"scheduler": "WarmupCosine", "lr_warmup_epochs": 0, "lr_min_ratio": 1.0}
        case "exponential":
            if not plain:
                notes.append(f"train.rate_floor {floor:g} of exponential {_SAID}")
            return {"scheduler": "Exponential"}
        case "plateau":
            return {
                "scheduler": "ReduceLROnPlateau",
                "plateau_factor": train.plateau_factor,
                "plateau_patience": train.plateau_patience - 1,
                "plateau_threshold": train.plateau_threshold,
                "plateau_min_lr": floor * _RATE,
            }
    if warm is None and plain:
        return {}
    if warm is None or warm != math.floor(warm):
        notes.append(f"train.warmup_epochs {warm} {_SAID}: there it is a whole number")
    return {
        "scheduler": "WarmupCosine",
        "lr_warmup_epochs": math.floor(warm or 0),
        "lr_min_ratio": floor,
    }
