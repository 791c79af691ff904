"""Where a refinement begins: canvas, object, probe and scale."""

from __future__ import annotations

import logging

import numpy as np
from scipy.spatial import cKDTree

from pinn.check.first_probe import FirstProbe, first_probe
from pinn.config.refine import RefineConfig
from pinn.data.geometry import check_canvas
from pinn.data.probe_modes import in_gauge
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError
from pinn.io.product import Reconstruction
from pinn.refinement.positions import LIMIT_PX
from pinn.refinement.state import State

WEAK = 0.05  # power of a probe mode that is added, relative to the one before
_AROUND = 9  # frames, itself among them, whose mean count is what a frame's is compared with
FAINT_BACKGROUND = 1e-3  # of the mean intensity of a pixel, where a background begins
_log = logging.getLogger("pinn")


def begin(
    scan: Scan,
    config: RefineConfig,
    start: Reconstruction | None,
    rows: np.ndarray,
    factor: float,
    made: np.ndarray | None = None,
) -> State:
    """The state before the first epoch.

    Args:
        scan: the measurement.
        config: of the refinement.
        start: a result to begin with, or None for a flat object.
        rows: `(M,)` frames that are used.
        factor: exposure factor of the scan.
        made: probe `(P, N, N)` to begin with where neither start nor scan has one.

    Raises:
        ScanError: no probe, or a start of another frame size or another place.
    """
    N, positions = scan.N, scan.positions_px[rows].copy()
    # positions that were never refined are the scan's, perhaps of another file: those at hand count
    if start is not None and start.positions_start_px is not None:
        mine, theirs = _in_common(start, rows)
        positions[mine] = start.positions_px[theirs]
    probe = with_modes(_probe(scan, start, factor, made), config.probe_modes)
    probe = _variations(probe, config.opr_modes)
    margin = (LIMIT_PX if config.update_positions else 0.0) + 2.0
    low, high = positions.min(0) - N / 2 - margin, positions.max(0) + N / 2 + margin
    fraction = np.zeros(2) if start is None else start.origin_px - np.floor(start.origin_px)
    origin = np.floor(low) + fraction - (fraction > 0)
    shape = np.ceil(high - origin).astype(int) + 2
    check_canvas(shape, scan.name, len(rows) * N**2)
    obj = np.ones(shape, np.complex64)
    if start is not None:
        _put(obj, origin, start)
    if config.probe_support is not None:
        probe = probe * support(N, config.probe_support)
    count, V = len(rows), len(probe)
    faint = FAINT_BACKGROUND * 0.25 if config.background != "none" else 0.0
    state = State(
        object=obj,
        origin=origin.astype(np.float64),
        velocity=np.zeros_like(obj),
        probe=probe.astype(np.complex64),
        opr_weights=np.concatenate([np.ones((count, 1)), np.zeros((count, V - 1))], axis=1),
        factors=np.ones(count),
        positions=positions,
        drift=np.zeros_like(positions),
        background=np.full((N, N), faint, np.float32),
    )
    if scan.probe_weights is not None and (start is None or start.probe is None):
        given = min(V, scan.probe_weights.shape[1])
        state.opr_weights[:, :given] = scan.probe_weights[rows][:, :given]
    if config.update_intensities:
        state.factors = _fluctuations(scan.statistics().frame_counts[rows], positions)
    if start is not None:
        _carry(state, start, rows, config, factor)
    return state


