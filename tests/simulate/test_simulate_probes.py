"""Probes: diameter, modes and files."""

import numpy as np
import pytest

from pinn.data.geometry import probe_diameter_px
from pinn.errors import ConfigError, ScanError
from pinn.simulate import SimulateConfig, simulate
from pinn.simulate.probes import (
    DISC_FRACTION,
    astigmatism_and_coma,
    behind_aperture,
    disc,
    gaussian,
    make_probe,
    with_modes,
)


def defocused(N, fraction, *, aberration=0.0, angles=(0.0, 0.0), **options):
    return behind_aperture(N, fraction, astigmatism_and_coma(aberration, angles), **options)


def modes_of(**options):
    return make_probe(SimulateConfig(**options), np.random.default_rng(0))


@pytest.mark.parametrize(("N", "pixels"), [(64, 376), (128, 1500), (256, 5980)])
def test_the_default_disc_has_the_customary_area(N, pixels):
    probe = disc(N, DISC_FRACTION)
    # blurring keeps the sum; 1e-9 is added to each pixel
    assert probe.real.sum() == pytest.approx(pixels + 1e-9 * N * N, abs=1e-6)
    assert np.all(probe.imag == 0)
    assert probe.real.max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(probe, probe.T, atol=1e-15)
    np.testing.assert_allclose(probe, probe[::-1], atol=1e-12)


def test_diameter_of_known_profiles():
    assert probe_diameter_px(gaussian(64, 0.3)[None]) == pytest.approx(0.3 * 64, rel=1e-4)
    y, x = np.mgrid[:128, :128]
    flat = ((y - 70) ** 2 + (x - 50) ** 2 < 30.3**2).astype(complex)
    assert probe_diameter_px(flat[None]) == pytest.approx(60.6, rel=5e-3)
    # two modes: intensities add
    both = np.stack([flat, 1j * flat])
    assert probe_diameter_px(both) == pytest.approx(probe_diameter_px(flat[None]))


@pytest.mark.parametrize("fraction", [0.25, 0.4, 0.6])
@pytest.mark.parametrize("defocus", [6.0, 9.0])
def test_defocused_has_the_diameter_asked_and_a_curved_phase(fraction, defocus):
    probe = defocused(64, fraction, defocus=defocus)
    assert probe_diameter_px(probe[None]) == pytest.approx(fraction * 64, rel=2e-3)
    phase = np.unwrap(np.angle(probe[32, 32:42]))
    assert abs(phase[-1] - phase[0]) > 0.5
    # its far field is the aperture: sharp, round, inside the detector
    pupil = np.abs(np.fft.fftshift(np.fft.fft2(probe)))
    lit = pupil > pupil.max() / 2
    assert lit.sum() > 20
    assert not lit[0].any() and not lit[:, 0].any()
    assert np.ptp(pupil[lit]) < 0.6 * pupil.max()


def test_central_stop_and_aberration():
    plain = defocused(64, 0.4, defocus=8.0)
    stopped = defocused(64, 0.4, defocus=8.0, central_stop=0.5)
    pupil = np.abs(np.fft.fftshift(np.fft.fft2(stopped)))
    assert pupil[32, 32] < 1e-9 * pupil.max()

    # without aberration the probe equals its mirror image, with it not
    def asymmetry(probe):
        mirrored = np.roll(probe[::-1, ::-1], (1, 1), (0, 1))
        return np.abs(probe - mirrored).max() / np.abs(probe).max()

    assert asymmetry(plain) < 1e-9
    assert asymmetry(defocused(64, 0.4, defocus=8.0, aberration=1.0, angles=(0.3, 1.0))) > 0.1


@pytest.mark.parametrize(
    ("fraction", "defocus", "text"),
    [(0.1, 40.0, "wider than the detector"), (0.9, 0.0, "too narrow")],
)
def test_a_probe_that_cannot_be_sampled_is_refused(fraction, defocus, text):
    with pytest.raises(ConfigError, match=text):
        defocused(32, fraction, defocus=defocus)


