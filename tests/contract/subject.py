"""What the contract is about: the only file of it that knows where the parts of `pinn` live.

Plain functions, NumPy in and NumPy out. When a part moves or is renamed, this file follows; the
arrays, names and files that the tests compare with do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import pinn

# ------------------------------------------------------------------------ runs of the public names

SMALLEST: dict[str, Any] = {
    "architecture": "fno", "fno_modes": 3, "fno_width": 4, "fno_blocks": 1, "fno_refine_blocks": 1,
    "gridsize": 2, "probe_trainable": True, "positions_trainable": True, "batch_size": 8,
    "n_groups": 24, "validation": "random", "seed": 5,
}  # fmt: skip
SMALL_REFINEMENT: dict[str, Any] = {
    "epochs": 4, "batch_size": 16, "split_half": False, "lbfgs_iterations": 2,
    "update_positions": True,
}  # fmt: skip
ALL_REFINED: dict[str, Any] = {
    **SMALL_REFINEMENT, "opr_modes": 2, "update_intensities": True, "background": "pixel",
}  # fmt: skip
# The goldens were made when these were options.
FIRST_EPOCHS = {"probe": 1, "positions": 2, "opr_weights": 2, "intensities": 2, "background": 2}


def stop_in(epoch: int) -> Any:
    """A `progress` that asks for a stop with the first report from inside an epoch."""

    def progress(report: pinn.Progress) -> None:
        if report.loss is None and report.epoch == epoch:
            raise pinn.StopRequested

    return progress


def weights_of(model: pinn.Model) -> dict[str, np.ndarray]:
    """Weights of a model by the part of their archive's name that identifies them."""
    named = model.network.named_arrays()
    return {"/".join(name.split("/")[:2]): np.array(array) for name, array in named.items()}


def arrays_of_result(result: pinn.Reconstruction) -> dict[str, np.ndarray]:
    """All arrays of a result by the names of its attributes; the object where it is known."""
    found = {
        name: np.array(value)
        for name, value in vars(result).items()
        if isinstance(value, np.ndarray)
    }
    return {**found, "object": np.where(result.valid_mask, result.object, 0)}


