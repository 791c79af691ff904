"""From a legacy configuration to ours: checked before any work.

Every field is carried over as the table says, or has no effect here and is named in a note when it
was changed, or is refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pinn.errors import ConfigError
from pinn.io.legacy import run
from pinn.io.legacy.network import network_options, support_options
from pinn.io.legacy.table import EXECUTION, INFERENCE, KINDS, Row, check

if TYPE_CHECKING:
    from pinn import config as ours

_OF_RUN = (
    run.optimizer_options,
    run.loss_options,
    run.group_options,
    run.neighbour_options,
    run.clip_options,
    run.schedule_options,
)


@dataclass(frozen=True)
class Translation:
    """Our configuration for what a legacy caller asked for.

    Attributes:
        model: network and physics.
        train: the run; None if a reconstruction was asked for.
        reconstruct: inference and stitching.
        scan: how to read a scan: photons per frame of frames that are no counts.
        backend: tensorflow, torch or jax.
        device: auto, cpu, gpu, cuda or mps.
        n_groups: of a reconstruction: how many groups are wanted; None for all.
        subsample, subsample_seed: of a reconstruction: how many frames to keep of the scan.
        oversampling: whether more groups than frames are allowed.
        train_file, test_file, model_path, output: what the caller named; None for nothing and for
            the placeholder `Path()`.
        notes: sentences worth showing.
    """

    model: ours.ModelConfig
    train: ours.TrainConfig | None
    reconstruct: ours.ReconstructConfig
    scan: ours.ScanConfig
    backend: str = "tensorflow"
    device: str = "auto"
    n_groups: int | None = None
    subsample: int | None = None
    subsample_seed: int | None = None
    oversampling: bool = False
    train_file: Path | None = None
    test_file: Path | None = None
    model_path: Path | None = None
    output: Path | None = None
    notes: tuple[str, ...] = ()


def to_pinn(
    fields: Mapping[str, Any],
    kind: Literal["training", "inference", "model"] = "training",
    *,
    execution: Mapping[str, Any] | None = None,
    exact: bool = False,
) -> Translation:
    """Translate, with all checks, before anything is read or built.

    Args:
        fields: of the reference's `TrainingConfig`, `InferenceConfig` or `ModelConfig` by name,
            those of the network beside those of the run; others are at their default.
        kind: which of these classes.
        execution: fields of its `PyTorchExecutionConfig`; they count before the others.
        exact: the network as the reference builds it, to load its archives.

    Raises:
        ConfigError: an unknown field, a value with a wrong type or range, or an option that is
            not here.
    """
    from pinn import config as ours  # pydantic is slow to load, and nothing else here needs it

    rows = KINDS[kind]
    values = _checked(fields, rows)
    notes = _without_effect(values, rows)
    if execution is not None:
        more = _checked(execution, EXECUTION)
        notes += _without_effect(more, EXECUTION)
        values, rows = {**more, **values, **_stated(more)}, {**EXECUTION, **rows}
    values.setdefault("learning_rate", EXECUTION["learning_rate"].default)
    options = _copied(values, rows)
    options["model"] |= support_options(values, notes) | network_options(values, notes, exact)
    if execution is not None and values["architecture"] == "ffno":
        of_ffno = [name for name, row in EXECUTION.items() if row.how == "ffno"]
        options["model"] |= {EXECUTION[n].ours.removeprefix("model."): values[n] for n in of_ffno}
    if kind == "training":
        for convert in (*_OF_RUN, *((run.record_options,) if execution is not None else ())):
            options["train"] |= convert(values, notes)
        options["train"]["learning_rate"] = values["learning_rate"]
        options[""]["oversampling"] = values["enable_oversampling"]
    elif kind == "inference":
        notes += [
            f"{name} {values[name]!r} has no effect: in a reconstruction a group is its frame and "
            "the nearest others"
            for name in ("neighbor_count", "enable_oversampling", "neighbor_pool_size")
            if values[name] != INFERENCE[name].default
        ]
        options[""] |= {"n_groups": values["n_groups"], "subsample": values["n_subsample"]}
        options[""]["subsample_seed"] = values["subsample_seed"]
    return Translation(
        model=ours.ModelConfig(**options["model"]),
        train=ours.TrainConfig(**options["train"]) if kind == "training" else None,
        reconstruct=ours.ReconstructConfig(**options["reconstruct"]),
        scan=ours.ScanConfig(**options["scan"]),
        notes=tuple(notes),
        **options[""],
    )


def _copied(values: Mapping[str, Any], rows: Mapping[str, Row]) -> dict[str, dict[str, Any]]:
    """Our options by class, of the rows that name no conversion; under "" what is of no class."""
    options: dict[str, dict[str, Any]] = {
        where: {} for where in ("", "model", "train", "reconstruct", "scan")
    }
    for name, row in rows.items():
        where, _, option = row.ours.rpartition(".")
        value = row.words.get(values[name], values[name]) if row.words else values[name]
        if row.how == "path":
            options[where][option] = None if Path(value or "") == Path() else Path(value)
        elif row.ours and not row.how and value is not None:
            options[where][option] = value
    return options


def _checked(fields: Mapping[str, Any], rows: Mapping[str, Row]) -> dict[str, Any]:
    unknown = sorted(set(fields) - set(rows))
    if unknown:
        raise ConfigError(f"{unknown[0]} is no field of the legacy configuration")
    return {name: check(name, row, fields.get(name, row.default)) for name, row in rows.items()}


def _stated(execution: dict[str, Any]) -> dict[str, Any]:
    """Of the fields that a run has too, those that say something."""
    names = ["scheduler"] * (execution["scheduler"] != EXECUTION["scheduler"].default)
    if execution["gradient_clip_val"] is not None:
        names += ["gradient_clip_val", "gradient_clip_algorithm"]
    return {name: execution[name] for name in names}


def _without_effect(values: Mapping[str, Any], rows: Mapping[str, Row]) -> list[str]:
    return [
        f"{name} {value!r} has no effect: {rows[name].why}"
        for name, value in values.items()
        # callers set debug, even to a tuple by mistake, and it means nothing to anybody
        if rows[name].why and name != "debug" and value != rows[name].default
    ]
