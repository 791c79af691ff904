"""The 32 choices fall into four classes, and the transformed probe is the right one.

The oracle is a forward model on a periodic canvas written out pixel by pixel: nothing of
`pinn.check` goes into it, and the flips and orientations are those of `pinn.data.prepare`.
"""

import numpy as np
import pytest

from pinn.check.symmetry import (
    CLASS_MATRICES,
    FLIPS,
    ORIENTATION_MATRICES,
    Choice,
    absolute,
    act,
    alike,
    class_of,
    composed,
    members,
    probe_of,
)
from pinn.config.scan import ORIENTATIONS
from pinn.data.prepare import Flip, orient

N, SIDE = 8, 32
RNG = np.random.default_rng(3)
PLACES = np.array([[4, 7], [6, 7], [5, 12], [9, 3], [14, 10]])
CHOICES = [Choice(o, f) for o in ORIENTATIONS for f in FLIPS]


def complex_noise(*shape):
    return RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)


def intensities(probe, obj, places):
    """`|F[P(x) O(x + r)]|^2` with x from -N/2, object periodic, all frequencies centred."""
    out = []
    x = np.arange(N) - N // 2
    for y0, x0 in places:
        patch = obj[np.ix_((y0 + x) % SIDE, (x0 + x) % SIDE)]
        wave = sum(
            0j
            + probe[i, j] * patch[i, j] * np.exp(-2j * np.pi * np.add.outer(x * x[i], x * x[j]) / N)
            for i in range(N)
            for j in range(N)
        )
        out.append(np.abs(wave) ** 2)
    return np.array(out)


def moved(obj, matrix):
    """`(g O)(x) = O(g^-1 x)` on the periodic canvas, pixel by pixel."""
    out = np.empty_like(obj)
    back = np.linalg.inv(np.array(matrix)).round().astype(int)
    for y in range(SIDE):
        for x in range(SIDE):
            out[y, x] = obj[tuple(back @ (y, x) % SIDE)]
    return out


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: f"{c.orientation} {c.flip}")
def test_a_choice_is_its_class_with_the_probe_moved(choice):
    probe, obj = complex_noise(N, N), complex_noise(SIDE, SIDE)
    # Pixel -N/2 has no partner at +N/2: a probe that is dark there has the symmetries exactly.
    probe[0] = probe[:, 0] = 0
    # Data that the choice makes right: orientation and flip, applied to them, give a plain scan.
    plain = orient(PLACES, choice.orientation).astype(int)
    data = Flip(choice.flip).frames(intensities(probe, obj, plain))  # a flip undoes itself
    number, conjugated = class_of(choice)
    frames = np.fft.fftshift(
        act(CLASS_MATRICES[number], np.fft.ifftshift(data, (-2, -1))), (-2, -1)
    )
    back = np.linalg.inv(np.array(ORIENTATION_MATRICES[choice.orientation])).round().astype(int)
    other = moved(obj, back)
    turned = np.fft.fftshift(probe_of(choice, np.fft.ifftshift(probe)[None])[0])
    expected = intensities(turned, other.conj() if conjugated else other, PLACES)
    np.testing.assert_allclose(frames, expected, rtol=1e-9, atol=1e-9 * expected.max())


def test_four_classes_of_eight():
    lists = [members(number) for number in range(4)]
    assert [len(found) for found in lists] == [8, 8, 8, 8]
    assert sorted(str(choice) for found in lists for choice in found) == sorted(map(str, CHOICES))
    assert [found[0] for found in lists] == [
        Choice("+y+x", "none"),
        Choice("-y+x", "none"),
        Choice("+x+y", "none"),
        Choice("-x+y", "none"),
    ]
    for found in lists:
        changes = [choice.changes for choice in found]
        assert changes == sorted(changes)


def test_the_classes_differ():
    """No probe makes them equal: the same frames moved differently are other frames."""
    frames = np.fft.ifftshift(
        intensities(complex_noise(N, N), complex_noise(SIDE, SIDE), PLACES), (-2, -1)
    )
    seen = [act(matrix, frames) for matrix in CLASS_MATRICES]
    for i in range(4):
        for j in range(i):
            assert np.abs(seen[i] - seen[j]).max() > 0.1 * frames.max()


def test_what_a_probe_separates():
    """All eight for one without symmetry, pairs for a real one, nothing for a real even one."""
    y, x = (np.fft.fftfreq(16, 1 / 16)[:, None], np.fft.fftfreq(16, 1 / 16)[None, :])
    even = np.exp(-(x**2 + y**2) / 18) + 0j
    real = even * (1 + 0.2 * x + 0.1 * y + 0.05 * x * y + 0.03 * x**2)
    wild = real * np.exp(0.05j * (x**2 + 0.3 * x * y - y + 0.1 * y**3))
    defocused = even * np.exp(0.1j * (x**2 + y**2))
    for probe, distinct in ((even, 1), (real, 4), (wild, 8), (defocused, 2)):
        variants = [probe_of(choice, probe[None]) for choice in members(0)]
        kept = []
        for variant in variants:
            if all(alike(variant, other) < 0.999 for other in kept):
                kept.append(variant)
        assert len(kept) == distinct


def test_probes_are_alike_wherever_they_lie_and_however_their_modes_are_mixed():
    modes = complex_noise(3, 16, 16)
    mixing = np.linalg.qr(complex_noise(3, 3))[0]
    mixed = np.einsum("ij,jyx->iyx", mixing, np.roll(modes, (3, -2), (1, 2)))
    assert alike(modes, 7 * mixed) == pytest.approx(1.0, abs=1e-9)
    assert alike(modes, modes.conj()) < 0.5


@pytest.mark.parametrize("rotation", [0.0, 30.0])
@pytest.mark.parametrize(("orientation", "flip"), [("-x+y", "ud"), ("+y-x", "lr")])
@pytest.mark.parametrize("choice", CHOICES[5::4], ids=str)
def test_choices_on_top_of_given_options(choice, orientation, flip, rotation):
    places = RNG.standard_normal((6, 2))
    frames = RNG.standard_normal((2, 6, 6))
    loaded = orient(places, orientation, rotation)
    wanted = orient(loaded, choice.orientation)
    options = absolute(choice, orientation, rotation, flip)
    np.testing.assert_allclose(
        orient(places, options["orientation"], options["rotation_deg"]), wanted, atol=1e-12
    )
    twice = Flip(choice.flip).frames(Flip(flip).frames(frames))
    np.testing.assert_array_equal(Flip(options["flip_frames"]).frames(frames), twice)
    changed = composed(choice, orientation, rotation, flip)
    given = {"orientation": orientation, "rotation_deg": rotation, "flip_frames": flip}
    assert {**given, **changed} == options
    assert all(changed[name] != given[name] for name in changed)
