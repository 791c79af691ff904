"""Refinement: what each part does, that it ends well, and that it can be interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from small import same, small_model, small_scan

import pinn
from pinn.config import RefineConfig
from pinn.data.grouping import groups_for_inference
from pinn.errors import ArchiveError, ConfigError, ScanError
from pinn.refinement import engine as engines
from pinn.refinement import gauge, tiles
from pinn.refinement import polish as polishing
from pinn.refinement.engine import Engine
from pinn.refinement.frames import Frames
from pinn.refinement.loop import Clock
from pinn.refinement.picture import LIT, picture
from pinn.refinement.run import counts_per_unit
from pinn.refinement.start import begin
from pinn.simulate import SimulateConfig, simulate_arrays
from pinn.simulate.forward import diffract, extract_patches

QUICK = {"batch_size": 16, "split_half": False, "epochs": 6, "polish": 0}


def arrays_of(**options):
    recipe = {
        "N": 16, "object": "leaves", "n_frames": 150, "photons_per_frame": 1e6, "overlap": 0.68,
        "probe": "defocused", **options,
    }  # fmt: skip
    return simulate_arrays(SimulateConfig(**recipe))


def scan_of(arrays, **changes):
    values = {
        "frames": arrays["counts"], "positions_px": arrays["positions_px"],
        "probe": arrays["probe"], "truth": arrays["truth"], **changes,
    }  # fmt: skip
    return pinn.Scan(values.pop("frames"), values.pop("positions_px"), **values)


def error(recon, scan):
    return pinn.evaluate(recon, scan.truth, border=2).metrics["nrmse"]


@pytest.fixture(scope="module")
def arrays():
    return arrays_of()


@pytest.fixture(scope="module")
def scan(arrays):
    return scan_of(arrays)


@pytest.fixture(scope="module")
def plain(scan):
    return pinn.refine(scan, update_probe=False, **QUICK)


def built(scan, **options):
    config = RefineConfig(**{"batch_size": 16, **options})
    rows = np.arange(len(scan))
    frames = Frames(scan, rows)
    state = begin(scan, config, None, rows, frames.factor)
    return Engine(frames, config, counts_per_unit(frames.factor)[1], state), state, frames


def rates(state, frames):
    """Expected counts in float64, by the simulation's own forward model."""
    patches = extract_patches(state.object, state.positions - state.origin, frames.N)
    return diffract(patches, state.probe[0].astype(complex) / frames.factor)


# ------------------------------------------------------------------------------- the object


def test_a_flat_start_becomes_the_object(plain, scan):
    # 1e6 photons a frame leave a few percent of noise; a flat object is off by a third
    assert error(plain, scan) < 0.08
    losses = plain.losses
    assert losses[-1] < 0.05 * losses[0]
    # six epochs have not come to the noise (1), but most of the way from about 1000
    assert 0.5 < np.median(plain.frame_likelihood) < 6.0
    assert plain.statistics["refinement"]["started_from"] == "a flat object"
    assert plain.verdict


def test_going_on_from_a_result_begins_where_it_ended(scan, plain):
    on = pinn.refine(scan, plain, update_probe=False, **{**QUICK, "epochs": 1})
    assert on.losses[0] < 1.2 * plain.losses[-1]
    assert on.statistics["refinement"]["started_from"] == "a reconstruction"


