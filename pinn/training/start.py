"""What a run starts from: weights, input statistics, probes, count scale and contrast."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pinn import backend
from pinn.config import ModelConfig, TrainConfig
from pinn.data.feed import Batches
from pinn.data.fingerprint import digest, matched, same
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.networks.initialise import initialise
from pinn.networks.model import PtychoModel
from pinn.networks.trained import Model
from pinn.ops import pairs
from pinn.ops.contrast import levelled
from pinn.reconstruction import contrast_fit
from pinn.training.plan import Plan

_STATISTICS_FRAMES = 4096
_SAMPLE_PIXELS = 1 << 20  # frame pixels of a scan that the calibration looks at: 256 of 64 x 64
_MEAN_INTENSITY = 0.25  # of a pixel of normalised frames: (N/2)^2 over N^2
_log = logging.getLogger("pinn")


def set_start(
    network: PtychoModel, plan: Plan, digests: Sequence[str], run: TrainConfig, start: Model | None
) -> None:
    """Assign all weights: those of a fresh network from the seed, or those of a trained model.

    A scan that the trained model knows keeps the probe, scale, contrast and positions it has there;
    any other starts with its own probe, exposure and positions.

    Args:
        digests: of the scans of the plan.
    """
    scans, modes = plan.scans, network.settings.probe_modes
    factors = [scan.statistics().exposure_factor for scan in scans]
    network.probe.set_probe(padded_probes(plan, modes))
    network.scale.set_from_exposure(factors)
    if start is None:
        backend.seed_everything(run.seed)  # what `initialise` does not redraw: a user's layers
        initialise(network.network, run.seed)
        learned = scans[: plan.trained], factors[: plan.trained]
        set_input_statistics(network, *learned, run.seed)
        return
    for part in ("network", "normalise"):
        getattr(network, part).set_weights(getattr(start.network, part).get_weights())
    stored_rows = matched(known_digests(start), digests)
    rows = [(row, stored) for row, stored in enumerate(stored_rows) if stored is not None]
    names = ["probe", "log_scale"] + (["contrast"] if network.contrast is not None else [])
    fresh, trained = network.named_arrays(), start.network.named_arrays()
    new = {name: np.array(fresh[name]) for name in names if name in trained}
    for name, array in new.items():
        for row, stored in rows:
            given = trained[name][stored]
            if name == "probe":  # dark modes only pad it
                array[row] = 0.0
                used = min(given.shape[1], modes)
                array[row, :, :used] = given[:, :used]
            else:
                array[row] = given
    for row, stored in rows:  # the same frames, hence as many
        if (given := trained.get(f"positions/{stored:04d}")) is not None:
            new[f"positions/{row:04d}"] = given
    network.load_arrays({name: new.get(name, array) for name, array in fresh.items()})


def needs_contrast(
    run: TrainConfig, config: ModelConfig, start: Model | None, digests: Sequence[str]
) -> bool:
    """Whether the model of a run has factors of contrast: they are fitted, or were.

    An unrolled network has none: it corrects contrast by the frames themselves.

    Raises:
        ConfigError: they cannot be fitted.
    """
    if run.mode != "pinn":
        if run.calibrate_start:
            raise ConfigError(
                "calibrate_start fits the measured counts, which supervised training does not "
                "look at; leave it out or use mode pinn"
            )
        return False
    if config.architecture == "unrolled":
        return False
    had = start is not None and start.network.contrast is not None
    stored_rows = matched(known_digests(start), digests)
    return run.calibrate_start or (had and any(row is not None for row in stored_rows))


def check_watched(start: Model, watched: Sequence[Scan]) -> None:
    """Refuse to resume with other scans for validation.

    Raises:
        ConfigError: they are not those of the run.
    """
    before = [scan.get("digest") for scan in start.provenance.get("validation_scans", [])]
    now = [digest(scan) for scan in watched]
    if len(before) != len(now) or not all(map(same, before, now)):
        raise ConfigError(
            f"the run was watched on {len(before)} scans given for validation, and these are "
            f"{len(watched)} or others; resume it with the same ones (--validation-scan)"
        )


def known_digests(model: Model | None) -> list[str | None]:
    """Digests of all scans that have a probe and a scale in a model, in its order."""
    stored = {} if model is None else model.provenance
    scans = [*stored.get("scans", []), *stored.get("validation_scans", [])]
    return [scan.get("digest") for scan in scans]


def probe_modes_of(scans: Sequence[Scan]) -> int:
    """The largest number of probe modes of any scan; 1 for one without a probe."""
    return max(1 if scan.probe is None else len(scan.probe) for scan in scans)


def instrument_of(scans: Sequence[Scan]) -> dict[str, str]:
    """`propagation` and `detector_response` of scans that are learned from together.

    Raises:
        ScanError: they are not all alike.
    """
    instrument: dict[str, str] = {}
    for name in ("propagation", "detector_response"):
        kinds = sorted({getattr(scan, name) for scan in scans})
        if len(kinds) > 1:
            raise ScanError(
                f"the scans have the {name} {' and '.join(kinds)}; train on those of one kind"
            )
        instrument[name] = kinds[0]
    return instrument


def padded_probes(plan: Plan, modes: int) -> np.ndarray:
    """Probes in the gauge, complex64 `(S, modes, N, N)`; scans with fewer modes get dark ones.

    A dark mode stays dark when the probe is refined: the rate is quadratic in it.

    Raises:
        ScanError: a scan has more modes.
    """
    N = plan.scans[0].N
    out = np.zeros((len(plan.scans), modes, N, N), np.complex64)
    for number, (scan, probe) in enumerate(zip(plan.scans, plan.probes, strict=True)):
        if len(probe) > modes:
            raise ScanError(
                f"scan {scan.name} has {len(probe)} probe modes, but the model has {modes}; raise "
                "probe_modes, or leave it out to take the largest number of any scan"
            )
        out[number, : len(probe)] = probe
    return out


def set_input_statistics(
    network: PtychoModel, scans: Sequence[Scan], factors: Sequence[float], seed: int
) -> None:
    """Mean and spread of the normalised amplitude over a seeded sample of frames."""
    transform, N = network.settings.input_transform, network.settings.N
    if transform == "none":
        return
    total, squares, seen = np.zeros((N, N)), np.zeros((N, N)), np.zeros((N, N))
    for scan, factor in zip(scans, factors, strict=True):
        rng = np.random.default_rng(seed)
        count = min(len(scan), _STATISTICS_FRAMES)
        sample = np.sort(rng.choice(len(scan), count, replace=False))
        for first in range(0, count, 64):
            amplitude, valid = scan.read(sample[first : first + 64])
            amplitude = np.where(valid, amplitude.astype(np.float64) * factor, 0.0)
            total += amplitude.sum(0)
            squares += (amplitude**2).sum(0)
            seen += valid.sum(0)
    used = np.maximum(seen, 1)
    mean = total / used
    spread = np.sqrt(np.maximum(squares / used - mean**2, 0))
    network.normalise.set_statistics(mean, spread if transform == "standard" else None, seen > 0)


def calibrate_start(
    network: PtychoModel, batches: Batches, names: Sequence[str], held: Batches | None = None
) -> None:
    """Set count scale and contrast of every scan to what its frames say of the network as it is.

    One pass over a sample of each scan's groups, then a fit of three numbers (`contrast_fit`).
    Where no plausible contrast explains the frames better, as for an untrained network that
    predicts the mean, the contrast stays and the scale is the best one with it.

    Args:
        network: with `contrast` weights.
        batches: what will be learned from.
        names: of the scans, for messages.
        held: what is watched; looked at for scans that are not learned from.
    """
    assert network.contrast is not None
    scales = ops.convert_to_numpy(network.scale.log_scale).copy()
    factors = ops.convert_to_numpy(network.contrast).copy()
    given = [batches] if held is None else [batches, held]
    for scan, (sums, exposure) in enumerate(_sums_of(network, given, len(names))):
        best = contrast_fit.fit(sums)
        if best is None:  # nothing of it is looked at
            continue
        if best.plausible:
            base = best.base
            factors[scan] = best.real, best.imaginary
            _log.info("%s: start calibrated, contrast %.3g %.3g", names[scan], *factors[scan])
        else:
            kept = float(factors[scan, 0]), float(factors[scan, 1])
            base = contrast_fit.best_scale(sums, kept)
        scales[scan] = 2.0 * np.log(base) - 2.0 * np.log(exposure)
    network.scale.log_scale.assign(scales)
    network.contrast.assign(factors)


class _Features(keras.Model):
    """A batch to its features `(B, 6, C, N, N)`, in the gauge."""

    def __init__(self, model: PtychoModel) -> None:
        super().__init__(name="start")
        self.model = model
        self.built = True

    def call(self, inputs):
        patches = self.model.object_patches(inputs["frames"])
        _, illuminated = self.model.illuminated_object(patches, inputs)
        (re, im), _, mean = levelled(pairs.unstack(illuminated), self.model.illumination(inputs))
        nothing = ops.zeros_like(re)
        parts = (mean + nothing, nothing), (re - mean, nothing), (nothing, im)
        re, im = self.model.probe(inputs["scan"])
        probe = re[:, None], im[:, None]
        return contrast_fit.features(self.model.diffract.through, parts, probe)


def _sums_of(
    network: PtychoModel, batches: Sequence[Batches], scans: int
) -> list[tuple[contrast_fit.Sums, float]]:
    """Sums of each scan in units of the normalised amplitude, and its exposure factor.

    Args:
        batches: what is looked at, for a scan the first of them that has groups of it.
        scans: how many there are.
    """
    features = backend.compile_inference(_Features(network))
    most = max(1, _SAMPLE_PIXELS // (network.settings.N * network.settings.gridsize) ** 2)
    sums_of_scans = []
    for scan in range(scans):
        sums, factor = contrast_fit.Sums(), 1.0
        samples = (given.sample(scan, most) for given in batches)
        sample: Any = next((sample for sample in samples if sample is not None), None)
        for index in range(0 if sample is None else len(sample)):
            batch = sample.batch(index)
            frames = np.moveaxis(batch["frames"], -1, 1)
            rows = np.flatnonzero(batch["weight"])
            values = np.moveaxis(features(batch)[rows], 1, 0)
            sums.add(values, frames[rows], _MEAN_INTENSITY)
            factor = float(batch["scale"][rows[-1]]) if len(rows) else factor
        sums_of_scans.append((sums, factor))
    return sums_of_scans
