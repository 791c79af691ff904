"""Inference and stitching: every frame of a scan, incremental, in the memory of the canvas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pinn import backend
from pinn.config import ReconstructConfig
from pinn.data.grouping import groups_for_inference
from pinn.data.masks import encode, measured
from pinn.data.scan import Scan
from pinn.data.spool import Spool
from pinn.errors import ConfigError, ScanError
from pinn.predictor import compile_predictor, patch_weight
from pinn.progress import Progress
from pinn.results import Reconstruction
from pinn.stitching import Canvas
from pinn.trained import Model

ReadFrames = Callable[[np.ndarray], np.ndarray]
Locate = Callable[[np.ndarray], np.ndarray]


class GroupStitcher:
    """Runs groups through the compiled predictor and adds all their patches to a canvas.

    Args:
        model: trained model.
        probe: `(P, N, N)` complex, weights the patches.
        config: batch size, weighting.
        anchor: see `Canvas`.
    """

    def __init__(
        self,
        model: Model,
        probe: np.ndarray,
        config: ReconstructConfig,
        anchor: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.N, self.members = model.config.N, model.config.gridsize**2
        self.batch_size = config.batch_size
        self.canvas = Canvas(self.N + 1, anchor)
        self._whole_group = not model.config.object_big and self.members > 1
        backend.full_precision()
        self._predict = compile_predictor(model.network, patch_weight(probe, config))
        self.seconds = {"read": 0.0, "network": 0.0, "stitch": 0.0}

    def run(
        self, groups: np.ndarray, locate: Locate, read: ReadFrames, canvas: Canvas
    ) -> Iterator[int]:
        """Add groups `(G, C)` of frame indices; yields the number of groups done so far.

        Args:
            locate: indices of any shape `(...)` to their positions `(..., 2)` float64.
            read: indices `(n,)` to encoded frames `(n, N, N)`, -1 at masked pixels.
            canvas: where to add.
        """
        size = self.batch_size
        for first in range(0, len(groups), size):
            chosen = groups[first : first + size]
            place = locate(chosen)
            count = len(chosen)
            clock = time.perf_counter()
            unique, inverse = np.unique(chosen, return_inverse=True)
            frames = read(unique)[inverse.reshape(chosen.shape)]  # (b, C, N, N)
            batch = np.zeros((size, self.N, self.N, self.members), np.float32)
            batch[:count] = np.moveaxis(frames, 1, -1)
            if self._whole_group:
                place = place.mean(1, keepdims=True)
            corners, fractions = canvas.split(place)
            padded = np.zeros((size, place.shape[1], 2), np.float32)
            padded[:count] = fractions
            clock = self._lap("read", clock)
            patches = self._predict(batch, padded)[:count]
            clock = self._lap("network", clock)
            for corner, group in zip(corners, patches, strict=True):
                canvas.add(corner, group)
            self._lap("stitch", clock)
            yield first + count

    def _lap(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] += now - since
        return now


class Reconstructor:
    """Incremental reconstruction of frames that may come late, out of order or not at all.

    The result depends only on which frames have arrived, not on their order or packets: every
    frame is grouped with its C-1 nearest neighbours among those that arrived, and all patches of
    its group are placed. With `expected_positions` a group is placed as soon as no nearer frame
    can come; without, or for frames whose neighbours are missing, it is placed by `result`.
    Frames still needed wait in an unnamed temporary file, never in memory.

    Args:
        model: trained model.
        config: batch size, weighting, anchor.
        probe: `(N, N)` or `(P, N, N)` complex; default: the model's own first probe.
        exposure_factor: factor that brings the amplitude to mean energy `(N/2)^2`; default: that
            of the training scans, for a single scan cannot be normalised before it is complete.
        units: what the values of `add` are: counts, intensity or amplitude.
        valid_mask: `(N, N)` bool, True = use the pixel.
        expected_positions: `(M, 2)` positions (y, x) of the whole planned scan in pixels;
            `indices` given to `add` refer to it.

    Raises:
        ConfigError: options that do not fit the model.
    """

    def __init__(
        self,
        model: Model,
        config: ReconstructConfig | None = None,
        *,
        probe: np.ndarray | None = None,
        exposure_factor: float | None = None,
        units: str = "counts",
        valid_mask: np.ndarray | None = None,
        expected_positions: np.ndarray | None = None,
        **options: Any,
    ) -> None:
        self.config = (config or ReconstructConfig()).replace(**options)
        self.model = model
        if units not in ("counts", "intensity", "amplitude"):
            raise ConfigError(f"units are counts, intensity or amplitude (got {units!r})")
        self._units = units
        self._factor = float(exposure_factor or model.exposure_factor)
        self._probe = model.probe() if probe is None else _as_modes(probe)
        N = model.config.N
        if self._probe.shape[-2:] != (N, N):
            raise ConfigError(f"probe is {self._probe.shape[-2:]} but the model takes {(N, N)}")
        if valid_mask is not None and np.shape(valid_mask) != (N, N):
            raise ConfigError(f"valid_mask is {np.shape(valid_mask)} but must be {(N, N)}")
        self._valid = None if valid_mask is None else np.asarray(valid_mask, bool)
        anchor = (0.0, 0.0)
        self._plan: np.ndarray | None = None
        if expected_positions is not None:
            expected_positions = np.asarray(expected_positions, np.float64)
            self._plan = groups_for_inference(expected_positions, model.config.gridsize).indices
            self._waiting = _members_index(self._plan)
            self._missing = np.full(len(self._plan), self._plan.shape[1])
        if self.config.anchor == "mean":
            if expected_positions is None:
                raise ConfigError("anchor 'mean' needs expected_positions: the mean must be known")
            mean = expected_positions.mean(0)
            anchor = (float(mean[0]), float(mean[1]))
        self._expected = expected_positions
        self._stitcher = GroupStitcher(model, self._probe, self.config, anchor)
        self._spool = Spool((N, N))
        self._positions: dict[int, np.ndarray] = {}
        self._placed: set[int] = set()  # seeds whose group is on the canvas
        self.duplicates = 0

    @property
    def arrived(self) -> int:
        """Number of distinct frames so far."""
        return len(self._positions)

    def add(self, frames: np.ndarray, positions: np.ndarray, indices: np.ndarray) -> int:
        """Take frames in.

        Args:
            frames: `(n, N, N)` centred, in `units`; NaN and negative values are masked.
            positions: `(n, 2)` positions (y, x) in object pixels.
            indices: `(n,)` number of each frame in the scan; one seen before is ignored and
                counted in `duplicates`.

        Returns:
            The number of groups on the canvas.

        Raises:
            ScanError: shapes or values that cannot be.
        """
        frames, positions = np.asarray(frames), np.asarray(positions, np.float64)
        indices = np.asarray(indices, np.int64).reshape(-1)
        N = self.model.config.N
        if frames.ndim != 3 or frames.shape[1:] != (N, N):
            raise ScanError(f"frames have shape {frames.shape}, but (n, {N}, {N}) is required")
        if positions.shape != (len(frames), 2) or len(indices) != len(frames):
            raise ScanError(
                f"{len(frames)} frames came with positions {positions.shape} and "
                f"{len(indices)} indices; one (y, x) and one index per frame are required"
            )
        if not np.all(np.isfinite(positions)):
            raise ScanError("a position is not finite; leave out frames whose position is unknown")
        if self._expected is not None and np.any((indices < 0) | (indices >= len(self._expected))):
            raise ScanError(f"an index is outside the {len(self._expected)} expected positions")
        fresh = []
        for row, index in enumerate(indices.tolist()):
            if index in self._positions:
                self.duplicates += 1
            else:
                self._positions[index] = positions[row]
                fresh.append(row)
        if not fresh:
            return len(self._placed)
        encoded = self._encode(frames[fresh])
        ids = indices[fresh]
        if self.model.config.gridsize == 1:
            store = dict(zip(ids.tolist(), encoded, strict=True))
            self._place(ids[:, None], lambda wanted: np.stack([store[i] for i in wanted.tolist()]))
        else:
            self._spool.put(ids, encoded)
            if self._plan is not None:
                self._place(self._complete(ids), self._spool.get)
        return len(self._placed)

    def result(self) -> Reconstruction:
        """The object from all frames that have arrived; may be called at any time, repeatedly.

        Raises:
            ScanError: fewer frames than a group has members.
        """
        members = self.model.config.gridsize**2
        if self.arrived < members:
            raise ScanError(
                f"{self.arrived} frames have arrived, but a group of this model has {members}"
            )
        canvas = self._stitcher.canvas
        known = np.array(sorted(self._positions), np.int64)
        places = np.stack([self._positions[i] for i in known.tolist()])
        open_seeds = np.array([i not in self._placed for i in known.tolist()])
        if open_seeds.any():
            canvas = canvas.copy()
            groups = known[groups_for_inference(places, self.model.config.gridsize).indices]
            groups = groups[open_seeds]
            for _ in self._stitcher.run(groups, self._at, self._spool.get, canvas):
                pass
        return assemble(
            canvas, self.model, self._probe, self._factor, places, known, self.config, "live"
        )

    def _encode(self, frames: np.ndarray) -> np.ndarray:
        values, valid = measured(frames)
        if self._valid is not None:
            valid &= self._valid
        amplitude = values if self._units == "amplitude" else np.sqrt(values)
        return encode(amplitude, valid, self._factor)

    def _complete(self, ids: np.ndarray) -> np.ndarray:
        """Planned groups that became complete with these frames."""
        done = []
        for index in ids.tolist():
            for group in self._waiting.get(index, ()):
                self._missing[group] -= 1
                if self._missing[group] == 0:
                    done.append(group)
        assert self._plan is not None
        return self._plan[done]

    def _place(self, groups: np.ndarray, read: ReadFrames) -> None:
        if not len(groups):
            return
        for _ in self._stitcher.run(groups, self._at, read, self._stitcher.canvas):
            pass
        self._placed.update(groups[:, 0].tolist())

    def _at(self, groups: np.ndarray) -> np.ndarray:
        flat = [self._positions[i] for i in groups.ravel().tolist()]
        return np.array(flat).reshape(*groups.shape, 2)


def reconstruct(
    scan: Scan,
    model: Model,
    config: ReconstructConfig | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Reconstruction:
    """Reconstruct a whole scan with a trained network.

    One group per frame (the frame and its C-1 nearest), all patches placed; frames are read as
    they are needed.

    Args:
        scan: the measurement.
        model: a trained model of the same frame size.
        config: see `ReconstructConfig`; `options` override its fields.
        progress: called with a `Progress` about a hundred times; an exception it raises stops.

    Raises:
        ScanError: frame size or content does not fit the model.
    """
    config = (config or ReconstructConfig()).replace(**options)
    N = model.config.N
    if scan.N != N:
        raise ScanError(
            f"scan {scan.name} has frames of {scan.N} x {scan.N}, but the model was trained on "
            f"{N} x {N}; train a model of that size or crop the frames"
        )
    statistics = scan.statistics()
    own = statistics.exposure_factor
    factor = own if config.exposure == "scan" else model.exposure_factor
    probe = scan.probe_gauge() if scan.probe is not None else model.probe()
    groups = groups_for_inference(
        scan.positions_px, model.config.gridsize, scan.scan_index
    ).indices.astype(np.int32)
    anchor = (0.0, 0.0)
    if config.anchor == "mean":
        mean = scan.positions_px.mean(0)
        anchor = (float(mean[0]), float(mean[1]))
    stitcher = GroupStitcher(model, probe, config, anchor)
    stitcher.canvas.reserve(scan.positions_px)

    def read(indices: np.ndarray) -> np.ndarray:
        return encode(*scan.read(indices), factor)

    def locate(indices: np.ndarray) -> np.ndarray:
        return scan.positions_px[indices]

    total, started, told = len(groups), time.perf_counter(), -1
    for done in stitcher.run(groups, locate, read, stitcher.canvas):
        if progress is not None and (done * 100 // total > told or done == total):
            told = done * 100 // total
            rate = done / max(time.perf_counter() - started, 1e-9)
            progress(Progress(stage="reconstruct", done=done, total=total, rate=rate))
    extra = {
        "exposure": config.exposure,
        "exposure_ratio": own / model.exposure_factor,
        "seconds": {**stitcher.seconds, "total": time.perf_counter() - started},
        "frames": int(total),
        "mean_counts": statistics.mean_counts,
    }
    return assemble(
        stitcher.canvas,
        model,
        probe,
        factor,
        scan.positions_px,
        np.arange(total),
        config,
        scan.name,
        pixel_size_m=scan.pixel_size_m,
        statistics=extra,
        notes=scan.notes,
    )


def assemble(
    canvas: Canvas,
    model: Model,
    probe: np.ndarray,
    factor: float,
    positions: np.ndarray,
    indices: np.ndarray,
    config: ReconstructConfig,
    name: str,
    **extra: Any,
) -> Reconstruction:
    """Canvas and context to a `Reconstruction`; the probe goes back to square root of counts."""
    obj, coverage, origin = canvas.result(synchronise=config.synchronise)
    if not np.all(np.isfinite(obj)):
        raise ScanError(
            f"the reconstruction of {name} has values that are not finite; the model or the "
            "frames are damaged"
        )
    return Reconstruction(
        object=obj,
        origin_px=origin,
        coverage=coverage,
        valid_mask=coverage > 0,
        probe=(probe / factor).astype(np.complex64),
        positions_px=positions,
        frame_indices=indices,
        config={"reconstruct": config.to_dict(), "model": model.config.to_dict()},
        versions=backend.versions(),
        archive_sha256=model.archive_sha256,
        scan_name=name,
        **extra,
    )


def _as_modes(probe: np.ndarray) -> np.ndarray:
    probe = np.asarray(probe, np.complex128)
    probe = probe[None] if probe.ndim == 2 else probe
    return probe * (probe.shape[-1] / 2) / np.sqrt(np.sum(np.abs(probe) ** 2))


def _members_index(groups: np.ndarray) -> dict[int, list[int]]:
    index: dict[int, list[int]] = {}
    for group, members in enumerate(groups.tolist()):
        for member in members:
            index.setdefault(member, []).append(group)
    return index
