"""Wavelengths and object pixels against numbers from elsewhere, and the diameter of a probe."""

import numpy as np
import pytest
import scipy.constants
from hypothesis import given
from hypothesis import strategies as st

from pinn.data import geometry
from pinn.data.validation import Subject, check_particle
from pinn.errors import ScanError


def test_constants_are_those_of_scipy():
    # SciPy keeps up with CODATA; the electron mass moves by parts in 1e10 between editions.
    known = scipy.constants
    for mine, theirs in (
        (geometry.PLANCK_J_S, known.h),
        (geometry.LIGHT_M_S, known.c),
        (geometry.CHARGE_C, known.e),
        (geometry.ELECTRON_KG, known.m_e),
    ):
        assert mine == pytest.approx(theirs, rel=1e-8)


def test_wavelengths_of_text_books():
    assert geometry.photon_wavelength_m(12398.42) == pytest.approx(1e-10, rel=1e-6)
    # Kirkland, Advanced Computing in Electron Microscopy, table of relativistic wavelengths.
    for kilovolts, picometres in ((100, 3.701), (200, 2.508), (300, 1.969)):
        found = geometry.electron_wavelength_m(kilovolts * 1e3)
        assert found == pytest.approx(picometres * 1e-12, rel=3e-4)


@given(st.floats(1.0, 1e6))
def test_energy_and_wavelength_are_inverse(energy):
    assert geometry.photon_energy_ev(geometry.photon_wavelength_m(energy)) == pytest.approx(energy)
    back = geometry.electron_energy_ev(geometry.electron_wavelength_m(energy))
    assert back == pytest.approx(energy, rel=1e-9)


def test_the_particle_decides():
    photon, electron = (geometry.wavelength_m(3e5, kind) for kind in geometry.PARTICLES)
    assert photon == pytest.approx(4.1328e-12, rel=1e-4)
    assert electron == pytest.approx(1.9687e-12, rel=1e-4)
    with pytest.raises(ScanError, match="particle of here is 'neutron', but photon or electron"):
        check_particle("neutron", Subject("here", "particle"))


def test_the_object_pixel_is_that_of_the_discrete_far_field():
    # A grating of 8 object pixels per period diffracts to N/8 detector pixels: compare with the
    # angle of diffraction, wavelength / period, seen at the distance.
    wavelength, distance, N, detector = 1.5e-10, 2.0, 96, 75e-6
    pixel = geometry.object_pixel_m(wavelength, distance, N, detector)
    grating = np.exp(2j * np.pi * np.arange(N) / 8)
    peak = int(np.argmax(np.abs(np.fft.fft(grating))))
    assert peak * detector == pytest.approx(distance * wavelength / (8 * pixel))


def test_the_diameter_of_a_disc_and_of_an_uneven_gaussian():
    y, x = np.mgrid[:128, :128] - 60.0
    disc = (np.hypot(y, x) <= 25) * (1 + 2j)
    assert geometry.probe_diameter_px(disc) == pytest.approx(50, rel=0.01)  # pixelled rim
    intensity = np.exp(-((y / 6) ** 2 + (x / 9) ** 2) / 2)
    modes = np.stack([np.sqrt(intensity / 3), 1j * np.sqrt(intensity * 2 / 3)])
    assert geometry.probe_diameter_px(modes) == pytest.approx(4 * np.sqrt((36 + 81) / 2), rel=1e-3)
