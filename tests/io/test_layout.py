"""A format that a table describes, in HDF5 and in NPZ."""

import h5py
import numpy as np
import pytest
from foreign_files import COUNTS, OBJECT, PLACES, PROBE, H, M, W, frames_of

from pinn.config import ScanConfig
from pinn.data.geometry import photon_energy_ev
from pinn.errors import ScanError
from pinn.io.hdf5 import open_data
from pinn.io.layout import Layout, Number, read_layout

LAYOUT = Layout(
    frames="frames",
    centre="corner",
    positions=("y", "x"),
    unit_m=1e-6,
    numbers={
        "wavelength_m": Number(("@lambda_nm",), 1e-9),
        "distance_m": Number(("@z_old", "@z")),
        "detector_pixel_m": Number(("frames@pixel_um",), 1e-6),
    },
    acquisition={"tilt_angle_deg": Number(("@tilt",))},
    probe="light",
    left_out={"map": "nobody knows where it lies"},
)
ARRAYS = {"frames": COUNTS, "y": PLACES[:, 0], "x": PLACES[:, 1:], "light": PROBE, "map": OBJECT}
NUMBERS = {"lambda_nm": 0.15, "z": 2.0, "tilt": 0.0}


def write(folder, kind):
    path = folder / f"a.{kind}"
    if kind == "npz":
        np.savez(path, **ARRAYS, **NUMBERS, frames_pixel_um=75.0)
        return path
    with h5py.File(path, "w") as h5:
        for name, array in ARRAYS.items():
            h5[name] = array
        h5.attrs.update(NUMBERS)
        h5["frames"].attrs["pixel_um"] = 75.0
    return path


def read(path, layout=LAYOUT, **options):
    with open_data(path) as file:
        return read_layout(file, layout, ScanConfig(**options))


@pytest.mark.parametrize("kind", ["h5", "npz"])
def test_a_table_is_enough(tmp_path, kind):
    contents = read(write(tmp_path, kind))
    np.testing.assert_array_equal(frames_of(contents), COUNTS)
    np.testing.assert_array_equal(contents.positions_m, PLACES * 1e-6)
    np.testing.assert_array_equal(contents.probe, PROBE)
    assert (contents.units, contents.centre) == ("counts", "corner")
    assert contents.energy_ev == pytest.approx(photon_energy_ev(1.5e-10))
    assert (contents.distance_m, contents.detector_pixel_m) == (2.0, pytest.approx(75e-6))
    assert contents.acquisition == {} and len(contents.notes) == 1
    assert "nobody knows" in contents.notes[0]


def test_pixels_with_an_anchor_and_options_that_overrule(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, frames=COUNTS * 0.5, pos=PLACES[:, ::-1].T)
    layout = Layout(frames="frames", positions=("pos",), order="xy", anchor=(0.5, 0.25))
    contents = read(path, layout)
    np.testing.assert_array_equal(contents.positions_px, PLACES + [H / 2, W / 2] + 0.25)
    assert contents.units == "intensity" and contents.positions_m is None
    assert read(path, layout, frames="amplitude").units is None


@pytest.mark.parametrize("in_rows", [False, True])
def test_two_pairs_may_be_read_either_way(tmp_path, in_rows):
    np.savez(tmp_path / "a.npz", frames=COUNTS[:2], pos=np.array([[1.0, 2.0], [3.0, 4.0]]))
    contents = read(tmp_path / "a.npz", Layout("frames", ("pos",), in_rows=in_rows))
    assert contents.positions_px.tolist() == ([[1, 3], [2, 4]] if in_rows else [[1, 2], [3, 4]])


def test_a_refusal_closes_the_frames(tmp_path):
    path = write(tmp_path, "h5")
    with h5py.File(path, "a") as h5:
        del h5["x"]
        h5["x"] = np.zeros(M - 1)
    with open_data(path) as file:
        frames = file.frames("frames")
        with pytest.raises(ScanError, match=r"'/x' in .* \(14,\), but one number for each of"):
            read_layout(file, LAYOUT, ScanConfig(), frames)
        with pytest.raises(ScanError, match="closed"):
            frames.read([0])
