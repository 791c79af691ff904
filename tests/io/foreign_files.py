"""One small scan in the layouts of other programs, written by their libraries or by plain h5py."""

import h5py
import numpy as np

M, H, W = 15, 16, 18  # nothing square, nothing equal: a swapped axis shows
PIXEL_M = 5e-9
WAVELENGTH_M = 1.5e-10
_rng = np.random.default_rng(11)
COUNTS = _rng.poisson(
    40
    * np.exp(-((np.mgrid[:H, :W][0] - 8) ** 2 / 9 + (np.mgrid[:H, :W][1] - 9) ** 2 / 4))
    * _rng.uniform(0.5, 1.5, (M, 1, 1))
    + 0.4
).astype(np.uint16)
PLACES = _rng.uniform((10.0, 40.0), (60.0, 70.0), (M, 2))  # [y, x] in object pixels
PLACES_M = PLACES * PIXEL_M
LAB_PIXEL_M = 632.8e-9 * 0.05 / (W * 75e-6)  # visible light on a camera
LAB_M = PLACES * LAB_PIXEL_M


def _complex(*shape):
    return (_rng.standard_normal(shape) + 1j * _rng.standard_normal(shape)).astype(np.complex64)


PROBE = _complex(2, H, W)
OBJECT = _complex(80, 90)
BAD = _rng.random((H, W)) < 0.1


def frames_of(found):
    """All frames of a reader's contents, read in a scrambled order and put right again."""
    order = np.random.default_rng(3).permutation(found.frames.shape[0])
    frames = np.empty(found.frames.shape, found.frames.dtype)
    frames[order] = found.frames.read(order)
    in_order = np.concatenate([chunk for _, chunk in found.frames.chunks(4)])
    np.testing.assert_array_equal(frames, in_order)
    return frames


def write_ptyd(path, *, chunks=(M,), weights="each", meta=None, **changes):
    """As ptypy writes with save='append': `chunks` says how many frames each chunk has."""
    with h5py.File(path, "w") as h5:
        start = 0
        h5.create_group("chunks")
        for number, count in enumerate(chunks):
            rows = slice(start, start + count)
            parts = {
                "data": COUNTS[rows].astype(np.float32),
                "indices": np.arange(M)[rows],
                "positions": PLACES_M[rows],
            }
            if weights == "each":
                parts["weights"] = np.broadcast_to(~BAD, (count, H, W)).astype(np.float32)
            parts.update({key: value(rows) for key, value in changes.items()})
            group = h5.create_group(f"chunks/{number}")
            for key, value in parts.items():
                if value is not None:
                    group[key] = value
            if weights == "empty":
                group.create_group("weights")
            start += count
        values = {
            "energy": 8.2,
            "distance": 2.1,
            "psize": np.array([55e-6, 55e-6]),
            "center": np.array([7.5, 9.0]),
            "shape": np.array([H, W]),
            "label": "S0000",
            "num_frames": M,
            **(meta or {}),
        }
        for key, value in values.items():
            if isinstance(value, tuple):  # ptypy stores a tuple as a group of its members
                for place, part in enumerate(value):
                    h5[f"meta/{key}/{place:05d}"] = part
            elif value is not None:
                h5[f"meta/{key}"] = value
        h5.create_group("info")
    return path


def write_pair(folder, kind="fold_slice", name="scan", **changes):
    """Returns the paths of both files; `kind` is fold_slice, fold_slice_0 or ptychovit."""
    dp, para = folder / f"{name}_dp.hdf5", folder / f"{name}_para.hdf5"
    with h5py.File(dp, "w") as h5:
        h5["dp"] = COUNTS
    parts, attributes = {}, {}
    if kind == "fold_slice":
        parts = {
            "ppX": PLACES_M[:, 1:],
            "ppY": PLACES_M[:, :1],
            "lambda": WAVELENGTH_M,
            "dx": PIXEL_M,
            "angle": 12.5,
        }
    elif kind == "fold_slice_0":
        parts = {"probe_positions_0": PLACES_M[:, ::-1].T, "dx": [[PIXEL_M]]}
    else:
        parts = {
            "probe_position_x_m": PLACES_M[:, 1],
            "probe_position_y_m": PLACES_M[:, 0],
            "probe": PROBE[None],
            "object": OBJECT[None],
        }
        attributes = {"object": {"pixel_height_m": PIXEL_M, "pixel_width_m": PIXEL_M}}
    parts.update(changes)
    with h5py.File(para, "w") as h5:
        for key, value in parts.items():
            if value is not None:
                h5[key] = value
        for key, values in attributes.items():
            if key in h5:
                h5[key].attrs.update(values)
    return dp, para