def _fluctuations(counts: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Relative intensities `(M,)` to begin with, mean 1: counts of each frame over those around it.

    Frames that overlap see nearly the same object, so that what their counts differ by is the
    beam's. Without it object and probe would fit frames that fluctuate until intensities join.
    """
    near = cKDTree(positions).query(positions, k=min(_AROUND, len(positions)))[1]
    logarithms = np.log(counts)  # dark frames are left out before
    factors = np.exp(logarithms - logarithms[near.reshape(len(counts), -1)].mean(1))
    return np.asarray(factors / factors.mean())


def support(N: int, radius: float) -> np.ndarray:
    """1 within a radius of the middle `(N, N)`, else 0."""
    axis = np.arange(N) - N // 2
    return (np.hypot(axis[:, None], axis[None, :]) <= radius).astype(np.float32)


def _in_common(start: Reconstruction, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the frames that both have stand in `rows`, and in the start."""
    _, mine, theirs = np.intersect1d(rows, start.frame_indices, return_indices=True)
    return mine, theirs


def probe_to_begin_with(scan: Scan, start: Reconstruction | None) -> FirstProbe | None:
    """A probe fitted to some frames, where neither start nor scan has one; else None."""
    given = scan.probe is not None or (start is not None and start.probe is not None)
    if given:
        return None
    found = first_probe(scan)
    _log.warning("%s: %s", scan.name, found.note)
    return found


def _probe(
    scan: Scan, start: Reconstruction | None, factor: float, made: np.ndarray | None
) -> np.ndarray:
    """`(V, P, N, N)` complex128 in the units of normalised frames."""
    N = scan.N
    if start is not None and start.probe is not None:
        given = start.probe[None] if start.probe_variations is None else start.probe_variations
        if given.shape[-1] != N:
            raise ScanError(
                f"the start has a probe of {given.shape[-1]} x {given.shape[-1]} pixels, but the "
                f"frames of {scan.name} have {N} x {N}; start from a result of frames of that size"
            )
        return np.asarray(given.astype(np.complex128) * factor)
    if scan.probe_variations is not None:
        return in_gauge(scan.probe_variations)
    if scan.probe is None and made is not None:
        return in_gauge(made)[None]
    return scan.probe_gauge().astype(np.complex128)[None]


def with_modes(probe: np.ndarray, wanted: int | None) -> np.ndarray:
    """The probe with this many modes: the strongest of more, or weak further ones.

    A further mode is the first times one of the products of two coordinates, made orthogonal to
    those before: what a beam that trembles or is not quite coherent adds to it.
    """
    V, P, N = probe.shape[:3]
    if wanted is None or wanted == P:
        return probe
    if wanted < P:
        kept = np.argsort(np.sum(np.abs(probe[0]) ** 2, axis=(1, 2)))[::-1][:wanted]
        return probe[:, np.sort(kept)]
    axis = np.arange(N) - N // 2
    main, modes = probe[0, 0], list(probe[0])
    intensity = np.abs(main) ** 2 / np.sum(np.abs(main) ** 2)
    centre = (intensity.sum(1) @ axis, intensity.sum(0) @ axis)
    y, x = (axis - centre[0])[:, None] / N, (axis - centre[1])[None, :] / N
    degree, order = 0, 0
    while len(modes) < wanted:
        degree, order = (degree, order + 1) if order < degree else (degree + 1, 0)
        mode = main * y ** (degree - order) * x**order
        for other in modes:
            mode = mode - other * np.vdot(other, mode) / max(np.vdot(other, other).real, 1e-30)
        power = np.sum(np.abs(modes[-1]) ** 2) * (WEAK if len(modes) <= P else 0.5)
        modes.append(mode * np.sqrt(power / max(np.sum(np.abs(mode) ** 2), 1e-30)))
    out = np.zeros((V, wanted, N, N), np.complex128)
    out[0] = np.stack(modes)
    out[1:, :P] = probe[1:]
    return out


def _variations(probe: np.ndarray, wanted: int) -> np.ndarray:
    """The probe with this many variations; further ones are its derivatives along y and x, then
    their products with coordinates: a beam that moves, then one that changes."""
    V, _, N = probe.shape[:3]
    if wanted <= V:
        return probe[:wanted] if wanted < V else probe
    main, more = probe[0], list(probe)
    axis = (np.arange(N) - N // 2) / N
    while len(more) < wanted:
        k = len(more) - 1
        derivative = np.gradient(main, axis=1 + k % 2)
        for _ in range(k // 2):
            derivative = derivative * (axis[:, None] if k % 4 < 2 else axis[None, :])
        energy = np.sum(np.abs(derivative) ** 2)
        if energy == 0:
            raise ConfigError("a flat probe has no variations to begin with")
        more.append(derivative * np.sqrt(np.sum(np.abs(main) ** 2) / energy))
    return np.stack(more)


def _put(obj: np.ndarray, origin: np.ndarray, start: Reconstruction) -> None:
    """The start's object onto the canvas; where it has none, its mean."""
    covered = start.valid_mask & (start.coverage > 0)
    if not covered.any():
        raise ScanError("the start covers no pixel: there is nothing to begin with")
    weight = np.where(covered, start.coverage, 0.0).astype(np.float64)
    obj[...] = np.sum(weight * start.object) / weight.sum()
    y, x = np.round(start.origin_px - origin).astype(int)
    height, width = start.object.shape
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + height, obj.shape[0]), min(x + width, obj.shape[1])
    if bottom <= top or right <= left:
        raise ScanError(
            "the start lies elsewhere: no pixel of it is under a frame of this scan; is it a "
            "result of another scan, or of other positions?"
        )
    inside = slice(top - y, bottom - y), slice(left - x, right - x)
    there = covered[inside] | (start.object[inside] != 0)  # results of 0.1.0 hold zeros elsewhere
    obj[top:bottom, left:right][there] = start.object[inside][there]


def _carry(
    state: State, start: Reconstruction, rows: np.ndarray, config: RefineConfig, factor: float
) -> None:
    """Intensities, OPR weights and background of a start that has them."""
    mine, theirs = _in_common(start, rows)
    if start.frame_factors is not None:
        state.factors[mine] = start.frame_factors[theirs]
    if start.probe_weights is not None:
        V = min(state.opr_weights.shape[1], start.probe_weights.shape[1])
        state.opr_weights[mine, :V] = start.probe_weights[theirs, :V]
    if start.background is not None:
        state.background = (start.background * factor**2).astype(np.float32)
        if config.background != "none":  # a zero would stay one
            state.background = np.maximum(state.background, 0.01 * FAINT_BACKGROUND)
