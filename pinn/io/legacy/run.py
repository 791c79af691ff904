"""One run, from the reference's fields to ours: conversions of the table."""

from __future__ import annotations

import math
from typing import Any

from pinn.errors import ConfigError
from pinn.io.legacy.table import TABLE, TRAINING

DEFAULT_GROUPS = 512  # what the reference trains on when nobody says a number

PLAIN_NEIGHBOURS = TRAINING["neighbor_count"].default


def loss_weight(mae: float, nll: float, N: int, nphotons: float) -> float:
    """Weight w of `poisson + w mae` for which the two gradients are as in the reference.

    There the likelihood is the mean over pixels of `k' - k log k'` and the other term the mean of
    `|sqrt(k') - sqrt(k)|`, both of frames with `nphotons` counts. Ours are twice the first over
    the mean of k, and the second over the mean of sqrt(k). So w is 2 mae/nll times
    mean(sqrt(k)) / mean(k), which for frames of equal pixels is N / sqrt(nphotons), and less for
    others.
    """
    return 2.0 * mae / nll * N / math.sqrt(nphotons)


def loss_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """`train.loss`.

    Raises:
        ConfigError: nothing to minimise, or a loss that is not here.
    """
    mae, nll = values["mae_weight"], values["nll_weight"]
    matched, mode = values["torch_mae_pred_l2_match_target"], values["torch_loss_mode"]
    if values["model_type"] == "supervised":
        if mae or nll != TRAINING["nll_weight"].default:
            notes.append(
                "mae_weight and nll_weight have no effect: a supervised run compares with labels"
            )
        return {}
    on_torch = values["backend"] in ("pytorch", "torch")
    by_mode = on_torch and (mode == "mae" or not (mae or nll))
    if by_mode and matched:
        raise ConfigError(
            "torch_mae_pred_l2_match_target True is not here: every prediction would be scaled to "
            "the frame's energy; set it to False, one trained scale carries the counts"
        )
    if matched:
        notes.append("torch_mae_pred_l2_match_target has no effect without backend pytorch and mae")
    if mode == "mae" and not on_torch:
        notes.append("torch_loss_mode mae has no effect without backend pytorch; use mae_weight")
    if not (mae or nll or by_mode):
        raise ConfigError(
            "mae_weight and nll_weight are both 0, so there is nothing to minimise; set one of them"
        )
    if by_mode or not nll:
        return {"loss": "mae"}
    if not mae:
        return {"loss": "poisson"}
    weight = loss_weight(mae, nll, values["N"], values["nphotons"])
    notes.append(
        f"nll_weight {nll:g} and mae_weight {mae:g} become 'poisson + {weight:.3g} mae': their "
        f"gradients on frames of {values['nphotons']:g} photons are as in the reference, whose "
        "terms have other units (exact for frames of equal pixels, else a little more mae)"
    )
    return {"loss": f"poisson + {weight:.12g} mae"}


def group_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """How many groups; the reference's default means all frames."""
    if values["sequential_sampling"] and values["n_subsample"] is not None:
        notes.append(
            "sequential_sampling takes the first n_subsample frames as well; the reference draws "
            "those at random"
        )
    wanted = values["n_groups"] or values["n_images"] or DEFAULT_GROUPS
    plain = wanted == DEFAULT_GROUPS and not values["enable_oversampling"]
    return {} if plain else {"n_groups": wanted}


def neighbour_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """`train.neighbours`; none where a group is its frame and the nearest others anyway.

    Raises:
        ConfigError: fewer than a group needs.
    """
    others, more = values["gridsize"] ** 2 - 1, values["enable_oversampling"]
    pooled = values["neighbor_pool_size"] is not None
    if pooled and not more:
        notes.append("neighbor_pool_size has no effect without enable_oversampling")
    name = "neighbor_pool_size" if pooled and more else "neighbor_count"
    count = values[name]
    if others == 0 or (count == others and not more):
        return {}
    if count >= others:
        return {"neighbours": count}
    if count == PLAIN_NEIGHBOURS and name == "neighbor_count":
        notes.append(
            f"neighbor_count {count}, the default, is too few for groups of {others + 1}: the "
            f"{others} nearest are taken"
        )
        return {}
    raise ConfigError(
        f"{name} is {count}, but a group of {others + 1} frames needs at least {others} "
        "neighbours; raise it or use a smaller gridsize"
    )


def clip_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Clipping of the gradient; nothing stated leaves ours as it is, 0 means none."""
    value = values["gradient_clip_val"]
    if value is None:
        return {}
    clip = {TABLE["clip"][values["gradient_clip_algorithm"]]: value} if value else {}
    return {"clip_norm": None, **clip}


def schedule_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The learning rate over the run.

    Raises:
        ConfigError: a lowest rate above the learning rate.
    """
    rate, lowest = values["learning_rate"], values["plateau_min_lr"]
    match values["scheduler"]:
        case "Exponential":
            return {"schedule": "exponential"}
        case "CosineAnnealing":
            return {"schedule": "cosine", "warmup_epochs": 0.0, "rate_floor": 0.0}
        case "WarmupCosine" if values["lr_min_ratio"] == 1 and not values["lr_warmup_epochs"]:
            return {"schedule": "constant"}
        case "WarmupCosine":
            warm = float(values["lr_warmup_epochs"])
            return {"warmup_epochs": warm, "rate_floor": values["lr_min_ratio"]}
        case "ReduceLROnPlateau" if lowest > rate:
            raise ConfigError(
                f"plateau_min_lr is {lowest:g}, above the learning rate {rate:g}; lower it"
            )
        case "ReduceLROnPlateau":
            return {
                "schedule": "plateau",
                "plateau_factor": values["plateau_factor"],
                # PyTorch counts the epochs that are let pass, ours the one that is acted on
                "plateau_patience": values["plateau_patience"] + 1,
                "plateau_threshold": values["plateau_threshold"],
                "rate_floor": lowest / rate,
            }
        case "MultiStage" | "Adaptive" as name:
            notes.append(
                f"scheduler {name} keeps the learning rate constant, as in the reference, "
                "which never built it"
            )
            return {"schedule": "constant"}
    return {}


def optimizer_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The update rule with those of its numbers that it has."""
    name = values["optimizer"]
    options: dict[str, Any] = {"optimizer": name}
    for old, users in TABLE["optimizer"].items():
        row = TRAINING[old]
        if name in users:
            options[row.ours.removeprefix("train.")] = values[old]
        elif values[old] != row.default:
            notes.append(f"{old} {values[old]!r} has no effect: the optimizer {name} has none")
    decay = values["weight_decay"]
    if decay or name == "adamw":  # ours decays by default with adamw, theirs does not
        options["weight_decay"] = decay
    if decay and name != "adamw":
        notes.append(
            f"weight_decay {decay:g} shrinks the weights directly, as adamw does; the reference's "
            f"{name} adds it to the gradient"
        )
    return options


def record_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Checkpoints and previews, of the execution configuration."""
    metric, every = values["checkpoint_monitor_metric"], values["recon_log_every_n_epochs"]
    options: dict[str, Any] = {
        "keep_best": values["checkpoint_save_top_k"] if values["enable_checkpointing"] else 0,
        # the reference has one alias for whatever it validates with
        "monitor": None if metric == "val_loss" or metric.endswith("_val_loss") else metric,
        "logger": values["logger_backend"] or "none",
    }
    if every:
        options["sample_every"] = every
        if values["recon_log_stitch"]:
            options["preview_every"] = every
    return options