def tike_arrays(**changes):
    """Arrays of a tike file: corner-centred, top-left positions, a probe with six axes."""
    arrays = {
        "data": np.fft.ifftshift(COUNTS, axes=(1, 2))[None],
        "scan": (PLACES - (H / 2, W / 2))[None],
        "probe": PROBE[None, None, None],
    }
    arrays.update(changes)
    return {key: value for key, value in arrays.items() if value is not None}


def write_tike(path, compressed=False, **changes):
    (np.savez_compressed if compressed else np.savez)(path, **tike_arrays(**changes))
    return path


def write_ptylab(path, **changes):
    parts = {
        "ptychogram": COUNTS.astype(np.float32),
        "encoder": LAB_M,
        "dxd": (75e-6,),
        "zo": (0.05,),
        "wavelength": (632.8e-9,),
        "entrancePupilDiameter": (1.2e-4,),
        "orientation": 0,
        **changes,
    }
    return write_flat(path, parts)


def write_hxn(path, **changes):
    parts = {
        "diffamp": np.sqrt(COUNTS).astype(np.float32),
        "points": PLACES_M[:, ::-1].T * 1e6,
        "ccd_pixel_um": 55.0,
        "lambda_nm": WAVELENGTH_M * 1e9,
        "z_m": 0.5,
        "angle": -3.0,
        "prb": PROBE,
        "obj": OBJECT,
        **changes,
    }
    return write_flat(path, parts)


def write_flat(path, parts):
    """Datasets by path; None leaves one out."""
    with h5py.File(path, "w") as h5:
        for key, value in parts.items():
            if value is not None:
                h5[key] = value
    return path


def shelves_variables(**changes):
    """Variables of a PtychoShelves result in MATLAB's order of axes, with frames.

    A position of zero puts the corner of a patch at ceil((object - probe)/2) - 1.
    """
    corner = np.ceil((np.array(OBJECT.shape) - (H, W)) / 2) - 1
    parts = {
        "object": OBJECT,
        "probe": np.moveaxis(PROBE, 0, 2)[..., None],
        "p": {
            "lambda": WAVELENGTH_M,
            "dx_spec": np.array([[PIXEL_M, PIXEL_M]]),
            "z": 5.2,
            "asize": np.array([[float(H), float(W)]]),
            "fmag": np.moveaxis(np.sqrt(COUNTS), 0, 2),
            "fmask": (~BAD).astype(np.uint8),
        },
        "outputs": {"probe_positions": (PLACES - (H / 2, W / 2) - corner)[:, ::-1]},
    }
    for key, value in changes.items():
        top, *field = key.split("__")
        if field:
            parts[top] = {**parts[top], field[0]: value}
        else:
            parts[top] = value
    return {
        key: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
        for key, value in parts.items()
        if value is not None
    }


def write_mat(path, version, variables):
    """Version 5 by SciPy; 7.3 as MATLAB does: reversed axes, a user block, its own complex type."""
    if version == 5:
        from scipy.io import savemat

        savemat(path, variables, do_compression=True)
        return path
    complex_type = np.dtype([("real", "f4"), ("imag", "f4")])
    with h5py.File(path, "w", userblock_size=512) as h5:

        def put(name, value):
            if isinstance(value, dict):
                for key, part in value.items():
                    put(f"{name}/{key}", part)
                return
            if isinstance(value, str):
                h5[name] = np.array([[ord(letter)] for letter in value], np.uint16)
                h5[name].attrs["MATLAB_class"] = np.bytes_("char")
                return
            value = np.atleast_2d(np.asarray(value)).T
            if value.dtype.kind == "c":
                pairs = np.empty(value.shape, complex_type)
                pairs["real"], pairs["imag"] = value.real, value.imag
                value = pairs
            if value.size:
                h5[name] = value
            else:
                h5[name] = np.array(value.shape[::-1], np.uint64)
                h5[name].attrs["MATLAB_empty"] = np.uint8(1)

        for key, value in variables.items():
            put(key, value)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path
