"""Groups, containers and stitching against arrays measured from the original."""

from pathlib import Path

import compat_scans as small
import numpy as np
import pytest

from pinn.errors import ConfigError, ScanError
from ptycho import loader
from ptycho.raw_data import RawData
from ptycho.tf_helper import reassemble_position

GOLDENS = Path(__file__).parents[1] / "goldens"
GROUPS = np.load(GOLDENS / "grouping.npz")
STITCHING = np.load(GOLDENS / "stitching.npz")
CASES = {
    "gs1": dict(gridsize=1, nsamples=5, K=4, seed=42),
    "gs2_K4": dict(gridsize=2, nsamples=5, K=4, seed=42),
    "gs2_K7": dict(gridsize=2, nsamples=5, K=7, seed=42),
    "gs2_seq_K6": dict(gridsize=2, nsamples=4, K=6, seed=7, sequential_sampling=True),
    "gs2_over_K7": dict(gridsize=2, nsamples=50, K=7, seed=42, enable_oversampling=True),
}
# (N/2) / sqrt(mean energy) of the groups, from the same run; frames were 1 to 36 times ones
FACTORS = {
    "gs1": 0.01897701,
    "gs2_K4": 0.02102958,
    "gs2_K7": 0.0199268,
    "gs2_seq_K6": 0.05322463,
    "gs2_over_K7": 0.02011686,
}


def golden_scan():
    frames = np.ones((36, 16, 16), np.float32) * np.arange(1, 37, dtype=np.float32)[:, None, None]
    probe = np.ones((16, 16), np.complex64)
    made = RawData(GROUPS["x"], GROUPS["y"], diff3d=frames, probeGuess=probe, units="amplitude")
    made.centre = "centred"
    return made


@pytest.mark.parametrize("case", CASES)
def test_groups_are_those_of_the_original(case):
    found = golden_scan().generate_grouped_data(16, **CASES[case])
    expected = GROUPS[f"{case}_nn"]
    np.testing.assert_array_equal(found["nn_indices"], expected)
    assert found["nn_indices"].dtype == expected.dtype
    B, C = expected.shape
    for key, name in (("coords_offsets", "offsets"), ("coords_relative", "relative")):
        # the same means of the same doubles, in perhaps another order of addition
        np.testing.assert_allclose(found[key], GROUPS[f"{case}_{name}"], rtol=0, atol=1e-13)
        assert found[key].shape == GROUPS[f"{case}_{name}"].shape
        assert found[key].dtype == np.float64
        np.testing.assert_array_equal(found[key], found[key.replace("coords", "coords_start")])
    assert found["diffraction"].shape == found["X_full"].shape == (B, 16, 16, C)
    assert found["X_full"].dtype == found["diffraction"].dtype == np.float32
    np.testing.assert_array_equal(found["diffraction"][:, 0, 0], expected + 1)
    # single precision of X, and of the eight digits of the measured factor
    np.testing.assert_allclose(
        found["X_full"], found["diffraction"] * FACTORS[case], rtol=1e-6, atol=0
    )
    absolute = found["coords_offsets"] - found["coords_relative"]
    np.testing.assert_allclose(absolute[:, 0, 0], GROUPS["x"][expected], atol=1e-12)
    np.testing.assert_array_equal(found["coords_nn"][:, 0, 1], GROUPS["y"][expected])
    assert found["Y"] is None and found["objectGuess"] is None


def test_one_sample_means_all_and_is_said(caplog):
    caplog.set_level("INFO", "ptycho")
    raw = golden_scan()
    assert len(raw.generate_grouped_data(16, K=7, nsamples=1, gridsize=1)["X_full"]) == 36
    assert "nsamples 1 means all" in caplog.text
    assert len(raw.generate_grouped_data(16, K=7, nsamples=2, gridsize=1)["X_full"]) == 2


def test_gridsize_comes_from_the_dictionary_unless_it_is_given():
    import ptycho.params

    raw, before = golden_scan(), ptycho.params.get("gridsize")
    try:
        ptycho.params.cfg["gridsize"] = 3
        assert raw.generate_grouped_data(16, K=9, nsamples=2)["nn_indices"].shape == (2, 9)
        found = raw.generate_grouped_data(16, K=9, nsamples=2, gridsize=2)
        assert found["nn_indices"].shape == (2, 4)
    finally:
        ptycho.params.cfg["gridsize"] = before


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (dict(N=32), ConfigError, "32 x 32 were asked for"),
        (dict(nsamples=50), ConfigError, "50 groups"),
        (dict(K=3), ConfigError, "neighbours is 3"),
        (dict(gridsize=0), ConfigError, "gridsize is 0"),
        (dict(gridsize=-2), ConfigError, "gridsize is -2"),
        (dict(gridsize=7, K=60), ScanError, "36 frames, but a group has 49"),
    ],
)
def test_what_cannot_be_grouped_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        golden_scan().generate_grouped_data(**{"N": 16, "K": 7, "gridsize": 2, **changes})


