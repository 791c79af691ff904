"""Reader of a ptychodus product together with its diffraction file, and of its training file.

A product (HDF5 or NPZ) holds positions in metres, probe and object; the frames are in a second
file, joined on the scan indexes. Of several positions with one index the mean counts, as in
ptychodus; frames without a position, and positions without a frame, are left out.

The object array is placed as ptychodus 1.7 places it: its centre lies at index `(W - 1)/2`, and a
position is where the centre of a patch, `(N - 1)/2`, lies. A position of ours is where index
`N/2` lies, half a pixel further, hence `origin = centre / pixel - W/2`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinn.config import ScanConfig
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.data.zipped import read_members
from pinn.errors import ScanError
from pinn.io.contents import Contents
from pinn.io.formats.ptychodus_patterns import Patterns, open_patterns
from pinn.io.hdf5 import has, numbers
from pinn.io.product_store import Hdf5Store, Store, open_store
from pinn.io.scan_group import ours, read_scan_group
from pinn.io.shared import above_zero, holds

POSITIONS = ("probe_position_indexes", "probe_position_x_m", "probe_position_y_m")
_ACQUISITION = (
    ("focus_object_distance_m",),
    ("probe_photon_count",),
    ("exposure_time_s",),
    ("mass_attenuation_m2_per_kg", "mass_attenuation_m2_kg"),
    ("tomography_angle_deg",),
    ("tilt_angle_deg",),
)


def is_ptychodus_product(path: Path, head: bytes) -> bool:
    """True for HDF5 or NPZ with positions in metres by the names of ptychodus."""
    return _names(path, head, *POSITIONS[1:])


def is_ptychodus_patterns(path: Path, head: bytes) -> bool:
    """True for HDF5 or NPZ with `patterns`, `indexes` or `bad_pixels`, and no positions."""
    if is_ptychodus_product(path, head) or is_ptychodus_training(path, head):
        return False
    return any(_names(path, head, "patterns", name) for name in ("indexes", "bad_pixels"))


def _names(path: Path, head: bytes, *names: str) -> bool:
    if head.startswith(b"PK"):
        try:
            return set(names) <= set(read_members(path))
        except ScanError:
            return False
    return holds(path, head, *names)


def read_ptychodus_patterns(path: Path, config: ScanConfig) -> Contents:
    """Refuse a diffraction file on its own, and say what is needed.

    Raises:
        ScanError: always.
    """
    raise ScanError(
        f"{path} holds diffraction patterns without positions; open the product that belongs to it "
        f"and name this file beside: PRODUCT --diffraction {path.name}"
    )


def read_ptychodus_product(path: Path, config: ScanConfig) -> Contents:
    """Read a product and the frames that belong to it.

    The diffraction file is `config.diffraction`; else, beside the product, the file that our
    writer put there, or `diffraction.h5`, `.npz`.

    Raises:
        ScanError: a file or part is missing, damaged, of the wrong shape or type, or the indexes
            have nothing in common.
    """
    with open_store(path) as store:
        indexes, places = _positions(store, path)
        found_at, note = _diffraction_path(path, config)
        patterns = open_patterns(found_at)
        try:
            return _join(path, config, store, indexes, places, patterns, note)
        except BaseException:
            patterns.frames.close()
            raise


def _join(
    path: Path,
    config: ScanConfig,
    store: Store,
    indexes: np.ndarray,
    places: np.ndarray,
    patterns: Patterns,
    note: str | None,
) -> Contents:
    rows, which = match(indexes, patterns.indexes, path)
    anchors, inverse, repeats = np.unique(indexes, return_inverse=True, return_counts=True)
    means = np.zeros((len(anchors), 2))
    np.add.at(means, inverse, places)
    means /= repeats[:, None]
    found = Contents(_rows(patterns.frames, rows), positions_m=means[which])
    found.notes += [*([note] if note else []), *patterns.notes]
    found.notes += join_notes(indexes, anchors, patterns.indexes, rows)
    found.bad_pixels = patterns.bad_pixels
    if patterns.frame_masks is not None:
        found.bad_pixels = DerivedFrames(
            patterns.frame_masks, lambda raw, _: raw != 0, dtype=bool, rows=rows
        )
    found.detector_pixel_m = patterns.detector_pixel_m
    found.energy_ev = above_zero(store.number("photon_energy_eV", "probe_energy_eV"))
    found.distance_m = above_zero(store.number("detector_object_distance_m"))
    found.acquisition = _acquisition(store)
    # What the format means, which an option may overrule.
    found.units = "counts" if config.frames == "auto" else None
    found.centre = "centred" if config.centre == "auto" else None
    _probe(store, found, path)
    if found.probe is not None and found.probe.ndim == 4:
        found.probe_weights = _weights(store, found, len(indexes), inverse, which, path)
    pixels = _pixels(store, path)
    _object(store, found, pixels, path)
    _scale(found, pixels, path)
    if isinstance(store, Hdf5Store) and (group := ours(store.h5, path)) is not None:
        if len(rows) == len(indexes) == len(patterns.indexes):
            read_scan_group(group, found, path)
        else:
            found.notes.append(
                f"only {len(rows)} frames of {path.name} were found: positions are those in metres"
            )
    return found


def _positions(store: Store, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """`(K,)` indexes and `(K, 2)` [y, x] in metres."""
    x, y = (store.array(name, (1,), "iuf").astype(np.float64) for name in POSITIONS[1:])
    if store.has(POSITIONS[0]):
        indexes = store.array(POSITIONS[0], (1,), "iu").astype(np.int64)
    else:
        indexes = np.arange(len(x))
    lengths = [len(indexes), len(x), len(y)]
    if len(set(lengths)) > 1 or not lengths[0]:
        named = ", ".join(f"{name!r} {n}" for name, n in zip(POSITIONS, lengths, strict=True))
        raise ScanError(
            f"the positions of {path} have different lengths ({named}), or none; there must be one "
            "of each for every position"
        )
    places = np.stack([y, x], axis=1)
    if not np.isfinite(places).all():
        row = int(np.flatnonzero(~np.isfinite(places).all(1))[0])
        raise ScanError(
            f"position {row} of {path} is ({places[row, 0]}, {places[row, 1]}) m, but positions "
            "must be finite; correct or remove it"
        )
    return indexes, places


def match(indexes: np.ndarray, frames: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames that have a position.

    Args:
        indexes: of the positions.
        frames: `(K,)` index of each frame.
        path: for messages.

    Returns:
        `(M,)` numbers of frames, and `(M,)` places in `numpy.unique(indexes)`.

    Raises:
        ScanError: there are none.
    """
    anchors = np.unique(indexes)
    place = np.minimum(np.searchsorted(anchors, frames), len(anchors) - 1)
    rows = np.flatnonzero((anchors[place] == frames) & (frames >= 0))
    if not len(rows):
        raise ScanError(
            f"no frame belongs to a position of {path}: positions have the indexes {anchors[0]} to "
            f"{anchors[-1]}, frames {frames.min()} to {frames.max()}; is this the diffraction file "
            "of that product?"
        )
    return rows, place[rows]


