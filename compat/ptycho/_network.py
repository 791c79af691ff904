"""A trained network as the original's callers use it: `predict([X * intensity_scale, offsets])`."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import pinn
from pinn import backend
from pinn.data.masks import encode
from pinn.errors import ScanError
from ptycho._carried import Origin, origin_of
from ptycho._container import container_of
from ptycho._patches import Context, Patches, group_patches

if TYPE_CHECKING:
    from pinn.networks.trained import Model

_log = logging.getLogger("ptycho")


class DiffractionToObject:
    """From amplitudes to patches of the object.

    Args:
        model: a trained model.
        intensity_scale: what callers multiply `X` with; divided out again.
        backend: where it is to run, if that is not the backend of this process.

    Attributes:
        model: the `pinn.Model`.
        intensity_scale: as given.
    """

    def __init__(self, model: Model, intensity_scale: float, backend: str | None = None) -> None:
        self.model, self.intensity_scale, self.backend = model, intensity_scale, backend
        self._compiled: Any = None

    @property
    def half(self) -> bool:
        """The network predicts an object in the central half of a patch only.

        That is so for archives of the original: they were trained with a ring around it that was
        amplified a thousand times (`pinn.ops.legacy`), and what they say there is no object.
        """
        config = self.model.config
        return config.architecture == "cnn" and config.ring_activation == "swish"

    def __call__(self, inputs: Any, training: bool = False) -> Patches:
        return self.predict(inputs)

    def predict(self, inputs: Any, batch_size: int | None = None, verbose: Any = 0) -> Patches:
        """Patches of the object, one per group.

        Args:
            inputs: `X * intensity_scale` `(B, N, N, C)`, with X an amplitude of mean energy
                `(N/2)^2`; and the members' offsets `(B, 1, 2, C)` [x, y], minus their distance
                from the middle of the group. Pixels below 0 are not used.
            batch_size: groups at a time; default 32.
            verbose: not used.

        Returns:
            `(B, N, N, 1)` complex64: the object around the middle of each group. Of groups of
            another gridsize than the model's, made by `loader.load`, the frames are grouped anew,
            one group for each; `reassemble_position` takes these with the old offsets.

        Raises:
            ScanError: another size than the network's, or values that are not finite.
        """
        scaled, offsets = inputs
        origin = origin_of(scaled)
        if origin is not None and origin.members.shape[1] != self.model.config.gridsize**2:
            return self._regrouped(origin, batch_size)
        frames = np.asarray(scaled, np.float32) / np.float32(self.intensity_scale)
        config = self.model.config
        B, C = len(frames), config.gridsize**2
        if frames.shape[1:] != (config.N, config.N, C):
            raise ScanError(
                f"X is {frames.shape}, but this model takes (B, {config.N}, {config.N}, {C}): "
                f"frames of {config.N} x {config.N} in groups of gridsize {config.gridsize}"
            )
        steps = -np.asarray(offsets, np.float64)
        if steps.size != 2 * B * C:
            raise ScanError(f"offsets are {steps.shape}, but ({B}, 1, 2, {C}) is required")
        steps = np.moveaxis(steps.reshape(B, 2, C), 1, 2)[..., ::-1]
        size = batch_size or 32
        frames = self._masked(frames, origin, size)
        probe = self._probe(origin)
        illumination = self._illumination(probe)
        has_counts = np.any(frames > 0, axis=(1, 2))
        if C > 1 and not config.object_big:
            has_counts = has_counts.any(axis=1, keepdims=True)
        out = np.zeros((B, config.N, config.N, 1), np.complex64)
        weights = np.zeros((B, config.N, config.N), np.float32)
        for first in range(0, B, size):
            part = slice(first, first + size)
            patches = self._patches(frames[part], size)
            if patches.shape[1] == 1:
                out[part, ..., 0] = patches[:, 0]
                weights[part] = illumination * has_counts[part, :, None]
            else:
                merged, weights[part] = group_patches(
                    patches, steps[part], illumination, has_counts[part]
                )
                out[part, ..., 0] = merged
        if not np.all(np.isfinite(out)):
            raise ScanError(
                "the predicted patches have values that are not finite; the model or X is damaged"
            )
        found = out.view(Patches)
        if origin is not None:
            factor = origin.raw.scan().statistics().exposure_factor
            found.context = Context(
                origin.raw, origin.members, probe, weights, self._dead(), factor
            )
        return found

    def _regrouped(self, origin: Origin, batch_size: int | None) -> Patches:
        """Patches of the same frames, in groups as this model takes them."""
        from pinn.data.grouping import groups_for_inference

        config, raw = self.model.config, origin.raw
        _log.info(
            "groups of %s frame(s) were asked for, but this model was trained with gridsize %s: "
            "that counts, and the frames are grouped anew",
            origin.members.shape[1],
            config.gridsize,
        )
        scan = raw.scan()
        if scan.N != config.N:
            raise ScanError(
                f"frames are {scan.N} x {scan.N}, but this model takes {config.N} x {config.N}"
            )
        members = groups_for_inference(scan.positions_px, config.gridsize, scan.scan_index).indices
        made = container_of(raw.grouped(members[np.unique(origin.members)]), raw.probeGuess)
        found = self.predict([made.X * self.intensity_scale, made.local_offsets], batch_size)
        assert found.context is not None
        found.context = replace(found.context, asked=origin.members)
        return found

    def _masked(self, frames: np.ndarray, origin: Origin | None, size: int) -> np.ndarray:
        """The frames with -1 at pixels that hold no measurement."""
        valid = np.isfinite(frames) & (frames >= 0)
        if (dead := self._dead()) is not None:
            valid &= ~dead[:, :, None]
        if origin is not None:
            scan = origin.raw.scan()
            for first in range(0, len(frames), size):
                rows = origin.members[first : first + size]
                here = scan.read(rows.reshape(-1))[1].reshape(*rows.shape, *frames.shape[1:3])
                valid[first : first + size] &= np.moveaxis(here, 1, -1)
        return encode(np.where(valid, frames, 0), valid, 1.0)

    def _probe(self, origin: Origin | None) -> np.ndarray:
        """`(P, N, N)` in the gauge: as training left it, or the scan's own, or the model's."""
        if origin is None:
            return self.model.probe()
        from pinn.data.fingerprint import digest

        scan = origin.raw.scan()
        trained = self.model.scan_number(digest(scan))
        if trained is not None:
            return self.model.probe(trained)
        return self.model.probe() if scan.probe is None else scan.probe_gauge()

    def _illumination(self, probe: np.ndarray) -> np.ndarray:
        """Weight `(N, N)` of a patch: its illumination, where the network predicts an object."""
        illumination = np.sum(np.abs(probe) ** 2, axis=0)
        if self.half:
            N = self.model.config.N
            centre = np.zeros_like(illumination)
            centre[N // 4 : N - N // 4, N // 4 : N - N // 4] = 1.0
            illumination = illumination * centre
        return illumination / illumination.max()

    def _dead(self) -> np.ndarray | None:
        """Pixels `(N, N)` that training did not look at; the network has seen 0 there."""
        known = self.model.provenance.get("dead_pixels")
        if not known:
            return None
        dead = np.zeros(self.model.config.N**2, bool)
        dead[np.asarray(known, np.int64)] = True
        return dead.reshape(self.model.config.N, -1)

    def _patches(self, frames: np.ndarray, size: int) -> np.ndarray:
        """`(b, K, N, N)` complex64."""
        if self.backend is not None:
            return self._worker().predict(frames, self.model, batch_size=size)
        if self._compiled is None:
            backend.full_precision()
            from pinn.remote.patches import ObjectPatches

            self._compiled = backend.compile_inference(ObjectPatches(self.model.network))
        batch = np.zeros((size, *frames.shape[1:]), np.float32)
        batch[: len(frames)] = frames
        pairs = self._compiled(batch)[: len(frames)]
        return (pairs[..., 0] + 1j * pairs[..., 1]).astype(np.complex64)

    def close(self) -> None:
        """End the worker process, where there is one; the next `predict` starts another."""
        if self.backend is not None and self._compiled is not None:
            self._compiled.close()
            self._compiled = None

    def _worker(self) -> Any:
        if self._compiled is None:
            assert self.backend is not None
            self._compiled = pinn.remote.Worker(self.backend)
        return self._compiled