@pytest.mark.parametrize("what", ["object", "probe", "positions"])
@pytest.mark.parametrize("likelihood", ["amplitude", "poisson"])
def test_the_slope_is_that_of_the_likelihood(scan, likelihood, what):
    engine, state, frames = built(scan, likelihood=likelihood, held_out=0.0, update_positions=True)
    rng = np.random.default_rng(0)
    state.object *= (1 + 0.1 * rng.normal(size=state.object.shape)).astype("complex64")
    state.positions = np.floor(state.positions) + rng.uniform(0.1, 0.9, state.positions.shape)
    counts = scan.read(np.arange(len(scan)))[0].astype(float) ** 2

    def loss(value):
        rate = rates(replace(state, **{what: value}), frames)
        if likelihood == "amplitude":
            return 4.0 * np.sum((np.sqrt(rate) - np.sqrt(counts)) ** 2)
        return 2.0 * np.sum(rate - counts * np.log(rate))

    found = engine.slope(state)
    slope = getattr(found, what)
    here, h = getattr(state, what), 1e-5
    here = here.astype(complex if np.iscomplexobj(here) else float)
    way = rng.normal(size=slope.shape)
    if np.iscomplexobj(here):
        way = np.abs(here) * (way + 1j * rng.normal(size=slope.shape))
    numerical = (loss(here + h * way) - loss(here - h * way)) / (2 * h)
    along = np.sum(slope.real * way.real + slope.imag * way.imag)
    # float32 sums over 15 000 pixels, in which large terms cancel
    assert along == pytest.approx(numerical, rel=2e-3)
    if likelihood == "amplitude":
        assert found.value == pytest.approx(loss(here), rel=1e-4)


def test_tiles_change_nothing_but_the_order(scan, monkeypatch):
    engine, state, _ = built(scan)
    monkeypatch.setattr(engines, "_TILE_PIXELS", 600)
    monkeypatch.setattr(engines, "_TILE_BATCHES", 0)
    parts, _, _ = built(scan)
    assert len(engine.tiles) == 1 and len(parts.tiles) > 2
    (one, planes), (several, others) = engine.judge(state), parts.judge(state)
    np.testing.assert_allclose(several.deviance, one.deviance, rtol=1e-5)
    np.testing.assert_allclose(others["light"], planes["light"], atol=1e-4)
    np.testing.assert_allclose(others["pull"], planes["pull"], atol=1e-3)
    recon = pinn.refine(scan, update_probe=False, **QUICK)
    assert error(recon, scan) < 0.1


def test_every_frame_is_in_one_tile_that_holds_its_patch():
    places = np.random.default_rng(1).uniform(20, 180, (200, 2))
    found, shape = tiles.tile_scan(places, 16, (200, 210), 2, 60 * 60)
    rows = np.concatenate([tile.rows for tile in found])
    assert sorted(rows) == list(range(200)) and len(found) > 4
    for tile in found:
        corner = np.floor(places[tile.rows]) - 8 - np.array(tile.corner)
        assert np.all(corner >= 2) and np.all(corner + 17 + 2 <= shape)


@pytest.mark.parametrize(
    "option",
    [
        {"tv": 0.02}, {"object_limit": 0.7}, {"object_damping": 0.5}, {"object_step": 0.5},
        {"momentum": 0.0}, {"round": 1}, {"batch_size": 7}, {"seed": 1}, {"held_out": 0.2},
        {"likelihood": "poisson"}, {"polish": 3}, {"update_probe": True},
    ],
    ids=lambda option: next(iter(option)),
)  # fmt: skip
def test_option_changes_the_object(scan, plain, option):
    other = pinn.refine(scan, **{"update_probe": False, **QUICK, **option})
    assert np.abs(other.object - plain.object).max() > 1e-4
    if "object_limit" in option:
        assert other.amplitude.max() <= 0.7 + 1e-5


def test_polish_lowers_the_likelihood_until_it_improves_no_more(scan, plain):
    more = pinn.refine(scan, update_probe=False, **{**QUICK, "polish": 200, "patience": 2})
    assert np.mean(more.frame_likelihood) < 0.98 * np.mean(plain.frame_likelihood)
    rows = [row for row in more.statistics["history"] if "polish_iteration" in row]
    held = [row["held_deviance"] for row in rows]
    assert held == sorted(held, reverse=True)
    assert 0 < more.statistics["refinement"]["polish_iterations"] < 150


