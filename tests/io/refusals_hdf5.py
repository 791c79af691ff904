"""Changes of valid HDF5 files, by the maker of the file, and words that the refusal must say.

`maker@1` is the second file of a scan.
"""

import h5py
import numpy as np
from breaking import (
    all_of,
    attributes,
    cycle,
    data_type,
    external_raw,
    links,
    nested,
    no_raster,
    no_step,
    put,
    rows,
    strange_names,
    unknown_filter,
    unwritten,
    virtual,
    words,
)
from foreign_files import COUNTS, PLACES
from small_scans import E

DATA = "entry/data"
DETECTOR, SOURCE = E + "instrument_1/detector_1/", E + "instrument_1/source_1/"
TRANSLATION, MOTORS = E + "sample_1/geometry_1/translation", E + "sample_1/transformations/"
SCAN = "Experiments/scan"
ENERGY_NEEDED = ("size of an object pixel is not known", "--energy-ev")
NO_PIXEL = attributes("object", pixel_width_m=None, pixel_height_m=None)


def energy_is(value):
    """A product whose energy is needed, for it states no pixel."""
    return all_of(attributes("/", photon_energy_eV=value), NO_PIXEL)


def dataset(value):
    """The basis vectors, or what lies there."""
    return put(DETECTOR + "basis_vectors", value)


