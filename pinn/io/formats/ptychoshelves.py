"""Reader of MATLAB files of PtychoShelves and fold_slice, versions 5 and 7.3 (HDF5).

A result holds `object`, `probe`, the parameters `p` and `outputs.probe_positions` (x, y in pixels
about the centre of the object), but seldom frames: `fmag` (amplitude) or `dp` (intensity), with
`fmask` (1 = good). Frames may come from a file named by `diffraction`. Electron data are in
angstroms.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import FrameSource
from pinn.data.geometry import electron_energy_ev, photon_energy_ev
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.hdf5 import Hdf5Frames, array, has, is_hdf5, reading
from pinn.io.hdf5_files import printable
from pinn.io.mat5 import check_mat5
from pinn.io.shared import ANGSTROM_M, LONGEST_M, above_zero, counting_units, holds, meant
from pinn.io.stacks import StoredFrames

_VERSION_5 = b"MATLAB 5.0 MAT"
_FRAMES = ("fmag", "p.fmag", "dp")
_MASKS = ("fmask", "p.fmask")
_POSITIONS = ("outputs.probe_positions", "p.positions", "probe_positions_0")


def is_ptychoshelves(path: Path, head: bytes) -> bool:
    """True for any MATLAB file of version 5, and for one of version 7.3 with names of these."""
    if head.startswith(_VERSION_5):
        return True
    return (
        holds(path, head, "outputs/probe_positions")
        or holds(path, head, "p/fmag")
        or holds(path, head, "fmag")
        or (head.startswith(b"MATLAB") and holds(path, head, "dp"))
    )


def read_ptychoshelves(path: Path, config: ScanConfig) -> Contents:
    """Read a result with its frames.

    Raises:
        ScanError: frames or positions are missing, or parts do not fit each other.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    if is_hdf5(path, head):
        with reading(path) as h5:
            return _read(_Hdf5Mat(path, h5), config)
    return _read(_OldMat(path), config)


class _OldMat:
    """Variables of a version 5 file, in MATLAB's order of axes; `p.z` is a field of a struct."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loaded: dict[str, Any] = {}
        from scipy.io import whosmat

        self._guarded(check_mat5, path)
        self._shapes = {name: shape for name, shape, _ in self._guarded(whosmat, str(path))}

    def names(self) -> str:
        return ", ".join(f"{name} {shape}" for name, shape in self._shapes.items()) or "nothing"

    def array(self, name: str) -> np.ndarray | None:
        """A numeric variable or field that is not empty, or None."""
        top, *fields = name.split(".")
        if top not in self._shapes:
            return None
        if top not in self._loaded:
            from scipy.io import loadmat

            self._loaded.update(
                self._guarded(loadmat, str(self.path), variable_names=[top], simplify_cells=True)
            )
        value = self._loaded.get(top)
        for field in fields:
            value = value.get(field) if isinstance(value, dict) else None
        plain = isinstance(value, np.ndarray | np.generic | float | int | complex)
        found = np.asarray(value) if plain else None
        return found if found is not None and found.dtype.kind in "biufc" and found.size else None

    def frames(self, name: str) -> FrameSource | None:
        stack = self.array(name)
        if stack is None:
            return None
        _check_stack(stack.shape, name, self.path)
        # Not kept twice.
        top, *fields = name.split(".")
        holder = self._loaded[top] if fields else self._loaded
        holder.pop(fields[-1] if fields else top)
        return StoredFrames(np.moveaxis(stack, 2, 0))

    def _guarded(self, function: Any, *args: Any, **options: Any) -> Any:
        from scipy.io.matlab import MatReadError

        faults = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError)
        try:
            with warnings.catch_warnings():
                # A part that SciPy passes over with a warning is missed here, where it matters.
                warnings.simplefilter("ignore")
                return function(*args, **options)
        except (
            *faults,
            *(MatReadError, RuntimeError, OverflowError, MemoryError, AssertionError),
            *(zlib.error, struct.error, UnboundLocalError),
        ) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ScanError(
                f"{self.path} is a damaged MATLAB file ({reason}); copy it again, or save it anew "
                "with -v7.3"
            ) from None


class _Hdf5Mat:
    """The same of a version 7.3 file, whose axes HDF5 shows in reverse order."""

    def __init__(self, path: Path, h5: h5py.File) -> None:
        self.path, self._h5 = path, h5

    def names(self) -> str:
        found: list[str] = []

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape and not name.startswith("#"):
                found.append(f"{printable(name).replace('/', '.')} {item.shape[::-1]}")

        self._h5.visititems(note)
        return ", ".join(found[:12]) + (", ..." if len(found) > 12 else "") or "nothing"

    def array(self, name: str) -> np.ndarray | None:
        """A numeric variable or field that is not empty, or None."""
        return (
            array(self._h5, self._key(name), self.path, kind="biufc").T if self._has(name) else None
        )

    def frames(self, name: str) -> FrameSource | None:
        if not self._has(name):
            return None
        _check_stack(self._h5[self._key(name)].shape[::-1], name, self.path)
        return Hdf5Frames(self.path, self._key(name), transpose=True)

    def _has(self, name: str) -> bool:
        key = self._key(name)
        if not has(self._h5, key) or not isinstance(item := self._h5[key], h5py.Dataset):
            return False
        # An empty array is stored as its shape; a cell holds references.
        numeric = item.dtype.kind in "biuf" or item.dtype.names == ("real", "imag")
        return numeric and bool(item.size) and "MATLAB_empty" not in item.attrs

    def _key(self, name: str) -> str:
        return name.replace(".", "/")


_Mat = _OldMat | _Hdf5Mat


def _check_stack(shape: tuple[int, ...], name: str, path: Path) -> None:
    if len(shape) != 3:
        raise ScanError(
            f"{name!r} in {path} has shape {shape} in MATLAB's order, but (H, W, frames) is "
            "required"
        )


def _read(mat: _Mat, config: ScanConfig) -> Contents:
    found = _frames(mat, config)
    try:
        metre = _set_up(mat, found)
        probe = _images(mat, "probe", (2, 3, 4))
        obj = _images(mat, "object", (2, 3))
        _positions(mat, found, obj, metre)
        if probe is not None:
            varied = probe.ndim == 4 and len(probe) > 1
            if varied:
                found.notes.append(f"of {len(probe)} variations of the probe the first was taken")
            found.probe = probe[0] if probe.ndim == 4 else probe
        if obj is not None and not np.isfinite(obj).all():
            found.notes.append("'object' has values that are not finite: not taken as the truth")
        elif obj is not None and not np.all(obj == obj.flat[0]):
            found.truth = np.prod(obj, axis=0) if obj.ndim == 3 else obj
            found.notes.append("'object', a reconstruction, is kept as the truth to compare with")
            if obj.ndim == 3:
                found.notes.append(f"the {len(obj)} layers of 'object' were multiplied into one")
        _masks(mat, found)
    except BaseException:
        found.close()
        raise
    return found


def _frames(mat: _Mat, config: ScanConfig) -> Contents:
    for name in _FRAMES:
        frames = mat.frames(name)
        if frames is not None:
            units = (
                counting_units(frames.dtype, config)
                if name == "dp"
                else meant("amplitude", config.frames)
            )
            return Contents(frames, frames_key=name, units=units)
    if config.diffraction is None:
        raise ScanError(
            f"{mat.path} holds no frames ({', '.join(_FRAMES)}), as is usual for results of "
            "PtychoShelves; name the file that has them with --diffraction (HDF5 with 'dp', or "
            f"with --data-path); this one holds {mat.names()}"
        )
    key = config.data_path or "dp"
    frames = Hdf5Frames(config.diffraction, key)
    return Contents(frames, frames_key=key, units=counting_units(frames.dtype, config))


def _set_up(mat: _Mat, found: Contents) -> float:
    """Numbers of the measurement; returns metres in the file's unit of length."""
    wavelength = above_zero(_scalar(mat, "p.lambda"))
    metre = 1.0
    if wavelength is not None and wavelength > LONGEST_M:
        metre = ANGSTROM_M
        found.particle = "electron"
        found.energy_ev = electron_energy_ev(wavelength * metre)
        found.notes.append("the wavelength is one of electrons in angstroms, as are other lengths")
    elif wavelength is not None:
        found.energy_ev = photon_energy_ev(wavelength)
    pixel = above_zero(_scalar(mat, "p.dx_spec"))
    found.pixel_size_m = pixel * metre if pixel else None
    found.distance_m = above_zero(_scalar(mat, "p.z")) if metre == 1.0 else None
    found.detector_pixel_m = above_zero(_scalar(mat, "p.ds")) if metre == 1.0 else None
    angle = _scalar(mat, "p.angle")
    if angle:
        found.acquisition = {"tomography_angle_deg": angle}
    return metre


