"""Zernike polynomials against Noll's table, the zone plate against diffraction integrals."""

import json

import numpy as np
import pytest
from scipy.special import j0

from pinn.data.geometry import photon_wavelength_m
from pinn.errors import ConfigError
from pinn.simulate import SimulateConfig, simulate
from pinn.simulate.optics import optics_of, zone_plate
from pinn.simulate.probes import make_probe, probe_diameter_px
from pinn.simulate.zernike import noll, parse_zernike, phase_of, random_zernike, zernike

# Noll 1976, table I, written out; (r, t) polar
TABLE = {
    1: lambda r, t: np.ones_like(r),
    2: lambda r, t: 2 * r * np.cos(t),
    3: lambda r, t: 2 * r * np.sin(t),
    4: lambda r, t: np.sqrt(3) * (2 * r**2 - 1),
    5: lambda r, t: np.sqrt(6) * r**2 * np.sin(2 * t),
    6: lambda r, t: np.sqrt(6) * r**2 * np.cos(2 * t),
    7: lambda r, t: np.sqrt(8) * (3 * r**3 - 2 * r) * np.sin(t),
    8: lambda r, t: np.sqrt(8) * (3 * r**3 - 2 * r) * np.cos(t),
    9: lambda r, t: np.sqrt(8) * r**3 * np.sin(3 * t),
    10: lambda r, t: np.sqrt(8) * r**3 * np.cos(3 * t),
    11: lambda r, t: np.sqrt(5) * (6 * r**4 - 6 * r**2 + 1),
    12: lambda r, t: np.sqrt(10) * (4 * r**4 - 3 * r**2) * np.cos(2 * t),
    13: lambda r, t: np.sqrt(10) * (4 * r**4 - 3 * r**2) * np.sin(2 * t),
    14: lambda r, t: np.sqrt(10) * r**4 * np.cos(4 * t),
    15: lambda r, t: np.sqrt(10) * r**4 * np.sin(4 * t),
}


@pytest.mark.parametrize("index", TABLE)
def test_polynomials_are_those_of_nolls_table(index):
    rng = np.random.default_rng(index)
    r, t = np.sqrt(rng.random(50)), rng.uniform(0, 2 * np.pi, 50)
    np.testing.assert_allclose(zernike(index, r, t), TABLE[index](r, t), atol=1e-12)


def test_polynomials_are_orthonormal_over_the_disc():
    # exact quadrature: Gauss-Legendre in r^2 and even angles, for all orders up to 7
    nodes, weights = np.polynomial.legendre.leggauss(12)
    r = np.sqrt((nodes + 1) / 2)[:, None]
    t = np.arange(32) * 2 * np.pi / 32
    count = 36
    values = np.stack([np.broadcast_to(zernike(j, r, t), (12, 32)) for j in range(1, count + 1)])
    gram = np.einsum("irt,jrt,r->ij", values, values, weights / 2) / 32
    np.testing.assert_allclose(gram, np.eye(count), atol=1e-10)


def test_orders_of_the_first_indices():
    assert [noll(j) for j in (1, 2, 3, 4, 5, 6, 11, 22)] == [
        *((0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (4, 0), (6, 0))
    ]
    for j in range(1, 232):
        n, m = noll(j)
        assert abs(m) <= n and (n - m) % 2 == 0 and (m == 0 or (m > 0) == (j % 2 == 0))
    assert len({noll(j) for j in range(1, 232)}) == 231


def test_random_coefficients_have_the_rms_and_the_orders_asked():
    found = random_zernike(5, 0.7, np.random.default_rng(0))
    assert sorted(found) == list(range(4, 22))  # orders 2 to 5
    assert np.sqrt(sum(v**2 for v in found.values())) == pytest.approx(0.7)
    # orthonormal: the phase has that rms over the disc
    nodes, weights = np.polynomial.legendre.leggauss(12)
    r, t = np.sqrt((nodes + 1) / 2)[:, None], np.arange(32) * 2 * np.pi / 32
    assert np.sqrt(np.mean(phase_of(found, r, t) ** 2, axis=1) @ weights / 2) == pytest.approx(0.7)


def test_coefficients_are_read_from_text():
    assert parse_zernike(" 5:0.8, 8:-4e-1") == {5: 0.8, 8: -0.4}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "Noll index:radians"),
        ("5", "'5'"),
        ("5:x", "'5:x'"),
        ("a:1", "'a:1'"),
        ("5:nan", "'5:nan'"),
        ("3:1", "piston and tilt"),
        ("232:1", "to 231"),
        ("5:1,5:2", "twice"),
    ],
)
def test_coefficients_that_say_nothing_are_refused(text, part):
    with pytest.raises(ConfigError, match=part) as caught:
        SimulateConfig(probe="zernike", zernike=text)
    assert "\n" not in str(caught.value)