def test_polish_changes_all_that_is_refined_within_its_limits(arrays):
    rng = np.random.default_rng(7)
    off = rng.uniform(-0.5, 0.5, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    options = {
        **QUICK, "update_positions": True, "positions_epoch": 1, "probe_epoch": 1, "patience": 40,
        "position_search_px": 0.0, "position_limit_px": 1.0, "probe_support": 6.0,
    }  # fmt: skip
    before = pinn.refine(scan, **options)
    after = pinn.refine(scan, **{**options, "polish": 40})
    apart = [
        np.sqrt(np.mean((r.positions_px - arrays["positions_px"] - off.mean(0)) ** 2))
        for r in (before, after)
    ]
    assert apart[1] < 0.7 * apart[0]
    assert np.abs(after.probe - before.probe).max() > 1e-3 * np.abs(before.probe).max()
    moved = after.positions_px - after.positions_start_px
    np.testing.assert_allclose(moved.mean(0), 0.0, atol=1e-9)
    assert np.abs(moved).max() <= 1.2  # a square about the limit, before the mean is taken off
    assert not np.abs(after.probe[:, 0, 0]).any()
    # all modes together keep their photons
    energies = [np.sum(np.abs(r.probe) ** 2) for r in (before, after)]
    assert energies[1] == pytest.approx(energies[0], rel=1e-4)


def test_polish_keeps_to_a_model_of_positions(arrays):
    centred = arrays["positions_px"] - arrays["positions_px"].mean(0)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + 0.03 * centred)
    recon = pinn.refine(
        scan, update_positions=True, position_model="scale", update_probe=False,
        **{**QUICK, "epochs": 4, "polish": 40, "positions_epoch": 4},
    )  # fmt: skip
    moved = recon.positions_px - recon.positions_start_px
    kept = gauge.model_of(moved, scan.positions_px, ("scale",))
    np.testing.assert_allclose(moved, kept, atol=1e-6)
    left = recon.positions_px - arrays["positions_px"]
    left -= left.mean(0)
    assert np.sqrt(np.mean(left**2)) < 0.5 * np.sqrt(np.mean((0.03 * centred) ** 2))


def test_a_canvas_too_large_is_not_polished_and_it_is_said(scan, plain, monkeypatch):
    monkeypatch.setattr(polishing, "_NUMBERS", 1000)
    recon = pinn.refine(scan, update_probe=False, **{**QUICK, "polish": 5})
    same(recon.object, plain.object)
    assert any("not polished" in note for note in recon.notes)


def test_a_stopped_polish_keeps_what_it_has(scan, plain):
    shown = []

    def stop(progress):
        if progress.stage == "polish" and progress.epoch == 4:
            raise pinn.StopRequested

    recon = pinn.refine(
        scan, update_probe=False, progress=stop, watch=shown.append, **{**QUICK, "polish": 30}
    )
    assert recon.statistics["stopped"]
    assert 0 < recon.statistics["refinement"]["polish_iterations"] <= 3
    assert np.mean(recon.frame_likelihood) < np.mean(plain.frame_likelihood)
    assert len(shown) == len(recon.losses)


# ------------------------------------------------------------------- the start of a network


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
    return picture(scan, model, rows, cover, Clock(0.0))[0]


def test_a_network_sees_few_frames_and_is_better_than_nothing(scan, plain, network):
    recon = pinn.refine(scan, network, update_probe=False, **QUICK)
    facts = recon.statistics["refinement"]
    network_start = facts["network_start"]
    assert network_start["of_frames"] == len(scan)
    assert network_start["frames"] < 0.75 * len(scan)
    assert facts["started_from"] == (
        f"a network's picture from {network_start['frames']} of {len(scan)} frames"
    )
    assert recon.losses[0] < 0.5 * plain.losses[0]
    assert error(recon, scan) < 0.08
    assert recon.config["refine"]["start_cover"] == 1
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
    one, all_of_them = (
        pinn.refine(scan, network, start_cover=c, update_probe=False, **QUICK) for c in (1, 1000)
    )
    assert np.abs(one.object - all_of_them.object).max() > 1e-4


