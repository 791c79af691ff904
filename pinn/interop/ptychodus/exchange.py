"""Data of ptychodus as a scan, its training files as scans, and a reconstruction as a product.

Coordinates here are indices of the object array that the product came with. ptychodus says where
index `(N - 1)/2` of a patch lies, `pinn` where index `N/2` does: half a pixel further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ptychodus.api.io import save_ptychopinn_training_data, save_training_data
from ptychodus.api.object import Object, ObjectCenter
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.probe_positions import ProbePositionSequence
from ptychodus.api.product import LossValue, Product
from ptychodus.api.reconstruct import ReconstructInput

from pinn.data.continuation import continued
from pinn.data.fingerprint import digest
from pinn.data.scan import Scan
from pinn.errors import ScanError
from pinn.io.load import load
from pinn.io.product import Reconstruction

_ENDINGS = (".h5", ".hdf5", ".npz")


def scan_of(given: ReconstructInput, units: str = "counts") -> Scan:
    """The measurement, with all probe modes and the bad pixels masked, not filled.

    Of several coherent variations of the probe the first is taken. An object that is not constant
    is the truth, which supervised training learns from.

    Raises:
        ScanError: frames that are not square, or another part that breaks the contract.
    """
    product = given.product
    geometry = product.object_.get_geometry()
    places = product.probe_positions
    positions = np.stack(
        [
            geometry.map_probe_positions_to_object_y_px(places),
            geometry.map_probe_positions_to_object_x_px(places),
        ],
        axis=1,
    )
    probe = product.probes.get_probe_no_opr().get_array()
    image = product.object_.get_layers_flattened()
    bad = given.bad_pixels
    metadata = product.metadata
    notes = []
    if product.probes.num_coherent_modes > 1:
        notes.append(
            f"of {product.probes.num_coherent_modes} coherent variations of the probe the first "
            "was taken"
        )
    return Scan(
        given.diffraction_patterns,
        positions + 0.5,
        probe=probe if probe.size else None,
        valid_mask=None if bad is None or not np.any(bad) else ~np.asarray(bad, bool),
        units=units,
        centre="centred",
        truth=image if image.size and not np.all(image == image.flat[0]) else None,
        pixel_size_m=geometry.pixel_width_m if geometry.pixel_width_m > 0 else None,
        name=metadata.name,
        energy_ev=metadata.photon_energy_eV or None,
        distance_m=metadata.detector_distance_m or None,
        notes=notes,
    )


def start_of(scan: Scan) -> Reconstruction | None:
    """The object of the product, with its probe, as a start; None where it is flat.

    Args:
        scan: made by `scan_of`, which has them.
    """
    if scan.truth is None:
        return None
    return Reconstruction(
        object=scan.truth,
        origin_px=np.asarray(scan.truth_origin_px),
        coverage=np.ones(scan.truth.shape),
        valid_mask=np.ones(scan.truth.shape, bool),
        positions_px=scan.positions_px,
        frame_indices=np.arange(len(scan)),
        probe=scan.probe,
    )


def export(path: Path, given: ReconstructInput) -> None:
    """Write a training file: ptychodus' own HDF5 format, or the NPZ of PtychoPINN."""
    write: Any = save_ptychopinn_training_data if path.suffix == ".npz" else save_training_data
    write(path, given)


def training_scans(folder: Path) -> tuple[list[Scan], list[Scan]]:
    """Scans to learn from, and scans to watch the loss on.

    Files called `train_data*` are learned from and `test_data*` watched, unless the two are the
    same data; without such files a `product.h5` with its `diffraction.h5` is learned from.

    Raises:
        ScanError: the folder holds neither, or a file cannot be read.
    """
    if folder.is_file():
        return [_read(folder)], []
    found = {
        part: sorted(p for p in folder.glob(f"{part}*") if p.suffix.lower() in _ENDINGS)
        for part in ("train_data", "test_data")
    }
    if found["train_data"]:
        learned = [_read(path) for path in found["train_data"]]
        known = {digest(scan) for scan in learned}
        watched = [_read(path) for path in found["test_data"]]
        return learned, [scan for scan in watched if digest(scan) not in known]
    if (folder / "product.h5").is_file():
        return [load(folder / "product.h5")], []
    raise ScanError(
        f"{folder} holds nothing to train on; export training data as train_data.h5 into it (and "
        "test_data.h5 to watch the loss on), or put product.h5 and diffraction.h5 there"
    )


