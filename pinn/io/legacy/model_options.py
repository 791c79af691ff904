"""The network and its physics, from the reference's fields to ours."""

from __future__ import annotations

from typing import Any

from pinn.errors import ConfigError
from pinn.io.legacy.configuration import ModelConfig

PLAIN = ModelConfig()
SPECTRAL = ("fno", "ffno", "fno_vanilla")
# Amplitude heads of the reference that would not do here: ours for them, and why. Objects have mean
# amplitude 1 here, about 0.6 (by probe_scale) in the reference: sigmoid is saturated, and swish,
# which is zero at zero input, stays dark. Simulated lines, 512 groups, 8 epochs, one seed, relative
# error of the object: sigmoid 0.27, swish 0.29 (both flat); sigmoid2, softplus and relu 0.15.
_BOUND = "spans 0 to 2: objects have mean amplitude 1 here, about 0.6 in the reference"
_DARK = "starts at amplitude 1; the other starts at 0, where a network that sees no labels stays"
AMPLITUDE = {
    "sigmoid": ("sigmoid2", _BOUND),
    "swish": ("softplus", _DARK),
    "silu": ("softplus", _DARK),
}


def model_options(values: dict[str, Any], notes: list[str], exact: bool) -> dict[str, Any]:
    """Fields of our `ModelConfig`.

    Args:
        values: of `pinn.io.legacy.values.checked`.
        notes: sentences are added to it.
        exact: the network as the reference builds it, for its archives: its own activations,
            ring and group merge, and no subtraction of the mean frame.

    Raises:
        ConfigError: an option that the chosen network would need and does not have here.
    """
    found = {
        "N": values["N"],
        "gridsize": values["gridsize"],
        "object_big": values["object_big"],
        "probe_trainable": values.get("probe_trainable", False),
        "scale_trainable": values.get("intensity_scale_trainable", True),
        "probe_support": _support(values, notes),
    }
    name = values["architecture"]
    if name == "baseline" or (values["model_type"] == "supervised" and name == "cnn"):
        return found | _baseline(values, notes)
    if name == "cnn":
        return found | _cnn(values, notes, exact)
    if exact:
        raise ConfigError(
            f"architecture {name!r} cannot be rebuilt from an archive of the reference; only cnn"
        )
    if name in SPECTRAL:
        return found | _spectral(values, notes)
    return found | _other(values, notes)


def _cnn(values: dict[str, Any], notes: list[str], exact: bool) -> dict[str, Any]:
    amplitude = values["amp_activation"]
    found = {
        "architecture": "cnn",
        "n_filters_scale": values["n_filters_scale"],
        "pad_object": values["pad_object"],
        "probe_big": values["probe_big"],
    }
    if exact:
        return found | {
            "amp_activation": "swish" if amplitude == "silu" else amplitude,
            "ring_activation": "swish",
            "merge": "legacy",
            "input_transform": "none",
        }
    return found | {"amp_activation": _head(values, notes)}


def _baseline(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    notes += _unused(values, ("amp_activation", "pad_object", "probe_big"), "baseline")
    found = {"architecture": "baseline", "n_filters_scale": values["n_filters_scale"]}
    if values["gridsize"] > 1 and not values["object_big"]:
        notes.append("object_big False has no effect: the network baseline predicts every frame")
        found["object_big"] = True
    return found


def _spectral(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    transform = values["fno_input_transform"]
    if transform != "none":
        raise ConfigError(
            f"fno_input_transform {transform!r} is not here; take none, and input_transform of "
            "pinn.ModelConfig for what the network sees"
        )
    name = values["architecture"]
    notes += _unused(values, ("n_filters_scale", "pad_object", "probe_big"), name)
    rectangular = values["generator_output_mode"] == "real_imag"
    found = {
        "architecture": "fno" if name == "fno_vanilla" else name,
        "head": "rectangular" if rectangular else "polar",
        **{k: values[k] for k in ("fno_modes", "fno_width") if values[k] != getattr(PLAIN, k)},
    }
    if name == "fno_vanilla":
        found["fno_refine_blocks"] = 0
    elif values["fno_cnn_blocks"] != PLAIN.fno_cnn_blocks:
        found["fno_refine_blocks"] = values["fno_cnn_blocks"]
    if values["fno_blocks"] != PLAIN.fno_blocks:
        found["fno_blocks"] = values["fno_blocks"]
    if not rectangular:
        found["amp_activation"] = _head(values, notes)
    return found


def _head(values: dict[str, Any], notes: list[str]) -> str:
    name: str = values["amp_activation"]
    if name in AMPLITUDE:
        ours, why = AMPLITUDE[name]
        notes.append(f"amp_activation {name} becomes {ours}, which {why}")
        return ours
    return name


def _other(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """A network the reference does not have: what its caller changed goes to it."""
    found = {"architecture": values["architecture"]}
    for name in ("n_filters_scale", "pad_object", "probe_big"):
        if values[name] != getattr(PLAIN, name):
            found[name] = values[name]
    if values["amp_activation"] != PLAIN.amp_activation:
        found["amp_activation"] = _head(values, notes)
    return found


def _unused(values: dict[str, Any], names: tuple[str, ...], network: str) -> list[str]:
    return [
        f"{name} {values[name]!r} has no effect: the network {network} has none"
        for name in names
        if values[name] != getattr(PLAIN, name)
    ]


def _support(values: dict[str, Any], notes: list[str]) -> float | None:
    if not values["probe_mask"]:
        return None
    diameter = values["probe_mask_diameter"]
    radius = float(values["N"] // 4) if diameter is None else diameter / 2
    notes.append(
        f"probe_mask becomes probe_support {radius:g}: a disc around pixel N/2, the reference's "
        "lies half a pixel beside it"
    )
    return radius