def test_a_model_is_the_same_start_as_its_picture(scan, network):
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

    recon = pinn.refine(scan, network, progress=stop, **{**QUICK, "polish": 2})
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
    for start in (None, plain):
        with pytest.raises(ConfigError, match="start_cover 2 has no effect without a network"):
            pinn.refine(scan, start, start_cover=2, **QUICK)
    for cover in (0, 1.5, "all"):
        with pytest.raises(ConfigError, match="start_cover"):
            RefineConfig(start_cover=cover)
    with pytest.raises(ConfigError, match="start is a str, but a Reconstruction"):
        pinn.refine(scan, "run/wts.h5.zip", **QUICK)
    larger = scan_of(arrays_of(N=32, n_frames=20))
    with pytest.raises(ScanError, match="32 x 32, but the model was trained on 16 x 16"):
        pinn.refine(larger, network, **QUICK)


# ------------------------------------------------------------------------------- the pixels


def test_masked_values_have_no_influence(arrays):
    mask = np.random.default_rng(2).uniform(size=(16, 16)) > 0.1
    first = arrays["counts"].astype("float32")
    second = first.copy()
    second[:, ~mask] = 1e6
    results = [
        pinn.refine(scan_of(arrays, frames=f, valid_mask=mask, units="counts"), **QUICK)
        for f in (first, second)
    ]
    assert np.array_equal(results[0].object, results[1].object)
    assert np.array_equal(results[0].probe, results[1].probe)


def test_held_out_pixels_are_not_fitted(scan):
    engine, state, frames = built(scan, held_out=0.3, update_probe=False)
    nothing = {"object": 1.0, "probe": 0.0}
    other = state.copy()
    engine.epoch(state, nothing, 0.0, lambda done: None)
    golden = (np.arange(256).reshape(16, 16) * 0.6180339887498949) % 1.0
    phases = frames.phases(np.arange(len(scan))).astype("float32")
    held = ((golden.astype("float32") + phases[:, None, None]) % 1.0) < 0.3
    assert 0.25 < held.mean() < 0.35
    frames._kept[held] = 3.0
    engine.epoch(other, nothing, 0.0, lambda done: None)
    # a pixel at the very rim of the share may round to either side
    same(other.object, state.object, 1e-3)


# ------------------------------------------------------------------------------- the rest


def test_positions_come_back(arrays):
    rng = np.random.default_rng(4)
    off = rng.uniform(-1.0, 1.0, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    recon = pinn.refine(
        scan, update_positions=True, update_probe=False, **{**QUICK, "epochs": 25, "patience": 25}
    )
    left = recon.positions_px - arrays["positions_px"]
    left -= np.median(left, axis=0)
    before = off - np.median(off, axis=0)
    assert np.median(np.abs(left)) < 0.3 * np.median(np.abs(before))
    # the gauge: the mean of all moves is zero
    moved = recon.positions_px - recon.positions_start_px
    np.testing.assert_allclose(moved.mean(0), 0.0, atol=1e-6)
    assert np.array_equal(recon.positions_start_px, scan.positions_px)


@pytest.mark.parametrize("part", ["scale", "rotation", "shear"])
def test_a_model_of_positions_keeps_to_its_kind(part):
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 100, (50, 2))
    centred = places - places.mean(0)
    kinds = {
        "scale": 0.02 * centred,
        "rotation": 0.02 * centred[:, ::-1] * [1, -1],
        "shear": 0.02 * centred[:, ::-1],
    }
    for name, shift in kinds.items():
        found = gauge.model_of(shift + [3.0, -2.0], places, (part,))
        wanted = shift if name == part else np.zeros_like(shift)
        # of another kind some is left, as the places are not round
        np.testing.assert_allclose(found, wanted, atol=1e-9 if name == part else 0.5)
    np.testing.assert_allclose(
        gauge.model_of(sum(kinds.values()), places, ("scale", "rotation", "shear")),
        sum(kinds.values()),
        atol=1e-9,
    )


def test_a_common_shift_changes_no_rate(scan):
    _, state, frames = built(scan)
    start, before = state.positions.copy(), rates(state, frames)
    state.positions = state.positions + [0.3, -0.7]
    moved = rates(state, frames)
    gauge.within_limits(state, start, 10.0)
    np.testing.assert_allclose(rates(state, frames), moved, rtol=1e-9)
    np.testing.assert_allclose(state.positions, start, atol=1e-12)
    assert np.abs(moved - before).max() > 0 or np.ptp(np.abs(state.object)) == 0


