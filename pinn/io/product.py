"""The result file `reconstruction.h5`: a ptychodus product with a group of ours beside it.

The root follows the product layout of ptychodus 1.7 (the attribute names of older versions are
written besides): x is the column, y the row, metres are pixels times the pixel size. ptychodus
says where the middle of a patch lies, index `(N-1)/2`, and we where index `N/2` does: to put the
same patches over the same pixels, `center_x_m` is that of `origin + W/2`, in both directions (for
scans as well, see `formats.ptychodus_scan`). Where the pixel size is not known, metres are pixels
times a nominal 1e-8 m, and `physical_units_known` in the group `pinn` is false. That group holds
what a product has no place for, and the exact pixel coordinates, so that a result reopens as it
was.

Coherent variations of the probe are the first axis of `probe`, their weights the root's
`opr_weights`, where ptychodus 1.7 has them. Parts that were added to the group after its first
version are optional, and older versions of pinn pass them over; so its format is still the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.data.result import Result
from pinn.errors import ArchiveError, InputError
from pinn.io.atomic import atomic_path
from pinn.io.old_names import with_new_names
from pinn.io.text import json_text

RESULT_NAME = "reconstruction.h5"
NOMINAL_PIXEL_M = 1e-8
GROUP = "pinn"
FORMAT_NAME = "pinn-reconstruction"
FORMAT_VERSION = 1

# Root attributes of ptychodus 1.7, each with the name an older version reads.
_ACQUISITION = {
    "detector_object_distance_m": None,
    "focus_object_distance_m": None,
    "photon_energy_eV": "probe_energy_eV",
    "probe_photon_count": None,
    "exposure_time_s": None,
    "mass_attenuation_m2_per_kg": "mass_attenuation_m2_kg",
    "tomography_angle_deg": None,
    "tilt_angle_deg": None,
}
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
    with atomic_path(final) as temporary, h5py.File(temporary, "w") as h5:
        _write_layout(h5, recon, pixel)
        _write_group(h5.create_group(GROUP), recon)
    return final


class Reconstruction(Result):
    """A result with its file: what reconstruction and refinement return."""

    def save(self, path: str | Path) -> Path:
        """Write it to a file, or as `reconstruction.h5` into a folder; returns the file's path.

        Raises:
            OutputError: the place cannot be written.
        """
        return write_product(path, self)


def load_reconstruction(path: str | Path) -> Reconstruction:
    """Read a result, or a product of ptychodus that has no group of ours.

    Without our group, pixel coordinates are metres over pixel size, coverage is one and every
    pixel valid (a note says so); of coherent probe variations without weights the first is taken,
    and several object layers are multiplied.

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
        with h5py.File(file, "r") as h5:
            return Reconstruction(**_read_layout(h5, file))
    except ArchiveError:
        raise
    except InputError as error:
        raise ArchiveError(f"result file {file} contradicts itself: {error}") from None
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).strip("'\"")
        raise ArchiveError(f"result file {file} is damaged: {reason}") from None


# ---------------------------------------------------------------------------------- writing


def _write_layout(h5: h5py.File, recon: Result, pixel: float) -> None:
    known = dict(recon.acquisition)
    if recon.probe is not None:
        # In square root of counts, the energy of the probe is the mean photons of a frame.
        energy = np.sum(np.abs(recon.probe.astype(np.complex128)) ** 2)
        known["probe_photon_count"] = float(energy)
    for name, older in _ACQUISITION.items():
        for key in (name, older):
            if key is not None:
                h5.attrs[key] = float(known.get(name, 0.0))
    h5.attrs["far_field"] = True
    h5.attrs["name"] = _storable(recon.scan_name or "reconstruction")
    h5.attrs["comments"] = _storable(_comments(recon))

    h5["probe_position_indexes"] = recon.frame_indices
    h5["probe_position_x_m"] = recon.positions_px[:, 1] * pixel
    h5["probe_position_y_m"] = recon.positions_px[:, 0] * pixel

    # ptychodus demands a probe: an unknown one is an empty array, as it writes it itself.
    none = np.zeros((1, 0, 0), np.complex64)
    probes = (none if recon.probe is None else recon.probe)[None]
    if recon.probe_variations is not None:
        probes = recon.probe_variations
    probe = h5.create_dataset("probe", data=probes)
    if recon.probe_weights is not None:
        h5["opr_weights"] = recon.probe_weights.astype(np.float64)
    obj = h5.create_dataset("object", data=recon.object[None])
    for dataset in (probe, obj):
        dataset.attrs["pixel_width_m"] = dataset.attrs["pixel_height_m"] = pixel
    rows, columns = recon.object.shape
    obj.attrs["center_x_m"] = (recon.origin_px[1] + columns / 2) * pixel
    obj.attrs["center_y_m"] = (recon.origin_px[0] + rows / 2) * pixel
    h5["object_layer_spacing_m"] = np.zeros(0)
    h5["loss_epochs"] = np.arange(1, len(recon.losses) + 1)
    h5["loss_values"] = np.asarray(recon.losses, np.float64)