def join_notes(
    indexes: np.ndarray, anchors: np.ndarray, frames: np.ndarray, rows: np.ndarray
) -> list[str]:
    """What was left out or averaged when frames and positions were joined."""
    notes = []
    if len(anchors) < len(indexes):
        notes.append(f"{len(indexes)} positions have {len(anchors)} indexes: means were taken")
    if len(rows) < len(frames):
        notes.append(f"frames without a position, left out: {len(frames) - len(rows)}")
    missing = len(anchors) - len(np.unique(frames[rows]))
    if missing:
        notes.append(f"positions without a frame, left out: {missing}")
    return notes


def _rows(frames: FrameSource, rows: np.ndarray) -> FrameSource:
    same = len(rows) == frames.shape[0] and np.array_equal(rows, np.arange(len(rows)))
    return frames if same else DerivedFrames(frames, rows=rows)


def _diffraction_path(path: Path, config: ScanConfig) -> tuple[Path, str | None]:
    if config.diffraction is not None:
        return config.diffraction, None
    tried = [
        path.with_name(f"{path.stem}_diffraction.h5"),
        *(path.with_name(f"diffraction{suffix}") for suffix in (".h5", ".hdf5", ".npz")),
    ]
    for candidate in tried:
        if candidate.is_file() and candidate != path:
            return candidate, f"frames from {candidate.name} beside the product"
    raise ScanError(
        f"{path} is a ptychodus product, which holds no frames, and beside it there is neither "
        f"{' nor '.join(one.name for one in tried)}; name its diffraction file (--diffraction)"
    )


