"""What a reconstruction is: the object with its place, the probe, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pinn.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstruction:
    """Object, probe and provenance; arrays are brought to the stated dtype and checked.

    Attributes:
        object: `(H, W)` complex64, dimensionless.
        origin_px: `(2,)` float64 (y, x): object coordinate of pixel `[0, 0]`, in pixels.
        coverage: `(H, W)` float32 >= 0: weight with which patches covered a pixel.
        valid_mask: `(H, W)` bool, True = use the pixel.
        probe: `(P, N, N)` complex64 in square root of counts, or None; `(N, N)` is one mode.
        positions_px: `(M, 2)` float64 (y, x): object coordinate of patch index N/2.
        frame_indices: `(M,)` int64: the frame of the scan at each position.
        pixel_size_m: side of an object pixel in metres, or None.
        frame_likelihood: `(M,)` float32 per frame, or None.
        config: resolved configuration, JSON-ready (tuples come back from a file as lists).
        statistics: numbers about the run, JSON-ready.
        versions: versions of the libraries that made it.
        archive_sha256: checksum of the model's archive, or None.
        losses: loss of each epoch, where there are epochs.
        scan_name: name of the scan.
        notes: sentences for the user.
        acquisition: known facts of the measurement by the names of the ptychodus product
            (`photon_energy_eV`, `detector_object_distance_m`, `exposure_time_s`, ...); what is
            not finite is not known and is left out.

    Raises:
        InputError: shapes that contradict each other, or values that cannot be.
    """

    object: np.ndarray
    origin_px: np.ndarray
    coverage: np.ndarray
    valid_mask: np.ndarray
    positions_px: np.ndarray
    frame_indices: np.ndarray
    probe: np.ndarray | None = None
    pixel_size_m: float | None = None
    frame_likelihood: np.ndarray | None = None
    config: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    archive_sha256: str | None = None
    losses: list[float] = field(default_factory=list)
    scan_name: str = ""
    notes: tuple[str, ...] = ()
    acquisition: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._set("object", np.complex64)
        self._need("object", self.object.ndim == 2 and self.object.size > 0, "(H, W)")
        shape, frames = self.object.shape, len(np.atleast_1d(self.positions_px))
        for name, dtype, wanted in (
            ("origin_px", np.float64, (2,)),
            ("coverage", np.float32, shape),
            ("valid_mask", np.bool_, shape),
            ("positions_px", np.float64, (frames, 2)),
            ("frame_indices", np.int64, (frames,)),
            ("frame_likelihood", np.float32, (frames,)),
        ):
            if getattr(self, name) is not None or name != "frame_likelihood":
                self._set(name, dtype)
                self._need(name, getattr(self, name).shape == wanted, str(wanted))
        if self.probe is not None:
            self._set("probe", np.complex64)
            if self.probe.ndim == 2:
                object.__setattr__(self, "probe", self.probe[None])
            square = self.probe.ndim == 3 and self.probe.shape[1] == self.probe.shape[2]
            self._need("probe", square and self.probe.size > 0, "(P, N, N)")
        for name in ("origin_px", "positions_px"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} of a reconstruction has values that are not finite")
        if not np.all(self.coverage >= 0):
            raise InputError("coverage of a reconstruction has negative or undefined values")
        if self.pixel_size_m is not None:
            object.__setattr__(self, "pixel_size_m", float(self.pixel_size_m))
            if not (np.isfinite(self.pixel_size_m) and self.pixel_size_m > 0):
                raise InputError(
                    f"pixel_size_m of a reconstruction is {self.pixel_size_m}; it must be "
                    "positive, or None where it is not known"
                )
        object.__setattr__(self, "losses", [float(value) for value in self.losses])
        object.__setattr__(self, "notes", tuple(self.notes))
        known = {key: float(value) for key, value in self.acquisition.items()}
        known = {key: value for key, value in known.items() if np.isfinite(value)}
        object.__setattr__(self, "acquisition", known)

    @property
    def amplitude(self) -> np.ndarray:
        """Modulus of the object, `(H, W)` float32."""
        amplitude: np.ndarray = np.abs(self.object)
        return amplitude

    @property
    def phase(self) -> np.ndarray:
        """Phase of the object in radians in (-pi, pi], `(H, W)` float32."""
        phase = np.angle(self.object)
        return np.where(phase <= -np.float32(np.pi), np.float32(np.pi), phase)

    def save(self, path: str | Path) -> Path:
        """Write `reconstruction.h5` (see `pinn.io.product`); returns the file's path.

        Raises:
            OutputError: the place cannot be written.
        """
        from pinn.io.product import write_product

        return write_product(path, self)

    def _set(self, name: str, dtype: Any) -> None:
        try:
            array = np.asarray(getattr(self, name)).astype(dtype, casting="unsafe", copy=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{name} of a reconstruction is no array of numbers: {error}"
            ) from None
        object.__setattr__(self, name, array)

    def _need(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise InputError(
                f"{name} of a reconstruction has shape {getattr(self, name).shape}, but {wanted} "
                "is required"
            )
