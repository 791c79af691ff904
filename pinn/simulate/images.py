"""Objects from files: pictures, arrays and reconstructions, laid out over the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinn.errors import ConfigError
from pinn.simulate.config import SimulateConfig
from pinn.simulate.files import read_image, read_reconstruction


@dataclass(frozen=True, eq=False)
class Given:
    """What an object file holds.

    Attributes:
        values: `(H, W)`: complex128 as it is, or float64 transmission from 0 to 1.
        shift: `(H', W')` float64 from 0 to 1 that the phase follows; None: `values`.
        origin_px: `(2,)` (y, x), coordinate of pixel `[0, 0]`.
        crop: pixel for pixel, instead of resized to the field.
    """

    values: np.ndarray
    shift: np.ndarray | None
    origin_px: np.ndarray
    crop: bool

    @property
    def complex(self) -> bool:
        """Amplitude and phase are those of the file."""
        return self.values.dtype.kind == "c"

    @property
    def side(self) -> int:
        """Of the largest square in it."""
        return int(min(self.values.shape))

    def drawing(self, size: int, field: float, whole: bool) -> tuple[np.ndarray, np.ndarray]:
        """Transmission and phase in radians over the object.

        Args:
            size: side of the object in pixels.
            field: side of the square a resized picture fills; beyond, it is mirrored.
            whole: take the array as it is, whatever `size`.
        """
        if whole:
            values, shift = self.values, self.shift
        elif self.crop:
            values = _middle(self.values, size)
            shift = None if self.shift is None else _middle(self.shift, size)
        else:
            values = _resized(self.values, size, field)
            shift = None if self.shift is None else _resized(self.shift, size, field)
        if self.complex:
            return np.abs(values), np.angle(values)
        # as for a star: from -0.9 where it is opaque to 0.9
        return values, 1.8 * (values if shift is None else shift) - 0.9


def open_object(config: SimulateConfig) -> Given | None:
    """The object file of a recipe; None for an object that is drawn.

    Raises:
        ScanError: the file cannot be used.
        ConfigError: an option does not go with what it holds.
    """
    path = config.object_file
    if path is None:
        return None
    origin = np.zeros(2)
    if config.object == "reconstruction":
        values, origin = read_reconstruction(path)
    else:
        values = read_image(path, "object file")
    is_complex = values.dtype.kind == "c"
    crop = is_complex if config.object_fit is None else config.object_fit == "crop"
    if crop and config.field_px is not None:
        raise ConfigError(
            f"field_px has no meaning for {path}, which is taken pixel for pixel; leave it out or "
            "say object_fit resize"
        )
    if is_complex:
        if config.phase_file is not None:
            raise ConfigError(
                f"{path} is complex and has a phase of its own; leave out phase_file or take the "
                "amplitude alone as a real array"
            )
        if (config.amplitude_min is None) != (config.amplitude_max is None):
            raise ConfigError(
                f"{path} is complex: give both amplitude_min and amplitude_max, or neither to "
                "take the amplitudes as they are"
            )
        return Given(values, None, origin, crop)
    shift = None
    if config.phase_file is not None:
        shift = read_image(config.phase_file, "phase file")
        if shift.dtype.kind == "c":
            raise ConfigError(
                f"phase file {config.phase_file} is complex, but a picture or a real array is "
                "required; take it as object_file, or save its phase alone"
            )
        if crop and shift.shape != values.shape:
            raise ConfigError(
                f"phase file {config.phase_file} has the shape {shift.shape} and {path} "
                f"{values.shape}; pixel for pixel (object_fit crop) they must be equal"
            )
    return Given(_unit(values), None if shift is None else _unit(shift), origin, crop)


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low))


def _middle(values: np.ndarray, side: int) -> np.ndarray:
    row, column = ((n - side) // 2 for n in values.shape)
    return values[row : row + side, column : column + side]


def _resized(values: np.ndarray, size: int, field: float) -> np.ndarray:
    """The middle square, brought to `field` pixels, and mirrored beyond."""
    from skimage.transform import resize

    square = _middle(values, min(values.shape))
    side = int(np.clip(round(field), 4, size))

    def part(real: np.ndarray) -> np.ndarray:
        out = resize(real, (side, side), order=1, anti_aliasing=side < len(real))
        before = (size - side) // 2
        return np.pad(out, (before, size - side - before), mode="symmetric")

    if square.dtype.kind == "c":
        return part(square.real) + 1j * part(square.imag)
    return part(square)