def columns(history: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Columns of a history that do not depend on the machine; NaN where a row has no such value."""
    old = {"lbfgs_iteration": "polish_iteration"}
    history = [{old.get(name, name): v for name, v in row.items()} for row in history]
    names = dict.fromkeys(name for row in history for name in row)
    found = {}
    for name in names:
        values = [row.get(name) for row in history]
        if name in ("seconds", "groups_per_second") or any(isinstance(v, str) for v in values):
            continue
        found[f"history/{name}"] = np.array([np.nan if v is None else v for v in values], float)
    return found


# ------------------------------------------------------------------------------------ the physics


def group_rate(
    patches: np.ndarray,
    offsets: np.ndarray,
    probe: np.ndarray,
    log_scale: np.ndarray,
    canvas: int,
    merge: str,
) -> np.ndarray:
    """Mean counts of the frames of groups, from the patches of their object.

    Args:
        patches: `(B, C, N, N)` complex.
        offsets: `(B, C, 2)` pixels.
        probe: `(1, P, N, N)` complex.
        log_scale: `(1,)`.
        canvas: side of the canvas of a group.
        merge: `probe`, `uniform` or `legacy`, as of `ModelConfig`.

    Returns:
        `(B, C, N, N)`.
    """
    from gradients import evaluate

    def rate(*tensors: Any) -> Any:
        return _rate(*tensors, canvas=canvas, merge=merge)

    return evaluate(rate, *_parts(patches), offsets, *_parts(probe), log_scale)


def group_gradients(
    patches: np.ndarray,
    offsets: np.ndarray,
    probe: np.ndarray,
    log_scale: np.ndarray,
    canvas: int,
    merge: str,
    counts: np.ndarray,
    valid: np.ndarray,
) -> dict[str, np.ndarray]:
    """Loss of training on masked counts and its gradients, by name; arguments as `group_rate`."""
    from gradients import grad

    from pinn.ops import likelihood

    def loss(*tensors: Any) -> Any:
        rate = _rate(*tensors[:-2], canvas=canvas, merge=merge)
        return likelihood.deviance_loss(tensors[-2], rate, tensors[-1])

    value, found = grad(loss, *_parts(patches), offsets, *_parts(probe), log_scale, counts, valid)
    names = ("patches_re", "patches_im", "offsets", "probe_re", "probe_im", "log_scale")
    return {"loss": np.array(value), **dict(zip(names, found[:-2], strict=True))}


def _rate(
    re: Any, im: Any, offsets: Any, probe_re: Any, probe_im: Any, log_scale: Any, *, canvas, merge
) -> Any:
    from keras import ops

    from pinn.layers.diffraction import Diffraction
    from pinn.layers.group import GroupMerge, PatchExtraction
    from pinn.layers.probe import illumination_weight
    from pinn.ops import pairs

    weights = None
    if merge == "probe":  # as `PtychoModel.illumination`: the weights of the merge have no gradient
        probe = ops.stop_gradient(probe_re), ops.stop_gradient(probe_im)
        weights = illumination_weight(probe)[:, None]
    rule = "legacy" if merge == "legacy" else "weighted"
    whole = GroupMerge(canvas, rule)(pairs.stack((re, im)), offsets, weights)
    seen = PatchExtraction(re.shape[-1])(whole, offsets)
    return Diffraction()(seen, (probe_re, probe_im), log_scale)


def merged(
    patches: np.ndarray, weights: np.ndarray | None, offsets: np.ndarray, canvas: int, rule: str
) -> np.ndarray:
    """Patches `(B, C, N, N)` on the canvas `(B, M, M)` of their group; `weighted` or `legacy`."""
    from gradients import evaluate

    from pinn.layers.group import GroupMerge
    from pinn.ops import pairs

    def merge(re: Any, im: Any, offsets: Any, *weights: Any) -> Any:
        return GroupMerge(canvas, rule)(pairs.stack((re, im)), offsets, *weights)

    given = () if weights is None else (weights,)
    out = evaluate(merge, *_parts(patches), offsets, *given)
    return out[..., 0] + 1j * out[..., 1]


def taken(plane: np.ndarray, corners: np.ndarray, fractions: np.ndarray, side: int) -> np.ndarray:
    """Patches `(B, side, side)` of a complex canvas at whole `corners` plus `fractions`."""
    from keras import ops

    from pinn.ops import windows

    corners = ops.convert_to_tensor(corners.astype("int32"))
    re, im = windows.take_patches(_pair(plane), corners, _tensor(fractions), side)
    return ops.convert_to_numpy(re) + 1j * ops.convert_to_numpy(im)


def added(
    patches: np.ndarray, corners: np.ndarray, fractions: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """The sum of real patches on an empty plane, the adjoint of `taken`."""
    from keras import ops

    from pinn.ops import windows

    corners = ops.convert_to_tensor(corners.astype("int32"))
    return ops.convert_to_numpy(
        windows.add_patches(_tensor(patches), corners, _tensor(fractions), shape)
    )


def contrast(patches: np.ndarray, light: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Patches of groups with the deviations from their illuminated mean times `factors`."""
    from gradients import evaluate

    from pinn.ops.contrast import scale_deviation

    def scaled(re: Any, im: Any, light: Any, factors: Any) -> Any:
        return scale_deviation((re, im), light, factors)

    re, im = evaluate(scaled, *_parts(patches), light, factors)
    return re + 1j * im


def calibrated(
    obj: np.ndarray, probe: np.ndarray, positions: np.ndarray, frames: np.ndarray
) -> dict[str, np.ndarray]:
    """Object with the contrast that explains frames best, and the two factors."""
    from pinn.reconstruction.contrast import calibrate

    whole, origin = np.ones(obj.shape), np.zeros(2)
    scaled, found = calibrate(obj, whole, origin, probe, positions, lambda rows: frames[rows])
    residuals = [found.residual_before, found.residual_after]
    return {
        "object": scaled,
        "factors": np.array([found.real, found.imaginary]),
        "residuals": np.array(residuals),
    }


def likelihoods(
    counts: np.ndarray, rate: np.ndarray, valid: np.ndarray, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """Every loss of rates against counts, and its gradient by the rate."""
    from gradients import evaluate, grad

    from pinn.ops import likelihood

    found = {
        "deviance_per_pixel": evaluate(likelihood.poisson_deviance_per_pixel, counts, rate, valid)
    }
    for name in ("deviance_loss", "poisson_nll", "amplitude_mse", "amplitude_mae"):
        value, slopes = grad(getattr(likelihood, name), counts, rate, valid, weight)
        found |= {name: np.array(value), f"{name}_slope": slopes[1]}
    return found


def frame_deviance(
    obj: np.ndarray,
    origin: np.ndarray,
    probe: np.ndarray,
    positions: np.ndarray,
    frames: np.ndarray,
    **more: Any,
) -> np.ndarray:
    """Deviance of each frame per valid pixel, `(M,)`; a probe `(V, P, N, N)` needs weights."""
    from pinn.quality.likelihood import Explanation, Judge

    names = {"probe_weights": "opr_weights", "frame_factors": "factors"}
    scale = more.pop("scale", 1.0)
    more = {names.get(name, name): value for name, value in more.items()}
    judge = Judge(Explanation(obj, origin, probe, positions, **more), batch_size=4)
    return judge.deviance(lambda rows: frames[rows], scale)


def _parts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return array.real, array.imag


def _tensor(array: np.ndarray) -> Any:
    from keras import ops

    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))


