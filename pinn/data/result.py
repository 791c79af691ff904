"""What a reconstruction is: the object with its place, the probe, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pinn.errors import InputError

_OPTIONAL = ("disagreement", "frame_likelihood", "frame_factors", "positions_start_px")


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Object, probe and provenance; arrays are brought to the stated dtype and checked.

    Attributes:
        object: `(H, W)` complex64, dimensionless.
        origin_px: `(2,)` float64 (y, x): object coordinate of pixel `[0, 0]`, in pixels.
        coverage: `(H, W)` float32 >= 0: weight with which patches covered a pixel.
        valid_mask: `(H, W)` bool, True = use the pixel. Elsewhere the object is that of the start,
            or continued from the nearest pixels.
        probe: `(P, N, N)` complex64 in square root of counts, or None; `(N, N)` is one mode.
        positions_px: `(M, 2)` float64 (y, x): object coordinate of patch index N/2.
        frame_indices: `(M,)` int64: the frame of the scan at each position.
        pixel_size_m: side of an object pixel in metres, or None.
        disagreement: `(H, W)` float32 >= 0, in units of the object: spread (standard deviation)
            of what the patches over a pixel say of it; 0 where that is not known, as under fewer
            than two patches; or None.
        frame_likelihood: `(M,)` float32: Poisson deviance of each frame, per valid pixel, of what
            object, probe and positions predict; about 1 at the noise floor where counts are well
            above 1. NaN where not known; or None.
        background: `(N, N)` float32 >= 0, counts added to every frame, or None.
        frame_factors: `(M,)` float32 >= 0, relative intensity of each frame, or None.
        probe_variations: `(V, P, N, N)` complex64 or None: the probe of frame j is
            `sum_v probe_weights[j, v] probe_variations[v]`. `probe` is the first of them.
        probe_weights: `(M, V)` float32, or None; needs `probe_variations`.
        positions_start_px: `(M, 2)` float64 (y, x): the positions before they were corrected, or
            None.
        verdict: one sentence on how far the result can be trusted, or "".
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
    disagreement: np.ndarray | None = None
    frame_likelihood: np.ndarray | None = None
    background: np.ndarray | None = None
    frame_factors: np.ndarray | None = None
    probe_variations: np.ndarray | None = None
    probe_weights: np.ndarray | None = None
    positions_start_px: np.ndarray | None = None
    verdict: str = ""
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
            ("disagreement", np.float32, shape),
            ("frame_likelihood", np.float32, (frames,)),
            ("frame_factors", np.float32, (frames,)),
            ("positions_start_px", np.float64, (frames, 2)),
        ):
            if getattr(self, name) is not None or name not in _OPTIONAL:
                self._set(name, dtype)
                self._need(name, getattr(self, name).shape == wanted, str(wanted))
        self._set_probe(frames)
        for name in ("origin_px", "positions_px", "positions_start_px", "probe_weights"):
            if (array := getattr(self, name)) is not None and not np.isfinite(array).all():
                raise InputError(f"{name} of a reconstruction has values that are not finite")
        for name in ("coverage", "disagreement", "background", "frame_factors"):
            if (array := getattr(self, name)) is not None and not np.all(array >= 0):
                raise InputError(f"{name} of a reconstruction has negative or undefined values")
        if self.pixel_size_m is not None:
            object.__setattr__(self, "pixel_size_m", float(self.pixel_size_m))
            if not (np.isfinite(self.pixel_size_m) and self.pixel_size_m > 0):
                raise InputError(
                    f"pixel_size_m of a reconstruction is {self.pixel_size_m}; it must be "
                    "positive, or None where it is not known"
                )
        object.__setattr__(self, "losses", [float(value) for value in self.losses])
        object.__setattr__(self, "notes", tuple(self.notes))
        object.__setattr__(self, "verdict", str(self.verdict))
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

    def _set_probe(self, frames: int) -> None:
        if self.probe_variations is not None:
            self._set("probe_variations", np.complex64)
            shape = self.probe_variations.shape
            square = self.probe_variations.ndim == 4 and shape[2] == shape[3]
            self._need(
                "probe_variations", square and self.probe_variations.size > 0, "(V, P, N, N)"
            )
            if self.probe is None:
                object.__setattr__(self, "probe", self.probe_variations[0])
        if self.probe is not None:
            self._set("probe", np.complex64)
            if self.probe.ndim == 2:
                object.__setattr__(self, "probe", self.probe[None])
            square = self.probe.ndim == 3 and self.probe.shape[1] == self.probe.shape[2]
            self._need("probe", square and self.probe.size > 0, "(P, N, N)")
            first = self.probe_variations
            if first is not None and not np.array_equal(self.probe, first[0], equal_nan=True):
                raise InputError(
                    "probe of a reconstruction is not the first of its probe_variations"
                )
        if self.probe_weights is not None:
            if self.probe_variations is None:
                raise InputError("probe_weights of a reconstruction need probe_variations")
            wanted = (frames, len(self.probe_variations))
            self._set("probe_weights", np.float32)
            self._need("probe_weights", self.probe_weights.shape == wanted, str(wanted))
        if self.background is not None:
            self._set("background", np.float32)
            shape = self.background.shape
            fits = len(shape) == 2 and shape[0] == shape[1] and self.background.size > 0
            if self.probe is not None:
                fits = fits and shape == self.probe.shape[1:]
            self._need("background", fits, "(N, N), that of the probe,")

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
