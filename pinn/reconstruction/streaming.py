"""Incremental reconstruction while frames arrive."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pinn.config import ReconstructConfig
from pinn.data.masks import encode, measured
from pinn.data.position_check import check_positions
from pinn.data.validation import Subject, check_positive, check_probe
from pinn.errors import ConfigError, ScanError
from pinn.io.product import Reconstruction
from pinn.networks.trained import Model
from pinn.reconstruction.arrivals import Arrivals, Plan
from pinn.reconstruction.assembly import assemble
from pinn.reconstruction.spool import Spool
from pinn.reconstruction.stitching import ReadFrames, Stitcher


class Reconstructor:
    """Incremental reconstruction of frames that may arrive late, out of order or not at all.

    The result depends only on which frames have arrived, not on their order or packets. A network
    that sees one frame at a time places each frame when it arrives. For any other one, every frame
    is grouped with its C-1 nearest neighbours among those that arrived, and all patches of its
    group are placed. With `expected_positions` a group is placed as soon as no nearer frame
    can come; without, or for frames whose neighbours are missing, it is placed by `result`.
    Frames still needed wait in an unnamed temporary file (TMPDIR), never in memory.

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
        N = model.config.N
        of = Subject("the Reconstructor", "exposure_factor", side=N)
        factor = check_positive(exposure_factor, of)
        self._factor = model.exposure_factor if factor is None else factor
        variations = check_probe(probe, replace(of, name="probe"))
        modes = None if variations is None else variations[0]
        self._probe = model.probe() if modes is None else modes
        self._probe_counts = model.probe_counts()
        if modes is not None:
            self._probe = modes * (N / 2) / np.sqrt(np.sum(np.abs(modes) ** 2))
            self._probe_counts = self._probe / self._factor
        if valid_mask is not None and np.shape(valid_mask) != (N, N):
            raise ConfigError(f"valid_mask is {np.shape(valid_mask)} but must be {(N, N)}")
        self._valid = None if valid_mask is None else np.asarray(valid_mask, bool)
        anchor = (0.0, 0.0)
        self._plan: Plan | None = None
        self._expected = 0
        if expected_positions is not None:
            self._expected = len(expected_positions)
            of = Subject("expected_positions", frames=self._expected)
            expected = check_positions(expected_positions, of)
            if self.config.anchor == "mean":
                mean = expected.mean(0)
                anchor = (float(mean[0]), float(mean[1]))
        elif self.config.anchor == "mean":
            raise ConfigError("anchor 'mean' needs expected_positions: the mean must be known")
        contrast = model.contrast() if modes is None else None  # goes with the model's own probe
        if model.network.unrolled:
            raise ConfigError(
                "the unrolled network needs the whole scan, and frames that arrive one after the "
                "other have none yet; take a model of another network"
            )
        self._stitcher = Stitcher(model, self._probe, self.config, anchor, contrast)
        self._alone = self._stitcher.frame_by_frame
        if expected_positions is not None:
            self._plan = Plan(self._stitcher.groups(expected))
        self._spool = Spool((N, N))
        self._arrivals = Arrivals()
        self.duplicates = 0

    @property
    def arrived(self) -> int:
        """Number of distinct frames so far."""
        return len(self._arrivals)

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
        if self._plan is not None and np.any((indices < 0) | (indices >= self._expected)):
            raise ScanError(f"an index is outside the {self._expected} expected positions")
        if frames.dtype.kind not in "biuf":
            raise ScanError(f"frames are of type {frames.dtype}, but real numbers are required")
        chosen = self._arrivals.fresh(indices)
        self.duplicates += len(indices) - len(chosen)
        if not len(chosen):
            return self._arrivals.placed
        encoded, ids = self._encode(frames[chosen]), indices[chosen]
        if not self._alone or self.config.calibrate:
            self._spool.put(self._arrivals.next_rows(len(ids)), encoded)
        self._arrivals.record(ids, positions[chosen])  # last: a failed packet may come again
        if self._alone:
            store = dict(zip(ids.tolist(), encoded, strict=True))
            self._place(ids[:, None], lambda wanted: np.stack([store[i] for i in wanted.tolist()]))
        elif self._plan is not None:
            self._place(self._plan.arrive(ids), self._waiting)
        return self._arrivals.placed

    def result(self) -> Reconstruction:
        """The object from all frames that have arrived; may be called at any time, repeatedly.

        Raises:
            ScanError: fewer frames than a group has members.
        """
        members = 1 if self._alone else self.model.config.gridsize**2
        if self.arrived < members:
            raise ScanError(
                f"{self.arrived} frames have arrived, but a group of this model has {members}"
            )
        canvas = self._stitcher.canvas
        numbers, positions, placed = self._arrivals.sorted()
        if not placed.all():
            canvas = canvas.copy()
            groups = numbers[self._stitcher.groups(positions)]
            for _ in self._stitcher.run(
                groups[~placed], self._arrivals.positions, self._waiting, canvas
            ):
                pass
        statistics = {
            "frames": len(numbers),
            "duplicates": self.duplicates,
            "exposure_ratio": self._factor / self.model.exposure_factor,
        }
        return assemble(
            canvas,
            self.model,
            self._probe,
            self._probe_counts,
            self._waiting,
            positions,
            numbers,
            self.config,
            "live",
            statistics=statistics,
        )

    def _encode(self, frames: np.ndarray) -> np.ndarray:
        values, valid = measured(frames, units=self._units)
        if self._valid is not None:
            valid &= self._valid
        amplitude = values if self._units == "amplitude" else np.sqrt(values)
        return encode(amplitude, valid, self._factor)

    def _waiting(self, numbers: np.ndarray) -> np.ndarray:
        return self._spool.get(self._arrivals.rows(numbers))

    def _place(self, groups: np.ndarray, read: ReadFrames) -> None:
        if len(groups):
            for _ in self._stitcher.run(
                groups, self._arrivals.positions, read, self._stitcher.canvas
            ):
                pass
            self._arrivals.mark_placed(groups[:, 0])