def test_labels_are_the_object_under_each_frame():
    found = small.arrays(12)
    found["xcoords"], found["ycoords"] = np.rint(found["xcoords"]), np.rint(found["ycoords"])
    raw = small.raw_of(found)
    groups = raw.generate_grouped_data(small.N, K=5, nsamples=6, gridsize=2, seed=1)
    container = loader.load(lambda: groups, raw.probeGuess)
    truth = found["objectGuess"]
    for b, members in enumerate(groups["nn_indices"]):
        for c, m in enumerate(members):
            y, x = int(found["ycoords"][m]) - 8, int(found["xcoords"][m]) - 8
            rows = np.clip(np.arange(y, y + 16), 0, truth.shape[0] - 1)
            columns = np.clip(np.arange(x, x + 16), 0, truth.shape[1] - 1)
            expected = truth[np.ix_(rows, columns)]
            inside = np.outer(
                (np.arange(y, y + 16) >= 0) & (np.arange(y, y + 16) < truth.shape[0]),
                (np.arange(x, x + 16) >= 0) & (np.arange(x, x + 16) < truth.shape[1]),
            )
            # modulus and phase are kept in single precision
            np.testing.assert_allclose(
                container.Y[b, :, :, c][inside], expected[inside], rtol=0, atol=2e-6
            )


def test_a_container_has_all_attributes():
    raw = small.raw_of(small.arrays(12))
    groups = raw.generate_grouped_data(small.N, K=5, nsamples=6, gridsize=2, seed=1)
    found = loader.load(lambda: groups, raw.probeGuess, which=None, create_split=False)
    assert len(found) == 6
    assert found.X.shape == found.Y_I.shape == found.Y_phi.shape == found.Y.shape == (6, 16, 16, 4)
    assert (found.X.dtype, found.Y.dtype, found.probe.dtype) == ("f4", "c8", "c8")
    assert found.coords_nominal.shape == found.coords_true.shape == found.coords.shape
    assert found.local_offsets.shape == (6, 1, 2, 4) and found.local_offsets.dtype == "f8"
    assert found.global_offsets.shape == (6, 1, 2, 1) and found.global_offsets.dtype == "f8"
    assert found.YY_full is raw.objectGuess and found.nn_indices.shape == (6, 4)
    energy = np.sum(np.asarray(found.X, np.float64) ** 2, axis=(1, 2)).mean()
    assert energy == pytest.approx((small.N / 2) ** 2, rel=1e-5)  # single precision
    train = loader.load(lambda: (groups, 0.5), raw.probeGuess, which="train", create_split=True)
    test = loader.load(lambda: (groups, 0.5), raw.probeGuess, which="test", create_split=True)
    np.testing.assert_array_equal(np.concatenate([train.X, test.X]), found.X)


def test_counts_become_amplitudes_and_it_is_said(caplog):
    caplog.set_level("INFO", "ptycho")
    found = small.arrays(12)
    groups = small.raw_of(found).generate_grouped_data(small.N, nsamples=12, gridsize=1)
    counts = found["diff3d"].astype(np.float64)
    factor = 8 / np.sqrt(counts.sum((1, 2)).mean())
    np.testing.assert_allclose(groups["X_full"][..., 0], np.sqrt(counts) * factor, rtol=1e-6)
    np.testing.assert_array_equal(groups["diffraction"][..., 0], found["diff3d"])
    assert "read as counts" in caplog.text
    amplitude = {**found, "diff3d": np.sqrt(found["diff3d"]).astype(np.float32)}
    same = small.raw_of(amplitude).generate_grouped_data(small.N, nsamples=12, gridsize=1)
    np.testing.assert_allclose(same["X_full"], groups["X_full"], rtol=1e-6)


def test_bad_pixels_of_a_file_are_not_used(tmp_path):
    found = small.arrays(12)
    bad = np.zeros((16, 16), bool)
    bad[3, 5] = bad[8, 8] = True
    spoilt = {**found, "diff3d": np.where(bad, 60000, found["diff3d"]).astype(np.uint32)}
    raw = RawData.from_file(small.write(tmp_path / "a.npz", spoilt, bad_pixels=bad))
    X = raw.generate_grouped_data(16, nsamples=12, gridsize=1)["X_full"]
    assert not X[:, bad].any() and X[:, ~bad].any()
    np.testing.assert_array_equal(raw.diff3d, spoilt["diff3d"])


