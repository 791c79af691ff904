"""What lies in masked pixels reaches nothing: loss, gradient, statistics, picture, bit for bit.

One set of pixels, a gap of the detector and others in single frames, is masked by every means
there is, with other values underneath. Each run is compared with the first: all weights after
`fit` (the probe is refined as well, so every gradient shows in them), the history, the statistics
and the reconstruction.
"""

import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.data.feed import Batches
from pinn.data.frames import ArrayFrames
from pinn.data.grouping import make_groups

M, N = 40, 16
ANY = (np.nan, -3.0, 2.0**32 - 1, 1e30, np.inf, 17.0, -np.inf, 0.25, 2.0**31)
UNUSABLE = tuple(value for value in ANY if value not in (17.0, 0.25))


def masks():
    """The gap `(N, N)` and all masked pixels `(M, N, N)`, True = masked."""
    rng = np.random.default_rng(5)
    gap = np.zeros((N, N), bool)
    gap[6:8] = True  # next to the zero frequency, where it matters
    gap[:, 3] = True
    return gap, gap | (rng.random((M, N, N)) < 0.1)


GAP, MASKED = masks()


def counts():
    scan = small_scan(n_frames=M)
    return scan, np.rint(scan.read(np.arange(M))[0].astype(np.float64) ** 2)


def filled(values, where, fill, seed=0):
    """`values` with random picks from `fill` at `where`."""
    result = values.copy()
    picks = np.random.default_rng(seed).integers(0, len(fill), int(where.sum()))
    result[where] = np.array(fill, values.dtype)[picks]
    return result


def scan_of(frames, **options):
    like, _ = counts()
    return pinn.Scan(frames, like.positions_px, probe=like.probe, name="masked", **options)


def by_frame(true):
    return scan_of(filled(true, MASKED, ANY), valid_mask=~MASKED)


def by_source(true):
    return scan_of(filled(true, MASKED, ANY, 1), valid_mask=ArrayFrames(~MASKED))


def by_detector(true):
    frames = filled(filled(true, MASKED, UNUSABLE), np.broadcast_to(GAP, MASKED.shape), ANY)
    return scan_of(frames, valid_mask=~GAP)


def by_value(true):
    return scan_of(filled(true, MASKED, UNUSABLE, 2))


def by_saturation(true):
    assert true.max() < 60_000
    frames = filled(true.astype(np.uint16), MASKED, (60_000, 61_234, 65_535))
    return scan_of(frames, saturation=60_000)


def by_sentinel(true):
    return scan_of(filled(true.astype(np.uint32), MASKED, (2**32 - 1, 2**31 - 1)))


def by_frame_in_integers(true):
    frames = filled(true.astype(np.int32), MASKED, (-(2**31), -1, 0, 17, 2**31 - 1))
    return scan_of(frames, valid_mask=~MASKED)


MEANS = (
    by_frame,
    by_source,
    by_detector,
    by_value,
    by_saturation,
    by_sentinel,
    by_frame_in_integers,
)


def statistics_of(scan):
    found = scan.statistics()
    return {
        **{key: getattr(found, key) for key in ("mean_counts", "exposure_factor", "max_counts")},
        **{key: getattr(found, key) for key in ("masked_pixels", "dead_pixels", "dark_frames")},
        **{key: getattr(found, key) for key in ("integer_valued", "photons_known", "rescale")},
        "frame_counts": found.frame_counts.tolist(),
    }


def outcome(scan, **options):
    """Everything a user would see, by name."""
    options = {"probe_trainable": True, "deterministic": True, "validation_fraction": 0.0} | options
    model = small_model(scan, **options)
    picture = pinn.reconstruct(scan, model)
    found = dict(model.network.named_arrays())
    for row in model.history:
        for key in ("loss", "deviance", "nll"):
            found[f"{key} {row['epoch']}"] = np.array(row[key])
    for key in ("object", "coverage", "probe"):
        found[key] = getattr(picture, key)
    return found


@pytest.fixture(scope="module")
def reference():
    _, true = counts()
    return outcome(scan_of(np.where(MASKED, 0.0, true), valid_mask=~MASKED, units="counts"))


@pytest.mark.parametrize("means", MEANS)
def test_batches_and_statistics_are_those_of_the_measured_pixels_alone(means):
    _, true = counts()
    plain, other = scan_of(np.where(MASKED, 0.0, true), valid_mask=~MASKED), means(true)
    groups = make_groups(plain.positions_px, 2)
    one, two = (Batches([s], [groups], M, 0, shuffle=False).batch(0) for s in (plain, other))
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value, err_msg=name)
    np.testing.assert_array_equal(one["frames"] < 0, np.moveaxis(MASKED[groups.indices], 1, -1))
    assert statistics_of(other) == statistics_of(plain)
    assert other.units == plain.units == "counts"


@pytest.mark.parametrize("means", [by_detector, by_saturation])
def test_no_value_of_a_masked_pixel_changes_a_run(means, reference):
    found = outcome(means(counts()[1]))
    assert found.keys() == reference.keys()
    for name, value in reference.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert np.isfinite(value).all(), name


def test_one_pixel_more_that_is_not_masked_is_seen():
    _, true = counts()
    frames, mask = filled(true, MASKED, ANY), ~MASKED
    mask[7, 6, 9], frames[7, 6, 9] = True, 17.0
    scan = scan_of(frames, valid_mask=mask)
    assert scan.statistics().masked_pixels == MASKED.sum() - 1
    assert scan.statistics().mean_counts * M == pytest.approx(true[~MASKED].sum() + 17, rel=1e-12)
    amplitude, valid = scan.read([7])
    assert valid[0, 6, 9]
    assert amplitude[0, 6, 9] == np.sqrt(np.float32(17))
