"""From our configuration to the reference's, for callers that read the legacy dictionary.

What the old classes cannot say is named in a note; nothing is dropped in silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinn.errors import ConfigError
from pinn.io.legacy.configuration import ModelConfig, TrainingConfig
from pinn.io.legacy.model_options import AMPLITUDE
from pinn.io.legacy.training_options import LEARNING_RATE, PLAIN_NEIGHBOURS, loss_weight

if TYPE_CHECKING:
    from pinn import config as ours

_COPIED_MODEL = ("N", "gridsize", "n_filters_scale", "object_big", "probe_big", "pad_object")
_TRANSLATED_MODEL = {
    *_COPIED_MODEL,
    *("architecture", "amp_activation", "head", "probe_support", "probe_trainable"),
    *("scale_trainable", "fno_modes", "fno_width", "fno_blocks", "fno_refine_blocks"),
}
_COPIED_TRAIN = {
    "batch_size": "batch_size",
    "epochs": "nepochs",
    "n_groups": "n_groups",
    "subsample": "n_subsample",
    "subsample_seed": "subsample_seed",
    "sequential": "sequential_sampling",
    "optimizer": "optimizer",
    "momentum": "momentum",
    "beta_1": "adam_beta1",
    "beta_2": "adam_beta2",
}
_TRANSLATED_TRAIN = {
    *_COPIED_TRAIN,
    *(
        "weight_decay",
        "mode",
        "loss",
        "neighbours",
        "clip_norm",
        "clip_value",
        "clip_adaptive",
        "schedule",
    ),
    *("warmup_epochs", "rate_floor", "plateau_factor", "plateau_patience", "plateau_threshold"),
}
# The network and physics of a converted archive; `to_pinn(..., exact=True)` brings them back.
_EXACT = {"ring_activation": "swish", "merge": "legacy", "input_transform": "none"}
_SAID = "cannot be said in the legacy configuration"


@dataclass(frozen=True)
class LegacyTranslation:
    """A legacy configuration for one of ours.

    Attributes:
        config: `update_legacy_dict(cfg, config)` writes it into the dictionary.
        notes: what it cannot say.
    """

    config: TrainingConfig
    notes: tuple[str, ...]


def to_legacy(
    model: ours.ModelConfig,
    train: ours.TrainConfig | None = None,
    scan: ours.ScanConfig | None = None,
    *,
    backend: str = "tensorflow",
    strict: bool = False,
) -> LegacyTranslation:
    """Our configuration as the reference would write it.

    Args:
        model: network and physics.
        train: the run; default all defaults.
        scan: its photons per frame.
        backend: ours, tensorflow, torch (pytorch there) or jax (which the reference has not).
        strict: raise if something cannot be said.

    Raises:
        ConfigError: with `strict`, what cannot be said.
    """
    from pinn import config as ours

    train = train or ours.TrainConfig()
    photons = None if scan is None else scan.photons_per_frame
    photons = TrainingConfig.nphotons if photons is None else photons
    notes: list[str] = []
    exact = all(getattr(model, name) == value for name, value in _EXACT.items())
    notes += _unsaid("model", model, _TRANSLATED_MODEL | (set(_EXACT) if exact else set()))
    notes += _unsaid("train", train, _TRANSLATED_TRAIN)
    config = TrainingConfig(
        ModelConfig(**_network(model, train, notes, exact)),
        **{old: getattr(train, new) for new, old in _COPIED_TRAIN.items()},
        weight_decay=train.decay_of_weights,
        neighbor_count=_neighbours(model, train),
        nphotons=photons,
        probe_trainable=model.probe_trainable,
        intensity_scale_trainable=model.scale_trainable,
        backend={"torch": "pytorch"}.get(backend, backend),
        **_weights(model, train, photons, notes),
        **_clip(train, notes),
        **_schedule(train, notes),
    )
    if strict and notes:
        raise ConfigError("; ".join(notes))
    return LegacyTranslation(config, tuple(notes))


def _unsaid(where: str, config: Any, translated: set[str]) -> list[str]:
    return [
        f"{where}.{name} {getattr(config, name)!r} {_SAID}"
        for name, field in type(config).model_fields.items()
        if name not in translated and getattr(config, name) != field.default
    ]


def _network(
    model: ours.ModelConfig, train: ours.TrainConfig, notes: list[str], exact: bool
) -> dict[str, Any]:
    found = {name: getattr(model, name) for name in _COPIED_MODEL}
    supervised = train.mode == "supervised"
    name = model.architecture
    if supervised and name == "cnn":
        notes.append(f"model.architecture 'cnn' of a supervised run {_SAID}: it means baseline")
    found["architecture"] = "cnn" if supervised and name == "baseline" else name
    found["model_type"] = train.mode
    found |= _amplitude(model, notes, exact)
    if model.probe_support is not None:
        found["probe_mask"] = True
        if model.probe_support != model.N // 4:
            found["probe_mask_diameter"] = 2.0 * model.probe_support
    for ours_, theirs in (
        ("fno_modes", "fno_modes"),
        ("fno_width", "fno_width"),
        ("fno_blocks", "fno_blocks"),
        ("fno_refine_blocks", "fno_cnn_blocks"),
    ):
        value = getattr(model, ours_)
        if value is not None:
            found[theirs] = value
    return found


def _amplitude(model: ours.ModelConfig, notes: list[str], exact: bool) -> dict[str, Any]:
    spectral = model.architecture in ("fno", "ffno")
    if model.head == "rectangular" and not spectral:
        notes.append(f"model.head 'rectangular' of {model.architecture} {_SAID}")
    mode = "real_imag" if model.head == "rectangular" or not spectral else "amp_phase"
    activation = {"sigmoid2": "sigmoid"}.get(model.amp_activation, model.amp_activation)
    means = activation if exact else AMPLITUDE.get(activation, (activation, ""))[0]
    if means != model.amp_activation:
        notes.append(
            f"model.amp_activation {model.amp_activation!r} {_SAID}: {activation} means {means}"
        )
    return {"generator_output_mode": mode, "amp_activation": activation}


def _neighbours(model: ours.ModelConfig, train: ours.TrainConfig) -> int:
    if train.neighbours is not None:
        return train.neighbours
    others: int = model.gridsize**2 - 1
    return others or PLAIN_NEIGHBOURS


def _weights(
    model: ours.ModelConfig, train: ours.TrainConfig, photons: float, notes: list[str]
) -> dict[str, Any]:
    terms = train.loss_terms
    if train.mode == "supervised":
        if train.loss is not None:
            notes.append(f"train.loss {train.loss!r} of a supervised run {_SAID}")
        return {}
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
    clips = {
        "norm": train.clip_norm,
        "value": train.clip_value,
        "agc": train.clip_adaptive,
    }
    given = {name: value for name, value in clips.items() if value is not None}
    if len(given) > 1:
        notes.append(f"two ways of clipping at once ({', '.join(given)}) {_SAID}: the first counts")
    for name, value in given.items():
        return {"gradient_clip_val": value, "gradient_clip_algorithm": name}
    return {"gradient_clip_val": 0.0}


def _schedule(train: ours.TrainConfig, notes: list[str]) -> dict[str, Any]:
    floor = type(train).model_fields["rate_floor"].default
    match train.schedule:
        case "constant":
            return {"scheduler": "WarmupCosine", "lr_warmup_epochs": 0, "lr_min_ratio": 1.0}
        case "exponential":
            if train.rate_floor != floor:
                notes.append(f"train.rate_floor {train.rate_floor:g} of exponential {_SAID}")
            return {"scheduler": "Exponential"}
        case "plateau":
            return {
                "scheduler": "ReduceLROnPlateau",
                "plateau_factor": train.plateau_factor,
                "plateau_patience": train.plateau_patience - 1,
                "plateau_threshold": train.plateau_threshold,
                "plateau_min_lr": train.rate_floor * LEARNING_RATE,
            }
    warm = train.warmup_epochs
    if warm is None and train.rate_floor == floor:
        return {}
    if warm is None or warm != math.floor(warm):
        notes.append(f"train.warmup_epochs {warm} {_SAID}: there it is a whole number")
    return {
        "scheduler": "WarmupCosine",
        "lr_warmup_epochs": math.floor(warm or 0),
        "lr_min_ratio": train.rate_floor,
    }