def far_off(arrays, **options):
    """Distance in pixels of ten frames from where they belong, 4 px off at first."""
    positions = arrays["positions_px"].copy()
    rows = np.arange(7, 147, 14)
    positions[rows] += 4.0 * np.random.default_rng(8).permutation(
        [[1, 0], [-1, 0], [0, 1], [0, -1], [0.7, 0.7]] * 2
    )
    recon = pinn.refine(
        scan_of(arrays, positions_px=positions), update_probe=False, update_positions=True,
        **{**QUICK, "epochs": 25, "patience": 25, "positions_epoch": 2, **options},
    )  # fmt: skip
    left = recon.positions_px - arrays["positions_px"]
    return np.linalg.norm(left - np.median(left, axis=0), axis=1)[rows]


def test_frames_far_off_are_searched_for(arrays):
    slope, search = far_off(arrays, position_search_px=0.0), far_off(arrays, position_search_px=5.0)
    assert np.sum(search > 1.0) < np.sum(slope > 1.0)
    assert not np.array_equal(search, far_off(arrays, position_search_px=5.0, seed=1))


def test_momentum_of_positions_brings_them_back_sooner(arrays):
    off = np.random.default_rng(4).uniform(-1.0, 1.0, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    errors = []
    for momentum in (0.0, 0.6):
        recon = pinn.refine(
            scan, update_positions=True, update_probe=False, position_momentum=momentum,
            positions_epoch=2, **{**QUICK, "epochs": 12, "patience": 12},
        )  # fmt: skip
        left = recon.positions_px - arrays["positions_px"]
        errors.append(np.median(np.abs(left - np.median(left, axis=0))))
    assert errors[1] < errors[0]


def test_limits_of_positions_hold(scan):
    recon = pinn.refine(
        scan, update_positions=True, positions_epoch=1, position_step_px=0.1,
        position_limit_px=0.15, **QUICK,
    )  # fmt: skip
    moved = np.linalg.norm(recon.positions_px - recon.positions_start_px, axis=1)
    assert 0.0 < moved.max() <= 0.15 + 1e-9


def test_intensities_come_back(arrays):
    rng = np.random.default_rng(6)
    true = rng.uniform(0.7, 1.3, len(arrays["counts"]))
    frames = np.rint(arrays["counts"] * true[:, None, None])
    scan = scan_of(arrays, frames=frames)
    on, off = (
        pinn.refine(scan, update_factors=value, update_probe=False, **{**QUICK, "epochs": 15})
        for value in (True, False)
    )
    assert np.corrcoef(on.frame_factors, true)[0, 1] > 0.95
    assert on.frame_factors.mean() == pytest.approx(1.0, abs=1e-5)
    assert np.mean(on.frame_likelihood) < 0.5 * np.mean(off.frame_likelihood)
    assert off.frame_factors is None


@pytest.mark.parametrize("kind", ["constant", "pixel"])
def test_background_comes_back(arrays, kind):
    rng = np.random.default_rng(7)
    scan = scan_of(arrays, frames=arrays["counts"] + rng.poisson(200.0, arrays["counts"].shape))
    recon = pinn.refine(scan, background=kind, update_probe=False, **{**QUICK, "epochs": 25})
    assert np.median(recon.background) == pytest.approx(200.0, rel=0.25)
    assert (np.ptp(recon.background) == 0.0) == (kind == "constant")
    assert recon.background.min() >= 0.0


def test_a_wrong_probe_comes_back(arrays):
    axis = np.arange(16) - 8
    bent = arrays["probe"] * np.exp(0.02j * (axis[:, None] ** 2 + axis**2))
    scan = scan_of(arrays, probe=bent)
    on, off = (
        pinn.refine(scan, update_probe=value, **{**QUICK, "epochs": 20, "patience": 20})
        for value in (True, False)
    )
    assert np.mean(on.frame_likelihood) < 0.5 * np.mean(off.frame_likelihood)
    true = arrays["probe"].reshape(16, 16)

    def likeness(probe):
        return abs(np.vdot(probe, true)) / np.linalg.norm(probe) / np.linalg.norm(true)

    assert likeness(on.probe[0]) > likeness(off.probe[0])
    assert np.sum(np.abs(on.probe) ** 2) == pytest.approx(np.sum(np.abs(off.probe) ** 2), rel=1e-3)


def test_modes_are_found_orthogonal_and_ordered():
    arrays = arrays_of(probe_modes=2)
    scan = scan_of(arrays, probe=arrays["probe"][:1])
    one, two = (
        pinn.refine(scan, probe_modes=modes, **{**QUICK, "epochs": 20, "patience": 20})
        for modes in (1, 2)
    )
    assert np.mean(two.frame_likelihood) < 0.6 * np.mean(one.frame_likelihood)
    flat = two.probe.reshape(2, -1)
    power = np.sum(np.abs(flat) ** 2, axis=1)
    assert power[0] > power[1] > 0.05 * power[0]
    assert abs(np.vdot(flat[0], flat[1])) < 1e-4 * power[0]


def test_orthogonal_modes_leave_every_rate(scan):
    _, state, frames = built(scan, probe_modes=3)
    rng = np.random.default_rng(8)
    state.probe = (rng.normal(size=(1, 3, 16, 16)) + 1j).astype("complex64")
    before = rates(state, frames)
    gauge.orthogonalise(state)
    np.testing.assert_allclose(rates(state, frames), before, rtol=1e-4)


def test_variations_keep_exit_waves_in_their_gauge(scan):
    _, state, _ = built(scan, variations=3)
    rng = np.random.default_rng(9)
    state.shares[:, 1:] = rng.normal(0.3, 0.2, state.shares[:, 1:].shape)
    before = np.einsum("mv,vpij->mpij", state.shares, state.probe)
    gauge.fix_variations(state)
    after = np.einsum("mv,vpij->mpij", state.shares, state.probe)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    np.testing.assert_allclose(state.shares[:, 1:].mean(0), 0.0, atol=1e-6)
    assert np.all(state.shares[:, 0] == 1.0)


def test_a_drifting_probe_is_followed(arrays):
    positions, probe = arrays["positions_px"], arrays["probe"].reshape(16, 16).astype(complex)
    drift = np.linspace(-0.4, 0.4, len(positions))
    slope = np.gradient(probe, axis=1) * 1.5
    patches = extract_patches(arrays["truth"], positions, 16)
    rng = np.random.default_rng(10)
    frames = [
        rng.poisson(diffract(patch[None], (probe + d * slope)[None])[0])
        for patch, d in zip(patches, drift, strict=True)
    ]
    scan = scan_of(arrays, frames=np.array(frames))
    options = {**QUICK, "epochs": 25, "patience": 25}
    one, two = (pinn.refine(scan, variations=v, **options) for v in (1, 2))
    assert np.mean(two.frame_likelihood) < 0.7 * np.mean(one.frame_likelihood)
    assert abs(np.corrcoef(two.probe_weights[:, 1], drift)[0, 1]) > 0.8
    assert two.probe_variations.shape == (2, 1, 16, 16)


def test_probe_support_is_dark_outside(scan):
    recon = pinn.refine(scan, probe_support=5.0, **QUICK)
    axis = np.arange(16) - 8
    outside = np.hypot(axis[:, None], axis) > 5.0
    assert np.all(recon.probe[:, outside] == 0) and np.any(recon.probe[:, ~outside] != 0)


# ------------------------------------------------------------------------------- its course


def test_halves_give_a_resolution(scan):
    recon = pinn.refine(scan, update_probe=False, **{**QUICK, "split_half": True})
    assert 0.0 < (recon.statistics["resolution"]["frc50"] or 0.5) <= 0.5
    assert "independent halves" in recon.verdict


def test_watching_shows_every_epoch_and_changes_nothing(scan):
    options = {**QUICK, "epochs": 3}
    shown = []
    watched = pinn.refine(scan, watch=shown.append, **options)
    assert [len(one.losses) for one in shown] == [1, 2, 3]
    assert not np.array_equal(shown[0].object, shown[2].object)
    assert all(one.frame_likelihood is None for one in shown)  # that would take a pass
    same(watched.object, pinn.refine(scan, **options).object)

    def stop(recon):
        raise pinn.StopRequested

    cut = pinn.refine(scan, watch=stop, **options)
    assert len(cut.losses) == 1 and "stopped" in cut.verdict


def test_resumed_equals_uninterrupted(scan, tmp_path):
    options = {**QUICK, "epochs": 4}
    whole = pinn.refine(scan, **options)
    seen = []

    def stop(progress):
        seen.append(progress)
        if progress.epoch == 3:
            raise pinn.StopRequested

    cut = pinn.refine(scan, output=tmp_path, progress=stop, **options)
    assert len(cut.losses) == 2 and "stopped" in cut.verdict
    on = pinn.refine(scan, output=tmp_path, resume=True, **options)
    same(on.object, whole.object)
    same(on.probe, whole.probe)
    assert on.losses == pytest.approx(whole.losses, rel=1e-6)


def test_another_refinement_is_not_resumed(scan, tmp_path):
    pinn.refine(scan, output=tmp_path, **{**QUICK, "epochs": 1})
    with pytest.raises(ArchiveError, match="other options \\(momentum\\)"):
        pinn.refine(scan, output=tmp_path, resume=True, momentum=0.1, **QUICK)
    with pytest.raises(ArchiveError, match="another scan"):
        pinn.refine(small_scan(), output=tmp_path, resume=True, **QUICK)
    (tmp_path / "refinement.h5").write_bytes(b"no such thing")
    with pytest.raises(ArchiveError, match="damaged"):
        pinn.refine(scan, output=tmp_path, resume=True, **QUICK)


def test_time_that_is_over_gives_what_there_is(scan):
    recon = pinn.refine(scan, seconds=1e-6, **QUICK)
    assert recon.statistics["refinement"]["ended"] == "the time is over"
    assert np.isfinite(recon.object).all()


def test_it_ends_by_itself(scan):
    recon = pinn.refine(scan, **{**QUICK, "epochs": 200, "tolerance": 0.05, "patience": 2})
    assert recon.statistics["refinement"]["ended"] == "the likelihood no longer improves"
    assert len(recon.losses) < 60


def test_steps_that_lead_astray_are_taken_back(scan):
    recon = pinn.refine(scan, object_step=2.0, momentum=0.98, round=1, object_damping=0.01, **QUICK)
    assert recon.statistics["refinement"]["rejected_epochs"] > 0
    assert any("taken back" in note for note in recon.notes)
    assert np.isfinite(recon.object).all()
    values = [row["held_deviance"] for row in recon.statistics["history"]]
    assert max(values[1:], default=0.0) <= 1.2 * values[0]


def test_what_cannot_be_is_refused(scan, arrays):
    with pytest.raises(ScanError, match="no probe"):
        pinn.refine(scan_of(arrays, probe=None), **QUICK)
    with pytest.raises(ConfigError, match="position_model"):
        RefineConfig(position_model="bend", update_positions=True)
    with pytest.raises(ConfigError, match="update_positions"):
        RefineConfig(position_model="scale")
    with pytest.raises(ConfigError, match="nothing is refined"):
        RefineConfig(update_object=False, update_probe=False)
    away = pinn.Reconstruction(
        object=np.ones((8, 8)), origin_px=[900, 900], coverage=np.ones((8, 8)),
        valid_mask=np.ones((8, 8), bool), positions_px=[[904, 904]], frame_indices=[0],
    )  # fmt: skip
    with pytest.raises(ScanError, match="elsewhere"):
        pinn.refine(scan, away, **QUICK)


def test_polish_keeps_to_the_limit_of_a_model_of_positions(arrays):
    centred = arrays["positions_px"] - arrays["positions_px"].mean(0)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + 0.1 * centred)
    recon = pinn.refine(
        scan, update_positions=True, position_model="scale", update_probe=False,
        position_limit_px=0.5, **{**QUICK, "positions_epoch": 2, "polish": 20},
    )  # fmt: skip
    moved = np.linalg.norm(recon.positions_px - recon.positions_start_px, axis=1)
    assert 0.3 < moved.max() <= 0.5 + 1e-9


