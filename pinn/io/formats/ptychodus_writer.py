"""Writer of scans as a ptychodus product with its diffraction file beside it.

Both open in ptychodus 1.7. Metres are object pixels times the pixel size; lengths that are not
known are nominal, fit each other, and are named in the comments and in the group `pinn_scan`, from
which the scan reopens as it was.

A diffraction file of ptychodus has one mask for all frames. Of a scan with a mask for each frame,
or with saturated pixels, it names every pixel that is bad in some frame, unless that leaves less
than half; the masks themselves are in `pinn_scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np

from pinn.data.geometry import FAR
from pinn.data.scan import Scan
from pinn.errors import OutputError
from pinn.io.atomic import atomic_path
from pinn.io.formats.ptychodus import PATTERNS
from pinn.io.hdf5 import holds
from pinn.io.hdf5_new import new_hdf5
from pinn.io.product_layout import NO_PROBE, write_root
from pinn.io.scan_group import (
    FORMAT_NAME,
    GROUP,
    Geometry,
    complete_geometry,
    write_pattern_group,
    write_scan_group,
)
from pinn.io.stored import Intensities
from pinn.progress import Progress


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
    pixel = complete_geometry(scan).detector_pixel_m
    sides = {"detector_pixel_width_m": pixel, "detector_pixel_height_m": pixel}
    with atomic_path(path) as product, atomic_path(beside) as patterns:
        write_frames_and_product(patterns, PATTERNS, sides, product, scan, progress)


def write_frames_and_product(
    frames_path: Path,
    dataset: str,
    attributes: Mapping[str, float],
    product_path: Path,
    scan: Scan,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Write frames with one mask and their numbers into one file, a product into another.

    Args:
        frames_path: the file of the frames.
        dataset: name of the frames in it.
        attributes: of the frames.
        product_path: the other file.
        scan: what to write.
        progress: told about a hundred times.
    """
    stored = Intensities(scan)
    with new_hdf5(frames_path) as h5:
        if dataset == PATTERNS:
            h5["indexes"] = np.arange(len(scan))
        data = h5.create_dataset(dataset, stored.shape, stored.dtype)
        data.attrs.update(attributes)
        written = stored.write(data, progress)
        write_pattern_group(h5, scan, written.varies)
        h5["bad_pixels"] = written.common_bad
    with new_hdf5(product_path) as h5:
        _write_product(h5, scan, complete_geometry(scan), written.mean)
        write_scan_group(h5, scan, stored)


def keep_foreign(path: Path) -> None:
    """Make sure that no file of others is overwritten: one of this name may be a measurement.

    Raises:
        OutputError: there is one.
    """
    if not path.exists() or holds(
        path, b"", GROUP, if_so=lambda file: file.below(GROUP).text("@format") == FORMAT_NAME
    ):
        return
    raise OutputError(
        f"cannot write {path}: there is a file of this name that pinn did not write; choose "
        "another name or folder"
    )


def _write_product(h5: h5py.File, scan: Scan, geometry: Geometry, photons: float) -> None:
    """Everything of a product but the group `pinn_scan`; `photons` is the mean of a frame."""
    probe = scan.probe_variations
    if probe is None:
        probe = NO_PROBE if scan.probe is None else scan.probe[None]
    image, origin = _object(scan)
    write_root(
        h5,
        numbers={
            **scan.acquisition,
            "detector_object_distance_m": geometry.distance_m,
            "photon_energy_eV": geometry.photon_energy_ev,
            "probe_photon_count": photons,
        },
        name=scan.name,
        comments=("Written by pinn.", geometry.sentence()),
        pixel_m=geometry.pixel_size_m,
        indexes=np.arange(len(scan)),
        positions_px=scan.positions_px,
        probe=probe,
        weights=scan.probe_weights,
        image=image,
        origin_px=origin,
        far_field=scan.propagation == FAR,
    )


def _object(scan: Scan) -> tuple[np.ndarray, tuple[float, float]]:
    """The truth and its origin, or an empty object that covers the scan."""
    if scan.truth is not None:
        return np.asarray(scan.truth), scan.truth_origin_px
    low = np.floor(scan.positions_px.min(0)) - scan.N // 2
    high = np.ceil(scan.positions_px.max(0)) + scan.N // 2
    rows, columns = (high - low).astype(int) + 1
    return np.ones((rows, columns), np.complex64), (float(low[0]), float(low[1]))
