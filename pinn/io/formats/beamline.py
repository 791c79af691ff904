"""What detectors and beamlines write into HDF5 of no format of their own, in the words of NeXus.

A master file of a DECTRIS detector links to `data_000001`, `data_000002`, ..., which are one stack
in files of their own. Beside it stand distance, pixel, energy and the mask of the detector.
"""

from __future__ import annotations

import re
from functools import partial

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.geometry import photon_energy_ev
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5File, Hdf5Frames
from pinn.io.hdf5_files import FAULTS, lost_links
from pinn.io.layout import square_pixel
from pinn.io.physical_units import electronvolts, metres
from pinn.io.stacks import JoinedFrames

_NUMBERED = re.compile(r"(.*_)(\d{6})")
_DETECTOR = "instrument/detector/"
_DISTANCES = (f"{_DETECTOR}detector_distance", f"{_DETECTOR}distance")
_PIXELS = (f"{_DETECTOR}y_pixel_size", f"{_DETECTOR}x_pixel_size")
_ENERGIES = (
    "instrument/beam/incident_energy",
    f"{_DETECTOR}detectorSpecific/photon_energy",
    f"{_DETECTOR}photon_energy",
)
_WAVELENGTHS = ("instrument/beam/incident_wavelength", "instrument/beam/wavelength")
_MASKS = (f"{_DETECTOR}detectorSpecific/pixel_mask", f"{_DETECTOR}pixel_mask")

Shapes = dict[str, tuple[int, ...]]


def joined_shapes(shapes: Shapes) -> Shapes:
    """Datasets with their shapes; numbered stacks of the same images as one, by its first name."""
    found: Shapes = {}
    first_of: dict[tuple[str, tuple[int, ...]], str] = {}
    for name, shape in shapes.items():
        match = _NUMBERED.fullmatch(name)
        if match is None or len(shape) != 3:
            found[name] = shape
            continue
        first = first_of.setdefault((match[1], shape[1:]), name)
        found[first] = (shape[0] + (found[first][0] if first in found else 0), *shape[1:])
    return found


def joined_frames(file: Hdf5File, data_path: str) -> tuple[JoinedFrames, str] | None:
    """The stacks that are one with the named one, or that lie in the named group; and a note.

    Returns:
        None for a dataset that is no first one of several.

    Raises:
        ScanError: no stack in the group, one is missing between others, or they differ in size.
    """
    path = data_path.strip("/")
    if not file.has(path):
        return None
    group, named = path, None
    if (match := _NUMBERED.fullmatch(path)) is not None:
        group, _, named = path.rpartition("/")
    inside = _at(file.group, group)
    if not isinstance(inside, h5py.Group):
        return None
    stem = None if match is None else match[1].rpartition("/")[2]
    numbered = sorted(
        key
        for key in inside
        if (m := _NUMBERED.fullmatch(key)) is not None and stem in (None, m[1])
    )
    if named is not None and (numbered[0] != named or len(numbered) == 1):
        return None
    if not numbered:
        return None
    note = ""
    lost = {text.split(" (to ")[0] for text in lost_links(inside)}
    while len(numbered) > 1 and numbered[-1] in lost:
        note = "; links beyond lead nowhere and were left out"
        numbered.pop()
    names = [f"{group}/{key}".lstrip("/") for key in numbered]
    sources, image, types = [], None, []
    for name in names:
        data = file.dataset(name, 3, "biuf")
        image = image or data.shape[1:]
        if data.shape[1:] != image:
            raise file.wrong(name, data.shape, f"frames of {image} pixels, as the first has,")
        types.append(data.dtype)
        sources.append((data.shape[0], partial(Hdf5Frames, file.path, name)))
    assert image is not None
    total = sum(count for count, _ in sources)
    note = f"{total} frames of {names[0]!r} to {names[-1]!r} were joined{note}"
    return JoinedFrames(sources, image, np.result_type(*types)), note


def _at(group: h5py.Group, path: str) -> object:
    """What is at a path; None for a link that leads nowhere."""
    try:
        return group[path] if path else group
    except FAULTS:
        return None


def read_instrument(file: Hdf5File, contents: Contents, config: ScanConfig) -> None:
    """Distance, pixel, energy and mask as NeXus names them, where the file has them.

    The entry is that of the frames, or `entry`. A mask that an option names takes the place of
    the file's own.

    Raises:
        ScanError: a unit that is none, or pixels that are not square.
    """
    own = contents.frames_key.strip("/").split("/")[0]
    entry = next((e for e in dict.fromkeys((own, "entry")) if file.has(f"{e}/instrument")), None)
    if entry is None:
        return
    contents.distance_m = _length(file, entry, _DISTANCES, "m")
    height, width = (_length(file, entry, (name,), "m") for name in _PIXELS)
    contents.detector_pixel_m = square_pixel(height, width, file.path)
    contents.energy_ev = _energy(file, entry)
    if config.mask_path is not None:
        return
    name = next((f"{entry}/{n}" for n in _MASKS if file.has_array(f"{entry}/{n}")), None)
    if name is None:
        return
    mask = file.array(name, (2, 3), "biu")
    mask = mask[0] if mask.shape[:-2] == (1,) else mask
    if mask.shape != contents.image:
        contents.notes.append(
            f"the mask {name!r} {mask.shape} does not match the frames {contents.image}: left out"
        )
    elif mask.any():
        contents.bad_pixels = mask != 0
        contents.notes.append(
            f"{int(np.count_nonzero(mask))} pixels are bad by the mask {name!r} of the file"
        )


def _length(file: Hdf5File, entry: str, names: tuple[str, ...], unit: str) -> float | None:
    """A length in metres; zero and what is no number stand for unknown."""
    for name in (f"{entry}/{n}" for n in names):
        if (value := file.positive(name)) is not None:
            return value * metres(file.text(f"{name}@units") or unit, name, file.path)
    return None


def _energy(file: Hdf5File, entry: str) -> float | None:
    for name in (f"{entry}/{n}" for n in _ENERGIES):
        if (value := file.positive(name)) is not None:
            return value * electronvolts(file.text(f"{name}@units") or "eV", name, file.path)
    wavelength = _length(file, entry, _WAVELENGTHS, "angstrom")
    return None if wavelength is None else photon_energy_ev(wavelength)