def test_polish_keeps_the_gauge_of_variations(scan):
    recon = pinn.refine(
        scan, variations=3, variations_epoch=2, **{**QUICK, "epochs": 8, "polish": 8}
    )
    assert recon.statistics["refinement"]["polish_iterations"] > 0
    flat = recon.probe_variations.reshape(3, -1)
    strength = np.linalg.norm(flat, axis=1)
    np.testing.assert_allclose(strength, strength[0], rtol=1e-3)
    assert abs(np.vdot(flat[1], flat[2]).real) < 1e-3 * strength[0] ** 2
    np.testing.assert_allclose(recon.probe_weights[:, 1:].mean(0), 0.0, atol=1e-6)


def test_what_no_frame_says_anything_of_is_left_by_polish(scan, plain, arrays):
    # the weights of the variations are still zero
    recon = pinn.refine(scan, variations=3, variations_epoch=50, **{**QUICK, "polish": 8})
    assert recon.statistics["refinement"]["polish_iterations"] > 0
    assert np.mean(recon.frame_likelihood) < np.mean(plain.frame_likelihood)
    assert np.isfinite(recon.probe_variations).all()
    one = pinn.refine(
        scan_of(arrays, frames=arrays["counts"][:1], positions_px=arrays["positions_px"][:1]),
        update_positions=True, position_model="scale+rotation+shear", update_probe=False,
        **{**QUICK, "polish": 4},
    )  # fmt: skip
    assert np.isfinite(one.object).all() and np.isfinite(one.positions_px).all()


