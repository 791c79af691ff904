"""Batches of groups, read from the scans as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pinn.data.grouping import Groups
from pinn.data.labels import Labels
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
        batch_size: groups in a batch, at most all of an epoch.
        seed: of the order.
        shuffle: mix the groups of all scans anew in every epoch; else scan by scan, in order.
        per_epoch: groups in an epoch, if fewer than there are: the next ones of an endless row in
            which every group comes once before any comes again. Needs `shuffle`.
        labels: of each scan, where the loss compares with them; one that has no groups may have
            None.
        physics_weight: of an epoch, where the loss asks for it.
        numbered: say which frames are in a batch, where positions are learned.

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
        *,
        per_epoch: int | None = None,
        labels: Sequence[Labels | None] | None = None,
        physics_weight: Callable[[int], float] | None = None,
        numbered: bool = False,
    ) -> None:
        if len(scans) != len(groups):
            raise ConfigError(f"{len(scans)} scans came with groups for {len(groups)}")
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but at least 1 is required")
        sizes = sorted({scan.N for scan in scans})
        members = sorted({g.indices.shape[1] for g in groups})
        if len(sizes) > 1:
            raise ScanError(
                f"scans of different frame size {sizes} cannot be mixed in a batch; bring them to "
                "one with frame_size (crop or pad) or bin_frames when they are loaded"
            )
        if len(members) > 1:
            raise ConfigError(f"groups of different size {members} cannot be mixed in a batch")
        self._scans, self._groups = list(scans), list(groups)
        self._seed, self._shuffle = seed, shuffle
        self._owner = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
        self._row = np.concatenate([np.arange(len(g)) for g in groups] or [np.zeros(0, np.int64)])
        self._all = self.groups = len(self._owner)
        if not self.groups:
            raise ScanError("there are no groups to make batches of")
        if per_epoch is not None and per_epoch < 1:
            raise ConfigError(f"groups_per_epoch is {per_epoch}, but at least 1 is required")
        if shuffle and per_epoch is not None:
            self.groups = min(per_epoch, self._all)
        # Never larger than what there is to fill it, which repeated groups would do else.
        self._batch_size = min(batch_size, self.groups)
        self._labels, self._physics_weight = labels, physics_weight
        self._numbered = numbered
        self._starts = np.cumsum([0, *(len(scan) for scan in scans)])
        self._N, self._C = sizes[0], members[0]
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return -(-self.groups // self._batch_size)

    def sample(self, scan: int, most: int) -> Batches | None:
        """Batches of some groups of one scan, spread evenly over it, in order, without labels.

        Args:
            scan: its number.
            most: groups at the most.

        Returns:
            None where the scan has no groups.
        """
        there = len(self._groups[scan])
        if not there:
            return None
        rows = np.unique(np.linspace(0, there - 1, min(there, most)).astype(int))
        chosen = [
            groups.select(rows if number == scan else np.zeros(0, np.int64))
            for number, groups in enumerate(self._groups)
        ]
        return Batches(
            self._scans, chosen, self._batch_size, 0, shuffle=False, numbered=self._numbered
        )

    def batch(self, index: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """One batch.

        Args:
            index: 0 to `len(self) - 1`.
            epoch: from 0; the order depends on it if the groups are shuffled.

        Returns:
            `frames` float32 `(B, N, N, C)`, normalised amplitude, -1 at masked pixels; `offsets`
            float32 `(B, C, 2)` [y, x] in pixels; `scale` float32 `(B,)`, exposure factor of the
            scan; `scan` int32 `(B,)`, number of the scan; `weight` float32 `(B,)`, 1, or 0 for
            the repeated groups that fill up the last batch. With labels also `labels` float32
            `(B, K, N, N, 2)`, 0 where there is none, and `labelled` float32 `(B, K, N, N)`; with a
            weight of the physics `physics_weight` float32 `(B,)`, one number; numbered `frame`
            int32 `(B, C)`, counted through all scans.

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
        numbers = np.empty((B, self._C), np.int32)
        patches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
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
            numbers[mine] = self._starts[number] + members
            if self._labels is not None and (labels := self._labels[number]) is not None:
                patches.append((mine, *labels.read(groups, row[mine])))
        batch = {
            "frames": frames,
            "offsets": offsets,
            "scale": scale,
            "scan": owner.astype(np.int32),
            "weight": weight,
        }
        if self._numbered:
            batch["frame"] = numbers
        if self._labels is not None:
            batch |= _stacked(patches, B)
        if self._physics_weight is not None:
            batch["physics_weight"] = np.full(B, self._physics_weight(epoch), np.float32)
        return batch

    def _epoch_order(self, epoch: int) -> np.ndarray:
        """Groups of an epoch: a piece of the endless row of all rounds through all groups."""
        if not self._shuffle:
            return np.arange(self.groups)
        first, last = epoch * self.groups, (epoch + 1) * self.groups
        rounds = range(first // self._all, (last - 1) // self._all + 1)
        self._orders = {number: self._round(number) for number in rounds}
        row = np.concatenate([self._orders[number] for number in rounds])
        start = first - rounds[0] * self._all
        return row[start : start + self.groups]

    def _round(self, number: int) -> np.ndarray:
        known = self._orders.get(number)
        if known is not None:
            return known
        return np.random.default_rng([self._seed, number]).permutation(self._all)


def _stacked(
    patches: list[tuple[np.ndarray, np.ndarray, np.ndarray]], size: int
) -> dict[str, np.ndarray]:
    """Labels of one batch from those of its scans: rows of the batch, values, where defined."""
    shape = (size, *patches[0][1].shape[1:])
    labels, labelled = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    for rows, values, defined in patches:
        labels[rows, ..., 0], labels[rows, ..., 1] = values.real, values.imag
        labelled[rows] = defined
    return {"labels": labels, "labelled": labelled}
