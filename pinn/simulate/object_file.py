"""Objects from files: images, arrays and reconstructions, laid out over the scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinn.data.continuation import continued
from pinn.errors import ConfigError, ScanError
from pinn.io.formats.registry import read_head
from pinn.io.hdf5_files import is_hdf5
from pinn.simulate.config import SimulateConfig
from pinn.simulate.files import ARRAYS, read_array, read_product

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KEYS = ("objectGuess", "object", "truth")
_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "F", "RGB", "RGBA")  # of Pillow, taken as they are
_REC_709 = np.array([0.2125, 0.7154, 0.0721])  # luminance of red, green and blue


@dataclass(frozen=True, eq=False)
class ObjectFile:
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
            field: side of the square a resized image fills; beyond, it is mirrored.
            whole: take the array as it is, whatever `size`.
        """

        def fitted(image: np.ndarray) -> np.ndarray:
            if whole:
                return image
            return _middle(image, size) if self.crop else _resized(image, size, field)

        values = fitted(self.values)
        if self.complex:
            return np.abs(values), np.angle(values)
        # as for a star: from -0.9 where it is opaque to 0.9
        return values, 1.8 * (values if self.shift is None else fitted(self.shift)) - 0.9


def open_object(config: SimulateConfig) -> ObjectFile | None:
    """The object file of a recipe; None for an object that is drawn.

    Raises:
        ScanError: the file cannot be used.
        ConfigError: an option does not go with what it holds.
    """
    path = config.object_file
    if path is None:
        return None
    if config.object == "reconstruction":
        values, origin = read_reconstruction(path)
    else:
        values, origin = read_image(path, "object file"), np.zeros(2)
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
        return ObjectFile(values, None, origin, crop)
    shift = None
    if config.phase_file is not None:
        shift = read_image(config.phase_file, "phase file")
        if shift.dtype.kind == "c":
            raise ConfigError(
                f"phase file {config.phase_file} is complex, but an image or a real array is "
                "required; take it as object_file, or save its phase alone"
            )
        if crop and shift.shape != values.shape:
            raise ConfigError(
                f"phase file {config.phase_file} has the shape {shift.shape} and {path} "
                f"{values.shape}; pixel for pixel (object_fit crop) they must be equal"
            )
        shift = _unit(shift)
    return ObjectFile(_unit(values), shift, origin, crop)


def read_reconstruction(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The object of a result file, and where it lies.

    It is continued where no frame illuminated it, lest the rim be an edge.

    Returns:
        `(H, W)` complex128, and its origin `(2,)` (y, x) in pixels.

    Raises:
        ScanError: no such file, no result, or no pixel of it is valid.
    """
    recon = read_product(path, "object file")
    valid = recon.valid_mask & np.isfinite(recon.object)
    if not valid.any():
        raise ScanError(f"object file {path} has no valid pixel; take another reconstruction")
    return continued(recon.object, valid).astype(np.complex128), recon.origin_px


def read_image(path: Path, what: str) -> np.ndarray:
    """An image, or an array of numbers: `(H, W)` float64 or complex128.

    Args:
        path: PNG, TIFF or another image (colours become luminance, transparency is ignored);
            NPY; NPZ with `objectGuess`, `object` or `truth`, or with a single array.
        what: what it is for, for messages.

    Raises:
        ScanError: no such file, not readable, not two axes, smaller than 4 pixels, values that
            are not finite, or the same value everywhere.
    """
    head, name = read_head(path, what), f"{what} {path}"
    if head.startswith(ARRAYS):
        image = read_array(path, what, _KEYS, lone=True)[1]
        if image.ndim == 3 and len(image) == 1:
            image = image[0]
    elif is_hdf5(path, head):
        raise ScanError(f"{name} is HDF5; take object reconstruction, or save it as NPY")
    else:
        image = _luminance(_decoded(path, name, head))
    if image.ndim != 2 or image.dtype.kind not in "biufc" or min(image.shape) < 4:
        raise ScanError(
            f"{name} has {image.dtype} of shape {image.shape}, but numbers of shape (H, W), at "
            "least 4 each way, are required"
        )
    image = image.astype(np.complex128 if image.dtype.kind == "c" else np.float64)
    if not np.isfinite(image).all():
        raise ScanError(f"{name} has values that are not finite; replace them")
    if np.all(image == image.flat[0]):
        raise ScanError(f"{name} has the same value everywhere; take another file")
    return image


def _decoded(path: Path, name: str, head: bytes) -> np.ndarray:
    """The pixels of an image file, `(H, W)` or `(H, W, channels)`."""
    try:
        if head.startswith(_TIFF):
            from tifffile import TiffFile

            with TiffFile(path) as tiff:
                return np.asarray(tiff.pages[0].asarray())
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image if image.mode in _MODES else image.convert("RGB"))
    except Exception as error:  # a decoder may raise anything over damaged bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ScanError(
            f"{name} is no image that can be read ({reason[:120]}); save it as PNG, TIFF or NPY"
        ) from None


def _luminance(image: np.ndarray) -> np.ndarray:
    """Luminance of `(H, W, 2 to 4)`; a last channel of 2 or 4 is transparency. Others as given."""
    if image.ndim != 3 or image.shape[2] not in (2, 3, 4):
        return image
    if image.shape[2] == 2:
        return image[..., 0]
    return np.asarray(image[..., :3].astype(np.float64) @ _REC_709)


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
    before = (size - side) // 2

    def fitted(real: np.ndarray) -> np.ndarray:
        out = resize(real, (side, side), order=1, anti_aliasing=side < len(real))
        return np.pad(out, (before, size - side - before), mode="symmetric")

    if square.dtype.kind == "c":
        return fitted(square.real) + 1j * fitted(square.imag)
    return fitted(square)
