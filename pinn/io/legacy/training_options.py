"""One run, from the reference's fields to ours."""

from __future__ import annotations

import math
from typing import Any

from pinn.errors import ConfigError
from pinn.io.legacy.configuration import DEFAULT_GROUPS, TrainingConfig

PLAIN_NEIGHBOURS = TrainingConfig.neighbor_count
LEARNING_RATE = 1e-3  # the reference's, which has no field for it on this side
_MOMENTS = ("adam", "adamw")
_OF_OPTIMIZERS = {
    "momentum": ("momentum", ("sgd", "rmsprop")),
    "adam_beta1": ("beta_1", _MOMENTS),
    "adam_beta2": ("beta_2", _MOMENTS),
}
_CLIPS = {"norm": "clip_norm", "value": "clip_value", "agc": "clip_adaptive"}


def training_options(
    values: dict[str, Any], notes: list[str], learning_rate: float = LEARNING_RATE
) -> dict[str, Any]:
    """Fields of our `TrainConfig`.

    Args:
        values: of `pinn.io.legacy.values.checked`.
        notes: sentences are added to it.
        learning_rate: of the run, which `plateau_min_lr` is compared with.

    Raises:
        ConfigError: options that contradict each other or are not here.
    """
    return {
        "epochs": values["nepochs"],
        "batch_size": values["batch_size"],
        "mode": values["model_type"],
        "learning_rate": learning_rate,
        **_optimizer(values, notes),
        **_loss(values, notes),
        **_groups(values, notes),
        **clip_options(values["gradient_clip_val"], values["gradient_clip_algorithm"]),
        **schedule_options(values["scheduler"], values, notes, learning_rate),
    }


def loss_weight(mae: float, nll: float, N: int, nphotons: float) -> float:
    """Weight w of `poisson + w mae` for which the two terms pull as they do in the reference.

    There the likelihood is the mean over pixels of `k' - k log k'` and the other term the mean of
    `|sqrt(k') - sqrt(k)|`, both of frames with `nphotons` counts. Ours are twice the first over
    the mean of k, and the second over the mean of sqrt(k). So w is 2 mae/nll times
    mean(sqrt(k)) / mean(k), which for frames of equal pixels is N / sqrt(nphotons), and less for
    others.
    """
    return 2.0 * mae / nll * N / math.sqrt(nphotons)


