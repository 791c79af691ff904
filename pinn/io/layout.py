"""Layouts as data: which array of a file is what, and the reading that layouts have in common.

A reader gives facts: it converts names, units and axes. Whether positions and probe are finite and
fit the frames is checked where a `Scan` is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.data.geometry import electron_energy_ev, photon_energy_ev
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.data_file import DataFile

# Electron ptychography with fold_slice counts in angstroms what it counts in metres for X-rays: no
# X-ray wavelength is as long as this in metres, no electron wavelength as short in angstroms.
ANGSTROM_M = 1e-10
LONGEST_M = 1e-5


class Number(NamedTuple):
    """Where a number stands; the first name that says something counts.

    Attributes:
        names: of an array or, as `array@name`, of an attribute.
        unit: SI units (eV for an energy) in one unit of the file.
    """

    names: tuple[str, ...]
    unit: float = 1.0


@dataclass(frozen=True)
class Layout:
    """What the arrays of a format are called and mean.

    Attributes:
        frames: name of the frames.
        units: what the frames are, `intensity`: counts if they are whole numbers; or nothing.
        centre: where their zero frequency is, or None where the format does not say.
        positions: one name of pairs `(M, 2)` or `(2, M)`, or the names of y and x.
        order: of the columns of pairs, `yx` or `xy`.
        in_rows: where `(2, 2)` may be read either way, each axis has a row.
        unit_m: metres in one unit of the positions, or those of y and x; None: they are object
            pixels.
        anchor: `(share, offset)`: the file's positions plus `share` of a frame plus `offset`
            pixels are those of index `N/2` of a frame.
        numbers: fields of `Contents`, or `wavelength_m`, and where they stand.
        acquisition: the same for `Contents.acquisition`.
        probe: name of the probe.
        left_out: names of what is not read, and why.
    """

    frames: str
    positions: tuple[str, ...]
    units: str = "intensity"
    centre: str | None = None
    order: str = "yx"
    in_rows: bool = False
    unit_m: float | tuple[float, float] | None = None
    anchor: tuple[float, float] = (0.0, 0.0)
    numbers: Mapping[str, Number] = field(default_factory=dict)
    acquisition: Mapping[str, Number] = field(default_factory=dict)
    probe: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)


def read_layout(
    file: DataFile, layout: Layout, config: ScanConfig, frames: FrameSource | None = None
) -> Contents:
    """Everything a layout names.

    Args:
        file: the open file.
        layout: what its arrays are.
        config: options, which overrule what the format means by its frames.
        frames: where they are not simply the array of that name.

    Raises:
        ScanError: an array is missing, damaged, or of the wrong shape or type.
    """
    frames = file.frames(layout.frames) if frames is None else frames
    contents = Contents(frames, frames_key=layout.frames)
    try:
        contents.units = stated_units(layout.units, frames.dtype, config)
        contents.centre = meant(layout.centre, config.centre)
        read_numbers(file, contents, layout.numbers, layout.acquisition)
        read_positions(file, layout, contents)
        if layout.probe:
            read_probe(file, contents, layout.probe)
        contents.notes += [
            f"{name!r} was not read: {why}"
            for name, why in layout.left_out.items()
            if file.has(name)
        ]
    except BaseException:
        contents.close()
        raise
    return contents


# ---------------------------------------------------------------------- what the frames are


def meant(said: str | None, option: str) -> str | None:
    """What a format means by its frames (units, centre), unless an option says it."""
    return said if option == "auto" else None


def stated_units(units: str, dtype: np.dtype, config: ScanConfig) -> str | None:
    """Units by the word of a layout: intensities of a whole-number type are counts."""
    whole = units == "intensity" and dtype.kind in "biu"
    return meant("counts" if whole else units or None, config.frames)


def square_pixel(
    height: float | None, width: float | None, where: object, tolerance: float = 1e-3
) -> float | None:
    """Side of a detector pixel from both sides, or from the one that is known.

    Raises:
        ScanError: pixels that are not square.
    """
    if height is not None and width is not None and abs(height - width) > tolerance * width:
        raise ScanError(
            f"detector pixels of {where} are {width:g} m wide and {height:g} m high, but pinn "
            "needs square ones; resample the frames"
        )
    return width if width is not None else height


# -------------------------------------------------------------------------------- numbers


def read_numbers(
    file: DataFile,
    contents: Contents,
    numbers: Mapping[str, Number],
    acquisition: Mapping[str, Number] | None = None,
) -> None:
    """Numbers of the measurement, where the file says them; zero stands for unknown.

    Args:
        numbers: see `Layout`; a wavelength is that of photons.
        acquisition: see `Layout`.
    """
    for name, number in numbers.items():
        value = file.positive(*number.names)
        if value is None:
            continue
        if name == "wavelength_m":
            contents.energy_ev = photon_energy_ev(value * number.unit)
        else:
            setattr(contents, name, value * number.unit)
    further = acquisition or {}
    values = {name: file.number(*number.names) for name, number in further.items()}
    contents.acquisition = {
        name: value * further[name].unit for name, value in values.items() if value
    }


def read_wavelength(file: DataFile, name: str, contents: Contents) -> float:
    """Energy and particle from a wavelength in metres or, of electrons, in angstroms.

    Returns:
        Metres in the file's unit of length.
    """
    wavelength = file.positive(name)
    if wavelength is None:
        return 1.0
    if wavelength <= LONGEST_M:
        contents.energy_ev = photon_energy_ev(wavelength)
        return 1.0
    contents.particle = "electron"
    contents.energy_ev = electron_energy_ev(wavelength * ANGSTROM_M)
    contents.notes.append("the wavelength is one of electrons in angstroms, as are other lengths")
    return ANGSTROM_M


# ------------------------------------------------------------------------------ positions


def read_positions(file: DataFile, layout: Layout, contents: Contents) -> None:
    """Positions as the layout says, in metres or in object pixels.

    Raises:
        ScanError: they are missing or of another form. Their number may differ from that of the
            frames, which is for `pinn.io.load` to judge.
    """
    M, *image = contents.frames.shape
    if len(layout.positions) == 2:
        sizes = {math.prod(file.shape(name)) for name in layout.positions}
        count = sizes.pop() if len(sizes) == 1 else M
        lines = [line(file, name, count) for name in layout.positions]
        positions = np.stack(lines, axis=1)
    else:
        name = layout.positions[0]
        count = _count_of_pairs(file.shape(name), M)
        positions = pairs(file, name, count, layout.order, layout.in_rows)
    named = " and ".join(repr(file.full(name)) for name in layout.positions)
    contents.positions_key = f"{named} {file.shape(layout.positions[0])}"
    share, offset = layout.anchor
    if layout.unit_m is None:
        contents.positions_px = positions + share * np.array(image) + offset
    else:
        contents.positions_m = positions * np.array(layout.unit_m)
        contents.positions_unit_m = 1.0 if isinstance(layout.unit_m, tuple) else layout.unit_m


def _count_of_pairs(shape: tuple[int, ...], M: int) -> int:
    """How many pairs an array holds, if its shape leaves no doubt; else as many as frames."""
    if len(shape) < 2 or (shape[-1] == 2) == (len(shape) == 2 and shape[0] == 2):
        return M
    return math.prod(shape[:-1]) if shape[-1] == 2 else shape[1]


def pairs(
    file: DataFile, name: str, M: int, order: str = "yx", in_rows: bool = False
) -> np.ndarray:
    """`(M, 2)` [y, x] float64 from an array of one pair for each frame.

    Args:
        order: of the stored pairs, `yx` or `xy`.
        in_rows: two pairs are stored as `(2, M)`.

    Raises:
        ScanError: another shape.
    """
    stored = file.array(name)
    values = stored.reshape(-1, 2) if stored.ndim > 2 and stored.shape[-1] == 2 else stored
    if values.shape == (2, M) and (in_rows or M != 2):
        values = values.T
    if values.shape != (M, 2):
        raise file.wrong(
            name,
            stored.shape,
            f"({M}, 2) or (2, {M}), a pair ({', '.join(order)}) for each of the {M} frames",
        )
    return values[:, :: -1 if order == "xy" else 1].astype(np.float64)


def line(file: DataFile, name: str, M: int) -> np.ndarray:
    """`(M,)` float64 from an array of one number for each frame, of up to three axes.

    Raises:
        ScanError: another number of them.
    """
    stored = file.array(name, (1, 2, 3))
    if stored.size != M:
        raise file.wrong(name, stored.shape, f"one number for each of the {M} frames")
    return stored.reshape(M).astype(np.float64)


# ---------------------------------------------------------------------------------- images


def read_probe(
    file: DataFile,
    contents: Contents,
    name: str,
    *,
    kind: str = "c",
    weights: str = "",
    count: int | None = None,
    keep: bool = False,
) -> None:
    """The probe, if the file has it.

    Variations of it are kept if the file has their weights; else the first is taken.

    Args:
        name: of the probe, `(H, W)`, `(modes, H, W)` or `(variations, modes, H, W)`.
        kind: NumPy kinds that will do.
        weights: name of the weights `(count, V)` of the variations.
        count: rows of the weights; default the number of frames.
        keep: variations without weights are kept as well.

    Raises:
        ScanError: damaged, or of another shape or type.
    """
    if not file.has(name):
        return
    probe = file.array(name, (2, 3, 4), kind)
    if not probe.size:  # a product writes an unknown probe as an empty one
        contents.notes.append(f"{file.full(name)!r} is empty: there is no probe")
        return
    contents.probe = probe
    if probe.ndim < 4:
        return
    V = len(probe)
    if V == 1 or not weights or not file.has(weights):
        if V == 1 or not keep:
            keep_first(contents)
        return
    values = file.array(weights, 2)
    M = contents.frames.shape[0] if count is None else count
    if values.shape != (M, V):
        wanted = f"({M}, {V}), a row for each position and a column for each variation,"
        raise file.wrong(weights, values.shape, wanted)
    contents.probe_weights = values.astype(np.float64)


def keep_first(contents: Contents) -> None:
    """Of a probe `(V, P, H, W)` without weights take the first variation."""
    if contents.probe is None or contents.probe.ndim < 4:
        return
    V = len(contents.probe)
    contents.probe = contents.probe[0]
    if V > 1:
        contents.notes.append(
            f"of {V} variations of the probe the first was taken: there are no weights of them"
        )


def read_truth(file: DataFile, name: str, contents: Contents) -> np.ndarray | None:
    """An object `(H, W)` to compare with, layers multiplied; None if it is a placeholder."""
    if not file.has(name):
        return None
    layers = file.array(name, (2, 3), "iufc")
    if not layers.size or not np.isfinite(layers).all() or np.all(layers == layers.flat[0]):
        contents.notes.append(
            f"{file.full(name)!r} is empty, constant or not finite: not taken as the truth"
        )
        return None
    if layers.ndim == 2:
        return layers
    if len(layers) > 1:
        contents.notes.append(
            f"the {len(layers)} layers of {file.full(name)!r} were multiplied into one"
        )
    return np.asarray(np.prod(layers, axis=0, dtype=np.complex128))


def bad_pixels(file: DataFile, name: str) -> np.ndarray | None:
    """A mask `(H, W)` that is not 0 at bad pixels, True = BAD; None if no pixel is bad."""
    bad = file.array(name, 2, "biu") != 0
    return bad if bad.any() else None


def frame_masks(masks: FrameSource, rows: np.ndarray | None = None) -> FrameSource:
    """Masks `(M, H, W)` that are not 0 at bad pixels, as bool, of some of the frames."""
    return DerivedFrames(masks, lambda raw, _: raw != 0, dtype=bool, rows=rows)
