"""Writer of scans in CXI 1.6.

Frames are intensities, `mask` is 1 at bad pixels, and lengths are in metres. Translations are
those of the sample with the axes of the specification (see `cxi_geometry`), which need no basis
vectors: `x = +p_x`, `y = +p_y`. The probe is `source_1/illumination` and `image_1`, the
truth `image_2`, both placed by the names that ptychodus uses. Lengths that are not known are
nominal and named in `experiment_description`; the group `pinn_scan` holds the rest, so that a
scan reopens as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from pinn.data.geometry import CHARGE_C
from pinn.data.scan import Scan
from pinn.io.atomic import atomic_path
from pinn.io.hdf5_new import new_hdf5
from pinn.io.scan_group import Geometry, complete_geometry, write_scan_group
from pinn.io.stored import Intensities, write_frame_masks
from pinn.progress import Progress

CXI_VERSION = 160
_TRANSLATION = "/entry_1/sample_1/geometry_1/translation"
_DATA = "/entry_1/instrument_1/detector_1/data"
# Further numbers, by the names under which ptychodus keeps them in CXI.
_ACQUISITION = ("exposure_time_s", "mass_attenuation_m2_per_kg", "tomography_angle_deg")


def write_cxi(
    path: str | Path, scan: Scan, *, progress: Callable[[Progress], None] | None = None
) -> None:
    """Write a scan, whole or not at all, in constant memory.

    Args:
        path: the file.
        scan: what to write.
        progress: told about a hundred times.

    Raises:
        OutputError: the place cannot be written.
        ScanError: the scan cannot be read.
    """
    geometry = complete_geometry(scan)
    with atomic_path(path) as temporary, new_hdf5(temporary) as h5:
        stored = Intensities(scan)
        h5["cxi_version"] = CXI_VERSION
        h5["number_of_entries"] = 1
        entry = h5.create_group("entry_1")
        entry["title"] = scan.name.encode(errors="replace").decode().replace("\0", "")
        entry["program_name"] = "pinn"
        if geometry.nominal:
            entry["experiment_description"] = geometry.sentence()
        written = _write_detector(entry, scan, stored, geometry, progress)
        _write_sample(entry, scan, geometry)
        extra = entry.create_group("ptychodus")
        extra["probe_photon_count"] = written
        for name in _ACQUISITION:
            if name in scan.acquisition:
                extra[name] = float(scan.acquisition[name])
        _write_images(entry, extra, scan, geometry)
        write_scan_group(entry, scan, stored)


def _write_detector(
    entry: h5py.Group,
    scan: Scan,
    stored: Intensities,
    geometry: Geometry,
    progress: Callable[[Progress], None] | None,
) -> float:
    """Returns the mean photons of a frame."""
    source = entry.create_group("instrument_1/source_1")
    source["energy"] = geometry.photon_energy_ev * CHARGE_C
    source["wavelength"] = geometry.wavelength_m
    detector = entry.create_group("instrument_1/detector_1")
    detector["distance"] = geometry.distance_m
    detector["x_pixel_size"] = detector["y_pixel_size"] = geometry.detector_pixel_m
    data = detector.create_dataset("data", stored.shape, stored.dtype)
    data.attrs["axes"] = "translation:y:x"
    written = stored.write(data, progress)
    if written.varies:
        write_frame_masks(detector, "mask", scan)
    else:
        detector["mask"] = written.always_bad.astype(np.uint32)
    return written.mean


def _write_sample(entry: h5py.Group, scan: Scan, geometry: Geometry) -> None:
    places = np.zeros((len(scan), 3))
    places[:, :2] = scan.positions_px[:, ::-1] * geometry.pixel_size_m
    entry["sample_1/name"] = entry["title"][()]
    entry[_TRANSLATION] = places
    group = entry.create_group("data_1")
    group["data"] = h5py.SoftLink(_DATA)
    group["translation"] = h5py.SoftLink(_TRANSLATION)


def _write_images(entry: h5py.Group, extra: h5py.Group, scan: Scan, geometry: Geometry) -> None:
    pixel = geometry.pixel_size_m
    several = scan.probe if scan.probe_variations is None else scan.probe_variations
    if several is not None:
        single = several.ndim == 3 and len(several) == 1
        _write_image(entry, "image_1", several[0] if single else several, pixel)
        entry["instrument_1/source_1/illumination"] = h5py.SoftLink("/entry_1/image_1/data")
        for side in ("width", "height"):
            extra[f"probe_pixel_{side}_m"] = pixel
        if scan.probe_weights is not None:
            extra["opr_weights"] = np.asarray(scan.probe_weights, np.float64)
    if scan.truth is not None:
        _write_image(entry, "image_2", np.asarray(scan.truth), pixel)
        for axis, (name, side) in enumerate((("y", "height"), ("x", "width"))):
            centre = scan.truth_origin_px[axis] + scan.truth.shape[axis] / 2
            extra[f"object_center_{name}_m"] = centre * pixel
            extra[f"object_pixel_{side}_m"] = pixel
    extra["probe_position_indexes"] = np.arange(len(scan))


def _write_image(entry: h5py.Group, name: str, values: np.ndarray, pixel: float) -> None:
    image = entry.create_group(name)
    image["data"] = values
    image["data_space"] = "real"
    image["data_type"] = "amplitude"
    rows, columns = values.shape[-2:]
    image["image_size"] = np.array([columns * pixel, rows * pixel, 0.0])