def _loss(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    mae, nll = values["mae_weight"], values["nll_weight"]
    matched = values["torch_mae_pred_l2_match_target"]
    if values["model_type"] == "supervised":
        if mae or nll != TrainingConfig.nll_weight:
            notes.append(
                "mae_weight and nll_weight have no effect: a supervised run compares with labels"
            )
        return {}
    on_torch = values["backend"] in ("pytorch", "torch")
    by_mode = on_torch and (values["torch_loss_mode"] == "mae" or not (mae or nll))
    if by_mode and matched:
        raise ConfigError(
            "torch_mae_pred_l2_match_target True is not here: every prediction would be scaled to "
            "the frame's energy; set it to False, one trained scale carries the counts"
        )
    if matched:
        notes.append("torch_mae_pred_l2_match_target has no effect without backend pytorch and mae")
    if values["torch_loss_mode"] == "mae" and not on_torch:
        notes.append("torch_loss_mode mae has no effect without backend pytorch; use mae_weight")
    if by_mode:
        return {"loss": "mae"}
    if not (mae or nll):
        raise ConfigError(
            "mae_weight and nll_weight are both 0, so there is nothing to minimise; set one of them"
        )
    if not mae:
        return {"loss": "poisson"}
    if not nll:
        return {"loss": "mae"}
    weight = loss_weight(mae, nll, values["N"], values["nphotons"])
    notes.append(
        f"nll_weight {nll:g} and mae_weight {mae:g} become 'poisson + {weight:.3g} mae': the two "
        f"pull on frames of {values['nphotons']:g} photons as in the reference, where the terms "
        "have other units (exact for frames of equal pixels, else a little more mae)"
    )
    return {"loss": f"poisson + {weight:.12g} mae"}


def _groups(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    more, n_groups = values["enable_oversampling"], values["n_groups"]
    if values["sequential_sampling"] and values["n_subsample"] is not None:
        notes.append(
            "sequential_sampling takes the first n_subsample frames as well; the reference draws "
            "those at random"
        )
    return {
        "n_groups": None if n_groups == DEFAULT_GROUPS and not more else n_groups,
        "neighbours": neighbours(values, notes),
        "subsample": values["n_subsample"],
        "subsample_seed": values["subsample_seed"],
        "sequential": values["sequential_sampling"],
    }


def neighbours(values: dict[str, Any], notes: list[str]) -> int | None:
    """`train.neighbours`; None where a group is its frame and the nearest others anyway.

    Raises:
        ConfigError: fewer than a group needs.
    """
    others = values["gridsize"] ** 2 - 1
    name = "neighbor_count"
    if values["neighbor_pool_size"] is not None:
        if values["enable_oversampling"]:
            name = "neighbor_pool_size"
        else:
            notes.append("neighbor_pool_size has no effect without enable_oversampling")
    count = values[name]
    if others == 0 or (count == others and not values["enable_oversampling"]):
        return None
    if count >= others:
        return count
    if count == PLAIN_NEIGHBOURS and name == "neighbor_count":
        notes.append(
            f"neighbor_count {count}, the default, is too few for groups of {others + 1}: the "
            f"{others} nearest are taken"
        )
        return None
    raise ConfigError(
        f"{name} is {count}, but a group of {others + 1} frames needs at least {others} "
        "neighbours; raise it or use a smaller gridsize"
    )


def clip_options(value: float | None, algorithm: str) -> dict[str, Any]:
    """Clipping of the gradient; nothing stated leaves ours as it is, 0 means none."""
    if value is None:
        return {}
    if value == 0:
        return {"clip_norm": None}
    return {"clip_norm": None, _CLIPS[algorithm]: value}


def schedule_options(
    scheduler: str, values: dict[str, Any], notes: list[str], learning_rate: float
) -> dict[str, Any]:
    """The learning rate over the run.

    Raises:
        ConfigError: a lowest rate above the learning rate.
    """
    match scheduler:
        case "Exponential":
            return {"schedule": "exponential"}
        case "CosineAnnealing":
            return {"schedule": "cosine", "warmup_epochs": 0.0, "rate_floor": 0.0}
        case "WarmupCosine" if values["lr_min_ratio"] == 1 and not values["lr_warmup_epochs"]:
            return {"schedule": "constant"}
        case "WarmupCosine":
            return {
                "schedule": "cosine",
                "warmup_epochs": float(values["lr_warmup_epochs"]),
                "rate_floor": values["lr_min_ratio"],
            }
        case "ReduceLROnPlateau":
            lowest = values["plateau_min_lr"]
            if lowest > learning_rate:
                raise ConfigError(
                    f"plateau_min_lr is {lowest:g}, above the learning rate {learning_rate:g}; "
                    "lower it"
                )
            return {
                "schedule": "plateau",
                "plateau_factor": values["plateau_factor"],
                # PyTorch counts the epochs that are let pass, ours the one that is acted on
                "plateau_patience": values["plateau_patience"] + 1,
                "plateau_threshold": values["plateau_threshold"],
                "rate_floor": lowest / learning_rate,
            }
        case "MultiStage" | "Adaptive":
            notes.append(
                f"scheduler {scheduler} keeps the learning rate constant, as in the reference, "
                "which never built it"
            )
            return {"schedule": "constant"}
    return {}


def _optimizer(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The update rule with those of its numbers that it has."""
    name = values["optimizer"]
    found: dict[str, Any] = {"optimizer": name}
    for old, (new, users) in _OF_OPTIMIZERS.items():
        if name in users:
            found[new] = values[old]
        elif values[old] != getattr(TrainingConfig, old):
            notes.append(f"{old} {values[old]!r} has no effect: the optimizer {name} has none")
    decay = values["weight_decay"]
    if decay or name == "adamw":  # ours decays by default with adamw, theirs does not
        found["weight_decay"] = decay
    if decay and name != "adamw":
        notes.append(
            f"weight_decay {decay:g} shrinks the weights directly, as adamw does; the reference's "
            f"{name} adds it to the gradient"
        )
    return found
