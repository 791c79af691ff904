"""A small valid scan in every format that is read, to be broken or damaged by tests."""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import foreign_files as foreign
import h5py
import numpy as np
from npz_files import contract
from scan_files import DETECTOR, DISTANCE, ENERGY, PIXEL, M, N, counts, scene

CHARGE = 1.602176634e-19
SIDE = 16  # of frames made square by an option


@dataclass
class Small:
    """A scan: the file to open, the options it needs, and all files it consists of."""

    path: Path
    options: dict = field(default_factory=dict)
    others: tuple[Path, ...] = ()

    @property
    def files(self):
        return (self.path, *self.others)


def _square(path, *others, **options):
    return Small(path, {"frame_size": SIDE, **options}, others)


def npz_parts(**changes):
    parts = contract(objectGuess=contract()["objectGuess"][::5, ::7])
    return {**parts, **changes}


def npz(folder):
    np.savez(folder / "scan.npz", **npz_parts())
    return Small(folder / "scan.npz")


def npz_compressed(folder):
    parts = npz_parts(diff3d=np.moveaxis(contract()["diff3d"], 0, 2), bad_pixels=np.eye(N) > 0)
    np.savez_compressed(folder / "scan.npz", **parts)
    return Small(folder / "scan.npz")


def npz_of_ours(folder):
    return Small(_converted(folder, "scan.npz"))


def tike(folder):
    return _square(foreign.write_tike(folder / "scan.npz"))


def write_product(path, drop=(), change=None, **changes):
    """A ptychodus product of four positions; `change(h5)` may do anything to it."""
    values = {
        "probe_position_indexes": np.arange(M),
        "probe_position_x_m": scene()[2][:, 1] * PIXEL,
        "probe_position_y_m": scene()[2][:, 0] * PIXEL,
        "probe": scene()[1][None],
        "object": scene()[0][None, ::4, ::4],
        **changes,
    }
    with h5py.File(path, "w") as h5:
        for key, value in values.items():
            if key not in drop:
                h5[key] = value
        h5.attrs.update(detector_object_distance_m=DISTANCE, photon_energy_eV=ENERGY)
        if "object" in h5 and isinstance(h5["object"], h5py.Dataset):
            h5["object"].attrs.update(
                pixel_width_m=PIXEL, pixel_height_m=PIXEL, center_x_m=2e-7, center_y_m=3e-7
            )
        if change is not None:
            change(h5)
    return path


def write_patterns(path, drop=(), **changes):
    values = {
        "patterns": counts(),
        "indexes": np.arange(M),
        "bad_pixels": np.eye(N) > 0,
        **changes,
    }
    with h5py.File(path, "w") as h5:
        for key, value in values.items():
            if key not in drop:
                h5[key] = value
    return path


def ptychodus(folder):
    other = write_patterns(folder / "diffraction.h5")
    return Small(write_product(folder / "product.h5"), {}, (other,))


def ptychodus_npz(folder):
    truth, probe, positions = scene()
    np.savez(
        folder / "product.npz",
        probe_position_indexes=np.arange(M),
        probe_position_x_m=positions[:, 1] * PIXEL,
        probe_position_y_m=positions[:, 0] * PIXEL,
        probe=probe[None],
        object=truth[None, ::4, ::4],
        object_pixel_height_m=PIXEL,
        object_pixel_width_m=PIXEL,
        object_center_x_m=2e-7,
        object_center_y_m=3e-7,
        photon_energy_eV=ENERGY,
        detector_object_distance_m=DISTANCE,
    )
    other = folder / "diffraction.npz"
    np.savez(other, patterns=counts(), indexes=np.arange(M), bad_pixels=np.eye(N) > 0)
    return Small(folder / "product.npz", {}, (other,))


def ptychodus_of_ours(folder):
    path = _converted(folder, "scan.h5", "ptychodus")
    return Small(path, {}, (folder / "scan_diffraction.h5",))


def ptychodus_training(folder):
    truth, probe, positions = scene()
    parts = {
        "patterns": counts(),
        "bad_pixels": np.eye(N) > 0,
        "probe_position_x_px": positions[:, 1],
        "probe_position_y_px": positions[:, 0],
        "probe": probe,
        "object": truth[::4, ::4],
    }
    path = foreign.write_flat(folder / "training.h5", parts)
    with h5py.File(path, "r+") as h5:
        h5.attrs.update(
            photon_energy_eV=ENERGY,
            detector_object_distance_m=DISTANCE,
            object_pixel_height_m=PIXEL,
            object_pixel_width_m=PIXEL,
        )
    return Small(path)


E = "entry_1/"