def probe_of(**options):
    return make_probe(SimulateConfig(**options), np.random.default_rng(0))[0]


def far(probe):
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe)))


def test_the_pupil_of_a_zernike_probe_has_the_wavefront_stated():
    plain = probe_of(N=128, probe="zernike", zernike="11:1e-9", probe_diameter=0.3)
    bent = probe_of(N=128, probe="zernike", zernike="11:0.5", probe_diameter=0.3)
    for probe in (plain, bent):
        assert probe_diameter_px(probe[None]) == pytest.approx(0.3 * 128, rel=2e-3)
    pupil = far(bent)
    lit = np.abs(pupil) > 0.99 * np.abs(pupil).max()
    y, x = np.nonzero(lit)
    r = np.hypot(y - 64, x - 64)
    # the rim from the area; defocus as stated by the default: pi HALF_WIDTH 0.3 N / 2
    rim = np.sqrt(len(r) / np.pi) + 0.5
    u = r / rim
    expected = np.pi * 0.25 * 0.3 * 128 / 2 * u**2 + 0.5 * TABLE[11](u, 0 * u)
    difference = np.angle(pupil[lit] * np.exp(-1j * expected))
    difference = np.angle(np.exp(1j * (difference - difference[np.argmin(r)])))
    inside = u < 0.9
    # the rim is known to half a pixel in thirty: 2 x 15 rad x 1/60 at most
    assert np.abs(difference[inside]).max() < 0.5
    # the other sign does not fit
    wrong = np.angle(pupil[lit] * np.exp(-1j * (expected - TABLE[11](u, 0 * u))))
    wrong = np.angle(np.exp(1j * (wrong - wrong[np.argmin(r)])))
    assert np.abs(wrong[inside]).max() > 0.6


def test_odd_aberrations_break_the_mirror_symmetry():
    for text, symmetric in (("6:1.0", True), ("8:1.0", False)):
        probe = np.abs(probe_of(N=64, probe="zernike", zernike=text))
        mirrored = np.roll(probe[::-1, ::-1], (1, 1), (0, 1))
        assert bool(np.abs(probe - mirrored).max() < 0.02 * probe.max()) is symmetric


# -- zone plate ---------------------------------------------------------------------------

# a fine object pixel: 50 nm zones on 6.25 nm pixels, rim at 1/16 cycle per pixel
FINE = dict(N=256, probe="zone_plate", energy_ev=8000.0, outer_zone_m=50e-9, detector_pixel_m=75e-6)
WAVELENGTH = photon_wavelength_m(8000.0)
DISTANCE = 6.25e-9 * 256 * 75e-6 / WAVELENGTH


def fine(**options):
    return SimulateConfig(**FINE, distance_m=DISTANCE, **options)


def test_the_pixel_size_is_that_of_the_far_field():
    lengths = optics_of(fine())
    assert lengths.pixel_size_m == pytest.approx(6.25e-9, rel=1e-12)
    assert lengths.wavelength_m == pytest.approx(1.5498e-10, rel=1e-4)
    # left open: the cone lights half the detector, one quarter cycle per pixel at the rim
    free = optics_of(SimulateConfig(probe="zone_plate", outer_zone_m=40e-9))
    assert free.pixel_size_m == pytest.approx(20e-9)


@pytest.mark.parametrize("zone", [50e-9, 100e-9])
def test_the_focus_has_the_width_of_the_outer_zone(zone):
    config = fine(defocus_m=0.0, central_stop=0.0).replace(outer_zone_m=zone)
    intensity = np.abs(zone_plate(config)[128]) ** 2
    r = np.arange(256) - 128
    half = np.interp(0.5, intensity[128:160][::-1] / intensity[128], np.abs(r[128:160])[::-1])
    assert 2 * half * 6.25e-9 == pytest.approx(1.03 * zone, rel=0.02)  # Airy disc
    first_zero = 1 + np.argmax(np.diff(intensity[128:]) > 0) - 1
    assert first_zero * 6.25e-9 == pytest.approx(1.22 * zone, abs=0.6 * 6.25e-9)