def _acquisition(store: Store) -> dict[str, float]:
    """Numbers that say something: zero stands for unknown in a product."""
    found = {}
    for names in _ACQUISITION:
        if value := store.number(*names):
            found[names[0]] = value
    return found


def _probe(store: Store, found: Contents, path: Path) -> None:
    if not store.has("probe"):
        found.notes.append("the product has no probe")
        return
    probe = store.array("probe", (2, 3, 4), "iufc")
    if probe.size == 0:
        found.notes.append("the product has an empty probe")
        return
    if not np.isfinite(probe).all():
        raise ScanError(f"'probe' in {path} has values that are not finite; correct or remove it")
    found.probe = probe[0] if probe.ndim == 4 and len(probe) == 1 else probe


def _weights(
    store: Store, found: Contents, K: int, inverse: np.ndarray, which: np.ndarray, path: Path
) -> np.ndarray | None:
    """`(M, V)` weights of the coherent variations, one row for each frame."""
    assert found.probe is not None
    V = len(found.probe)
    if not store.has("opr_weights"):
        found.probe = found.probe[0]
        found.notes.append(f"no weights for the {V} variations of the probe: the first was taken")
        return None
    weights = store.array("opr_weights", (2,), "iuf").astype(np.float64)
    if weights.shape != (K, V) or not np.isfinite(weights).all():
        raise ScanError(
            f"'opr_weights' in {path} has shape {weights.shape}, but finite numbers ({K}, {V}) are "
            "required: one row for each position, one column for each variation of the probe"
        )
    # A repeated index has one frame: the mean of its weights.
    sums = np.zeros((inverse.max() + 1, V))
    np.add.at(sums, inverse, weights)
    return (sums / np.bincount(inverse)[:, None])[which]


def _pixels(store: Store, path: Path) -> tuple[float, float] | None:
    """Height and width of an object pixel in metres, if the product says them."""
    for part in ("object", "probe"):
        if not store.has(part):
            continue
        height, width = (
            above_zero(store.number(f"pixel_{side}_m", of=part)) for side in ("height", "width")
        )
        if height is not None and width is not None:
            return height, width
    return None


def _object(store: Store, found: Contents, pixels: tuple[float, float] | None, path: Path) -> None:
    """The object as a truth to compare with."""
    if not store.has("object"):
        return
    layers = store.array("object", (2, 3), "iufc")
    if layers.size == 0 or not np.isfinite(layers).all() or np.all(layers == layers.flat[0]):
        found.notes.append("the object of the product is empty or constant: not taken as the truth")
        return
    centre = [store.number(f"center_{axis}_m", of="object") for axis in "yx"]
    if pixels is None or None in centre:
        found.notes.append("the product does not say where its object lies: it was left out")
        return
    if layers.ndim == 3 and len(layers) > 1:
        found.notes.append(f"the {len(layers)} layers of the object were multiplied into one")
    image = layers if layers.ndim == 2 else np.prod(layers, axis=0, dtype=np.complex128)
    found.truth = image
    rows, columns = image.shape
    y, x = (c / p for c, p in zip(centre, pixels, strict=True) if c is not None)
    found.truth_origin_px = (y - rows / 2, x - columns / 2)
    if isinstance(store, Hdf5Store) and has(store.h5, "pinn/origin_px"):
        # A result of `pinn reconstruct` says it in pixels.
        origin = numbers(store.h5, "pinn/origin_px", path, length=2)
        found.truth_origin_px = (float(origin[0]), float(origin[1]))
    if not (isinstance(store, Hdf5Store) and ours(store.h5, path) is not None):
        found.notes.append("the object of the product is taken as the truth")