def _read(path: Path) -> Scan:
    scan = load(path)
    if path.suffix == ".npz" and scan.truth is not None:
        # positions of the NPZ are those of index (N - 1)/2; they lie in the truth as they are
        scan.truth_origin_px = (-0.5, -0.5)
    return scan


def losses_of(history: Sequence[dict[str, Any]], column: str) -> list[LossValue]:
    """A column of the history; nothing where it has none."""
    return [LossValue(int(row["epoch"]), float(row[column])) for row in history if column in row]


def product_of(
    result: Reconstruction, given: ReconstructInput, history: Sequence[dict[str, Any]]
) -> Product:
    """The product with object, probe (square root of counts), positions and losses of a result.

    The object lies on the pixels of the given one, or a fraction of a pixel beside them where that
    of the result does, and covers it and the result. Where no patch has reached, the given object
    stays; a flat one is taken for none, and the result is continued. The probe has all its modes,
    and its variations where they were refined; positions are the given ones where they were not.
    """
    product = given.product
    old = product.object_.get_geometry()
    corner = np.rint(result.origin_px).astype(int)
    beside = np.asarray(result.origin_px) - corner
    end = corner + result.object.shape
    low = np.minimum(corner, 0)
    high = np.maximum(end, [old.height_px, old.width_px])
    array = np.ones(tuple(high - low), np.complex64)
    inside = tuple(slice(a, b) for a, b in zip(corner - low, end - low, strict=True))
    known = np.zeros(array.shape, bool)
    array[inside], known[inside] = result.object, result.valid_mask
    array = _beyond(array, known, product.object_.get_layers_flattened(), -low)
    rows, columns = array.shape
    centre = ObjectCenter(
        x_m=old.center_x_m
        + float(low[1] + beside[1] + (columns - old.width_px) / 2) * old.pixel_width_m,
        y_m=old.center_y_m
        + float(low[0] + beside[0] + (rows - old.height_px) / 2) * old.pixel_height_m,
    )
    probes = product.probes
    if result.probe is not None:
        pixel = probes.get_pixel_geometry() if probes.get_array().size else None
        modes, weights = result.probe[None], None
        if result.probe_variations is not None and result.probe_weights is not None:
            modes = result.probe_variations
            weights = np.eye(1, len(modes)).repeat(len(given.diffraction_patterns), axis=0)
            weights[result.frame_indices] = result.probe_weights
        probes = ProbeSequence(modes, weights, pixel or old.get_pixel_geometry())
    return Product(
        metadata=product.metadata,
        probe_positions=_positions(result, product),
        probes=probes,
        object_=Object(array, old.get_pixel_geometry(), centre),
        losses=losses_of(history, "loss"),
    )


def _beyond(array: np.ndarray, known: np.ndarray, own: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The array with the given object `own`, which lies at `at`, where it is not known."""
    if not own.size or np.all(own == own.flat[0]):
        return continued(array, known)
    filled = continued(array, known)
    there = tuple(slice(a, a + n) for a, n in zip(at, own.shape, strict=True))
    filled[there] = np.where(known[there], array[there], own)
    return filled


def _positions(result: Reconstruction, product: Product) -> ProbePositionSequence:
    """Those of the product, moved as the result has corrected them."""
    places = product.probe_positions
    if result.positions_start_px is None:
        return places
    pixel = product.object_.get_pixel_geometry()
    updates = np.zeros((len(places), 2))  # 0 for dark frames
    updates[result.frame_indices] = result.positions_px - result.positions_start_px
    updates *= [pixel.height_m, pixel.width_m]
    return ProbePositionSequence(
        [
            replace(place, x_m=place.x_m + float(x), y_m=place.y_m + float(y))
            for place, (y, x) in zip(places, updates, strict=True)
        ]
    )