@pytest.mark.parametrize("kind", ["disc", "gaussian", "defocused"])
@pytest.mark.parametrize(("count", "ratio"), [(1, None), (2, 0.25), (6, 0.5), (4, 1.0)])
def test_modes_are_orthogonal_with_geometric_powers(kind, count, ratio):
    modes = modes_of(N=32, probe=kind, probe_modes=count, mode_ratio=ratio)
    assert modes.shape == (count, 32, 32)
    gram = np.einsum("aij,bij->ab", modes.conj(), modes)
    powers = (ratio or 0.5) ** np.arange(count)
    np.testing.assert_allclose(gram, np.diag(powers / powers.sum()), atol=1e-12)
    first = modes_of(N=32, probe=kind)[0]
    ratio_to_first = modes[0][np.abs(first) > 1e-3] / first[np.abs(first) > 1e-3]
    np.testing.assert_allclose(ratio_to_first, ratio_to_first.real.mean(), rtol=1e-9)


def test_higher_modes_stay_where_the_probe_is():
    modes = modes_of(N=64, probe="defocused", probe_modes=6)
    for mode in modes:
        power = np.abs(mode) ** 2
        assert power[8:-8, 8:-8].sum() > 0.9 * power.sum()


def test_thirty_two_modes_exist():
    modes = with_modes(gaussian(32, 0.4), 32, 0.8)
    gram = np.einsum("aij,bij->ab", modes.conj(), modes)
    assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-9


@pytest.mark.parametrize("key", ["probeGuess", "probe"])
def test_probe_from_file(tmp_path, key):
    rng = np.random.default_rng(1)
    mine = rng.standard_normal((16, 16)) + 1j * rng.standard_normal((16, 16))
    np.savez(tmp_path / "p.npz", **{key: mine})
    scan = simulate(SimulateConfig(N=16, n_frames=4, probe="file", probe_file=tmp_path / "p.npz"))
    ratio = scan.probe[0] / mine
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)  # complex64


def test_modes_from_file_keep_their_powers(tmp_path):
    modes = with_modes(gaussian(16, 0.4), 3, 0.3)
    path = tmp_path / "p.npz"
    np.savez(path, probeGuess=7 * modes)
    got = modes_of(N=16, probe="file", probe_file=path)
    np.testing.assert_allclose(got, modes, atol=1e-12)
    with pytest.raises(ConfigError, match="has 3 probe modes"):
        modes_of(N=16, probe="file", probe_file=path, probe_modes=2)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (dict(other=np.ones((16, 16))), "no probe: there is no .probeGuess. or .probe."),
        (dict(probe=np.ones((18, 18))), r"shape \(18, 18\)"),
        (dict(probe=np.full((16, 16), np.nan)), "not finite"),
        (dict(probe=np.zeros((16, 16))), "is empty"),
        (dict(probe=np.array(["a"])), "needs numbers"),
        (dict(probe=np.array([{}], dtype=object)), "never read"),
        (None, "does not exist"),
        (b"", "is empty"),
        (b"PK\x03\x04 cut", "truncated"),
        (b"\x93NUMPY", "cannot be read"),
    ],
)
def test_unusable_probe_files_are_refused(tmp_path, content, text):
    path = tmp_path / "p.npz"
    if isinstance(content, dict):
        np.savez(path, **content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ScanError, match=text) as caught:
        modes_of(N=16, probe="file", probe_file=path)
    assert "p.npz" in str(caught.value)


def test_a_bare_npy_is_taken_too(tmp_path):
    mine = gaussian(16, 0.4) * np.exp(0.1j * np.arange(16))
    np.save(tmp_path / "p.npy", mine)
    got = modes_of(N=16, probe="file", probe_file=tmp_path / "p.npy")
    np.testing.assert_allclose(got[0], mine / np.linalg.norm(mine), atol=1e-12)