def _scale(found: Contents, pixels: tuple[float, float] | None, path: Path) -> None:
    """Pixel size; where pixels are not square the positions go into pixels here."""
    if pixels is None:
        return
    height, width = pixels
    if abs(height - width) <= 1e-6 * width:
        found.pixel_size_m = width
    elif found.positions_m is not None:
        found.positions_px = found.positions_m / [height, width]
        found.positions_m, found.pixel_size_m = None, width
        found.notes.append(f"object pixels are not square ({height:g} m high, {width:g} m wide)")


# ------------------------------------------------------------------------------ training file

_TRAINING = ("patterns", "probe_position_x_px", "probe_position_y_px")


def is_ptychodus_training(path: Path, head: bytes) -> bool:
    """True for an HDF5 file with `patterns` and positions in pixels."""
    return holds(path, head, *_TRAINING)


def read_ptychodus_training(path: Path, config: ScanConfig) -> Contents:
    """Read an HDF5 training file of ptychodus 1.7 or later: everything in one file.

    Positions are in pixels of the object array, of the centre `(N - 1)/2` of a patch; bad pixels
    were filled in by ptychodus, and are masked.

    Raises:
        ScanError: a part is missing, damaged, or of the wrong shape or type.
    """
    patterns = open_patterns(path)
    try:
        with open_store(path) as store:
            return _training(path, config, store, patterns)
    except BaseException:
        patterns.frames.close()
        raise


def _training(path: Path, config: ScanConfig, store: Store, patterns: Patterns) -> Contents:
    M = patterns.frames.shape[0]
    columns = [store.array(name, (1,), "iuf").astype(np.float64) for name in _TRAINING[:0:-1]]
    if any(len(column) != M for column in columns):
        raise ScanError(
            f"{path} has {M} patterns, {len(columns[1])} 'probe_position_x_px' and "
            f"{len(columns[0])} 'probe_position_y_px'; each pattern needs one of both"
        )
    found = Contents(patterns.frames, positions_px=np.stack(columns, axis=1) + 0.5)
    if not np.isfinite(columns).all():
        raise ScanError(f"positions in {path} are not all finite; write the file again")
    found.bad_pixels = patterns.bad_pixels
    found.units = "counts" if config.frames == "auto" else None
    found.centre = "centred" if config.centre == "auto" else None
    _probe(store, found, path)
    if found.probe is not None and found.probe.ndim == 4:
        raise ScanError(
            f"'probe' in {path} has shape {found.probe.shape}, but (modes, H, W) is required"
        )
    found.energy_ev = above_zero(store.number("photon_energy_eV"))
    found.distance_m = above_zero(store.number("detector_object_distance_m"))
    height, width = (
        above_zero(store.number(f"object_pixel_{side}_m")) for side in ("height", "width")
    )
    if width is not None and height is not None and abs(height - width) > 1e-6 * width:
        found.notes.append(f"object pixels are not square ({height:g} m high, {width:g} m wide)")
    found.pixel_size_m = width
    if store.has("object"):
        image = store.array("object", (2,), "iufc")
        if image.size and np.isfinite(image).all() and not np.all(image == image.flat[0]):
            found.truth = image
            found.notes.append("the object of the training file is taken as the truth")
    return found
