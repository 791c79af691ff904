"""Writer of scans as a ptychodus product with its diffraction file beside it.

Both open in ptychodus 1.7 (older names of attributes are written besides). Metres are object
pixels times the pixel size; lengths that are not known are nominal, fit each other, and are named
in the comments and in the group `pinn_scan`, from which the scan reopens as it was.

A diffraction file of ptychodus has one mask for all frames. Of a scan with a mask for each frame,
or with saturated pixels, it names every pixel that is bad in some frame, unless that leaves less
than half; the masks themselves are in `pinn_scan`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from pinn.data.scan import Scan
from pinn.errors import OutputError
from pinn.io.atomic import atomic_path
from pinn.io.hdf5 import FAULTS, text
from pinn.io.scan_group import (
    FORMAT_NAME,
    GROUP,
    Geometry,
    complete_geometry,
    write_scan_group,
)
from pinn.io.stored import Intensities, write_frame_masks
from pinn.progress import Progress

_ACQUISITION = {
    "focus_object_distance_m": None,
    "exposure_time_s": None,
    "mass_attenuation_m2_per_kg": "mass_attenuation_m2_kg",
    "tomography_angle_deg": None,
    "tilt_angle_deg": None,
}


def diffraction_path(path: str | Path) -> Path:
    """Where the frames of a product go: `diffraction.h5` beside `product.h5`, as in ptychodus.

    Beside a product of another name it is `NAME_diffraction.h5`.
    """
    path = Path(path)
    name = "diffraction.h5" if path.stem == "product" else f"{path.stem}_diffraction.h5"
    return path.with_name(name)


def write_ptychodus(
    path: str | Path, scan: Scan, *, progress: Callable[[Progress], None] | None = None
) -> None:
    """Write a scan as two files, each whole or not at all, in constant memory.

    Args:
        path: the product; see `diffraction_path` for the other file.
        scan: what to write.
        progress: told about a hundred times.

    Raises:
        OutputError: a place cannot be written, or holds a diffraction file that is not ours.
        ScanError: the scan cannot be read.
    """
    beside = diffraction_path(path)
    keep_foreign(beside)
    geometry = complete_geometry(scan)
    with atomic_path(path) as product, atomic_path(beside) as patterns:
        stored = Intensities(scan)
        with h5py.File(patterns, "w") as h5:
            photons = _write_patterns(h5, scan, stored, geometry, progress)
        with h5py.File(product, "w") as h5:
            write_product_layout(h5, scan, geometry, photons)
            write_scan_group(h5, scan, stored)


def keep_foreign(path: Path) -> None:
    """Make sure that no file of others is overwritten: one of this name may be a measurement.

    Raises:
        OutputError: there is one.
    """
    if not path.exists():
        return
    try:
        with h5py.File(path, "r") as h5:
            if GROUP in h5 and text(h5[GROUP], "format") == FORMAT_NAME:
                return
    except FAULTS:
        pass
    raise OutputError(
        f"cannot write {path}: there is a file of this name that pinn did not write; choose "
        "another name or folder"
    )


def _write_patterns(
    h5: h5py.File,
    scan: Scan,
    stored: Intensities,
    geometry: Geometry,
    progress: Callable[[Progress], None] | None,
) -> float:
    """Returns the mean photons of a frame."""
    h5["indexes"] = np.arange(len(scan))
    patterns = h5.create_dataset("patterns", stored.shape, stored.dtype)
    for side in ("width", "height"):
        patterns.attrs[f"detector_pixel_{side}_m"] = geometry.detector_pixel_m
    written = stored.write(patterns, progress)
    group = h5.create_group(GROUP)
    group.attrs["format"] = FORMAT_NAME
    group.attrs["format_version"] = 1
    if written.varies:
        write_frame_masks(group, "bad_pixels", scan)
    h5["bad_pixels"] = written.common_bad
    return written.mean


def write_product_layout(h5: h5py.File, scan: Scan, geometry: Geometry, photons: float) -> None:
    """Write everything of a product but the group `pinn_scan`.

    Args:
        h5: an empty file.
        scan: what to write.
        geometry: its lengths, see `complete_geometry`.
        photons: mean of a frame.
    """
    known = scan.acquisition
    numbers: dict[str, float] = {
        "detector_object_distance_m": geometry.distance_m,
        "photon_energy_eV": geometry.photon_energy_ev,
        "probe_energy_eV": geometry.photon_energy_ev,
        "probe_photon_count": photons,
    }
    for name, older in _ACQUISITION.items():
        numbers[name] = float(known.get(name, 0.0))
        if older is not None:
            numbers[older] = numbers[name]
    h5.attrs.update(numbers)
    h5.attrs["far_field"] = True
    h5.attrs["name"] = scan.name.encode(errors="replace").decode().replace("\0", "")
    h5.attrs["comments"] = " ".join(["Written by pinn.", geometry.sentence()]).strip()

    pixel = geometry.pixel_size_m
    h5["probe_position_indexes"] = np.arange(len(scan))
    h5["probe_position_x_m"] = scan.positions_px[:, 1] * pixel
    h5["probe_position_y_m"] = scan.positions_px[:, 0] * pixel
    probe = scan.probe_variations
    if probe is None:
        # ptychodus demands a probe: an unknown one is an empty array, as it writes it itself.
        probe = np.zeros((1, 1, 0, 0), np.complex64) if scan.probe is None else scan.probe[None]
    if scan.probe_weights is not None:
        h5["opr_weights"] = np.asarray(scan.probe_weights, np.float64)
    image, origin = _object(scan)
    sides = {"pixel_width_m": pixel, "pixel_height_m": pixel}
    h5.create_dataset("probe", data=probe).attrs.update(sides)
    placed = h5.create_dataset("object", data=image[None])
    placed.attrs.update(sides)
    for axis, name in enumerate(("center_y_m", "center_x_m")):
        placed.attrs[name] = (origin[axis] + image.shape[axis] / 2) * pixel
    h5["object_layer_spacing_m"] = np.zeros(0)
    h5["loss_epochs"] = np.zeros(0, np.int64)
    h5["loss_values"] = np.zeros(0)


def _object(scan: Scan) -> tuple[np.ndarray, tuple[float, float]]:
    """The truth and its origin, or an empty object that covers the scan."""
    if scan.truth is not None:
        return np.asarray(scan.truth), scan.truth_origin_px
    low = np.floor(scan.positions_px.min(0)) - scan.N // 2
    high = np.ceil(scan.positions_px.max(0)) + scan.N // 2
    rows, columns = (high - low).astype(int) + 1
    return np.ones((rows, columns), np.complex64), (float(low[0]), float(low[1]))
