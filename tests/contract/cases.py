"""Inputs of the golden arrays, and what is done to them; knows no part of `pinn` but `subject`.

A case is a function of the inputs that gives arrays by name and, where something is decided, a
`decision` that JSON can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import subject

import pinn

V010 = Path(__file__).parent / "v010"
N, C, B, CANVAS = 16, 4, 3, 30

Inputs = Mapping[str, np.ndarray]
Found = dict[str, Any]


def make_inputs() -> dict[str, np.ndarray]:
    """Asymmetric arrays of a fixed seed; stored, so that no random stream has to stay."""
    rng = np.random.default_rng(20240611)

    def field(*shape: int, mean: float = 0.0) -> np.ndarray:
        values = mean + 0.4 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
        return values.astype(np.complex64)

    y, x = np.indices((N, N)) - N // 2
    spot = np.exp(-((y - 1) ** 2 / 18 + (x + 1.5) ** 2 / 30 + 0.02 * y * x) + 0.06j * y * x)
    probe = (spot * np.stack([np.ones((N, N)), 0.1 * (y + 0.5 * x)]))[None].astype(np.complex64)
    place = rng.uniform(-5, 5, (B, C, 2))
    found = {
        "patches": field(B, C, N, N, mean=1.0 + 0.3j),
        "offsets": (place - place.mean(1, keepdims=True)).astype(np.float32),
        "probe": probe,
        "log_scale": np.array([2.3], np.float32),
        "counts": rng.poisson(np.exp(rng.uniform(-2, 6, (B, C, N, N)))).astype(np.uint16),
        "valid": rng.uniform(size=(B, C, N, N)) > 0.15,
        "rate": np.exp(rng.uniform(-2, 6, (B, C, N, N))).astype(np.float32),
        "weight": np.array([1.0, 0.0, 0.5], np.float32),
        "light": rng.uniform(0.1, 1.0, (1, 1, N, N)).astype(np.float32),
        "factors": np.array([[1.3, 0.8], [0.6, 1.7], [1.0, -0.5]], np.float32),
        "plane": field(41, 37, mean=1.0),
        "places": rng.uniform([8, 8], [31, 27], (14, 2)),
        "further": field(2, 2, N, N),
        "shares": np.c_[np.ones(14), rng.normal(0, 0.2, 14)],
        "background": rng.uniform(0, 0.5, (N, N)).astype(np.float32),
        "frame_factors": rng.uniform(0.7, 1.3, 14).astype(np.float32),
        "positions": rng.uniform([20, 30], [70, 110], (60, 2)),
        "smooth": _smooth(rng, (64, 55)),
        "noise": field(64, 55),
    }
    found["places"][3] = [2.25, 33.5]  # partly beyond the plane
    # what another object would give: where rates are as dark as 1e-5 counts, so are the counts
    other = {**found, "patches": np.roll(found["patches"], 1, axis=0)}
    found["seen_counts"] = rng.poisson(forward(other)["probe"]).astype(np.uint16)
    return found | _mixed_up_scan()


def _smooth(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """An image whose spectrum falls off."""
    distance = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij"))
    noise = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((distance / 0.12) ** 2))).astype(np.complex64)


def _mixed_up_scan() -> dict[str, np.ndarray]:
    """A small simulated scan whose positions have their axes exchanged and one reversed."""
    from pinn.simulate import SimulateConfig, simulate_arrays

    made = simulate_arrays(
        SimulateConfig(
            N=32, object="leaves", probe="defocused", aberration=3.0, pattern="fermat",
            n_frames=60, seed=4,
        )
    )  # fmt: skip
    y, x = made["positions_px"].T
    return {
        "turned_counts": made["counts"].astype(np.uint16),
        "turned_positions": np.stack([-x, y], axis=1),
        "turned_probe": made["probe"],
    }


def measured(inputs: Inputs) -> np.ndarray:
    """Frames `(14, N, N)` at `places`, as they are stored: amplitude, -1 at masked pixels."""
    frames = np.sqrt(inputs["counts"].reshape(-1, N, N).astype(np.float32))
    frames = np.where(inputs["valid"].reshape(-1, N, N), frames, -1.0)
    return np.concatenate([frames, frames[:2, ::-1]]).astype(np.float32)


def group(inputs: Inputs) -> tuple[np.ndarray, ...]:
    """Arguments of the forward model."""
    return tuple(inputs[name] for name in ("patches", "offsets", "probe", "log_scale"))


def small_scan() -> pinn.Scan:
    """The scan that all runs are of."""
    return pinn.load(V010 / "scan.npz")


# ----------------------------------------------------------------------------------------- cases


def forward(inputs: Inputs) -> Found:
    return {
        merge: subject.group_rate(*group(inputs), CANVAS, merge)
        for merge in ("probe", "uniform", "legacy")
    }


def gradients(inputs: Inputs) -> Found:
    found = {}
    for merge in ("probe", "legacy"):
        slopes = subject.group_gradients(
            *group(inputs), CANVAS, merge, inputs["seen_counts"], inputs["valid"]
        )
        found |= {f"{merge}/{name}": array for name, array in slopes.items()}
    return found


def merge(inputs: Inputs) -> Found:
    given = inputs["patches"], inputs["light"], inputs["offsets"], CANVAS
    return {
        "weighted": subject.merged(*given, "weighted"),
        "uniform": subject.merged(given[0], None, *given[2:], "weighted"),
        "legacy": subject.merged(given[0], None, *given[2:], "legacy"),
    }


def windows(inputs: Inputs) -> Found:
    inner = np.delete(inputs["places"], 3, axis=0) - N // 2
    corners = np.floor(inner).astype(int)
    fractions = inner - corners
    patches = subject.taken(inputs["plane"], corners, fractions, N)
    shape = inputs["plane"].shape
    return {"taken": patches, "added": subject.added(patches.real, corners, fractions, shape)}


def contrast(inputs: Inputs) -> Found:
    return {"scaled": subject.contrast(inputs["patches"], inputs["light"], inputs["factors"])}


def likelihoods(inputs: Inputs) -> Found:
    names = ("counts", "rate", "valid", "weight")
    return subject.likelihoods(*(inputs[name] for name in names))


def frame_likelihood(inputs: Inputs) -> Found:
    given = inputs["plane"], np.array([0.5, -0.25]), 8 * inputs["probe"][0], inputs["places"]
    varied = 8 * np.concatenate([inputs["probe"], inputs["further"][:1]])
    frames = measured(inputs)
    return {
        "plain": subject.frame_deviance(*given, frames),
        "all": subject.frame_deviance(
            *given[:2], varied, given[3], frames,
            probe_weights=inputs["shares"], background=inputs["background"],
            frame_factors=inputs["frame_factors"], scale=1.5,
        ),
    }  # fmt: skip


def calibration(inputs: Inputs) -> Found:
    plane, probe, places = inputs["plane"], inputs["probe"][0], inputs["places"]
    frames = np.sqrt(np.maximum(_rates(1.3 * plane - 0.3, probe, places), 0)).astype(np.float32)
    return subject.calibrated(plane, probe, places, frames)


def _rates(plane: np.ndarray, probe: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Counts in float64, patches at whole pixels: an object of stronger contrast, a bit off."""
    found = np.zeros((len(places), N, N))
    for k, (y, x) in enumerate(np.floor(places).astype(int) - N // 2):
        patch = np.zeros((N, N), complex)
        y0, x0, y1, x1 = max(y, 0), max(x, 0), y + N, x + N
        part = plane[y0:y1, x0:x1]
        patch[y0 - y : y0 - y + part.shape[0], x0 - x : x0 - x + part.shape[1]] = part
        waves = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe * patch, (1, 2))), (1, 2))
        found[k] = np.sum(np.abs(waves / N) ** 2, axis=0)
    return found


