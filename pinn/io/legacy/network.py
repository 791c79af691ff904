"""The network and its physics, from the reference's fields to ours: conversions of the table."""

from __future__ import annotations

from typing import Any

from pinn.errors import ConfigError
from pinn.io.legacy.table import MODEL, TABLE

_OF_CNN = ("n_filters_scale", "pad_object", "probe_big")


def support_options(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The support of the probe, a disc."""
    if not values["probe_mask"]:
        return {}
    diameter = values["probe_mask_diameter"]
    radius = float(values["N"] // 4) if diameter is None else diameter / 2
    notes.append(
        f"probe_mask becomes probe_support {radius:g}: a disc around pixel N/2, the reference's "
        "lies half a pixel beside it"
    )
    return {"probe_support": radius}


def network_options(
    values: dict[str, Any], notes: list[str], exact: bool = False
) -> dict[str, Any]:
    """The architecture with those options that it has.

    Args:
        exact: as the reference builds it, for its archives: its own activations, ring and group
            merge, and no subtraction of the mean frame.

    Raises:
        ConfigError: an option that the network would need and does not have here.
    """
    name = values["architecture"]
    if name == "baseline" or (values["model_type"] == "supervised" and name == "cnn"):
        return _baseline(values, notes)
    if exact and name != "cnn":
        raise ConfigError(
            f"architecture {name!r} cannot be rebuilt from an archive of the reference; only cnn"
        )
    if name in ("fno", "ffno", "fno_vanilla"):
        return _spectral(values, notes)
    # A network that the reference does not have gets what its caller changed.
    options = {k: values[k] for k in _OF_CNN if name == "cnn" or _changed(values, k)}
    amplitude = values["amp_activation"]
    if exact:
        options |= TABLE["exact"] | {"amp_activation": {"silu": "swish"}.get(amplitude, amplitude)}
    elif name == "cnn" or _changed(values, "amp_activation"):
        options["amp_activation"] = _head(values, notes)
    return {"architecture": name, **options}


def _baseline(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    _unused(values, ("amp_activation", "pad_object", "probe_big"), "baseline", notes)
    options = {"architecture": "baseline", "n_filters_scale": values["n_filters_scale"]}
    if values["gridsize"] > 1 and not values["object_big"]:
        notes.append("object_big False has no effect: the network baseline predicts every frame")
        options["object_big"] = True
    return options


def _spectral(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    transform, name = values["fno_input_transform"], values["architecture"]
    if transform != "none":
        raise ConfigError(
            f"fno_input_transform {transform!r} is not here; take none, and input_transform of "
            "pinn.ModelConfig for what the network sees"
        )
    _unused(values, _OF_CNN, name, notes)
    polar = values["generator_output_mode"] != "real_imag"
    options = {
        MODEL[k].ours.removeprefix("model."): values[k]
        for k in ("fno_modes", "fno_width", "fno_blocks", "fno_cnn_blocks")
        if _changed(values, k)
    }
    if name == "fno_vanilla":
        options["fno_refine_blocks"] = 0
    if polar:
        options["amp_activation"] = _head(values, notes)
    architecture = "fno" if name == "fno_vanilla" else name
    return {"architecture": architecture, "head": "polar" if polar else "rectangular", **options}


def _head(values: dict[str, Any], notes: list[str]) -> str:
    name: str = values["amp_activation"]
    if name not in TABLE["amplitude"]:
        return name
    ours: str = TABLE["amplitude"][name]["ours"]
    notes.append(f"amp_activation {name} becomes {ours}, which {TABLE['amplitude'][name]['why']}")
    return ours


def _unused(values: dict[str, Any], names: tuple[str, ...], network: str, notes: list[str]) -> None:
    notes += [
        f"{name} {values[name]!r} has no effect: the network {network} has none"
        for name in names
        if _changed(values, name)
    ]


def _changed(values: dict[str, Any], name: str) -> bool:
    return bool(values[name] != MODEL[name].default)
