"""Batches of groups, read from the scans as they are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pinn.data.grouping import Groups
from pinn.data.masks import encode
from pinn.data.scan import Scan
from pinn.errors import ConfigError, ScanError

_CACHED_PIXELS = 1 << 17  # worked on at a time, so that they stay in the processor's cache


class Batches:
    """Batches of the groups of one or several scans, all of the same static shapes.

    A batch is a function of its number, the epoch and the seed, so an interrupted run sees after
    its resumption what it would have seen. Only the frames of a batch are read, each once.

    Args:
        scans: of one frame size.
        groups: groups of each scan; some may have none.
        batch_size: groups in a batch.
        seed: of the order.
        shuffle: mix the groups of all scans anew in every epoch; else scan by scan, in order.

    Attributes:
        groups: number of groups in an epoch.

    Raises:
        ScanError: scans of different frame size, or no groups.
        ConfigError: groups of different size, or a batch size below 1.
    """

    def __init__(
        self,
        scans: Sequence[Scan],
        groups: Sequence[Groups],
        batch_size: int,
        seed: int,
        shuffle: bool = True,
    ) -> None:
        if len(scans) != len(groups):
            raise ConfigError(f"{len(scans)} scans came with groups for {len(groups)}")
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but at least 1 is required")
        sizes = sorted({scan.N for scan in scans})
        members = sorted({g.indices.shape[1] for g in groups})
        if len(sizes) > 1:
            raise ScanError(f"scans of different frame size {sizes} cannot be mixed in a batch")
        if len(members) > 1:
            raise ConfigError(f"groups of different size {members} cannot be mixed in a batch")
        self._scans, self._groups = list(scans), list(groups)
        self._batch_size, self._seed, self._shuffle = batch_size, seed, shuffle
        self._owner = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
        self._row = np.concatenate([np.arange(len(g)) for g in groups] or [np.zeros(0, np.int64)])
        self.groups = len(self._owner)
        if not self.groups:
            raise ScanError("there are no groups to make batches of")
        self._N, self._C = sizes[0], members[0]
        self._order: tuple[int, np.ndarray] = (-1, self._row)

    def __len__(self) -> int:
        return -(-self.groups // self._batch_size)

    def batch(self, index: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """One batch.

        Args:
            index: 0 to `len(self) - 1`.
            epoch: from 0; the order depends on it if the groups are shuffled.

        Returns:
            `frames` float32 `(B, N, N, C)`, normalised amplitude, -1 at masked pixels; `offsets`
            float32 `(B, C, 2)` [y, x] in pixels; `scale` float32 `(B,)`, exposure factor of the
            scan; `scan` int32 `(B,)`, number of the scan; `weight` float32 `(B,)`, 1, or 0 for
            the repeated groups that fill up the last batch.

        Raises:
            IndexError: there is no such batch.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        B = self._batch_size
        chosen = self._epoch_order(epoch)[index * B : (index + 1) * B]
        weight = (np.arange(B) < len(chosen)).astype(np.float32)
        chosen = np.resize(chosen, B)
        owner, row = self._owner[chosen], self._row[chosen]
        frames = np.empty((B, self._N, self._N, self._C), np.float32)
        offsets = np.empty((B, self._C, 2), np.float32)
        scale = np.empty(B, np.float32)
        step = max(1, _CACHED_PIXELS // self._N**2)
        for number in np.unique(owner):
            mine = np.flatnonzero(owner == number)
            scan, groups = self._scans[number], self._groups[number]
            factor = scan.statistics().exposure_factor
            members = groups.indices[row[mine]]
            unique, inverse = np.unique(members, return_inverse=True)
            amplitude, valid = scan.read(unique)
            for first in range(0, len(unique), step):
                part = slice(first, first + step)
                amplitude[part] = encode(amplitude[part], valid[part], factor)
            # member by member: one pass over the batch, without a copy of it in another order
            for place, frame in np.ndenumerate(inverse.reshape(members.shape)):
                frames[mine[place[0]], :, :, place[1]] = amplitude[frame]
            offsets[mine] = groups.offsets[row[mine]]
            scale[mine] = factor
        return {
            "frames": frames,
            "offsets": offsets,
            "scale": scale,
            "scan": owner.astype(np.int32),
            "weight": weight,
        }

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if not self._shuffle:
            return np.arange(self.groups)
        known, order = self._order
        if known != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(self.groups)
            self._order = (epoch, order)
        return order


def split_groups(groups: Groups, fraction: float, seed: int) -> tuple[Groups, Groups]:
    """Split off a share of the groups by region.

    The groups are ordered by their centres along the longer axis of the scan, and a block at one
    end (`seed` picks which) is held out. Groups next to the block that share a frame with it are
    left out of both, so that no held-out frame is trained on.

    Args:
        fraction: share to hold out, rounded to whole groups; 0 holds out nothing.

    Returns:
        Groups to learn from, and held-out groups (maybe none).

    Raises:
        ConfigError: nothing is left to learn from.
    """
    count = math.floor(fraction * len(groups) + 0.5)
    if count == 0:
        return groups, groups.select(np.zeros(0, np.int64))
    axis = int(np.argmax(np.ptp(groups.centres, axis=0)))
    order = np.lexsort((np.arange(len(groups)), groups.seeds, groups.centres[:, axis]))
    if np.random.default_rng(seed).integers(2):
        order = order[::-1]
    held = groups.select(np.sort(order[:count]))
    shared = np.isin(groups.indices, held.indices).any(axis=1)
    learn = groups.select(np.flatnonzero(~shared))
    if not len(learn):
        raise ConfigError(
            f"holding out {fraction:g} of {len(groups)} groups leaves none to learn from that "
            "shares no frame with them; hold out less (validation_fraction) or make more groups"
        )
    return learn, held
