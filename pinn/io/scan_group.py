"""What our CXI and ptychodus files hold besides: the group `pinn_scan`.

Other formats have no place for exact pixel coordinates, several scans in one file, masks of single
frames, or the statement that a length is nominal. This group has, so that a scan reopens as it
was; programs that do not know it lose nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from pinn.data.frames import pieces
from pinn.data.geometry import FAR, photon_energy_ev, photon_wavelength_m
from pinn.data.measurement import FACTS, WORDS
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.data_file import DataFile
from pinn.io.hdf5 import Hdf5File, Hdf5Frames
from pinn.io.layout import pairs
from pinn.io.stored import Intensities, write_frame_masks
from pinn.io.text import json_text

GROUP = "pinn_scan"
FORMAT_NAME = "pinn-scan"
FORMAT_VERSION = 1
NOMINAL_PIXEL_M = 1e-8
NOMINAL_ENERGY_EV = 1e4
NOMINAL_DISTANCE_M = 1.0


@dataclass(frozen=True)
class Geometry:
    """A full set of lengths for a file that demands one.

    Attributes:
        pixel_size_m: of the object.
        wavelength_m: of the photons or electrons.
        distance_m: from sample to detector.
        detector_pixel_m: of the frames as written.
        nominal: names of those that are not known; a file states them.
    """

    pixel_size_m: float
    wavelength_m: float
    distance_m: float
    detector_pixel_m: float
    nominal: tuple[str, ...]

    @property
    def photon_energy_ev(self) -> float:
        """Energy of a photon of this wavelength: what stands for the energy of an electron too."""
        return photon_energy_ev(self.wavelength_m)

    def sentence(self) -> str:
        """What is nominal, or an empty text."""
        if not self.nominal:
            return ""
        named = ", ".join(f"{name} = {getattr(self, name):.6g}" for name in self.nominal)
        return f"Not known and therefore nominal: {named}."


def complete_geometry(scan: Scan) -> Geometry:
    """The lengths of a scan: what is missing follows from the others, or is nominal.

    They satisfy `pixel size * detector pixel * N = wavelength * distance`, unless all four are
    given and do not. What follows by that is nominal where the propagation is not the far field.
    """
    given = {
        "pixel_size_m": scan.pixel_size_m,
        "wavelength_m": scan.wavelength_m,
        "distance_m": scan.distance_m,
        "detector_pixel_m": scan.detector_pixel_m,
    }
    values = {name: value for name, value in given.items() if value is not None}
    assumed = {
        "pixel_size_m": NOMINAL_PIXEL_M,
        "wavelength_m": photon_wavelength_m(NOMINAL_ENERGY_EV),
        "distance_m": NOMINAL_DISTANCE_M,
    }
    nominal: list[str] = []
    for name in given:
        if name in values:
            continue
        if len(values) == 3:  # four lengths with one equation: the last one follows
            values[name] = _last(name, values, scan.N)
            nominal += [name] if nominal or scan.propagation != FAR else []
        else:
            values[name] = assumed[name]
            nominal.append(name)
    return Geometry(**values, nominal=tuple(nominal))


def _last(name: str, known: Mapping[str, float], N: int) -> float:
    over, under = ("wavelength_m", "distance_m"), ("pixel_size_m", "detector_pixel_m")
    top = math.prod(known[key] for key in over if key != name)
    bottom = N * math.prod(known[key] for key in under if key != name)
    return top / bottom if name in under else bottom / top


def write_scan_group(parent: h5py.Group, scan: Scan, stored: Intensities) -> h5py.Group:
    """Write everything about a scan that is small and that the format itself cannot hold.

    Args:
        parent: gets the group.
        scan: what to write.
        stored: its frames as the file holds them.

    Returns:
        The group, for what the format needs besides.
    """
    group = parent.create_group(GROUP)
    group.attrs["format"] = FORMAT_NAME
    group.attrs["format_version"] = FORMAT_VERSION
    group.attrs["frames_units"] = stored.units
    group.attrs["physical_units_known"] = scan.pixel_size_m is not None
    for name, value in {**scan.facts(), "saturation": stored.saturation}.items():
        if value is not None:
            group.attrs[name] = value
    group["positions_px"] = scan.positions_px
    if scan.positions_nominal_px is not None:
        group["positions_nominal_px"] = scan.positions_nominal_px
    if scan.scan_index is not None:
        group["scan_index"] = scan.scan_index
    if scan.probe_weights is not None:
        group["probe_weights"] = scan.probe_weights
    group.attrs["truth_origin_px"] = np.asarray(scan.truth_origin_px, np.float64)
    if scan.label_patches is not None:
        labels = group.create_dataset("label_patches", scan.label_patches.shape, np.complex64)
        for first, piece in pieces(scan.label_patches):
            labels[first : first + len(piece)] = piece
    group["acquisition"] = json_text(dict(scan.acquisition))
    group["steps"] = json_text(list(scan.steps))
    return group


def write_pattern_group(h5: h5py.File, scan: Scan, varies: bool) -> None:
    """Mark a file of frames as ours, with the masks of single frames where they differ.

    Args:
        h5: gets the group.
        scan: where the masks come from.
        varies: some pixel is masked or saturated in some of the frames only.
    """
    group = h5.create_group(GROUP)
    group.attrs["format"] = FORMAT_NAME
    group.attrs["format_version"] = FORMAT_VERSION
    if varies:
        write_frame_masks(group, "bad_pixels", scan)


def ours(file: DataFile) -> Hdf5File | None:
    """The group, or None if the file is not one of ours.

    Raises:
        ScanError: the group is of a newer version.
    """
    if not isinstance(file, Hdf5File) or not isinstance(file.group.get(GROUP), h5py.Group):
        return None
    group = file.below(GROUP)
    if group.text("@format") != FORMAT_NAME:
        return None
    version = group.number("@format_version")
    if version is None or version > FORMAT_VERSION:
        raise ScanError(
            f"{file.path} was written by a newer pinn (its group {group.group.name} is of version "
            f"{version}, this one reads up to {FORMAT_VERSION}); upgrade pinn"
        )
    return group


def read_scan_group(group: Hdf5File, contents: Contents) -> None:
    """Put what the group says in the place of what the format said.

    Raises:
        ScanError: a part is missing or of another length.
    """
    M = contents.frames.shape[0]
    contents.positions_m = None
    contents.positions_px = pairs(group, "positions_px", M)
    if group.has("positions_nominal_px"):
        contents.positions_nominal_px = pairs(group, "positions_nominal_px", M)
    if group.has("scan_index"):
        contents.scan_index = group.array("scan_index", 1, "iu")
    if group.has("probe_weights"):
        contents.probe_weights = group.array("probe_weights", 2)
    if group.has("label_patches"):
        labels = group.full("label_patches")
        contents.label_patches = Hdf5Frames(group.path, labels, kind="c")
    for name in FACTS:
        if name not in WORDS:
            setattr(contents, name, group.number(f"@{name}"))
    read_words(group, contents)
    contents.units = group.text("@frames_units") or contents.units
    contents.centre, contents.beam_centre = "centred", None
    origin = np.asarray(group.group.attrs.get("truth_origin_px", (0.0, 0.0)))
    if origin.shape != (2,) or origin.dtype.kind not in "iuf":
        raise ScanError(
            f"truth_origin_px of {group.group.name} in {group.path} is {origin.tolist()!r:.40}, "
            "but two numbers (y, x) are required; write the file again"
        )
    contents.truth_origin_px = (float(origin[0]), float(origin[1]))
    contents.acquisition = _json(group, "acquisition", dict)
    contents.steps = _json(group, "steps", list)


def read_words(group: Hdf5File, contents: Contents) -> None:
    """Put the words of the group, as the propagation, in the place of what the format said."""
    for name, usual in WORDS.items():
        said = group.text(f"@{name}") or ""  # no text is refused as any other wrong word
        setattr(contents, name, said if name in group.group.attrs else usual)


def _json(group: Hdf5File, name: str, kind: type) -> Any:
    if not group.has(name):
        return kind()
    try:
        value = json.loads(group.text(name) or "")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ScanError(
            f"{group.full(name)!r} in {group.path} is no JSON {kind.__name__}; write the file again"
        )
    return value
