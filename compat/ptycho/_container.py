"""What training and inference read: `PtychoDataContainer`, made by `load`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pinn.errors import ConfigError
from ptycho._carried import Origin, carried
from ptycho._dictionary import LEGACY
from ptycho._files import write_arrays
from ptycho._grouped import Grouped
from ptycho._raw import RawData


class PtychoDataContainer:
    """Groups of a scan, as NumPy arrays.

    Attributes:
        X: `(B, N, N, C)` float32, amplitude of mean energy `(N/2)^2`.
        Y_I, Y_phi: `(B, N, N, C)` float32, modulus and phase of the labels; ones and zeros where
            there are none.
        Y: the two together, complex64.
        YY_full: the object they were cut from, or None.
        coords_nominal, coords_true, coords: `(B, 1, 2, C)` float32 [x, y], minus each member's
            distance from the middle of its group; the nominal, the true, the true.
        local_offsets: the true ones, float64.
        global_offsets: `(B, 1, 2, 1)` float64 [x, y], middle of each group.
        nn_indices: `(B, C)`, numbers of the frames.
        norm_Y_I: sqrt(nphotons) / (N/2), from X to the square root of counts.
        probe: `(N, N)` or `(modes, N, N)` complex64.
        raw: the scan, or None for a container made from arrays.
        members: int64 `(B, C)`, numbers of its frames.
    """

    def __init__(
        self,
        X: np.ndarray,
        Y_I: np.ndarray | None = None,
        Y_phi: np.ndarray | None = None,
        norm_Y_I: float | None = None,
        YY_full: np.ndarray | None = None,
        coords_nominal: np.ndarray | None = None,
        coords_true: np.ndarray | None = None,
        nn_indices: np.ndarray | None = None,
        global_offsets: np.ndarray | None = None,
        local_offsets: np.ndarray | None = None,
        probeGuess: np.ndarray | None = None,
        *,
        raw: RawData | None = None,
        members: np.ndarray | None = None,
    ) -> None:
        self.raw, self.members = raw, members
        origin = None if raw is None or members is None else Origin(raw, members)
        self.X = carried(np.asarray(X, np.float32), origin)
        self._Y_I, self._Y_phi = Y_I, Y_phi
        self.norm_Y_I = _scale(self.X.shape[1]) if norm_Y_I is None else norm_Y_I
        self.YY_full = YY_full
        self.nn_indices = nn_indices
        self.local_offsets = None if local_offsets is None else carried(local_offsets, origin)
        self.global_offsets = None if global_offsets is None else carried(global_offsets, origin)
        true = local_offsets if coords_true is None else coords_true
        nominal = true if coords_nominal is None else coords_nominal
        self.coords_true = None if true is None else np.asarray(true, np.float32)
        self.coords_nominal = None if nominal is None else np.asarray(nominal, np.float32)
        self.coords = self.coords_true
        self.probe = None if probeGuess is None else np.asarray(probeGuess, np.complex64)

    def __len__(self) -> int:
        return len(self.X)

    @property
    def Y_I(self) -> np.ndarray:
        """Modulus of the labels."""
        return np.ones(self.X.shape, np.float32) if self._Y_I is None else self._Y_I

    @property
    def Y_phi(self) -> np.ndarray:
        """Phase of the labels in radians."""
        return np.zeros(self.X.shape, np.float32) if self._Y_phi is None else self._Y_phi

    @property
    def Y(self) -> np.ndarray:
        """The labels, complex64."""
        return (self.Y_I * np.exp(1j * self.Y_phi)).astype(np.complex64)

    @classmethod
    def from_raw_data_without_pc(
        cls,
        xcoords: Any,
        ycoords: Any,
        diff3d: Any,
        probeGuess: Any,
        scan_index: Any,
        objectGuess: Any = None,
        N: int | None = None,
        K: int = 7,
        nsamples: int | None = 1,
    ) -> PtychoDataContainer:
        """Arrays to groups to a container; see `RawData` and `generate_grouped_data`."""
        raw = RawData.from_coords_without_pc(
            xcoords, ycoords, diff3d, probeGuess, scan_index, objectGuess
        )
        groups = raw.generate_grouped_data(N or 0, K=K, nsamples=nsamples)
        return container_of(groups, raw.probeGuess)

    def to_npz(self, path: str | Path) -> None:
        """Write the arrays, in one step.

        Raises:
            OutputError: the place cannot be written.
        """
        names = (
            *("X", "Y_I", "Y_phi", "norm_Y_I", "YY_full", "coords_nominal", "coords_true"),
            *("nn_indices", "global_offsets", "local_offsets", "probe"),
        )
        values = {name: getattr(self, name) for name in names}
        write_arrays(path, {k: np.asarray(v) for k, v in values.items() if v is not None})


class PtychoDataset:
    """A container to train on and one to test on."""

    def __init__(self, train_data: Any, test_data: Any = None) -> None:
        self.train_data, self.test_data = train_data, test_data


def load(
    cb: Callable[[], Any],
    probeGuess: Any,
    which: str | None = None,
    create_split: bool = False,
    **options: Any,
) -> PtychoDataContainer:
    """From groups to a container.

    Args:
        cb: gives the dictionary of `generate_grouped_data`; with `create_split` that and the
            share of the groups, from the first on, that is for training.
        probeGuess: `(N, N)` or `(modes, N, N)` complex.
        which: `train` or `test`, with `create_split`.
        create_split: take one of the two parts.
        options: not used.

    Raises:
        ConfigError: another `which`.
    """
    groups = cb()
    if not create_split:
        return container_of(groups, probeGuess)
    groups, share = groups
    if which not in ("train", "test"):
        raise ConfigError(f"which is {which!r}, but train or test is required to take a part")
    count = int(len(groups["X_full"]) * share)
    rows = slice(None, count) if which == "train" else slice(count, None)
    return container_of(groups, probeGuess, rows)


def container_of(
    groups: dict[str, Any], probe: Any, rows: slice = slice(None)
) -> PtychoDataContainer:
    """Some of the groups as a container."""
    labels = groups.get("Y")
    raw, members = None, None
    if isinstance(groups, Grouped):
        raw, members = groups.raw, groups.members[rows]
    return PtychoDataContainer(
        groups["X_full"][rows],
        None if labels is None else np.abs(labels[rows]).astype(np.float32),
        None if labels is None else np.angle(labels[rows]).astype(np.float32),
        None,
        groups.get("objectGuess"),
        groups.get("coords_start_relative", groups["coords_relative"])[rows],
        groups["coords_relative"][rows],
        groups["nn_indices"][rows],
        groups["coords_offsets"][rows],
        groups["coords_relative"][rows],
        probe,
        raw=raw,
        members=members,
    )


def _scale(N: int) -> float:

    return math.sqrt(float(LEGACY.get("nphotons"))) / (N / 2)
