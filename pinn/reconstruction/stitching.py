"""Frames through the compiled network, and the patches of their object onto a canvas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from pinn import backend
from pinn.config import ReconstructConfig
from pinn.data.grouping import groups_for_inference
from pinn.networks.trained import Model
from pinn.reconstruction.canvas import Canvas

ReadFrames = Callable[[np.ndarray], np.ndarray]
Locate = Callable[[np.ndarray], np.ndarray]


class Stitcher:
    """Runs frames through the compiled predictor and adds their patches to a canvas.

    A network that sees one frame at a time gets each frame once; any other one gets, for each
    frame, the group of that frame and its nearest neighbours, and all patches of it are added.

    Args:
        model: trained model.
        probe: `(P, N, N)` complex, weights the patches.
        config: batch size, weighting.
        anchor: see `Canvas`.
        contrast: `(2,)` factors of the patches' deviations, see `compile_predictor`.

    Attributes:
        canvas: where patches are added, without those of `half`.
        half: where the patches of one half of the frames are added instead, or None.
        dark: frames without counts; their patches are left out.
        seconds: spent on reading, in the network and on stitching.
    """

    def __init__(
        self,
        model: Model,
        probe: np.ndarray,
        config: ReconstructConfig,
        anchor: tuple[float, float] = (0.0, 0.0),
        contrast: np.ndarray | None = None,
    ) -> None:
        self.N, self.members = model.config.N, model.config.gridsize**2
        self.batch_size = config.batch_size
        self.canvas = Canvas(self.N + 1, anchor)
        self._one_object = not model.config.object_big and self.members > 1
        alone = getattr(model.network.network, "frame_by_frame", False)
        self.frame_by_frame = self.members == 1 or (alone and not self._one_object)
        backend.full_precision()
        self._predict = model.predictor(probe, config, contrast)
        self.half: Canvas | None = None
        self._in_half = np.zeros(0, bool)
        self.dark = 0
        self.seconds = {"read": 0.0, "network": 0.0, "stitch": 0.0}

    def groups(self, positions: np.ndarray, scan_index: np.ndarray | None = None) -> np.ndarray:
        """The groups `(M, C)` that a scan is seen in, one for each frame; C is 1 frame by frame.

        Raises:
            ScanError: fewer frames than a group has members.
        """
        if self.frame_by_frame:
            return np.arange(len(positions), dtype=np.int32)[:, None]
        return groups_for_inference(positions, round(self.members**0.5), scan_index).indices.astype(
            np.int32
        )

    def keep_half(self, in_half: np.ndarray, positions: np.ndarray) -> None:
        """Keep the patches of some frames apart, on the canvas `half`.

        Args:
            in_half: `(M,)` bool; a group goes by its first frame.
            positions: `(M, 2)`, see `Canvas.reserve`.
        """
        self.half = Canvas(self.canvas.size, (self.canvas.anchor[0], self.canvas.anchor[1]))
        self.half.reserve(positions)
        self._in_half = in_half

    @property
    def whole(self) -> Canvas:
        """The canvas of all patches."""
        return self.canvas if self.half is None else self.canvas.plus(self.half)

    def patches_of(self, frames: np.ndarray) -> np.ndarray:
        """Object patches `(b, K, N, N)` of groups of frames `(b, C, N, N)`, b at most the batch
        size; 0 where they have no weight."""
        batch = np.zeros((self.batch_size, self.N, self.N, self.members), np.float32)
        batch[: len(frames)] = np.moveaxis(frames, 1, -1)
        places = np.zeros((self.batch_size, 1 if self._one_object else self.members, 3))
        places[..., 2] = 1.0
        predicted = self._predict(batch, places.astype(np.float32))[: len(frames), :, :-1, :-1]
        weight = predicted[..., 2]
        lit = weight > 1e-6
        patches = (predicted[..., 0] + 1j * predicted[..., 1]) / np.where(lit, weight, 1.0)
        return np.where(lit, patches, 0.0)

    def run(
        self, groups: np.ndarray, locate: Locate, read: ReadFrames, canvas: Canvas
    ) -> Iterator[int]:
        """Add groups `(G, C)` of frame indices; yields the number of groups done so far.

        Args:
            groups: as `groups` makes them.
            locate: indices of any shape `(...)` to their positions `(..., 2)` float64.
            read: indices `(n,)` to encoded frames `(n, N, N)`, -1 at masked pixels.
            canvas: where to add.
        """
        size = self.batch_size * (self.members if self.frame_by_frame else 1)
        for first in range(0, len(groups), size):
            chosen = groups[first : first + size]
            clock = time.perf_counter()
            unique, inverse = np.unique(chosen, return_inverse=True)
            frames = read(unique)[inverse.reshape(chosen.shape)]  # (b, C, N, N)
            lit = np.any(frames > 0, axis=(2, 3))
            self.dark += int(np.count_nonzero(~lit[:, 0]))
            positions = locate(chosen)
            if self._one_object:
                positions = positions.mean(1, keepdims=True)
                lit = np.any(lit, axis=1, keepdims=True)
            corners, fractions = canvas.split(positions)
            places = np.concatenate([fractions, lit[..., None]], axis=-1, dtype=np.float32)
            clock = self._lap("read", clock)
            patches = self._predict_groups(frames, places, size)
            clock = self._lap("network", clock)
            self._add(canvas, chosen[:, 0], corners, patches)
            self._lap("stitch", clock)
            yield first + len(chosen)

    def _predict_groups(self, frames: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
        """Shifted patches `(b, K, N+1, N+1, 3)` of frames `(b, C, N, N)`, in a batch of `size`."""
        count, N = len(frames), self.N
        batch = np.zeros((size, *frames.shape[1:]), np.float32)
        batch[:count] = frames
        padded = np.zeros((size, *places.shape[1:]), np.float32)
        padded[:count] = places
        if self.frame_by_frame:  # single frames fill the places of a group
            batch = batch.reshape(-1, self.members, N, N)
            padded = padded.reshape(-1, self.members, 3)
        patches = self._predict(np.ascontiguousarray(np.moveaxis(batch, 1, -1)), padded)
        return patches.reshape(size, -1, *patches.shape[-3:])[:count]

    def _add(
        self, canvas: Canvas, seeds: np.ndarray, corners: np.ndarray, patches: np.ndarray
    ) -> None:
        if self.half is None or canvas is not self.canvas:
            _add_groups(canvas, corners, patches)
            return
        chosen = self._in_half[seeds]
        _add_groups(self.half, corners[chosen], patches[chosen])
        _add_groups(canvas, corners[~chosen], patches[~chosen])

    def _lap(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] += now - since
        return now


def _add_groups(canvas: Canvas, corners: np.ndarray, patches: np.ndarray) -> None:
    if patches.shape[1] == 1:
        canvas.add_each(corners[:, 0], patches[:, 0])
        return
    for corner, group in zip(corners, patches, strict=True):
        canvas.add(corner, group)