CHANGES = {
    "plain": {
        "external link": (
            links(h5py.ExternalLink("frames_0001.h5", "/data")),
            *("'/entry/data'", "'/data' in the file 'frames_0001.h5'", "put it beside the file"),
        ),
        "soft link": (
            links(h5py.SoftLink("/entry/gone")),
            *("'/entry/data'", "'/entry/gone' in the same file"),
        ),
        "cycle of links": (cycle, "'/entry/data'", "'/entry/other'"),
        "group of frames": (
            all_of(put(DATA, None), put("entry/data/part", np.zeros(4))),
            *("'/entry/data'", "is a group", "part (4,)"),
        ),
        "data type of frames": (data_type, "'/entry/data'", "is a data type"),
        "no group": (
            all_of(put("entry", None), put("entry", np.zeros(3))),
            *("no dataset '/entry/data'", "entry (3,)"),
        ),
        "unknown filter": (unknown_filter, "'/entry/data'", "filter 511"),
        "words": (words, "'/entry/data'", "holds text", "real numbers"),
        "rows": (rows, "'/entry/data'", "rows of different lengths"),
        "table": (
            put(DATA, np.zeros((15, 16, 16), [("a", "f4"), ("b", "i2")])),
            *("'/entry/data'", "a table with the columns a, b"),
        ),
        "complex frames": (
            put(DATA, COUNTS + 1j),
            *("'/entry/data'", "complex numbers", "real numbers"),
        ),
        "0-d frames": (put(DATA, 5.0), "'/entry/data'", "shape ()"),
        "null frames": (put(DATA, h5py.Empty("f4")), "'/entry/data'", "None"),
        "5-d frames": (
            put(DATA, COUNTS[None, None]),
            *("'/entry/data'", "(1, 1, 15, 16, 18)", "3 or 4 axes"),
        ),
        "zero frames": (put(DATA, COUNTS[:0]), "'entry/data'", "(0, 16, 18)", "no frames"),
        "raw file": (external_raw, "'/entry/data'", "'frames.raw'", "not there"),
        "virtual": (virtual, "'/entry/data'", "'part_0001.h5'", "not there"),
        "frames never written": (
            unwritten(DATA, (10**12, 16, 18)),
            *("'entry/data'", "(1000000000000, 16, 18)", "more frames than any file holds"),
        ),
        "positions never written": (
            unwritten("entry/pos", (10**8, 2), "f8"),
            *("'/entry/pos'", "(100000000, 2)", "too large"),
        ),
        "nothing written": (unwritten(DATA, (15, 16, 18)), "15 frames", "dark"),
        "strange names": (strange_names, "no dataset '/entry/data'", "it has"),
        "infinite": (
            put("entry/pos", np.where(np.eye(15, 2) > 0, np.inf, PLACES)),
            *("number 0 with [inf", "--drop-frames"),
        ),
        "one place less": (put("entry/pos", PLACES[1:]), "entry/pos'", "(14, 2)", "15 frames"),
        "places in a line": (put("entry/pos", np.ones(15)), "entry/pos'", "(15,)"),
        "unit of places": (attributes("entry/pos", units="furlong"), "entry/pos'", "'furlong'"),
        "mask": (put("entry/mask", np.zeros((4, 4), "u1")), "(4, 4)", "(16, 18)"),
        "text mask": (put("entry/mask", "none"), "'/entry/mask'", "text"),
        "no mask": (put("entry/mask", None), "no dataset '/entry/mask'"),
        "probe": (put("entry/probe", "round"), "'/entry/probe'", "holds text"),
        "probe rank": (put("entry/probe", np.ones(3)), "'/entry/probe'", "(3,)"),
    },
    "cxi": {
        "no frames": (
            put(E + "data_1/data", None),
            *("no frames", "'/entry_1/data_1/data'", "--diffraction"),
        ),
        "frames rank": (put(E + "data_1/data", COUNTS[0]), "3 or 4 axes"),
        "no places": (put(TRANSLATION, None), "no positions", "geometry_1/translation'", "it has"),
        "one place less": (
            put(TRANSLATION, np.zeros((10, 3))),
            *("translation'", "(10, 3)", "11 frames"),
        ),
        "places in a line": (put(TRANSLATION, np.zeros(11)), "translation'", "2 or 3 axes"),
        "infinite places": (put(TRANSLATION, np.full((11, 3), np.inf)), "not finite"),
        "energy": (put(SOURCE + "energy", 8.0), "energy'", "is 8", "joule", "--energy-ev"),
        "energy of a ring": (put(SOURCE + "energy", 3e9), "joule"),
        "energy in words": (put(SOURCE + "energy", "8 keV"), "energy'", "holds text"),
        "energies": (put(SOURCE + "energy", [1e-15, 2e-15]), "2 numbers", "one is required"),
        "oblong pixels": (put(DETECTOR + "y_pixel_size", 1e-3), "pixels", "square", "resample"),
        "parallel axes": (dataset(np.ones((2, 3))), "two vectors (x, y, z) across the beam"),
        "one axis": (dataset(np.ones((1, 3))), "two vectors"),
        "axes along the beam": (dataset(np.array([[0, 0, 1.0], [1, 0, 0]])), "two vectors"),
        "moving detector": (dataset(np.arange(66.0).reshape(11, 2, 3)), "from frame to frame"),
        "corner": (put(DETECTOR + "corner_position", np.ones(2)), "corner_position'", "(2,)"),
        "mask": (put(DETECTOR + "mask", np.zeros((9, 9), "u4")), "(9, 9)", "(11, 16, 16)"),
        "mask is text": (put(DETECTOR + "mask", "none"), "holds text"),
        "masks of fewer frames": (
            put(DETECTOR + "mask", np.zeros((10, 16, 16))),
            *("(10, 16, 16)", "(11, 16, 16)"),
        ),
        "probe of nothing": (
            put(SOURCE + "illumination", np.full((2, 16, 16), np.nan + 0j)),
            *("probe", "not finite", "--probe"),
        ),
        "data is no group": (
            all_of(put(E + "data_1", None), put(E + "data_1", np.zeros(3))),
            *("no frames", "'/entry_1/data_1/data'"),
        ),
    },
    "cxi_of_ours": {
        "of a newer pinn": (
            attributes(E + "pinn_scan", format_version=99),
            *("newer pinn", "upgrade"),
        ),
        "version in words": (
            attributes(E + "pinn_scan", format_version="abc"),
            *("newer pinn", "version None"),
        ),
        "nested json": (
            put(E + "pinn_scan/steps", nested(100000)),
            *("pinn_scan/steps'", "no JSON list", "write the file again"),
        ),
        "json of another kind": (put(E + "pinn_scan/acquisition", "[]"), "no JSON dict"),
        "places": (
            put(E + "pinn_scan/positions_px", np.zeros((12, 3))),
            *("positions_px'", "(12, 3)", "(12, 2)"),
        ),
        "no places": (put(E + "pinn_scan/positions_px", None), "no dataset", "positions_px"),
        "places of nothing": (
            put(E + "pinn_scan/positions_px", np.full((12, 2), np.nan)),
            "not finite",
        ),
        "origin in words": (
            attributes(E + "pinn_scan", truth_origin_px="left"),
            *("truth_origin_px", "left"),
        ),
        "particle": (
            attributes(E + "pinn_scan", particle="neutron"),
            *("particle", "'neutron'", "photon or electron"),
        ),
        "propagation in numbers": (
            attributes(E + "pinn_scan", propagation=3),
            *("propagation", "name of a kind"),
        ),
    },
    "nxcxi": {
        "no frames": (put(DETECTOR + "data", None), "no frames"),
        "no motor": (put(MOTORS + "x", None), "no positions", "transformations/x'"),
        "unit": (attributes(MOTORS + "x", units="furlong"), "'furlong'", "length", "correct it"),
        "unit of energy": (
            put(E + "instrument_1/beam_1/energy", 8.0, units="horses"),
            "'horses'",
        ),
        "direction": (attributes(MOTORS + "x", vector=[0.0, 0, 0]), "'vector'", "a direction"),
        "direction in words": (attributes(MOTORS + "x", vector="left"), "a direction (x, y, z)"),
        "one place less": (
            put(MOTORS + "y", np.zeros(10), units="um"),
            *("transformations/y'", "(10,)", "11 frames"),
        ),
        "text": (put(MOTORS + "y", "here"), "holds text"),
        "mask": (put(DETECTOR + "mask", np.zeros((2, 2))), "(2, 2)"),
        "external motor": (links(h5py.ExternalLink("m.h5", "/x"), MOTORS + "x"), "'m.h5'"),
        "beam outside": (
            put(DETECTOR + "beam_center_x", 900.0, units="pixels"),
            *("pixel [8, 900]", "16 x 16", "--beam-centre"),
        ),
        "no energy": (put(E + "instrument_1/beam_1/energy", 0.0, units="eV"), *ENERGY_NEEDED),
    },
    "ptychodus": {
        "no x": (put("probe_position_x_m", None), "no known layout"),
        "one x less": (
            put("probe_position_x_m", np.zeros(10)),
            *("'probe_position_x_m' 10", "different lengths"),
        ),
        "infinite": (
            put("probe_position_y_m", np.full(11, -np.inf)),
            *("number 0 with [-inf", "not finite"),
        ),
        "text": (put("probe_position_x_m", "here"), "holds text"),
        "complex": (put("probe_position_x_m", np.zeros(11) + 0j), "holds complex numbers"),
        "indexes": (put("probe_position_indexes", np.arange(11.0)), "must hold whole numbers"),
        "probe rank": (put("probe", np.ones(16) + 0j), "must have 2 or 3 or 4 axes"),
        "probe of nothing": (put("probe", np.full((16, 16), np.nan + 0j)), "not finite"),
        "weights": (
            all_of(put("probe", np.ones((2, 1, 16, 16)) + 0j), put("opr_weights", np.ones((4, 3)))),
            *("'/opr_weights'", "(4, 3)", "(11, 2)"),
        ),
        "object rank": (put("object", np.ones((1, 1, 4, 4)) + 0j), "must have 2 or 3 axes"),
        "object gone": (links(h5py.SoftLink("/gone"), "object"), "'/gone'"),
        "energy in words": (energy_is("abc"), *ENERGY_NEEDED),
        "energy of nothing": (energy_is(np.nan), *ENERGY_NEEDED),
        "energy below zero": (energy_is(-8e3), *ENERGY_NEEDED),
        "energies": (energy_is([1.0, 2.0]), *ENERGY_NEEDED),
        "energy beyond all": (
            attributes("/", photon_energy_eV=1e300),
            *("energy_ev", "1e+300", "--energy-ev"),
        ),
        "pixel beyond all": (
            attributes("object", pixel_width_m=1e-300, pixel_height_m=1e-300),
            *("pixel_size_m", "1e-300"),
        ),
        "pixel of a metre": (
            attributes("object", pixel_width_m=1.0, pixel_height_m=1.0),
            *("span only", "object pixels of 1 m", "--pixel-size-m"),
        ),
    },
    "ptychodus@1": {
        "other numbers": (
            put("indexes", np.arange(500, 511)),
            *("no frame belongs to a position", "500 to 510"),
        ),
        "one index less": (
            put("indexes", np.arange(10)),
            *("diffraction.h5", "(10,)", "11 patterns"),
        ),
        "complex": (put("patterns", np.ones((11, 16, 16)) + 0j), "complex"),
        "rank": (put("patterns", np.ones((16, 16))), "3 or 4 axes"),
        "nothing": (put("patterns", None), "no dataset '/patterns'"),
        "mask": (put("bad_pixels", np.zeros((8, 16), bool)), "(8, 16)"),
        "external": (links(h5py.ExternalLink("raw.h5", "/d"), "patterns"), "'raw.h5'"),
    },
    "ptychodus_training": {
        "one less": (
            put("probe_position_x_px", np.zeros(10)),
            *("'/probe_position_x_px'", "(10,)", "11 frames"),
        ),
        "no number": (put("probe_position_y_px", np.full(11, np.nan)), "not finite"),
        "complex": (put("patterns", np.ones((11, 16, 16)) + 0j), "complex"),
    },
    "ptychovit@1": {
        "one y less": (put("probe_position_y_m", np.ones(9)), "(9,)", "15 frames"),
        "real probe": (put("probe", np.ones((16, 18))), "'/probe'", "must hold complex numbers"),
        "object rank": (put("object", np.ones(3) + 0j), "'/object'", "(3,)"),
    },
    "fold_slice": {
        "no positions": (
            all_of(put("ppX", None), put("ppY", None)),
            "no known layout",
        ),
        "one axis": (put("ppY", None), "no known layout"),
        "one place less": (put("ppX", np.zeros(14)), "'/ppX'", "(14,)", "15 frames"),
        "no number": (put("ppX", np.full(15, np.nan)), "not finite"),
        "wavelengths": (put("lambda", [1e-10, 2e-10]), "'/lambda'", "one is required"),
        "no wavelength": (
            all_of(put("dx", None), put("lambda", 0.0)),
            "size of an object pixel is not known",
        ),
    },
    "fold_slice@1": {
        "frames rank": (put("dp", np.ones((16, 18))), "dp'", "scan_dp.hdf5", "(16, 18)"),
    },
    "ptyd": {
        "empty": (
            all_of(put("chunks/0", None), put("chunks/1", None)),
            *("'/chunks'", "is empty", "save='append'"),
        ),
        "no data": (put("chunks/0/data", None), "no dataset '/chunks/0/data'"),
        "no frames": (put("chunks/0/data", COUNTS[:0]), "(0, 16, 18)", "at least one frame"),
        "frames rank": (put("chunks/0/data", COUNTS[0]), "'/chunks/0/data'", "(16, 18)"),
        "other frames": (
            put("chunks/1/data", np.ones((7, 16, 20))),
            *("'/chunks/1/data'", "(7, 16, 20)", "(16, 18)"),
        ),
        "one place less": (
            put("chunks/0/positions", np.zeros((7, 2))),
            *("'/chunks/0/positions'", "(7, 2)", "8 frames"),
        ),
        "no number": (put("chunks/0/positions", np.full((8, 2), np.nan)), "number 0", "not finite"),
        "text": (put("chunks/0/positions", [[b"None"] * 2] * 8), "positions'", "text"),
        "weights": (
            put("chunks/0/weights", np.ones((8, 16, 16))),
            *("'/chunks/0/weights'", "(8, 16, 16)", "(8, 16, 18)"),
        ),
        "all masked": (
            all_of(
                *(put(f"chunks/{k}/weights", np.zeros((n, 16, 18))) for k, n in ((0, 8), (1, 7)))
            ),
            "cover all frames",
        ),
        "oblong pixels": (
            put("meta/psize", [1e-5, 2e-5]),
            *("'/meta/psize'", "2e-05 m wide", "1e-05 m high", "square"),
        ),
    },
    "ptylab": {
        "Fourier": (
            all_of(put("zled", 0.07), put("zo", None)),
            *("Fourier ptychography", "only conventional"),
        ),
        "orientation": (put("orientation", 9), "'/orientation'", "is 9", "0 to 7"),
        "places": (put("encoder", np.zeros((14, 2))), "'/encoder'", "(14, 2)", "15 frames"),
        "wavelength": (put("wavelength", [0.0]), *ENERGY_NEEDED),
        "wavelengths": (put("wavelength", [4e-7, 7e-7]), "'/wavelength'", "one is required"),
    },
    "hxn": {
        "one place less": (put("points", np.zeros((2, 14))), "'/points'", "(2, 14)", "15 frames"),
        "wavelength": (put("lambda_nm", 5e-324), "energy_ev", "above zero"),
        "probe": (put("prb", np.ones((2, 16, 18))), "'/prb'", "complex"),
    },
    "mat_73": {
        "frames in cells": (
            lambda file: (
                file.__delitem__("p/fmag"),
                file.create_dataset("p/fmag", (2, 1), h5py.ref_dtype),
            ),
            *("no frames", "p.fmag"),
        ),
    },
    "hspy": {
        "no raster": (no_raster, "a raster of images", "(5, 16, 18)"),
        "no step": (no_step, "no step in a unit of length", "--step-m"),
        "oblong pixels": (
            attributes(f"{SCAN}/axis-3", scale=0.6),
            *("0.5 x 0.6 1/nm", "only square"),
        ),
        "cycle of links": (
            lambda file: file[SCAN].__setitem__("metadata/again", h5py.SoftLink("/Experiments")),
            *("'/Experiments/scan/metadata/again'", "leads back", "remove the link"),
        ),
        "never written": (
            lambda file: file.create_dataset(f"{SCAN}/metadata/big", (1 << 40,), "f8", chunks=True),
            *("'/Experiments/scan/metadata/big'", "(1099511627776,)", "ever written"),
        ),
        "no data": (put(f"{SCAN}/data", None), "RosettaSciIO cannot read"),
    },
    "emd": {"no data": (lambda file: [file.__delitem__(k) for k in list(file)], "no data")},
}