def _comments(recon: Result) -> str:
    sentences = [f"Reconstructed by pinn {recon.versions.get('pinn', '')}".rstrip() + "."]
    if recon.pixel_size_m is None:
        sentences.append(
            f"Physical units are not known: the pixel size is a nominal {NOMINAL_PIXEL_M:g} m, "
            "and lengths in metres are pixels times that."
        )
    verdict = [recon.verdict] if recon.verdict else []
    return " ".join([*sentences, *verdict, *recon.notes])


def _storable(text: str) -> str:
    """HDF5 takes no NUL and only UTF-8, but the name of a file may hold any bytes."""
    return text.encode(errors="replace").decode().replace("\0", "")


def _write_group(group: h5py.Group, recon: Result) -> None:
    group.attrs["format"] = FORMAT_NAME
    group.attrs["format_version"] = FORMAT_VERSION
    group.attrs["physical_units_known"] = recon.pixel_size_m is not None
    group.attrs["scan_name"] = _storable(recon.scan_name)
    if recon.archive_sha256 is not None:
        group.attrs["archive_sha256"] = recon.archive_sha256
    group.attrs["verdict"] = _storable(recon.verdict)
    group.attrs["probe_varies"] = recon.probe_variations is not None
    for name in (*_ARRAYS, *_OPTIONAL):
        if (array := getattr(recon, name)) is not None:
            group[name] = array
    values = (recon.config, recon.statistics, recon.versions, recon.notes, recon.acquisition)
    for name, value in zip(_TEXTS, values, strict=True):
        group[name] = json_text(value)


# ---------------------------------------------------------------------------------- reading


def _read_layout(h5: h5py.File, file: Path) -> dict[str, Any]:
    notes: list[str] = []
    obj = _dataset(h5, "object", file)
    array = obj[()]
    if array.dtype.kind != "c" or array.ndim not in (2, 3) or array.size == 0:
        raise ArchiveError(
            f"result file {file}: object has shape {array.shape} and dtype {array.dtype}, but a "
            "complex (H, W) or (layers, H, W) is required"
        )
    if array.ndim == 3:
        if len(array) > 1:
            notes.append(f"The {len(array)} layers of the object were multiplied into one.")
        array = np.prod(array, axis=0, dtype=np.complex128) if len(array) > 1 else array[0]
    width, height = (_pixel_size(obj, f"pixel_{side}_m", file) for side in ("width", "height"))
    rows, columns = array.shape
    x_m = _dataset(h5, "probe_position_x_m", file)[()]
    y_m = _dataset(h5, "probe_position_y_m", file)[()]
    if x_m.ndim != 1 or x_m.shape != y_m.shape:
        raise ArchiveError(
            f"result file {file}: probe_position_x_m {x_m.shape} and probe_position_y_m "
            f"{y_m.shape} must both be (M,)"
        )
    values: dict[str, Any] = {
        "object": array,
        **_probe(h5, file, notes),
        "positions_px": np.stack([y_m / height, x_m / width], axis=1),
        "frame_indices": _dataset(h5, "probe_position_indexes", file)[()],
        "losses": _losses(h5),
        "scan_name": _text(h5.attrs.get("name", "")),
        "acquisition": _acquisition(h5),
    }
    if GROUP in h5:
        return {**values, **_read_group(h5[GROUP], file, width)}
    square = abs(width - height) <= 1e-6 * width
    if not square:
        notes.append(f"Pixels are not square ({width:g} m wide, {height:g} m high).")
    notes.append("The file states no coverage: every pixel counts as valid.")
    centre = [float(obj.attrs.get(f"center_{axis}_m", np.nan)) for axis in "yx"]
    if not np.isfinite(centre).all():
        raise ArchiveError(f"result file {file}: object lacks center_x_m or center_y_m")
    return {
        **values,
        "origin_px": (centre[0] / height - rows / 2, centre[1] / width - columns / 2),
        "coverage": np.ones(array.shape),
        "valid_mask": np.ones(array.shape, bool),
        "pixel_size_m": width if square else None,
        "notes": tuple(notes),
    }