def grouping(inputs: Inputs) -> Found:
    found = {}
    for how in ("inference", "nearest", "quadrants", "legacy"):
        made = subject.groups(inputs["positions"], how)
        found |= {f"{how}/{name}": array for name, array in made.items()}
    return found


def stitching(inputs: Inputs) -> Found:
    patches = inputs["patches"].reshape(-1, N, N).astype(np.complex128)
    places = inputs["positions"][: len(patches)] / 3
    weight = np.sum(np.abs(inputs["probe"][0]) ** 2, axis=0).astype(np.float64)
    found = subject.stitched(patches, weight / weight.max(), places)
    return {**found, "legacy": subject.stitched_legacy(patches, places, 8)}


def ring_correlation(inputs: Inputs) -> Found:
    spread = 0.3 * np.abs(inputs["smooth"]).std() / 0.4
    other = inputs["smooth"] + spread * inputs["noise"]
    return subject.ring_correlation(inputs["smooth"], other)


def likeness(inputs: Inputs) -> Found:
    probe, weight = inputs["probe"][0].astype(np.complex128), inputs["light"][0, 0]
    patches = inputs["patches"].astype(np.complex128)
    places = inputs["positions"][:2, None] / 20 + inputs["offsets"][:2].astype(np.float64)
    rates = np.concatenate([
        subject.single_group_rates(patches[g], weight.astype(np.float64), places[g], places[g],
                                   probe)
        for g in range(2)
    ])  # fmt: skip
    valid = inputs["valid"][:2]
    shaped = rates.reshape(valid.shape)
    off = np.rint(shaped * inputs["rate"][:2] ** 0.4)
    training = {"excess": [0.01, 0.02, 0.03, 0.04, 0.05], "strength": 0.5, "noise": 0.1}
    scores, decisions = [], []
    for counts in (np.rint(shaped), off):
        score, unlike = subject.likeness(counts, shaped, valid, {**training, "groups": 2})
        scores.append(score)
        decisions.append(bool(unlike))
    return {"rates": rates, "scores": np.array(scores), "decision": decisions}


def orientation(inputs: Inputs) -> Found:
    scan = pinn.Scan(
        inputs["turned_counts"], inputs["turned_positions"], probe=inputs["turned_probe"],
        units="counts",
    )  # fmt: skip
    scores, decision = subject.orientation(scan)
    return {**scores, "decision": decision}


def refinement(inputs: Inputs) -> Found:
    del inputs
    return subject.refinement(small_scan(), **{**subject.ALL_REFINED, "epochs": 3})


def training_step(inputs: Inputs) -> Found:
    del inputs
    return subject.training_step(small_scan(), pinn.load_model(V010 / "run"))


_CASES = (
    forward, gradients, merge, windows, contrast, likelihoods, frame_likelihood, calibration,
    grouping, stitching, ring_correlation, likeness, orientation, refinement, training_step,
)  # fmt: skip
CASES: dict[str, Callable[[Inputs], Found]] = {case.__name__: case for case in _CASES}
