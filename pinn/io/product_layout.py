"""The root of a ptychodus product, as version 1.7 has it: names, reading, writing.

Metres are object pixels times the pixel size; x is the column, y the row. ptychodus says where the
middle of a patch lies, index `(N - 1)/2`, and we where index `N/2` does: to put the same patches
over the same pixels, the centre of an object is that of `origin + side/2`, in both directions.
Names of older versions are read, and written besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import h5py
import numpy as np

from pinn.io.data_file import DataFile
from pinn.io.layout import Number

INDEXES = "probe_position_indexes"
POSITIONS = ("probe_position_y_m", "probe_position_x_m")
PROBE, OBJECT, WEIGHTS = "probe", "object", "opr_weights"
# Attributes of the root, each with the name of an older version.
NUMBERS = {
    "energy_ev": Number(("@photon_energy_eV", "@probe_energy_eV")),
    "distance_m": Number(("@detector_object_distance_m",)),
}
ACQUISITION = {
    "focus_object_distance_m": Number(("@focus_object_distance_m",)),
    "probe_photon_count": Number(("@probe_photon_count",)),
    "exposure_time_s": Number(("@exposure_time_s",)),
    "mass_attenuation_m2_per_kg": Number(
        ("@mass_attenuation_m2_per_kg", "@mass_attenuation_m2_kg")
    ),
    "tomography_angle_deg": Number(("@tomography_angle_deg",)),
    "tilt_angle_deg": Number(("@tilt_angle_deg",)),
}
ATTRIBUTES = {
    "detector_object_distance_m": NUMBERS["distance_m"].names,
    "photon_energy_eV": NUMBERS["energy_ev"].names,
    **{name: number.names for name, number in ACQUISITION.items()},
}
NO_PROBE = np.zeros((1, 1, 0, 0), np.complex64)  # as ptychodus writes an unknown one


def pixel_sizes(file: DataFile, *arrays: str) -> tuple[float, float] | None:
    """Height and width of an object pixel in metres, by the first array that says both."""
    for name in arrays or (OBJECT, PROBE):
        height = file.positive(f"{name}@pixel_height_m")
        width = file.positive(f"{name}@pixel_width_m")
        if height is not None and width is not None:
            return height, width
    return None


def object_centre(file: DataFile) -> tuple[float, float] | None:
    """Metres (y, x) of the centre of the object, or None where the file does not say it."""
    y, x = (file.number(f"{OBJECT}@center_{axis}_m") for axis in "yx")
    return None if y is None or x is None else (y, x)


def object_origin(
    centre: tuple[float, float], pixels: tuple[float, float], shape: tuple[int, ...]
) -> tuple[float, float]:
    """Where pixel [0, 0] of the object lies, (y, x) in object pixels.

    Args:
        centre: of the object in metres.
        pixels: height and width of a pixel in metres.
        shape: `(H, W)` of the object.
    """
    y, x = (c / p - n / 2 for c, p, n in zip(centre, pixels, shape, strict=True))
    return y, x


def write_root(
    h5: h5py.File,
    *,
    numbers: Mapping[str, float],
    name: str,
    comments: Sequence[str],
    pixel_m: float,
    indexes: np.ndarray,
    positions_px: np.ndarray,
    probe: np.ndarray,
    weights: np.ndarray | None,
    image: np.ndarray,
    origin_px: Sequence[float] | np.ndarray,
    losses: Sequence[float] = (),
    far_field: bool = True,
) -> None:
    """Write a whole product into an empty file.

    Args:
        h5: the file.
        numbers: by the names of ptychodus; 0 stands for those that are missing.
        name, comments: for people; the comments are sentences.
        pixel_m: side of an object pixel, metres.
        indexes: `(M,)` number of each position.
        positions_px: `(M, 2)` [y, x] in object pixels.
        probe: `(V, P, N, N)`.
        weights: `(M, V)`, or None.
        image: the object, `(H, W)`.
        origin_px: where its pixel [0, 0] lies, (y, x).
        losses: one for each epoch.
        far_field: whether the detector is in it.
    """
    for key, names in ATTRIBUTES.items():
        for one in names:
            h5.attrs[one.lstrip("@")] = float(numbers.get(key, 0.0))
    h5.attrs["far_field"] = far_field
    h5.attrs["name"] = storable(name)
    h5.attrs["comments"] = storable(" ".join(sentence for sentence in comments if sentence))
    h5[INDEXES] = indexes
    for axis, dataset in enumerate(POSITIONS):
        h5[dataset] = positions_px[:, axis] * pixel_m
    h5[PROBE], h5[OBJECT] = probe, image[None]
    for dataset in (PROBE, OBJECT):
        h5[dataset].attrs.update({"pixel_width_m": pixel_m, "pixel_height_m": pixel_m})
    for axis, key in enumerate(("center_y_m", "center_x_m")):
        h5[OBJECT].attrs[key] = (origin_px[axis] + image.shape[axis] / 2) * pixel_m
    if weights is not None:
        h5[WEIGHTS] = np.asarray(weights, np.float64)
    h5["object_layer_spacing_m"] = np.zeros(0)
    h5["loss_epochs"] = np.arange(1, len(losses) + 1)
    h5["loss_values"] = np.asarray(losses, np.float64)


def storable(text: str) -> str:
    """HDF5 takes no NUL and only UTF-8, but the name of a file may hold any bytes."""
    return text.encode(errors="replace").decode().replace("\0", "")
