"""Steps of the preparation against plain NumPy, on asymmetric frames of odd and even sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinn.config.scan import ORIENTATIONS
from pinn.data import resample
from pinn.data.frames import ArrayFrames, DerivedFrames, OnDemandFrames, pieces
from pinn.data.masks import mask_rows
from pinn.data.prepare import (
    Bin,
    Centre,
    Crop,
    Flip,
    PreparedFrames,
    orient,
    prepared_mask,
    said,
)
from pinn.data.scan import Scan
from pinn.errors import ScanError

RNG = np.random.default_rng(5)
STACK = RNG.integers(0, 50, (7, 20, 26)).astype(np.uint16)


def far_field(wave):
    """Orthonormal, centred, by the definition."""
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(wave, (-2, -1)), norm="ortho"), (-2, -1))


# -- single steps -------------------------------------------------------------------------


@given(
    st.integers(0, 19),
    st.integers(0, 25),
    st.integers(1, 20).map(lambda n: 2 * n),
)
def test_a_crop_puts_the_zero_frequency_in_the_middle_and_pads(row, column, side):
    far = 60
    wide = np.pad(STACK.astype(int) + 1, ((0, 0), (far, far), (far, far)))
    y, x = far + row - side // 2, far + column - side // 2
    expected = wide[:, y : y + side, x : x + side]
    step = Crop(row, column, side)
    found = step.frames(STACK)
    valid = step.mask(np.ones(STACK.shape, bool))
    np.testing.assert_array_equal(valid, expected > 0)
    np.testing.assert_array_equal(found[valid], expected[valid] - 1)
    assert (found[~valid] == 0).all()
    assert found[0, side // 2, side // 2] == STACK[0, row, column]
    assert step.pads((20, 26)) == (not valid.all())
    assert found.shape[1:] == step.shape((20, 26))
    assert found.dtype == step.dtype(STACK.dtype)


@pytest.mark.parametrize("N", [15, 16])
@pytest.mark.parametrize("kind", ["ud", "lr", "both"])
def test_a_flip_is_that_of_the_object_and_keeps_the_zero_frequency(N, kind):
    wave = RNG.standard_normal((N, N)) + 1j * RNG.standard_normal((N, N))
    index = (-np.arange(N) + 2 * (N // 2)) % N  # a wave turned over about its pixel N//2
    turned = wave
    turned = turned[index] if kind in ("ud", "both") else turned
    turned = turned[:, index] if kind in ("lr", "both") else turned
    stored = np.abs(far_field(wave)) ** 2
    found = Flip(kind).frames(stored)
    # rounding of the transform
    np.testing.assert_allclose(found, np.abs(far_field(turned)) ** 2, atol=1e-12)
    assert found[N // 2, N // 2] == stored[N // 2, N // 2]
    np.testing.assert_array_equal(Flip(kind).frames(found), stored)


def test_centring_is_a_shift_by_half_a_frame():
    corner = np.zeros((1, 16, 18))
    corner[0, 0, 0] = 1
    assert Centre().frames(corner)[0, 8, 9] == 1
    assert Centre().mask(corner != 0)[0, 8, 9]


@pytest.mark.parametrize("units", ["counts", "intensity", "amplitude"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "uint32", "f4", "f8"])
def test_binning_adds_without_overflow(units, dtype):
    top = 200 if dtype == "uint8" else 30000
    frames = RNG.integers(0, top, (3, 16, 24)).astype(dtype)
    frames[1, 4:8, 8:12] = top
    step = Bin(4, units)
    wide = frames.astype(np.float64)
    sums = sum(wide[:, i::4, j::4] ** (2 if units == "amplitude" else 1) for i in range(4)
               for j in range(4))  # fmt: skip
    expected = np.sqrt(sums) if units == "amplitude" else sums
    found = step.frames(frames)
    assert found.dtype == step.dtype(frames.dtype)
    np.testing.assert_allclose(found, expected, rtol=1.2e-7)  # one rounding to float32


UNUSABLE = {
    "nan": ("f4", np.nan),
    "negative": ("f8", -1.0),
    "sentinel": ("uint16", 65535),
    "wide sentinel": ("uint32", 2**32 - 1),
    "saturated": ("int32", 900),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_sum_with_an_unusable_pixel_does_not_count(case):
    dtype, value = UNUSABLE[case]
    frames = RNG.integers(0, 50, (2, 16, 16)).astype(dtype)
    frames[1, 5, 9] = value
    limit = 900 if case == "saturated" else None
    found = Bin(2, "counts", limit).frames(frames)
    where = np.arange(12)[:, None]
    scan = Scan(
        np.repeat(np.pad(found, ((0, 0), (4, 4), (4, 4))), 6, 0), where * [3.0, 5.0], units="counts"
    )
    valid = scan.read([0, 6])[1]
    bad = np.zeros((2, 16, 16), bool)
    bad[1, 4 + 2, 4 + 4] = True
    np.testing.assert_array_equal(valid, ~bad)


def test_a_mask_is_binned_such_that_all_pixels_must_be_good():
    mask = np.ones((16, 16), bool)
    mask[3, 5] = False
    found = Bin(4, "counts").mask(mask)
    expected = np.ones((4, 4), bool)
    expected[0, 1] = False
    np.testing.assert_array_equal(found, expected)


def test_counts_that_turn_out_not_to_be_whole_are_refused():
    frames = np.full((1, 16, 16), 3.0)
    Bin(2, "counts", whole=True).frames(frames)
    frames[0, 2, 2] = 0.5
    with pytest.raises(ScanError, match="cannot be told apart; say which with units"):
        Bin(2, "counts", whole=True).frames(frames)


# -- chains -------------------------------------------------------------------------------

STEPS = (Crop(9, 14, 24), Flip("ud"), Bin(3, "counts"))


def by_hand(frames):
    wide = np.pad(frames.astype(np.int64), ((0, 0), (24, 24), (24, 24)))
    cut = wide[:, 24 + 9 - 12 : 24 + 9 + 12, 24 + 14 - 12 : 24 + 14 + 12]
    flipped = np.roll(cut[:, ::-1], 1, 1)
    return flipped.reshape(-1, 8, 3, 8, 3).sum((2, 4))


def test_prepared_frames_read_as_the_whole_stack_would():
    source = PreparedFrames(ArrayFrames(STACK), STEPS)
    expected = by_hand(STACK)
    assert source.shape == expected.shape
    assert source.dtype == np.uint32
    order = np.array([6, 0, 0, 3])
    np.testing.assert_array_equal(source.read(order), expected[order])
    starts, blocks = zip(*source.chunks(3), strict=True)
    assert starts == (0, 3, 6)
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    chosen = PreparedFrames(ArrayFrames(STACK), STEPS, rows=np.array([5, 2]))
    np.testing.assert_array_equal(chosen.read(np.array([1, 0])), expected[[2, 5]])
    np.testing.assert_array_equal(
        np.concatenate([b for _, b in chosen.chunks(1)]), expected[[5, 2]]
    )
    with pytest.raises(ScanError, match=r"frame 2 .* frames 0 to 1"):
        chosen.read(np.array([2]))
    source.close()
    with pytest.raises(ScanError, match="closed"):
        source.read(order)


def test_no_more_than_a_bounded_piece_of_the_source_is_read_at_once(monkeypatch):
    class Watched(ArrayFrames):
        most = 0

        def read(self, indices):
            Watched.most = max(Watched.most, len(indices))
            return super().read(indices)

        def chunks(self, size):
            Watched.most = max(Watched.most, size)
            return super().chunks(size)

    monkeypatch.setattr("pinn.data.frames._BLOCK_BYTES", 2 * STACK[0].nbytes)
    source = PreparedFrames(Watched(STACK), STEPS)
    np.testing.assert_array_equal(
        source.read(np.array([6, 1, 0, 5, 1])), by_hand(STACK)[[6, 1, 0, 5, 1]]
    )
    np.testing.assert_array_equal(
        np.concatenate([b for _, b in source.chunks(100)]), by_hand(STACK)
    )
    assert Watched.most == 2


@pytest.mark.parametrize("lazily", [False, True], ids=["array", "source"])
def test_masks_go_the_way_of_the_frames(lazily):
    mask = RNG.random(STACK.shape) > 0.05
    given = ArrayFrames(mask) if lazily else mask
    found = prepared_mask(given, STEPS, (20, 26), rows=np.array([4, 1]))
    one = prepared_mask(mask[4], STEPS, (20, 26))
    np.testing.assert_array_equal(mask_rows(found, np.array([0])), one[None])
    assert found.shape == (2, 8, 8)
    nothing = prepared_mask(None, STEPS, (20, 26))
    assert not nothing.all()  # padded rows and columns
    assert prepared_mask(None, (Bin(2, "counts"),), (20, 26)) is None


def test_records_and_their_words():
    assert STEPS[0].record((20, 26)) == {
        "step": "crop", "row": 9, "column": 14, "side": 24, "from": [20, 26]
    }  # fmt: skip
    assert said(STEPS[1].record((24, 24))) == "flip_frames (kind ud)"
    assert said(Centre().record((4, 4))) == "centre"
    assert Bin(2, "counts", 9.0).record((4, 4))["saturation"] == 9.0


def test_a_source_on_demand_opens_once_and_late():
    opened = []

    def opener():
        opened.append(1)
        return ArrayFrames(STACK)

    source = OnDemandFrames(STACK.shape, STACK.dtype, opener)
    assert source.shape == STACK.shape and not opened
    np.testing.assert_array_equal(source.read(np.array([2])), STACK[[2]])
    np.testing.assert_array_equal(next(source.chunks(2))[1], STACK[:2])
    assert opened == [1]
    source.close()
    with pytest.raises(ScanError, match="closed"):
        source.read(np.array([0]))


def test_pieces_report_their_progress():
    told = []
    blocks = list(pieces(ArrayFrames(STACK), nbytes=2 * STACK[0].nbytes, progress=told.append))
    assert [first for first, _ in blocks] == [0, 2, 4, 6]
    assert [(p.stage, p.done, p.total) for p in told] == [
        ("convert", n, 7) for n in (2, 4, 6, 7)
    ]  # fmt: skip


# -- positions ----------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientations_are_the_eight_signed_permutations(orientation):
    places = RNG.uniform(-50, 90, (5, 2))
    expected = np.empty((5, 2))
    for axis, word in enumerate((orientation[:2], orientation[2:])):
        expected[:, axis] = places[:, "yx".index(word[1])] * (1 if word[0] == "+" else -1)
    np.testing.assert_array_equal(orient(places, orientation), expected)


def test_rotation_goes_from_x_towards_y():
    found = orient(np.array([[0.0, 2.0]]), "+y+x", 90.0)
    np.testing.assert_allclose(found, [[2.0, 0.0]], atol=1e-15)
    places = RNG.uniform(-50, 90, (5, 2))
    turned = orient(places, "+x-y", 33.0)
    plain = orient(places, "+x-y")
    expected = (plain[:, 1] + 1j * plain[:, 0]) * np.exp(1j * np.deg2rad(33))
    np.testing.assert_allclose(turned[:, 1] + 1j * turned[:, 0], expected, rtol=1e-13)


# -- fields -------------------------------------------------------------------------------


def blob(N, centre=(0.0, 0.0), widths=(4.0, 3.0)):
    y, x = np.mgrid[:N, :N] - N // 2
    bell = np.exp(-(((y - centre[0]) / widths[0]) ** 2 + ((x - centre[1]) / widths[1]) ** 2) / 2)
    return bell * np.exp(0.3j * y - 0.2j * x + 0.02j * x * y)


def test_a_probe_of_a_cropped_detector_has_the_cropped_far_field():
    wave = blob(64, (3.0, -5.0))
    found = resample.crop_far_field(wave, 40)
    np.testing.assert_allclose(
        far_field(found), far_field(wave)[12:52, 12:52], atol=1e-12
    )  # fmt: skip
    # It lies where it lay: places shrink by 40/64.
    weight = np.abs(found) ** 2
    y, x = (np.mgrid[:40, :40] - 20) * (64 / 40)
    assert (weight * y).sum() / weight.sum() == pytest.approx(3.0, abs=0.02)
    assert (weight * x).sum() / weight.sum() == pytest.approx(-5.0, abs=0.02)
    assert resample.energy(found) == pytest.approx(resample.energy(far_field(wave)[12:52, 12:52]))
    wide = resample.crop_far_field(wave, 80)
    np.testing.assert_allclose(far_field(wide)[8:72, 8:72], far_field(wave), atol=1e-12)
    assert resample.energy(wide) == pytest.approx(resample.energy(wave))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_cut_probe_predicts_the_sums_of_pixels(factor):
    N = 96
    wave = blob(N, (1.0, -2.0), (2.0, 1.5))  # narrow: the far field is smooth over a block
    stored = np.abs(far_field(wave)) ** 2
    sums = Bin(factor, "intensity").frames(stored[None])[0]
    cut = resample.cut_probe(wave, factor)
    assert resample.energy(cut) == pytest.approx(resample.energy(wave), rel=1e-9)

    def miss(field):
        return np.abs(np.abs(far_field(field)) ** 2 - sums).sum() / sums.sum()

    middle = resample.centred_window(wave, N // factor)
    # What is left is the averaging over a block; without the ramp all is half a pixel off.
    assert miss(cut) < 0.03
    assert miss(middle) > 4 * miss(cut)


@pytest.mark.parametrize("scale", [(0.5, 0.75), (1.5, 1.25)])
def test_a_truth_is_resampled_where_it_lies(scale):
    def scene(y, x):  # in pixels as they were, object coordinates
        return np.exp(1j * (0.05 * y - 0.03 * x)) * (2 + np.sin(0.11 * y + 0.07 * x))

    origin = (-12.0, 7.5)
    y, x = np.mgrid[:90, :70]
    truth = scene(y + origin[0], x + origin[1])
    found, place = resample.resample_truth(truth, origin, scale)
    assert place == (origin[0] * scale[0], origin[1] * scale[1])
    rows, columns = np.mgrid[: found.shape[0], : found.shape[1]]
    expected = scene((rows + place[0]) / scale[0], (columns + place[1]) / scale[1])
    inside = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(found[inside], expected[inside], atol=4e-3)


def test_a_selection_of_a_scan_is_its_frames():
    frames = RNG.integers(0, 40, (12, 16, 16)).astype(np.uint16)
    places = RNG.uniform(0, 90, (12, 2))
    each = ArrayFrames(RNG.random(frames.shape) > 0.1)
    patches = RNG.standard_normal((12, 16, 16)) * (1 + 1j)
    whole = Scan(
        frames,
        places,
        valid_mask=each,
        label_patches=patches,
        scan_index=np.arange(12) % 2,
        energy_ev=8e3,
        steps=[{"step": "centre"}],
        probe=np.ones((2, 3, 16, 16)),
        probe_weights=np.arange(24.0).reshape(12, 2),
    )
    rows = np.array([7, 0, 3])
    some = whole.select(rows)
    for mine, theirs in zip(some.read([0, 1, 2]), whole.read(rows), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(some.positions_px, places[rows])
    np.testing.assert_array_equal(some.scan_index, rows % 2)
    np.testing.assert_array_equal(some.label_patches.read(np.array([2])), patches[[3]])
    np.testing.assert_array_equal(some.probe_weights, whole.probe_weights[rows])
    assert some.probe_variations.shape == (2, 3, 16, 16)
    assert (some.energy_ev, some.steps) == (8e3, ({"step": "centre"},))
    with pytest.raises(ScanError, match=r"frames 3 to 12 .* 0 to 11"):
        whole.select([3, 12])


def test_derived_frames_without_a_change_are_the_source():
    source = DerivedFrames(ArrayFrames(STACK), rows=np.array([3, 3, 1]))
    np.testing.assert_array_equal(source.read(np.arange(3)), STACK[[3, 3, 1]])
    assert source.dtype == STACK.dtype