def _pair(array: np.ndarray) -> tuple[Any, Any]:
    return _tensor(array.real), _tensor(array.imag)


# ------------------------------------------------------------------------ around it, without Keras


def groups(positions: np.ndarray, how: str) -> dict[str, np.ndarray]:
    """Members, centres and offsets of groups of four, made as `how` says."""
    from pinn.data.grouping import groups_for_inference, make_groups

    if how == "inference":
        found = groups_for_inference(positions, 2)
    else:
        found = make_groups(positions, 2, n_groups=len(positions) // 2, seed=3, method=how)
    names = ("indices", "centres", "offsets", "seeds")
    return {name: getattr(found, name) for name in names}


def stitched(patches: np.ndarray, weight: np.ndarray, positions: np.ndarray) -> dict[str, Any]:
    """Complex patches `(K, N, N)` on the canvas of a scan, with a weight `(N, N)` of their pixels:
    object, the same with its long-range phase, coverage, origin and disagreement."""
    from pinn.reconstruction.canvas import Canvas, bilinear_shift

    canvas = Canvas(patches.shape[-1] + 1)
    corners, fractions = canvas.split(positions)
    canvas.reserve(positions)
    parts = bilinear_shift(patches * weight, fractions)
    parts[..., 2] = bilinear_shift(np.broadcast_to(weight + 0j, patches.shape), fractions)[..., 0]
    for first in range(0, len(patches), 4):
        rows = slice(first, first + 4)
        canvas.add(corners[rows], parts[rows])
    obj, coverage, origin = canvas.result()
    return {
        "object": obj,
        "coverage": coverage,
        "origin": origin,
        "synchronised": canvas.result(synchronise=True)[0],
        "disagreement": canvas.disagreement(),
    }


def stitched_legacy(patches: np.ndarray, positions: np.ndarray, crop: int) -> np.ndarray:
    """The same by the rule of the reference."""
    from pinn.reconstruction.canvas import legacy_reassemble

    return legacy_reassemble(patches, positions, crop)


def ring_correlation(first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """Fourier ring correlation: curve, and where it falls below two thresholds."""
    from pinn.quality.frc import frc

    curve = frc(first, second)
    crossings = [curve.crossing(level)[0] for level in (0.5, "half-bit")]
    return {
        "frequency": curve.frequency,
        "correlation": curve.correlation,
        "count": curve.count,
        "crossings": np.array(crossings),
    }


def single_group_rates(
    patches: np.ndarray,
    weight: np.ndarray,
    places: np.ndarray,
    frames: np.ndarray,
    probe: np.ndarray,
) -> np.ndarray:
    """Rates of the frames of one group from its own patches, as the likeness looks at them."""
    from pinn.quality.likeness import group_rates

    return group_rates(patches[None], weight, places[None], frames[None], probe)[0]


def likeness(
    counts: np.ndarray, rate: np.ndarray, valid: np.ndarray, training: dict[str, Any]
) -> tuple[np.ndarray, bool]:
    """Unexplained share of a scan, that of the training, their ratio; and whether it is unlike."""
    from pinn.quality.likeness import compare, explained
    from pinn.quality.verdict import UNLIKE

    found = compare(explained(counts, rate, valid), training)
    assert found is not None
    return np.array([found.scan, found.training, found.ratio]), found.ratio > UNLIKE


def orientation(scan: pinn.Scan) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """How positions lie against frames, as `check` finds it: scores, and what was decided."""
    found = pinn.check.check(scan).orientation
    assert found is not None and found.scale is not None
    told = found.to_dict()
    scores = {
        "r_factors": np.array([score["r_factor"] for score in told["classes"]]),
        "margins": np.array([score["margin_sigma"] for score in told["classes"]]),
        "probe_r_factors": np.array([told["free_probe_r_factor"], told["given_probe_r_factor"]]),
        "member_margin": np.array(told["member_margin_sigma"]),
        "scale_r_factors": np.array(
            [told["scale"]["r_factor"], told["scale"]["given_r_factor"]],
            float,  # None: NaN
        ),
    }
    names = ("best", "decided", "rivals", "regions_agreeing", "equally_likely_members", "probe")
    decision = {name: told[name] for name in (*names, "frames", "side")}
    return scores, {**decision, "scale": told["scale"]["factor"]}


# ------------------------------------------------------------------------------------ whole runs


def refine(scan: pinn.Scan, **options: Any) -> pinn.Reconstruction:
    """A refinement whose quantities begin to change at `FIRST_EPOCHS`."""
    from pinn.refinement.loop import Schedule

    return pinn.refine(scan, schedule=Schedule(**FIRST_EPOCHS), **options)


def refinement(scan: pinn.Scan, epochs: int, **options: Any) -> dict[str, np.ndarray]:
    """Refinement with its polish: `epochs/...` after the epochs, `polish/...` at the end."""
    seen: list[pinn.Reconstruction] = []
    result = refine(scan, epochs=epochs, watch=seen.append, **options)
    found = {}
    # on a busy machine there are pictures of unfinished epochs as well
    after = next(one for one in seen if len(one.statistics["history"]) == epochs)
    for name, one in (("epochs", after), ("polish", result)):
        arrays = arrays_of_result(one) | columns(one.statistics["history"])
        found |= {f"{name}/{key}": array for key, array in arrays.items()}
    return found


def training_step(scan: pinn.Scan, model: pinn.Model) -> dict[str, np.ndarray]:
    """Loss of one batch, and the weights after the step of plain descent that it gives."""
    after = pinn.train(
        scan, model, epochs=1, n_groups=8, batch_size=8, validation="none", optimizer="sgd",
        momentum=0.0, schedule="constant", learning_rate=0.02, clip_norm=None, seed=9,
    )  # fmt: skip
    loss = np.array(after.history[-1]["loss"])
    return {"loss": loss, **{f"after/{k}": a for k, a in weights_of(after).items()}}


# ---------------------------------------------------------------------------------- names of code


def public_names() -> list[str]:
    """What `pinn` offers."""
    return [name for name in pinn.__all__ if getattr(pinn, name, None) is not None]


def commands() -> dict[str, list[str]]:
    """Long options of every command, by its name; those before any command under ``."""
    import click

    from pinn.cli.app import pinn as group

    found = {}
    context = click.Context(group)
    names = group.list_commands(context)
    every = [("pinn", group), *((name, group.get_command(context, name)) for name in names)]
    for name, command in every:
        assert command is not None
        options = [
            option
            for param in command.params
            if isinstance(param, click.Option)
            for option in (*param.opts, *param.secondary_opts)
            if option.startswith("--")
        ]
        arguments = [p.human_readable_name for p in command.params if isinstance(p, click.Argument)]
        found[name] = sorted({*options, *arguments})
    return found


def configurations() -> dict[str, dict[str, Any]]:
    """Fields of every configuration class with their defaults, as JSON holds them."""
    found = {}
    for name in pinn.__all__:
        if name.endswith("Config"):
            fields = getattr(pinn, name).model_fields
            found[name] = {key: _plain(field) for key, field in fields.items()}
    return found


def _plain(field: Any) -> Any:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def formats(writable: bool = False) -> list[str]:
    """Names of the scan formats, or of those that are written."""
    from pinn.io.formats.registry import names

    return names(writable)


def exit_codes() -> dict[str, int]:
    """Exit code of the command line by what ends it."""
    from pinn import errors
    from pinn.cli import run
    from pinn.cli.app import pinn as group

    ends: dict[str, BaseException] = {
        name: error("a sentence")
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.PinnError)
    }
    ends |= {"interrupt": KeyboardInterrupt(), "anything else": RuntimeError("a sentence")}
    found = {"done": run(["--version"]), "wrong use": run(["no-such-command"])}
    kept = group.invoke
    for name, error in ends.items():

        def invoke(context: Any, error: BaseException = error) -> None:
            raise error

        group.invoke = invoke
        try:
            found[name] = run(["info"])
        finally:
            group.invoke = kept
    return found