def test_stitching_of_plain_arrays_is_that_of_the_original():
    for M in (8, 16):
        found = reassemble_position(STITCHING["reasm_patches"], STITCHING["reasm_offsets"], M=M)
        expected = STITCHING[f"reasm_M{M}"]
        assert found.shape == expected.shape and found.dtype == expected.dtype
        # two implementations in single precision
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_offsets_without_pc_put_the_midrange_in_the_middle():
    found = small.arrays(12)
    # an uneven scan: mean and midrange differ by whole pixels
    x = np.array([0.0] * 10 + [1.0, 21.0])
    found["xcoords"], found["ycoords"] = 30.0 + x, 30.0 + np.zeros(12)
    raw = small.raw_of(found)
    groups = raw.generate_grouped_data(16, nsamples=12, gridsize=1)
    offsets = loader.load(lambda: groups, raw.probeGuess).global_offsets
    patches = np.zeros((12, 16, 16, 1), np.complex64)
    patches[-1, 8, 8] = 1.0  # the last lies alone, 10.5 right of the midrange
    centred = reassemble_position(patches, offsets, M=4)[..., 0]
    assert np.abs(centred).argmax(1)[centred.shape[0] // 2] - centred.shape[1] // 2 in (10, 11)
    plain = reassemble_position(patches, np.array(offsets), M=4)[..., 0]
    shift = np.abs(plain).argmax(1)[plain.shape[0] // 2] - plain.shape[1] // 2
    assert shift == round(21 - x.mean())


@pytest.mark.parametrize("M", [0, 3, 18])
def test_impossible_crops_are_refused(M):
    with pytest.raises(ScanError, match="even number"):
        reassemble_position(STITCHING["reasm_patches"], STITCHING["reasm_offsets"], M=M)


def test_offsets_of_other_patches_are_refused():
    with pytest.raises(ScanError, match="required"):
        reassemble_position(STITCHING["reasm_patches"], STITCHING["reasm_offsets"][1:], M=8)


@pytest.fixture
def dictionary():
    from ptycho._dictionary import LEGACY

    LEGACY.reset()
    LEGACY.cfg.update(gridsize=1, nphotons=1e7)
    yield LEGACY.cfg
    LEGACY.reset()


def test_frames_of_a_known_object(dictionary):
    rng = np.random.default_rng(3)
    obj = (rng.uniform(0.5, 1, (40, 44)) * np.exp(1j * rng.uniform(-1, 1, (40, 44)))).astype("c8")
    x, y = np.array([12.0, 20.0, 31.0]), np.array([10.0, 25.0, 14.0])
    probe = (np.outer(np.hanning(16), np.hanning(16)) * np.exp(0.3j)).astype("c8")
    raw = RawData.from_simulation(x, y, probe, obj)
    energy = 0.0
    for k in range(3):
        patch = obj[int(y[k]) - 8 : int(y[k]) + 8, int(x[k]) - 8 : int(x[k]) + 8]
        expected = np.abs(np.fft.fftshift(np.fft.fft2(probe * patch))) / 16
        # the amplitude of n counts is uncertain by 1/2, here of about 1e7 per frame
        scale = np.sqrt(1e7 / np.mean(np.sum(raw.diff3d.astype(float) ** 2, axis=(1, 2))))
        assert np.abs(raw.diff3d[k] - expected).max() * scale < 3
        energy += np.sum(expected**2) / 3
    assert np.mean(np.sum(raw.diff3d**2, axis=(1, 2))) == pytest.approx(energy, rel=2e-3)
    assert raw.scan().units == "amplitude" and raw.scan().photons_per_frame == 1e7
    np.testing.assert_array_equal(raw.diff3d, RawData.from_simulation(x, y, probe, obj).diff3d)


def test_what_cannot_be_simulated_is_refused(dictionary):
    obj, probe = np.ones((40, 44), complex), np.ones((16, 16), complex)
    with pytest.raises(ScanError, match="leaves the object"):
        RawData.from_simulation([3.0], [20.0], probe, obj)
    with pytest.raises(ScanError, match="dark frames"):
        RawData.from_simulation([20.0], [20.0], probe, 0 * obj)
    with pytest.raises(ScanError, match="are required"):
        RawData.from_simulation([20.0], [20.0], probe, obj[0])
    dictionary["gridsize"] = 2
    with pytest.raises(ConfigError, match="gridsize is 2"):
        RawData.from_simulation([20.0], [20.0], probe, obj)


def test_where_ptychodus_puts_the_middle_of_a_result(caplog):
    """At the centre of the object, positions being those of index (N - 1)/2 (1.6 and later)."""
    from ptycho._ptychodus import middle_for_ptychodus

    places = np.array([[10.0, 10.0], [30.0, 50.0]])
    assert np.array_equal(middle_for_ptychodus((61, 80), places), [30.0, 39.5])
    assert np.array_equal(middle_for_ptychodus((2, 61, 80), places), [30.0, 39.5])
    assert middle_for_ptychodus((0, 0), places) is None
    assert middle_for_ptychodus((61,), places) is None
    assert caplog.text == ""
    assert middle_for_ptychodus((61, 80), places + [0, 5000]) is None
    assert "lies 4990 pixels from the centre of the object" in caplog.text
