"""A measurement: each attribute of a scan is named, documented and given its check here, once.

Readers fill one (see `pinn.io.contents`), steps of the preparation make others of it, a
`pinn.data.scan.Scan` is one that was checked. An attribute that is added here needs to be named
nowhere else to be selected, handed to other processes, and, if it is a fact, kept in files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, get_type_hints

import numpy as np

from pinn.data import geometry
from pinn.data import validation as check
from pinn.data.dose import Dose
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.data.position_check import check_nominal, check_positions
from pinn.data.simulated_parts import SimulatedParts


@dataclass(frozen=True)
class Kind:
    """What an attribute is, besides its type.

    Attributes:
        check: brings a value to the type a scan holds, or refuses it.
        axes: of an array with an entry for each frame on the first of them; one of fewer axes
            belongs to all frames.
        fact: a number or word of the measurement, which files of ours keep under its name.
        label: what results are compared with, and nothing is computed from.
    """

    check: Callable[[Any, check.Subject], Any] | None = None
    axes: int = 0
    fact: bool = False
    label: bool = False


Positive = Annotated[float | None, Kind(check.check_positive)]
PositiveFact = Annotated[float | None, Kind(check.check_positive, fact=True)]


@dataclass(eq=False, repr=False)
class Measurement:
    """One measurement, or several that share a detector and a probe (see `scan_index`).

    Attributes:
        frames: `(M, N, N)` real array or `FrameSource`, as they are stored.
        positions_px: `(M, 2)` [y, x] float64 in object pixels: where pixel `[N/2, N/2]` of a patch
            lies; None as long as only other units are known.
        probe: `(N, N)`, `(N, N, 1)`, `(P, N, N)` or `(V, P, N, N)` complex, square root of counts;
            any scale. P incoherent modes, V coherent variations of them (OPR).
        valid_mask: `(N, N)` or `(M, N, N)` bool, True = use the pixel, laid out as the frames are;
            the latter also as a `FrameSource`. Values that are not finite, negative, saturated or
            sentinels are masked besides.
        units: `counts`, `intensity`, `amplitude`, or `auto` (also None): counts for integer types
            and whole numbers above 1, else amplitude.
        centre: where the zero frequency of the stored frames is: at `[N/2, N/2]` (`centred`), at
            `[0, 0]` (`corner`), or to be found out (`auto`, also None).
        truth: `(H, W)` complex object of a simulation.
        truth_origin_px: (y, x), position of its pixel `[0, 0]`.
        photons_per_frame: mean number of counts per frame of the whole scan, to which the values
            are scaled.
        scan_index: `(M,)` whole numbers; groups never mix frames of different ones.
        pixel_size_m: side of an object pixel in metres.
        name: for messages and results.
        source: file the scan came from.
        positions_nominal_px: `(M, 2)` positions as commanded, if they differ.
        notes: sentences worth showing, for instance from a reader.
        probe_weights: `(M, V)`, weight of each variation in each frame.
        label_patches: `(M, N, N)` complex array or source, the object under each frame.
        energy_ev: of a photon, or kinetic energy of an electron.
        distance_m: from sample to detector.
        detector_pixel_m: side of a detector pixel, of these frames.
        particle: `photon` or `electron`.
        propagation: from the object to the detector, by the names of `pinn.ops.propagate`.
        detector_response: of the detector's pixels, by the names of `pinn.ops.detector`.
        saturation: stored values from this one on are not used.
        acquisition: further numbers of the measurement by the names of the ptychodus product
            (`exposure_time_s`, ...); those that are not finite are left out.
        steps: records of how the frames were prepared, JSON-ready, each with its `step`.
        positions_from_m: the positions were lengths, which were turned into pixels.
        dose: of the whole scan, where these frames or their pixels are some of it; None: these
            are all, and their mean is `photons_per_frame`.
        files: every file the measurement was read from; none of them is written over.
        made_with: what a simulation's frames were made with, for comparison; not checked.
        probe_variations: `(V, P, N, N)` complex, or None where there is one only; `probe` is then
            the first of them.
        units_given: the units were said, by a file or an option, and not found out.
        centred: the frames and their mask were moved to the centre since they were stored.
        kinds: what the attributes are besides their type, by name.
    """

    kinds: ClassVar[Mapping[str, Kind]]

    frames: Annotated[np.ndarray | FrameSource, Kind(check.check_frames, axes=3)]
    positions_px: Annotated[np.ndarray | None, Kind(check_positions, axes=2)]
    _: KW_ONLY
    probe: np.ndarray | None = None
    valid_mask: Annotated[np.ndarray | FrameSource | None, Kind(check.check_mask, axes=3)] = None
    units: str | None = "auto"
    centre: str | None = "auto"
    truth: Annotated[np.ndarray | None, Kind(check.check_truth, label=True)] = None
    truth_origin_px: Annotated[Sequence[float], Kind(check.check_origin)] = (0.0, 0.0)
    photons_per_frame: Positive = None
    scan_index: Annotated[np.ndarray | None, Kind(check.check_index, axes=1)] = None
    pixel_size_m: PositiveFact = None
    name: str = "scan"
    source: Annotated[str | Path | None, Kind(check.check_path)] = None
    positions_nominal_px: Annotated[np.ndarray | None, Kind(check_nominal, axes=2)] = None
    notes: Annotated[Sequence[str], Kind(check.check_notes)] = ()
    probe_weights: Annotated[np.ndarray | None, Kind(check.check_weights, axes=2)] = None
    label_patches: Annotated[
        np.ndarray | FrameSource | None, Kind(check.check_patches, axes=3, label=True)
    ] = None
    energy_ev: PositiveFact = None
    distance_m: PositiveFact = None
    detector_pixel_m: PositiveFact = None
    particle: Annotated[str, Kind(check.check_particle, fact=True)] = "photon"
    propagation: Annotated[str, Kind(check.check_kind, fact=True)] = geometry.FAR
    detector_response: Annotated[str, Kind(check.check_kind, fact=True)] = "none"
    saturation: PositiveFact = None
    acquisition: Annotated[Mapping[str, float] | None, Kind(check.check_acquisition)] = None
    steps: Annotated[Sequence[Mapping[str, Any]], Kind(check.check_steps)] = ()
    positions_from_m: bool = False
    dose: Dose | None = None
    files: Annotated[Sequence[str | Path], Kind(check.check_files)] = ()
    made_with: Annotated[SimulatedParts | None, Kind(axes=1, label=True)] = None
    probe_variations: np.ndarray | None = None
    units_given: bool = True
    centred: bool = False

    def __init_subclass__(cls) -> None:
        cls.kinds = _kinds_of(cls)

    def __post_init__(self) -> None:
        """Nothing; a `Scan` checks here."""

    def __len__(self) -> int:
        return int(self.frames.shape[0])

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"scan {self.name!r}" if self.source is None else str(self.source)

    def select(self, rows: np.ndarray) -> Self:
        """The same of some of the frames.

        Args:
            rows: `(m,)` numbers of frames, in the order wanted. Frames, masks and patches that
                lie in files stay there.
        """
        return replace(self, **self.rows_of_each(rows))

    def rows_of_each(self, rows: np.ndarray) -> dict[str, Any]:
        """The attributes that have an entry for each frame, of some of the frames."""
        each = {name: kind.axes for name, kind in self.kinds.items() if kind.axes}
        return {name: _rows(getattr(self, name), rows, axes) for name, axes in each.items()}

    def attributes(self) -> dict[str, Any]:
        """Every attribute of a measurement by its name; a `Measurement` of them is the same."""
        return {f.name: getattr(self, f.name) for f in fields(Measurement)}

    def facts(self) -> dict[str, float | str]:
        """Numbers and words of the measurement by name, those that are known."""
        known = {name: getattr(self, name) for name in FACTS}
        return {name: value for name, value in known.items() if value is not None}

    def close(self) -> None:
        """Give back files and temporary copies; frames cannot be read afterwards."""
        for f in fields(self):
            if isinstance(source := getattr(self, f.name), FrameSource):
                source.close()


def _kinds_of(measurement: type[Measurement]) -> dict[str, Kind]:
    """The kinds of the attributes of a class, of those that have one."""
    found: dict[str, Kind] = {}
    for cls in reversed(measurement.__mro__):  # a type that is narrowed keeps its kind
        for name, hint in get_type_hints(cls, include_extras=True).items():
            for kind in getattr(hint, "__metadata__", ()):
                found[name] = kind
    return found


Measurement.kinds = _kinds_of(Measurement)
FACTS = tuple(name for name, kind in Measurement.kinds.items() if kind.fact)
# Those of them that are words, and what a file that does not say means.
WORDS: Mapping[str, str] = {
    f.name: f.default for f in fields(Measurement) if f.name in FACTS and isinstance(f.default, str)
}
LABELS = frozenset(name for name, kind in Measurement.kinds.items() if kind.label)


def _rows(value: Any, rows: np.ndarray, axes: int) -> Any:
    """The entries of some frames, if the value has one for each."""
    if isinstance(value, SimulatedParts):
        return value.select(rows)
    if isinstance(value, FrameSource):
        return DerivedFrames(value, rows=rows)
    if isinstance(value, np.ndarray) and value.ndim == axes:
        return value[rows]
    return value