def _read_group(group: h5py.Group, file: Path, pixel: float) -> dict[str, Any]:
    if _text(group.attrs.get("format", "")) != FORMAT_NAME:
        raise ArchiveError(f"result file {file}: its group {GROUP} was not written by pinn")
    if (version := int(group.attrs["format_version"])) > FORMAT_VERSION:
        raise ArchiveError(
            f"result file {file} was written by a newer pinn (format {version}; this one reads "
            f"up to {FORMAT_VERSION}); upgrade pinn"
        )
    texts = {name: json.loads(_dataset(group, name, file).asstr()[()]) for name in _TEXTS}
    digest = group.attrs.get("archive_sha256")
    values: dict[str, Any] = {
        name: _dataset(group, name, file)[()]
        for name in (*_ARRAYS, *_OPTIONAL)
        if name in _ARRAYS or name in group
    }
    return {
        **values,
        "config": texts["configuration"],
        "statistics": with_new_names(texts["statistics"]),
        "versions": texts["versions"],
        "notes": tuple(texts["notes"]),
        "acquisition": texts["acquisition"],
        "archive_sha256": None if digest is None else _text(digest),
        "pixel_size_m": pixel if bool(group.attrs["physical_units_known"]) else None,
        "scan_name": _text(group.attrs["scan_name"]),
        "verdict": _text(group.attrs.get("verdict", "")),
    }


def _dataset(group: h5py.Group, name: str, file: Path) -> h5py.Dataset:
    item = group.get(name)
    if not isinstance(item, h5py.Dataset):
        where = f"{group.name}/{name}".replace("//", "/")
        raise ArchiveError(
            f"{file} is no result of pinn or ptychodus, or is incomplete: there is no dataset "
            f"{where}"
        )
    return item


def _pixel_size(dataset: h5py.Dataset, name: str, file: Path) -> float:
    value = float(dataset.attrs.get(name, np.nan))
    if not (np.isfinite(value) and value > 0):
        raise ArchiveError(
            f"result file {file}: {name} of the object is {value}, but must be positive to turn "
            "metres into pixels"
        )
    return value


def _probe(h5: h5py.File, file: Path, notes: list[str]) -> dict[str, np.ndarray | None]:
    array: np.ndarray = _dataset(h5, "probe", file)[()]
    if array.dtype.kind != "c" or array.ndim not in (2, 3, 4):
        raise ArchiveError(
            f"result file {file}: probe has shape {array.shape} and dtype {array.dtype}, but a "
            "complex (N, N), (modes, N, N) or (variations, modes, N, N) is required"
        )
    if array.size == 0:
        return {"probe": None}
    if array.ndim < 4:
        return {"probe": array}
    ours = GROUP in h5 and bool(h5[GROUP].attrs.get("probe_varies", False))
    if "opr_weights" in h5 and (ours or len(array) > 1):
        weights = _dataset(h5, "opr_weights", file)[()]
        return {"probe_variations": array, "probe_weights": weights}
    if ours:
        return {"probe_variations": array}
    if len(array) > 1:
        notes.append(
            f"Of {len(array)} coherent variations of the probe the first was taken: their weights "
            "are not in the file."
        )
    return {"probe": array[0]}


def _losses(h5: h5py.File) -> list[float]:
    for name in ("loss_values", "costs"):
        if isinstance(item := h5.get(name), h5py.Dataset):
            return [float(value) for value in np.atleast_1d(item[()])]
    return []


def _acquisition(h5: h5py.File) -> Mapping[str, float]:
    """Attributes that say something: zero stands for unknown in a product."""
    found = {}
    for name, older in _ACQUISITION.items():
        value = h5.attrs.get(name, h5.attrs.get(older, 0.0) if older else 0.0)
        if float(value) != 0.0:
            found[name] = float(value)
    return found


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