def test_refined_positions_outlive_a_refinement_without(arrays):
    off = np.random.default_rng(4).uniform(-1.0, 1.0, arrays["positions_px"].shape)
    scan = scan_of(arrays, positions_px=arrays["positions_px"] + off)
    options = {**QUICK, "update_probe": False}
    moved = pinn.refine(scan, update_positions=True, **{**options, "epochs": 15})
    once = pinn.refine(scan, moved, **options)
    twice = pinn.refine(scan, once, **options)
    for recon in (once, twice):
        np.testing.assert_allclose(recon.positions_px, moved.positions_px)
        assert np.array_equal(recon.positions_start_px, scan.positions_px)
    assert twice.losses[0] < 1.2 * once.losses[-1]


def test_an_object_that_stays_keeps_its_scale(scan, plain):
    rough = replace(plain, probe=plain.probe * (np.hypot(*np.mgrid[-8:8, -8:8]) < 5))
    recon = pinn.refine(scan, rough, update_object=False, **{**QUICK, "polish": 5})
    inside = recon.valid_mask & (recon.coverage > 0.1)
    corner = np.rint(recon.origin_px - plain.origin_px).astype(int)
    rows, columns = np.nonzero(inside)
    rows, columns = rows + corner[0], columns + corner[1]
    kept = (rows >= 0) & (columns >= 0)
    kept &= (rows < plain.object.shape[0]) & (columns < plain.object.shape[1])
    same(recon.object[inside][kept], plain.object[rows[kept], columns[kept]])


def test_a_polished_result_is_resumed_no_worse(scan, tmp_path):
    whole = pinn.refine(scan, output=tmp_path, **{**QUICK, "polish": 10})
    again = pinn.refine(scan, output=tmp_path, resume=True, seconds=1e-6, **{**QUICK, "polish": 10})
    same(again.object, whole.object)


def test_a_position_far_away_is_refused_with_a_network_as_well(arrays, network):
    positions = arrays["positions_px"].copy()
    positions[3] += 1e6
    with pytest.raises(ScanError, match="more than a canvas can hold"):
        pinn.refine(scan_of(arrays, positions_px=positions), network, **QUICK)
