"""The start that a network makes for a refinement: few frames, the whole area."""

import numpy as np
import pytest
from refining import QUICK, arrays_of, error, scan_of
from small import same, small_model

import pinn
from pinn.data.grouping import groups_for_inference
from pinn.errors import ArchiveError, ConfigError, ScanError
from pinn.progress import Deadline
from pinn.reconstruction.network_start import LIT, network_start

# what is compiled, a predictor and a refinement, is tested on each
pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def others(arrays):
    """Another object under the same probe, to train on."""
    return scan_of(arrays_of(seed=1))


@pytest.fixture(scope="module")
def network(others):
    return small_model(others, architecture="lean", epochs=4, n_groups=None)


def begun(scan, model, cover=1):
    dark = scan.statistics().dark_frames
    rows = np.setdiff1d(np.arange(len(scan)), dark)
    return network_start(scan, model, rows, cover, Deadline())[0]


def test_a_network_sees_few_frames_and_is_better_than_nothing(scan, plain, network):
    recon = pinn.refine(scan, network, update_probe=False, **QUICK)
    facts = recon.statistics["refinement"]
    network_start = facts["network_start"]
    assert network_start["of_frames"] == len(scan)
    assert network_start["frames"] < 0.75 * len(scan)
    assert facts["started_from"] == (
        f"a network's reconstruction of {network_start['frames']} of {len(scan)} frames"
    )
    assert recon.losses[0] < 0.5 * plain.losses[0]
    assert error(recon, scan) < 0.08
    assert recon.archive_sha256 == network.archive_sha256


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"architecture": "test-tiny"},
        {"architecture": "test-tiny", "object_big": False},
        {"architecture": "test-tiny", "gridsize": 1},
    ],
    ids=str,
)
def test_the_start_covers_what_the_frames_light(scan, others, network, options):
    model = small_model(others, **options) if options else network
    start = begun(scan, model)
    assert start.statistics["network_start"]["groups"] < 0.75 * len(scan)
    light = np.sum(np.abs(scan.probe) ** 2, axis=0)
    y, x = np.nonzero(light >= LIT * light.max())
    groups = scan.positions_px
    if not model.config.object_big:  # where there are groups of four, their mean is the place
        groups = groups_for_inference(scan.positions_px, 2).centres
    corners = np.rint(groups - start.origin_px).astype(int) - 8
    # a pixel at the rim may fall on either side of rounding; within it nothing is missing
    inside = (np.hypot(y - 8, x - 8) < np.hypot(y - 8, x - 8).max() - 1.5).nonzero()[0]
    for corner in corners:
        assert start.valid_mask[corner[0] + y[inside], corner[1] + x[inside]].all()


def test_more_cover_shows_the_network_more_frames(scan, network):
    starts = [begun(scan, network, cover) for cover in (1, 2, 1000)]
    counts = [len(start.frame_indices) for start in starts]
    assert counts[0] < counts[1] < counts[2] == len(scan)


def test_a_model_is_the_same_start_as_its_reconstruction(scan, network):
    options = {"update_probe": False, **QUICK, "epochs": 2}
    one = pinn.refine(scan, network, **options)
    other = pinn.refine(scan, begun(scan, network), **options)
    same(one.object, other.object)


def test_frames_without_light_are_not_shown(arrays, network):
    counts = arrays["counts"].copy()
    counts[::5] = 0
    scan = scan_of(arrays, frames=counts)
    start = begun(scan, network, 1000)
    assert np.array_equal(start.frame_indices, np.flatnonzero(np.arange(len(counts)) % 5))
    assert np.isfinite(pinn.refine(scan, network, **QUICK).object).all()


def test_probe_of_the_start_of_a_network(arrays, scan, others, network):
    assert begun(scan, network).probe is None  # the scan has one
    assert begun(others, network).probe is not None  # as training left it
    recon = pinn.refine(scan_of(arrays, probe=None), network, **{**QUICK, "epochs": 1})
    assert recon.probe is not None and np.isfinite(recon.object).all()


def test_the_start_of_a_network_can_be_cut_short(scan, network):
    stages = []

    def stop(progress):
        stages.append(progress.stage)
        if len(stages) == 1:  # and never again
            raise pinn.StopRequested

    recon = pinn.refine(scan, network, progress=stop, **{**QUICK, "lbfgs_iterations": 2})
    assert stages == ["start"]
    assert recon.statistics["refinement"]["ended"] == "stopped on request"
    assert recon.losses == [] and np.isfinite(recon.object).all()
    over = pinn.refine(scan, network, seconds=1e-6, **QUICK)
    assert over.statistics["refinement"]["ended"] == "the time is over"


def test_the_start_of_a_network_is_resumed(scan, network, tmp_path):
    options = {**QUICK, "update_probe": False}
    whole = pinn.refine(scan, network, **options)
    pinn.refine(scan, network, output=tmp_path, **{**options, "epochs": 3})
    on = pinn.refine(scan, network, output=tmp_path, resume=True, **options)
    same(on.object, whole.object)
    with pytest.raises(ArchiveError, match="start"):
        pinn.refine(scan, output=tmp_path, resume=True, **options)


def test_a_predictor_is_compiled_once(scan, others, network):
    config = pinn.ReconstructConfig()
    first = network.predictor(scan.probe_gauge(), config)
    assert network.predictor(scan.probe_gauge(), config.replace(calibrate=False)) is first
    assert network.predictor(scan.probe_gauge(), config.replace(weighting="uniform")) is not first
    turned = scan.probe_gauge()[:, ::-1]
    assert network.predictor(turned, config) is not network.predictor(scan.probe_gauge(), config)


def test_starts_that_cannot_be_are_refused(scan, plain, network):
    with pytest.raises(ConfigError, match="start is a str, but a Reconstruction"):
        pinn.refine(scan, "run/wts.h5.zip", **QUICK)
    larger = scan_of(arrays_of(N=32, n_frames=20))
    with pytest.raises(ScanError, match="32 x 32, but the model was trained on 16 x 16"):
        pinn.refine(larger, network, **QUICK)


def test_a_position_far_away_is_refused_with_a_network_as_well(arrays, network):
    positions = arrays["positions_px"].copy()
    positions[3] += 1e6
    with pytest.raises(ScanError, match="more than a canvas can hold"):
        pinn.refine(scan_of(arrays, positions_px=positions), network, **QUICK)