def write_cxi(path, drop=(), change=None, **changes):
    """A CXI file by the specification; names below the entry, `__` for `/`."""
    _, probe, positions = scene()
    mask = np.zeros((N, N), np.uint32)
    mask[2, 3] = 1
    values = {
        "cxi_version": 160,
        E + "data_1/data": counts(),
        E + "sample_1/geometry_1/translation": np.pad(positions[:, ::-1] * PIXEL, ((0, 0), (0, 1))),
        E + "instrument_1/source_1/energy": ENERGY * CHARGE,
        E + "instrument_1/source_1/illumination": probe,
        E + "instrument_1/detector_1/distance": DISTANCE,
        E + "instrument_1/detector_1/x_pixel_size": DETECTOR,
        E + "instrument_1/detector_1/y_pixel_size": DETECTOR,
        E + "instrument_1/detector_1/mask": mask,
        E + "instrument_1/detector_1/corner_position": [
            DETECTOR * (N // 2 + 0.5),
            DETECTOR * (N // 2 + 0.5),
            DISTANCE,
        ],
        E + "instrument_1/detector_1/basis_vectors": np.array([[0, -1.0, 0], [-1, 0, 0]])
        * DETECTOR,
        **{E + key.replace("__", "/"): value for key, value in changes.items()},
    }
    with h5py.File(path, "w") as h5:
        for key, value in values.items():
            if key.removeprefix(E) not in drop:
                h5[key] = value
        if change is not None:
            change(h5)
    return path


def cxi(folder):
    return Small(write_cxi(folder / "scan.cxi"))


def cxi_of_ours(folder):
    return Small(_converted(folder, "scan.cxi"))


def write_nxcxi(path, drop=(), change=None, **changes):
    """NXcxi_ptycho: names below `entry_1`, `__` for `/`; a pair is a value and its unit."""
    _, probe, positions = scene()
    values = {
        "definition": "NXcxi_ptycho",
        "instrument_1/detector_1/data": counts(),
        "instrument_1/detector_1/distance": (DISTANCE * 1e3, "mm"),
        "instrument_1/detector_1/x_pixel_size": (DETECTOR, "m"),
        "instrument_1/detector_1/y_pixel_size": (DETECTOR, "m"),
        "instrument_1/detector_1/beam_center_x": (N / 2, "pixels"),
        "instrument_1/detector_1/beam_center_y": (N / 2, "pixels"),
        "instrument_1/detector_1/mask": (np.eye(N) > 0).astype(np.uint32),
        "instrument_1/beam_1/energy": (ENERGY * 1e-3, "keV"),
        "instrument_1/source_1/illumination": probe,
        "sample_1/transformations/x": (positions[:, 1] * PIXEL * 1e6, "um"),
        "sample_1/transformations/y": (positions[:, 0] * PIXEL * 1e6, "um"),
        **{key.replace("__", "/"): value for key, value in changes.items()},
    }
    with h5py.File(path, "w") as h5:
        h5["cxi_version"] = 160
        entry = h5.create_group("entry_1")
        for key, value in values.items():
            if key in drop:
                continue
            number, unit = value if isinstance(value, tuple) else (value, None)
            entry[key] = number
            if unit is not None:
                entry[key].attrs["units"] = unit
        for axis, vector in (("x", (-1.0, 0, 0)), ("y", (0, -1.0, 0))):
            if (key := f"sample_1/transformations/{axis}") in entry:
                entry[key].attrs["vector"] = vector
        if change is not None:
            change(entry)
    return path


def nxcxi(folder):
    return Small(write_nxcxi(folder / "scan.nxs"))


def ptychovit(folder):
    dp, para = foreign.write_pair(folder, "ptychovit", object=foreign.OBJECT[None, :9, :9])
    return _square(dp, para)


def fold_slice(folder):
    dp, para = foreign.write_pair(folder)
    return _square(para, dp)


def ptychovit_of_ours(folder):
    path = _converted(folder, "scan_dp.hdf5")
    return Small(path, {}, (folder / "scan_para.hdf5",))


def ptyd(folder):
    return _square(foreign.write_ptyd(folder / "scan.ptyd", chunks=(8, 7)))


def ptylab(folder):
    # The pixel of this set-up is 23 um.
    return _square(foreign.write_ptylab(folder / "scan.hdf5", encoder=foreign.PLACES * 2e-5))


def hxn(folder):
    return _square(foreign.write_hxn(folder / "scan.h5", obj=foreign.OBJECT[:9, :9]))


def shelves_variables(**changes):
    changes.setdefault("object", foreign.OBJECT[:40, :44])
    return foreign.shelves_variables(**changes)


def mat_5(folder):
    from scipy.io import savemat

    # As MATLAB may write it too, not compressed: a changed byte reaches the parser.
    savemat(folder / "scan.mat", shelves_variables())
    return _square(folder / "scan.mat")


def mat_73(folder):
    return _square(foreign.write_mat(folder / "scan.mat", 73, shelves_variables()))


def plain_parts(**changes):
    return {
        "entry/data": foreign.COUNTS,
        "entry/pos": foreign.PLACES,
        "entry/probe": foreign.PROBE,
        "entry/mask": foreign.BAD.astype(np.uint8),
        **changes,
    }


PLAIN = {
    "data_path": "entry/data",
    "positions_path": "entry/pos",
    "probe_path": "entry/probe",
    "mask_path": "entry/mask",
}


def plain(folder):
    return _square(foreign.write_flat(folder / "scan.h5", plain_parts()), **PLAIN)


def plain_chunked(folder):
    """Chunks, compressed and with checksums, in the newer structures of HDF5."""
    path = folder / "scan.h5"
    with h5py.File(path, "w", libver="latest") as h5:
        for key, value in plain_parts().items():
            h5.create_dataset(
                key,
                data=value,
                chunks=(4, *value.shape[1:]),
                maxshape=(None, *value.shape[1:]),
                compression="gzip" if key != "entry/pos" else "lzf",
                shuffle=True,
                fletcher32=key == "entry/data",
            )
    return _square(path, **PLAIN)


def _signal():
    units, scales = ("nm", "nm", "1/nm", "1/nm"), (0.2, 0.3, 0.5, 0.5)
    data = foreign.COUNTS.reshape(3, 5, *foreign.COUNTS.shape[1:])
    return {
        "data": data,
        "axes": [
            {
                "name": f"axis{i}",
                "size": n,
                "scale": scales[i],
                "offset": 0.0,
                "units": units[i],
                "navigate": i < 2,
                "index_in_array": i,
            }
            for i, n in enumerate(data.shape)
        ],
        "metadata": {
            "General": {"title": "scan"},
            "Signal": {"signal_type": ""},
            "Acquisition_instrument": {"TEM": {"beam_energy": 300.0, "camera_length": 120.0}},
        },
        "original_metadata": {},
        "learning_results": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "models": {},
        "package_info": {},
    }


def hspy(folder):
    from rsciio.hspy import file_writer

    file_writer(str(folder / "scan.hspy"), _signal(), show_progressbar=False)
    return _square(folder / "scan.hspy")


def emd(folder):
    from rsciio.emd import file_writer

    file_writer(str(folder / "scan.emd"), _signal())
    return _square(folder / "scan.emd", energy_ev=3e5)


def merlin(folder):
    """Frames, each with a header of 384 characters, and the description that says the raster."""
    frames = foreign.COUNTS
    count, height, width = frames.shape
    with open(folder / "scan.mib", "wb") as file:
        for number, frame in enumerate(frames):
            head = (
                f"MQ1,{number:06d},00384,01,{width:04d},{height:04d},U16,   1x1,01,"
                "2020-05-07 16:51:10.905800928,0.001000,0,0,0,120,511,000,000,000,000,000,000,"
                "MQ1A,2020-05-07T14:51:10.905800928Z,1000000ns,12"
            )
            file.write((head.ljust(383) + ",").encode())
            file.write(frame.astype(">u2").tobytes())
    (folder / "scan.hdr").write_text(
        "HDR,\t\nTime and Date Stamp (day, mnth, yr, hr, min, s):\t5/7/2020 3:51:10 PM\n"
        f"Frames in Acquisition (Number):\t{count}\nFrames per Trigger (Number):\t5\nEnd\t\n"
    )
    options = {"energy_ev": 3e5, "step_m": 1e-9, "pixel_size_m": 1e-10}
    return _square(folder / "scan.mib", folder / "scan.hdr", **options)


def _converted(folder, name, to=None):
    """The first scan, written by our writer of the format of this name."""
    from pinn.io.convert import convert

    source = folder / "source.npz"
    changes = {
        "bad_pixels": np.eye(N) > 0,
        "xcoords_start": contract()["xcoords"] + 0.25,
        "ycoords_start": contract()["ycoords"] - 0.25,
        "frames_units": np.array("amplitude"),
    }
    np.savez(source, **npz_parts(**changes))
    options = {"energy_ev": ENERGY, "distance_m": DISTANCE, "detector_pixel_m": DETECTOR}
    convert(source, folder / name, to, saturation=1e6, **options)
    source.unlink()
    return folder / name


SMALL = {
    maker.__name__: maker
    for maker in (
        *(npz, npz_compressed, npz_of_ours, tike, ptychodus, ptychodus_npz, ptychodus_of_ours),
        *(ptychodus_training, cxi, cxi_of_ours, nxcxi, ptychovit, fold_slice, ptychovit_of_ours),
        *(ptyd, ptylab, hxn, mat_5, mat_73, plain, plain_chunked, hspy, emd, merlin),
    )
}


def members(path):
    """Members of a zip file by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_up(path, parts, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path
