"""The result file `reconstruction.h5`: a ptychodus product with a group of ours beside it.

The root is a ptychodus product (`pinn.io.product_layout`). Where the pixel size is not known,
metres are pixels times a nominal 1e-8 m, and `physical_units_known` in the group `pinn` is false.
That group holds what a product has no place for, and the exact pixel coordinates, so that a result
reopens as it was.

Coherent variations of the probe are the first axis of `probe`, their weights the root's
`opr_weights`, where ptychodus 1.7 has them. Parts that were added to the group after its first
version are optional, and older versions of pinn pass them over; so its format is still the first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.data.result import Result
from pinn.errors import ArchiveError, InputError, ScanError
from pinn.io.atomic import atomic_path
from pinn.io.hdf5 import Hdf5File
from pinn.io.hdf5_files import FAULTS, open_hdf5, reason_of
from pinn.io.hdf5_new import new_hdf5
from pinn.io.old_names import with_new_names
from pinn.io.product_layout import (
    ATTRIBUTES,
    INDEXES,
    NO_PROBE,
    OBJECT,
    POSITIONS,
    PROBE,
    WEIGHTS,
    object_centre,
    object_origin,
    storable,
    write_root,
)
from pinn.io.scan_group import NOMINAL_PIXEL_M
from pinn.io.text import json_text

RESULT_NAME = "reconstruction.h5"
GROUP = "pinn"
FORMAT_NAME = "pinn-reconstruction"
FORMAT_VERSION = 1

_ARRAYS = ("coverage", "valid_mask", "origin_px", "positions_px")
_OPTIONAL = (
    "frame_likelihood",
    "disagreement",
    "background",
    "frame_factors",
    "positions_start_px",
)
_TEXTS = ("configuration", "statistics", "versions", "notes", "acquisition")


def write_product(path: str | Path, recon: Result) -> Path:
    """Write a result in one step: whole, or not at all.

    Args:
        path: the file, or a folder that gets `reconstruction.h5`.
        recon: what to write.

    Returns:
        The file written.

    Raises:
        OutputError: the place cannot be written.
    """
    final = Path(path)
    final = final / RESULT_NAME if final.is_dir() else final
    pixel = recon.pixel_size_m or NOMINAL_PIXEL_M
    with atomic_path(final) as temporary, new_hdf5(temporary) as h5:
        _write_layout(h5, recon, pixel)
        _write_group(h5.create_group(GROUP), recon)
    return final


class Reconstruction(Result):
    """The result of a reconstruction or refinement, which can be saved to a file."""

    def save(self, path: str | Path) -> Path:
        """Write it to a file, or as `reconstruction.h5` into a folder; returns the file's path.

        Raises:
            OutputError: the place cannot be written.
        """
        return write_product(path, self)


def load_reconstruction(path: str | Path) -> Reconstruction:
    """Read a result of pinn, or a product of ptychodus.

    In a product that pinn did not write, pixel coordinates are metres over pixel size, coverage is
    one and every pixel is valid (a note says so); of coherent probe variations without weights the
    first is taken, and several object layers are multiplied.

    Args:
        path: the file, or a folder that holds `reconstruction.h5`.

    Raises:
        ArchiveError: missing, no such file, newer, damaged, or its parts contradict each other.
    """
    file = Path(path)
    if file.is_dir():
        file = file / RESULT_NAME
    if not file.is_file():
        raise ArchiveError(f"there is no result file {file}")
    if not h5py.is_hdf5(file):
        raise ArchiveError(
            f"{file} is not an HDF5 file (or is empty), so it is no result of pinn or ptychodus"
        )
    try:
        with open_hdf5(file) as h5:
            return Reconstruction(**_read_layout(Hdf5File(file, h5)))
    except ArchiveError:
        raise
    except ScanError as error:
        raise ArchiveError(
            f"{file} is no result of pinn or ptychodus, or is incomplete or damaged: {error}"
        ) from None
    except InputError as error:
        raise ArchiveError(f"result file {file} contradicts itself: {error}") from None
    except FAULTS as error:
        raise ArchiveError(f"result file {file} is damaged: {reason_of(error)}") from None


# ---------------------------------------------------------------------------------- writing


def _write_layout(h5: h5py.File, recon: Result, pixel: float) -> None:
    numbers = dict(recon.acquisition)
    probe = recon.probe_variations
    if recon.probe is not None:
        # In square root of counts, the energy of the probe is the mean photons of a frame.
        energy = np.sum(np.abs(recon.probe.astype(np.complex128)) ** 2)
        numbers["probe_photon_count"] = float(energy)
    if probe is None:
        probe = NO_PROBE if recon.probe is None else recon.probe[None]
    write_root(
        h5,
        numbers=numbers,
        name=recon.scan_name or "reconstruction",
        comments=_comments(recon),
        pixel_m=pixel,
        indexes=recon.frame_indices,
        positions_px=recon.positions_px,
        probe=probe,
        weights=recon.probe_weights,
        image=recon.object,
        origin_px=recon.origin_px,
        losses=recon.losses,
    )


def _comments(recon: Result) -> list[str]:
    sentences = [f"Reconstructed by pinn {recon.versions.get('pinn', '')}".rstrip() + "."]
    if recon.pixel_size_m is None:
        sentences.append(
            f"Physical units are not known: the pixel size is a nominal {NOMINAL_PIXEL_M:g} m, "
            "and lengths in metres are pixels times that."
        )
    return [*sentences, recon.verdict, *recon.notes]


def _write_group(group: h5py.Group, recon: Result) -> None:
    group.attrs["format"] = FORMAT_NAME
    group.attrs["format_version"] = FORMAT_VERSION
    group.attrs["physical_units_known"] = recon.pixel_size_m is not None
    group.attrs["scan_name"] = storable(recon.scan_name)
    if recon.archive_sha256 is not None:
        group.attrs["archive_sha256"] = recon.archive_sha256
    if "unfinished" in recon.statistics:  # while the work goes on, or stopped on request
        group.attrs["unfinished"] = storable(recon.statistics["unfinished"])
    group.attrs["verdict"] = storable(recon.verdict)
    group.attrs["probe_varies"] = recon.probe_variations is not None
    for name in (*_ARRAYS, *_OPTIONAL):
        if (array := getattr(recon, name)) is not None:
            group[name] = array
    values = (recon.config, recon.statistics, recon.versions, recon.notes, recon.acquisition)
    for name, value in zip(_TEXTS, values, strict=True):
        group[name] = json_text(value)


# ---------------------------------------------------------------------------------- reading


def _read_layout(file: Hdf5File) -> dict[str, Any]:
    notes: list[str] = []
    # Not by `array`: a result may be larger than it lets pass.
    image = np.asarray(file.dataset(OBJECT, (2, 3), "c")[()])
    if not image.size:
        raise file.wrong(OBJECT, image.shape, "(H, W) or (layers, H, W)")
    if image.ndim == 3:
        if len(image) > 1:
            notes.append(f"The {len(image)} layers of the object were multiplied into one.")
        image = np.prod(image, axis=0, dtype=np.complex128) if len(image) > 1 else image[0]
    pixels = _pixel_size(file, "height"), _pixel_size(file, "width")
    y_m, x_m = (file.array(name, 1) for name in POSITIONS)
    if y_m.shape != x_m.shape:
        raise file.wrong(POSITIONS[1], x_m.shape, f"{y_m.shape}, as {POSITIONS[0]!r} has,")
    values: dict[str, Any] = {
        "object": image,
        **_probe(file, notes),
        "positions_px": np.stack([y_m, x_m], axis=1) / pixels,
        "frame_indices": file.array(INDEXES, 1, "iu"),
        "losses": _losses(file),
        "scan_name": file.text("@name") or "",
        "acquisition": _acquisition(file),
    }
    if file.has(GROUP):
        return {**values, **_read_group(file.below(GROUP), pixels[1])}
    height, width = pixels
    square = abs(width - height) <= 1e-6 * width
    if not square:
        notes.append(f"Pixels are not square ({width:g} m wide, {height:g} m high).")
    notes.append("The file states no coverage: every pixel counts as valid.")
    centre = object_centre(file)
    if centre is None:
        raise ArchiveError(f"result file {file.path}: object lacks center_x_m or center_y_m")
    return {
        **values,
        "origin_px": object_origin(centre, pixels, image.shape),
        "coverage": np.ones(image.shape),
        "valid_mask": np.ones(image.shape, bool),
        "pixel_size_m": width if square else None,
        "notes": tuple(notes),
    }


def _read_group(group: Hdf5File, pixel: float) -> dict[str, Any]:
    if group.text("@format") != FORMAT_NAME:
        raise ArchiveError(f"result file {group.path}: its group {GROUP} was not written by pinn")
    attributes = group.group.attrs
    if (version := int(attributes["format_version"])) > FORMAT_VERSION:
        raise ArchiveError(
            f"result file {group.path} was written by a newer pinn (format {version}; this one "
            f"reads up to {FORMAT_VERSION}); upgrade pinn"
        )
    texts = {name: json.loads(group.text(group.need("text", name)) or "") for name in _TEXTS}
    arrays = {
        name: group.array(name, kind="biuf")
        for name in (*_ARRAYS, *_OPTIONAL)
        if name in _ARRAYS or group.has(name)
    }
    return {
        **arrays,
        "config": texts["configuration"],
        "statistics": with_new_names(texts["statistics"]),
        "versions": texts["versions"],
        "notes": tuple(texts["notes"]),
        "acquisition": texts["acquisition"],
        "archive_sha256": group.text("@archive_sha256"),
        "pixel_size_m": pixel if bool(attributes["physical_units_known"]) else None,
        "scan_name": group.text("@scan_name") or "",
        "verdict": group.text("@verdict") or "",
    }


def _pixel_size(file: Hdf5File, side: str) -> float:
    name = f"{OBJECT}@pixel_{side}_m"
    value = file.positive(name)
    if value is None:
        raise ArchiveError(
            f"result file {file.path}: pixel_{side}_m of the object is {file.number(name)}, but "
            "must be positive to turn metres into pixels"
        )
    return value


def _probe(file: Hdf5File, notes: list[str]) -> dict[str, np.ndarray | None]:
    probe = file.array(PROBE, (2, 3, 4), "c")
    if not probe.size:
        return {"probe": None}
    if probe.ndim < 4:
        return {"probe": probe}
    varies = file.has(GROUP) and bool(file.group[GROUP].attrs.get("probe_varies", False))
    if file.has(WEIGHTS) and (varies or len(probe) > 1):
        return {"probe_variations": probe, "probe_weights": file.array(WEIGHTS)}
    if varies:
        return {"probe_variations": probe}
    if len(probe) > 1:
        notes.append(
            f"Of {len(probe)} coherent variations of the probe the first was taken: their weights "
            "are not in the file."
        )
    return {"probe": probe[0]}


def _losses(file: Hdf5File) -> list[float]:
    name = file.first("loss_values", "costs")
    return [] if name is None else np.atleast_1d(file.array(name)).tolist()


def _acquisition(file: Hdf5File) -> dict[str, float]:
    """Attributes that say something: zero stands for unknown in a product."""
    values = {name: file.number(*stated) for name, stated in ATTRIBUTES.items()}
    return {name: value for name, value in values.items() if value}
