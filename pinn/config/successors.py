"""Options of earlier versions: what each is called now, or why it is gone. One table, data.

A name in the table gives one sentence on the command line, in a TOML file and in Python. What
0.1.0 wrote (archives, `config.json`) is translated with the same table when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SINCE = "0.2"


@dataclass(frozen=True)
class Successor:
    """What became of an option.

    Attributes:
        now: its present name, or None if it is gone.
        advice: what to do instead, a clause without a full stop.
        default: its default in 0.1.0, which a file of then may state of an option that is gone.
    """

    now: str | None = None
    advice: str = ""
    default: Any = None

    def sentence(self, name: str) -> str:
        """Says what became of the option `name`."""
        if self.now is not None and self.advice:
            return f"option {name!r} is now {self.now}: {self.advice}"
        if self.now is not None:
            return f"option {name!r} is called {self.now} since {SINCE}"
        return f"option {name!r} is gone since {SINCE}: {self.advice}"


_LOOP = "write one scan after the other in a loop (docs/simulate.md)"
_ONE_SEED = "seed is that of weights, groups and order"
_NO_ATTENTION = "the network cnn has no attention any more"
_FIXED = "it is {} now, a number of the method"
_SCHEDULE = "it is {} now, unless the argument schedule of pinn.refine says otherwise"

SUCCESSORS: dict[str, dict[str, Successor]] = {
    "ScanConfig": {
        "y_path": Successor("positions_path", "give both paths as Y,X"),
        "x_path": Successor("positions_path", "give both paths as Y,X"),
        "mask_path_polarity": Successor(
            "bad_pixels_polarity", "it is for the bad_pixels file and for mask_path"
        ),
        "beam_row": Successor("beam_centre", "give ROW,COLUMN"),
        "beam_column": Successor("beam_centre", "give ROW,COLUMN"),
        "probe_smoothing_px": Successor(
            advice="smooth the probe beforehand and give it with probe", default=0.0
        ),
        "test_fraction": Successor(advice="part test is a quarter of the scan", default=0.25),
    },
    "ModelConfig": {
        "encoder_attention": Successor(advice=_NO_ATTENTION, default="none"),
        "bottleneck_attention": Successor(advice=_NO_ATTENTION, default="none"),
        "decoder_attention": Successor(advice=_NO_ATTENTION, default="none"),
        "shared_decoder": Successor(advice="the network cnn has two decoders", default=False),
        "probe_smoothing": Successor(advice="the probe is used as it is", default=0.0),
        "positions_limit": Successor(advice=_FIXED.format("5 pixels"), default=5.0),
    },
    "TrainConfig": {
        "weights_seed": Successor(advice=_ONE_SEED),
        "grouping_seed": Successor(advice=_ONE_SEED),
        "shuffle_seed": Successor(advice=_ONE_SEED),
        "early_stop_threshold": Successor(
            advice="any improvement counts for early_stop", default=0.0
        ),
        "min_distance": Successor(advice="neighbours says from which frames groups are made"),
        "max_distance": Successor(advice="neighbours says from which frames groups are made"),
        "bounds": Successor(advice="select frames with Scan.select or drop_frames"),
        "label_weighting": Successor(
            advice="labels are weighted by the illumination", default="probe"
        ),
        "label_phase": Successor(
            advice="labels are compared up to their mean phase", default="relative"
        ),
        "blend_schedule": Successor(advice="the blend is a half cosine", default="cosine"),
        "physics_rate_factor": Successor(
            advice="lower learning_rate, or use another schedule", default=1.0
        ),
        "freeze": Successor("rate_factors", "give the factor 0, as 'stem:0'"),
        "rate_stages": Successor(advice="use schedule exponential, cosine or plateau"),
    },
    "SimulateConfig": {
        "exponent": Successor(advice=_FIXED.format("3")),
        "octaves": Successor(advice=_FIXED.format("5")),
        "layers": Successor(advice=_FIXED.format("3")),
        "solids": Successor(advice="as many solids are drawn as cover the object once"),
        "n_objects": Successor(advice=_LOOP),
        "n_probes": Successor(advice=_LOOP),
    },
    "RefineConfig": {
        "polish": Successor("lbfgs_iterations"),
        "variations": Successor("opr_modes"),
        "update_factors": Successor("update_intensities"),
        "tolerance": Successor(advice=_FIXED.format("0.001"), default=1e-3),
        "start_cover": Successor(advice=_FIXED.format("1"), default=1),
        "probe_epoch": Successor(advice=_SCHEDULE.format("2"), default=2),
        "positions_epoch": Successor(advice=_SCHEDULE.format("4"), default=4),
        "variations_epoch": Successor(advice=_SCHEDULE.format("4"), default=4),
        "factors_epoch": Successor(advice=_SCHEDULE.format("3"), default=3),
        "background_epoch": Successor(advice=_SCHEDULE.format("2"), default=2),
        "position_step_px": Successor(advice=_FIXED.format("0.5"), default=0.5),
        "position_momentum": Successor(advice=_FIXED.format("0.8"), default=0.8),
        "position_search_px": Successor(advice=_FIXED.format("3"), default=3.0),
        "position_limit_px": Successor(advice=_FIXED.format("10"), default=10.0),
        "object_limit": Successor(advice="use tv to restrict the object"),
        "object_step": Successor(advice="use object_damping", default=1.0),
        "probe_step": Successor(advice=_FIXED.format("1"), default=1.0),
        "probe_damping": Successor(advice=_FIXED.format("0.5"), default=0.5),
        "round": Successor(advice="momentum acts every 10 steps", default=10),
    },
}


@dataclass(frozen=True)
class Gone:
    """Values that an option had in 0.1.0 and has no more.

    Attributes:
        values: each.
        advice: what to do instead, a clause without a full stop.
    """

    values: tuple[str, ...]
    advice: str


VALUES: dict[str, dict[str, Gone]] = {
    "TrainConfig": {
        "optimizer": Gone(
            ("nadam", "adamax", "adagrad", "adadelta", "lion", "lamb"),
            "take adam, adamw, sgd or rmsprop",
        ),
        "schedule": Gone(("stages",), "take exponential, cosine or plateau"),
    },
}


# Present option: those of earlier versions that it joins.
_JOINED = {
    "ScanConfig": {
        "positions_path": ("y_path", "x_path"),
        "beam_centre": ("beam_row", "beam_column"),
    }
}


def sentence(name: str, *classes: str) -> str | None:
    """What became of an option that is not known; None for one that never was.

    Args:
        name: as in TOML and Python.
        classes: names of configuration classes, looked at first.
    """
    for cls in (*classes, *SUCCESSORS):
        successor = SUCCESSORS.get(cls, {}).get(name)
        if successor is not None:
            return successor.sentence(name)
    return None


def value_sentence(name: str, value: Any, cls: str) -> str | None:
    """What became of a value of an option; None for one that never was.

    Args:
        name: of the option.
        value: what it is to be.
        cls: name of the configuration class.
    """
    gone = VALUES.get(cls, {}).get(name)
    if gone is None or value not in gone.values:
        return None
    return f"{name} {value} is gone since {SINCE}: {gone.advice}"


def translated(cls: str, stored: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What an earlier version stored, under the present names.

    Args:
        cls: name of the configuration class.
        stored: its fields by name; names that are in no table stay as they are.

    Returns:
        The fields, and a sentence for each stored value that has no counterpart.
    """
    values, lost = dict(stored), []
    for now, names in _JOINED.get(cls, {}).items():
        given = [values.pop(name, None) for name in names]
        if None not in given:
            values[now] = ",".join(str(value) for value in given)
    if (frozen := values.pop("freeze", None)) is not None:
        patterns = [f"{name.strip()}:0" for name in str(frozen).split(",") if name.strip()]
        values["rate_factors"] = ",".join([*patterns, values.get("rate_factors") or ""]).strip(",")
    for name in VALUES.get(cls, {}):
        if (told := value_sentence(name, values.get(name), cls)) is not None:
            del values[name]
            lost.append(told)
    if values.get("mask_path") is None:
        values.pop("mask_path_polarity", None)
    elif values.get("bad_pixels") is not None and "mask_path_polarity" in values:
        inside = values.pop("mask_path_polarity")
        beside = values.setdefault("bad_pixels_polarity", "bad")
        if inside != beside:
            lost.append(
                f"the mask at mask_path marks the {inside} pixels and the bad_pixels file the "
                f"{beside} ones, but bad_pixels_polarity is for both since {SINCE}: invert the file"
            )
    for name, successor in SUCCESSORS.get(cls, {}).items():
        if name not in values:
            continue
        value = values.pop(name)
        if successor.now is not None:
            values[successor.now] = value
        elif value != successor.default:
            lost.append(f"{successor.sentence(name)} (it was {value!r})")
    return values, lost