def _scalar(mat: _Mat, name: str) -> float | None:
    """The first of some numbers: sizes are given for rows and columns."""
    values = mat.array(name)
    if values is None or values.dtype.kind == "c":
        return None
    value = float(values.reshape(-1)[0])
    return value if np.isfinite(value) else None


def _images(mat: _Mat, name: str, ranks: tuple[int, ...]) -> np.ndarray | None:
    """`(H, W)`, `(modes, H, W)` or `(variations, modes, H, W)` from MATLAB's `(H, W, ...)`."""
    values = mat.array(name)
    if values is None:
        return None
    if values.ndim not in ranks:
        raise ScanError(
            f"{name!r} in {mat.path} has shape {values.shape} in MATLAB's order, but (H, W) with "
            f"at most {ranks[-1] - 2} more axes is required"
        )
    return values.transpose(*range(values.ndim - 1, 1, -1), 0, 1)


def _positions(mat: _Mat, found: Contents, obj: np.ndarray | None, metre: float) -> None:
    M, H, W = found.frames.shape
    for name in _POSITIONS:
        values = mat.array(name)
        if values is not None:
            break
    else:
        raise ScanError(
            f"{mat.path} has no positions ({', '.join(_POSITIONS)}); it holds {mat.names()}"
        )
    if values.shape == (2, M) and M != 2:
        values = values.T
    if values.shape != (M, 2) or values.dtype.kind == "c":
        raise ScanError(
            f"{name!r} in {mat.path} has shape {values.shape}, but there are {M} frames: ({M}, 2) "
            "is required"
        )
    values = values.astype(np.float64)
    if name == "probe_positions_0":
        found.positions_m = values[:, ::-1] * metre
        found.positions_unit_m = metre
        return
    if name == "p.positions":  # (row, column) of the first pixel of a patch
        found.positions_px = values + (H / 2, W / 2)
        return
    corner = np.zeros(2)
    if obj is not None:
        # A patch begins at this pixel of the object when its position is zero.
        corner = np.ceil((np.array(obj.shape[-2:]) - (H, W)) / 2) - 1 + (H / 2, W / 2)
    found.positions_px = values[:, ::-1] + corner


def _masks(mat: _Mat, found: Contents) -> None:
    for name in _MASKS:
        mask = mat.array(name)
        if mask is None:
            continue
        if mask.ndim not in (2, 3):
            raise ScanError(
                f"{name!r} in {mat.path} has shape {mask.shape}, but (H, W) or (H, W, frames) is "
                "required"
            )
        bad = np.moveaxis(mask, 2, 0) == 0 if mask.ndim == 3 else mask == 0
        found.bad_pixels = bad if bad.any() else None
        return
