"""Objects: the stated ranges, structure everywhere, and drawings that are what they claim."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from simulated import obj_of, scan_of

from pinn.simulate import SimulateConfig
from pinn.simulate.layers import dead_leaves, layered
from pinn.simulate.objects import blurred_lines, line_canvas
from pinn.simulate.shapes import ball, box, glyphs, soft, star, triangle

KINDS = ["lines", "star", "leaves", "demo", "grf", "procedural", "polyhedra"]


@pytest.mark.parametrize("kind", KINDS)
def test_amplitude_spans_the_stated_range_and_has_spread(kind):
    amplitude = np.abs(obj_of(object=kind))
    assert (amplitude.min(), amplitude.max()) == pytest.approx((0.3, 1.0))
    # in what the scan illuminates, too: a flat object would reconstruct from nothing
    inner = amplitude[25:-25, 25:-25]
    assert inner.std() / inner.mean() > 0.15
    assert np.angle(obj_of(object=kind)).std() > 0.1


def test_options_of_the_range():
    obj = obj_of(object="star", amplitude_min=0.25, amplitude_max=1.1, phase_min=-0.2, phase_max=2)
    assert (np.abs(obj).min(), np.abs(obj).max()) == pytest.approx((0.25, 1.1))
    assert (np.angle(obj).min(), np.angle(obj).max()) == pytest.approx((-0.2, 2.0))


@pytest.mark.parametrize(("size", "seed"), [(100, 0), (100, 1), (240, 2), (900, 0)])
def test_lines_have_spread_at_any_size(size, seed):
    amplitude = np.abs(obj_of(size=size, seed=seed))
    assert amplitude.std() / amplitude.mean() > 0.15


@pytest.mark.parametrize("N", [16, 64, 128])
def test_the_default_scan_has_spread(N):
    scan = scan_of(SimulateConfig(N=N, n_frames=100))
    amplitude = np.abs(scan.truth)
    spread = amplitude.std() / amplitude.mean()
    assert scan.metadata()["object_amplitude_spread"] == pytest.approx(spread) and spread > 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_phase_options(kind):
    linked, flat = obj_of(object=kind), obj_of(object=kind, phase="flat")
    free = obj_of(object=kind, phase="independent")
    assert np.all(flat.imag == 0) and np.all(flat.real > 0)
    np.testing.assert_allclose(np.abs(linked), np.abs(flat), atol=1e-12)
    np.testing.assert_allclose(np.abs(linked), np.abs(free), atol=1e-12)

    def correlation(obj):
        return abs(np.corrcoef(np.abs(obj).ravel(), np.angle(obj).ravel())[0, 1])

    # letters and star of demo, and layers of procedural, shift the phase in opposite directions
    if kind not in ("demo", "procedural"):
        assert correlation(linked) > 0.25
    assert correlation(free) < 0.2
    assert abs(np.corrcoef(np.angle(linked).ravel(), np.angle(free).ravel())[0, 1]) < 0.9


def test_contrast_shrinks_both():
    full, half = obj_of(object="leaves"), obj_of(object="leaves", contrast=0.5)
    np.testing.assert_allclose(np.abs(half) - 0.65, 0.5 * (np.abs(full) - 0.65), atol=1e-12)
    np.testing.assert_allclose(np.angle(half), 0.5 * np.angle(full), atol=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "star"])
def test_seeds_change_the_drawing(kind):
    one = obj_of(80, 60.0, seed=1, object=kind)
    assert np.array_equal(one, obj_of.__wrapped__(80, 60.0, seed=1, object=kind))
    assert not np.allclose(one, obj_of(80, 60.0, seed=2, object=kind))


def test_lines_are_three_blurs_of_one_canvas():
    size, count = 48, 30
    image, phase = blurred_lines(size, count, np.random.default_rng(4))
    ends = np.random.default_rng(4).integers(0, 2 * size, (count, 4))
    canvas = line_canvas(2 * size, ends)
    whole = sum(w * gaussian_filter(canvas, s) for w, s in ((1, 1), (2, 5), (5, 10)))
    np.testing.assert_allclose(image, whole[24:72, 24:72])
    assert whole.sum() == pytest.approx(8 * canvas.sum())
    np.testing.assert_allclose(
        phase, math.pi * np.tanh((image - image.max() / 2) / (3 * image.mean()))
    )


def test_line_canvas_draws_connected_segments_between_their_ends():
    canvas = line_canvas(32, np.array([[2, 3, 20, 9]]))
    assert canvas[2, 3] == canvas[20, 9] == 1
    rows, columns = np.nonzero(canvas)
    np.testing.assert_array_equal(rows, np.arange(2, 21))  # one pixel a row: steeper than wide
    assert np.abs(columns - (3 + (rows - 2) / 3)).max() <= 0.5
    np.testing.assert_array_equal(np.nonzero(line_canvas(8, np.array([[5, 1, 5, 1]])))[0], [5])


def test_star_has_its_spokes_and_gaps():
    y, x = (np.arange(301) - 150.0)[:, None], np.arange(301) - 150.0
    figure = star(y, x, 140.0, 12)
    # 12 opaque sectors of 15 degrees: half the arc, 24 edges round a circle between the gaps
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False) + 0.01
    r = 0.45 * 140
    around = figure[
        np.rint(150 - r * np.cos(angle)).astype(int), np.rint(150 + r * np.sin(angle)).astype(int)
    ]
    assert np.sum(np.diff((around > 0.5).astype(int), append=around[0] > 0.5) != 0) == 24
    assert around.mean() == pytest.approx(0.5, abs=0.03)
    assert figure[150 - round(0.45 * 140), 150] == 1  # a spoke points up
    assert figure[150 - round(0.6 * 140), 150] == 0  # a gap cuts it
    assert figure[150 - round(0.95 * 140), 150 + 3] == 1  # the ring closes it
    assert 0.4 < figure[150, 150] < 0.6  # finer than a pixel: half covered
    assert figure[0, 0] == 0


def test_shapes_have_their_areas():
    y, x = (np.arange(101) - 50.0)[:, None], np.arange(101) - 50.0
    assert soft(ball(y, x, 20.3)).sum() == pytest.approx(math.pi * 20.3**2, rel=5e-3)
    assert soft(box(y, x, 10.0, 30.5)).sum() == pytest.approx(20 * 61, rel=1e-2)
    area = 3 * math.sqrt(3) / 4 * 30**2
    assert soft(triangle(y, x, 30.0)).sum() == pytest.approx(area, rel=1e-2)


def test_letters_read_from_left_to_right_the_right_way_up():
    y, x = (np.arange(101) - 50.0)[:, None], np.arange(201) - 100.0
    ink = soft(glyphs("pinn", y, x, height=40.0, width=6.0))
    left, right = ink[:, :60], ink[:, 140:]
    assert left[75:].sum() > 50  # p goes below the base line (row 70),
    assert right[75:].sum() == 0  # n does not
    columns = np.flatnonzero(ink[8:20].sum(0) > 0)  # above the letters: the dot of i alone
    assert len(columns) in (5, 6, 7, 8)
    assert 60 < columns.mean() < 100
    assert ink[:, 100].max() < 1 or ink.sum() > 500


def test_leaves_are_opaque():
    """What lies on top hides what is below: nothing adds up, and every leaf is of one colour."""
    transmission, phase = dead_leaves(300, 200.0, np.random.default_rng(8))
    inner = slice(40, -40)
    flat = (transmission[inner, 40:-41] == transmission[inner, 41:-40]) & (
        phase[inner, 40:-41] == phase[inner, 41:-40]
    )
    assert flat.mean() > 0.6
    # each visible leaf drew its transmission uniformly from [0, 1], and it stayed as drawn
    values = transmission[inner, inner]
    assert values.min() >= 0 and values.max() <= 1
    assert values.mean() == pytest.approx(0.5, abs=0.1)
    assert values.std() == pytest.approx(np.sqrt(1 / 12), abs=0.06)
    # 700 leaves per field were drawn: far from all of them still show
    pixels = np.unique(values, return_counts=True)[1]
    assert 20 < np.sum(pixels > 30) < 700


def test_layers_add_up_instead():
    film, few, many = (layered(120, 16.0, n, np.random.default_rng(5))[0] for n in (0, 1, 12))
    assert np.log(many).mean() < np.log(few).mean() - 0.5  # more to pass through
    # shapes have edges, the film has none
    steepest = [np.abs(np.diff(transmission, axis=0)).max() for transmission in (film, few)]
    assert steepest[1] > 2 * steepest[0]