@pytest.mark.parametrize("diameter", [20e-6, 160e-6])
@pytest.mark.parametrize("defocus", [-60e-6, 100e-6])
@pytest.mark.parametrize("stop", [0.0, 0.3])
def test_the_field_is_the_fresnel_integral_over_the_plate(diameter, defocus, stop):
    config = fine(zone_plate_diameter_m=diameter, defocus_m=defocus, central_stop=stop)
    probe = zone_plate(config)
    focal = diameter * 50e-9 / WAVELENGTH
    z = focal + defocus
    xi = np.linspace(stop * diameter / 2, diameter / 2, 6001)
    x = np.arange(0, 80) * 6.25e-9
    lens = np.exp(1j * np.pi * xi**2 / WAVELENGTH * (1 / z - 1 / focal))
    kernel = j0(2 * np.pi * x[:, None] * xi / (WAVELENGTH * z))
    # e^(+ikz): the phase of a wave grows outwards where it diverges
    outside = np.exp(1j * np.pi * x**2 / (WAVELENGTH * z))
    expected = outside * np.trapezoid(lens * kernel * xi, xi, axis=1)
    got = probe[128, 128:208]
    expected *= np.vdot(expected, got) / np.vdot(expected, expected)
    # the pupil is drawn on pixels with a soft edge: per cents of the brightest
    assert np.abs(got - expected).max() < 0.06 * np.abs(expected).max()
    np.testing.assert_allclose(probe[128:208, 128], got, atol=1e-12 * np.abs(got).max())
    mirrored = np.vdot(expected.conj(), got) / np.vdot(expected, expected)
    assert np.abs(got - mirrored * expected.conj()).max() > 0.2 * np.abs(expected).max()


@pytest.mark.parametrize("N", [32, 64, 128])
def test_the_default_zone_plate_lights_its_part_of_the_frame(N):
    probe = zone_plate(SimulateConfig(N=N, probe="zone_plate"))
    assert probe_diameter_px(probe[None]) == pytest.approx(0.4 * N, rel=0.15)
    cone = np.abs(far(probe))
    lit = cone > 0.5 * cone.max()
    assert np.sqrt(4 * lit.sum() / np.pi / (1 - 0.15**2)) == pytest.approx(N / 2, rel=0.05)
    assert cone[N // 2, N // 2] < 0.02 * cone.max()  # the stop; the wave's curvature blurs it


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(distance_m=10.0), "too wide for frames"),
        (dict(distance_m=0.01), "too narrow to sample"),
        (dict(defocus_m=1e-2), "more than the 64 of a frame"),
        (dict(defocus_m=-0.1), "at or before the zone plate"),
    ],
)
def test_a_zone_plate_that_does_not_fit_is_refused(options, text):
    with pytest.raises(ConfigError, match=text) as caught:
        zone_plate(SimulateConfig(probe="zone_plate", **options))
    assert "\n" not in str(caught.value)


def test_lengths_are_stated_in_the_file():
    known = simulate(SimulateConfig(N=32, n_frames=4, probe="zone_plate")).metadata()
    assert known["pixel_size_m"] == pytest.approx(25e-9)
    assert known["energy_ev"] == 8800.0 and known["detector_pixel_m"] == 75e-6
    assert known["distance_m"] == pytest.approx(25e-9 * 32 * 75e-6 / photon_wavelength_m(8800.0))
    lengths = dict(energy_ev=6200.0, distance_m=2.0, detector_pixel_m=55e-6)
    stated = simulate(SimulateConfig(N=32, n_frames=4, **lengths)).metadata()
    assert stated["pixel_size_m"] == pytest.approx(1.99977e-10 * 2 / (32 * 55e-6), rel=1e-4)
    unknown = simulate(SimulateConfig(N=32, n_frames=4)).metadata()
    assert "pixel_size_m" not in unknown and "energy_ev" not in unknown
    json.dumps(known, allow_nan=False)


def test_variation_changes_diameter_and_defocus_within_the_share_stated():
    widths = []
    for seed in range(12):
        config = SimulateConfig(N=64, probe="gaussian", probe_variation=0.2)
        probe = make_probe(config, np.random.default_rng(seed))
        widths.append(probe_diameter_px(probe) / (0.34 * 64))
    assert 0.8 <= min(widths) < 0.95 and 1.05 < max(widths) <= 1.2
    config = SimulateConfig(probe="zone_plate", probe_variation=0.2)
    probes = [make_probe(config, np.random.default_rng(seed)) for seed in range(4)]
    assert len({round(probe_diameter_px(probe), 3) for probe in probes}) == 4
