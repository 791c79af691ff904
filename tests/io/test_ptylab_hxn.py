"""Files of PtyLab and of the NSLS-II nanoprobe: units, order of columns, turns of the frames."""

import numpy as np
import pytest
from foreign_files import (
    COUNTS,
    LAB_M,
    PLACES_M,
    PROBE,
    H,
    W,
    frames_of,
    write_flat,
    write_hxn,
    write_ptylab,
)
from readers import claims

from pinn.config import ScanConfig
from pinn.data.geometry import photon_energy_ev
from pinn.io.formats.flat import read_hxn, read_ptylab


def lr(image):
    """Left to right about the zero frequency: frequency k goes to -k, the lowest one stays."""
    return image[:, (-np.arange(image.shape[1])) % image.shape[1]]


def ud(image):
    return lr(image.T).T


# As PtyLab describes its codes, but with the zero frequency, at n // 2 of an even n, left there.
TURNS = {
    0: lambda a: a,
    1: lr,
    2: ud,
    3: lambda a: ud(lr(a)),
    4: np.transpose,
    5: lambda a: lr(a.T),
    6: lambda a: ud(a.T),
    7: lambda a: ud(lr(a.T)),
}


def ptylab(path, **options):
    return read_ptylab(path, ScanConfig(**options))


def hxn(path, **options):
    return read_hxn(path, ScanConfig(**options))


def test_ptylab(tmp_path):
    path = write_ptylab(tmp_path / "a.hdf5")
    found = ptylab(path)
    np.testing.assert_array_equal(frames_of(found), COUNTS)
    np.testing.assert_array_equal(found.positions_m, LAB_M)
    assert found.energy_ev == pytest.approx(photon_energy_ev(632.8e-9))
    assert (found.distance_m, found.detector_pixel_m) == (0.05, 75e-6)
    assert found.units == "intensity" and found.probe is None
    assert any("120 um wide" in note for note in found.notes)
    assert ptylab(path, frames="counts").units is None


@pytest.mark.parametrize("code", TURNS)
def test_orientation_of_ptylab(tmp_path, code):
    found = ptylab(write_ptylab(tmp_path / "a.hdf5", orientation=code))
    wanted = np.stack([TURNS[code](frame) for frame in COUNTS])
    np.testing.assert_array_equal(frames_of(found), wanted)
    middle = COUNTS[:, H // 2, W // 2]
    turned = frames_of(found)
    np.testing.assert_array_equal(
        turned[:, turned.shape[1] // 2, turned.shape[2] // 2], middle.astype(turned.dtype)
    )
    assert bool(code) == any("about their zero frequency" in note for note in found.notes)


def test_variants_of_ptylab(tmp_path):
    turned = ptylab(write_ptylab(tmp_path / "a.hdf5", encoder=LAB_M.T))
    np.testing.assert_array_equal(turned.positions_m, LAB_M)
    bare = ptylab(
        write_ptylab(
            tmp_path / "b.hdf5",
            orientation=None,
            entrancePupilDiameter=None,
            wavelength=None,
            zo=[[0.0]],
            dxd=None,
        )
    )
    assert (bare.energy_ev, bare.distance_m, bare.detector_pixel_m) == (None, None, None)
    assert bare.notes == []


def test_hxn(tmp_path):
    path = write_hxn(tmp_path / "a.h5")
    found = hxn(path)
    np.testing.assert_array_equal(frames_of(found), np.sqrt(COUNTS).astype(np.float32))
    np.testing.assert_allclose(found.positions_m, PLACES_M, rtol=1e-14)
    np.testing.assert_array_equal(found.probe, PROBE)
    assert found.positions_unit_m == 1e-6
    assert found.energy_ev == pytest.approx(photon_energy_ev(1.5e-10))
    assert found.detector_pixel_m == pytest.approx(55e-6) and found.distance_m == 0.5
    assert found.acquisition == {"tomography_angle_deg": -3.0}
    assert found.units == "amplitude" and "'obj' was not read" in found.notes[0]
    assert hxn(path, frames="counts").units is None


def test_hxn_with_less(tmp_path):
    found = hxn(write_hxn(tmp_path / "a.h5", prb=None, obj=None, angle=None, z_m=0.0))
    assert (found.probe, found.distance_m) == (None, None)
    assert dict(found.acquisition) == {} and found.notes == []
    one = hxn(write_hxn(tmp_path / "b.h5", prb=PROBE[0]))
    np.testing.assert_array_equal(one.probe, PROBE[0])


def test_recognised(tmp_path):
    lab, nano = write_ptylab(tmp_path / "a.h5"), write_hxn(tmp_path / "b.h5")
    other = write_flat(tmp_path / "c.h5", {"ptychogram": 1, "points": 1})
    assert [claims("ptylab", path) for path in (lab, nano, other)] == [True, False, False]
    assert [claims("hxn", path) for path in (lab, nano, other)] == [False, True, False]
