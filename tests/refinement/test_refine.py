"""Refinement of an object: what each part does, how it ends, and how it can be interrupted."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from refining import QUICK, arrays_of, built, error, rates, scan_of
from small import same, small_scan

import pinn
from pinn.config import RefineConfig
from pinn.data import tiles
from pinn.errors import ArchiveError, ConfigError, ScanError
from pinn.refinement import engine as engines
from pinn.refinement.loop import Schedule
from pinn.refinement.start import begin


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


def test_going_on_from_a_result_never_ends_worse():
    # long steps put the noise of few counts back into an object that is free of it
    scan = scan_of(arrays_of(photons_per_frame=300.0))
    first = pinn.refine(scan, **{**QUICK, "epochs": 12})
    on = pinn.refine(scan, first, smooth_object=False, **{**QUICK, "epochs": 3})
    before, after = (one.statistics["likelihood"]["fit"]["held_out"] for one in (first, on))
    # the scale is found anew: a hundredth; without a look at the start it was .04
    assert after <= before * 1.01
    assert len(on.losses) == 3
    stays = "no epoch explains the frames better than the start, which stays"
    assert stays in on.notes
    # where other pixels were held out before, the start may have been fitted to those of now
    other = pinn.refine(scan, first, held_out=0.05, **{**QUICK, "epochs": 1})
    assert stays not in other.notes


@pytest.mark.parametrize("what", ["object", "probe", "positions"])
@pytest.mark.parametrize("likelihood", ["amplitude", "poisson"])
def test_the_gradient_is_that_of_the_likelihood(scan, likelihood, what):
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

    found = engine.gradient(state)
    gradient = getattr(found, what)
    here, h = getattr(state, what), 1e-5
    here = here.astype(complex if np.iscomplexobj(here) else float)
    way = rng.normal(size=gradient.shape)
    if np.iscomplexobj(here):
        way = np.abs(here) * (way + 1j * rng.normal(size=gradient.shape))
    numerical = (loss(here + h * way) - loss(here - h * way)) / (2 * h)
    along = np.sum(gradient.real * way.real + gradient.imag * way.imag)
    # float32 sums over 15 000 pixels, in which large terms cancel
    assert along == pytest.approx(numerical, rel=2e-3)
    if likelihood == "amplitude":
        assert found.value == pytest.approx(loss(here), rel=1e-4)


@pytest.mark.one_backend
def test_tiles_change_nothing_but_the_order(scan, monkeypatch):
    engine, state, _ = built(scan)
    monkeypatch.setattr(engines, "_TILE_PIXELS", 1000)
    monkeypatch.setattr(engines, "_TILE_BATCHES", 0)
    parts, _, _ = built(scan)
    assert len(engine.tiles) == 1 and len(parts.tiles) > 2
    (one, planes), (several, others) = engine.judge(state), parts.judge(state)
    np.testing.assert_allclose(several.deviance, one.deviance, rtol=1e-5)
    np.testing.assert_allclose(others["illumination"], planes["illumination"], atol=1e-4)
    np.testing.assert_allclose(others["object"], planes["object"], atol=1e-3)
    recon = pinn.refine(scan, update_probe=False, **QUICK)
    assert error(recon, scan) < 0.1


@pytest.mark.one_backend
def test_every_frame_is_in_one_tile_that_holds_its_patch():
    places = np.random.default_rng(1).uniform(20, 180, (200, 2))
    found, shape = tiles.tile_scan(places, 16, (200, 210), 2, 60 * 60)
    rows = np.concatenate([tile.rows for tile in found])
    assert sorted(rows) == list(range(200)) and len(found) > 4
    for tile in found:
        corner = np.floor(places[tile.rows]) - 8 - np.array(tile.corner)
        assert np.all(corner >= 2) and np.all(corner + 17 + 2 <= shape)


# those whose step is another program; the others are numbers in it
STEPS = {"tv": 0.02}, {"likelihood": "poisson"}, {"lbfgs_iterations": 3}, {"update_probe": True}
NUMBERS = (
    *({"object_damping": 0.5}, {"momentum": 0.0}, {"batch_size": 7}),
    *({"seed": 1}, {"held_out": 0.2}),
)


@pytest.mark.parametrize(
    "option",
    [*STEPS, *(pytest.param(n, marks=pytest.mark.one_backend) for n in NUMBERS)],
    ids=lambda option: next(iter(option)),
)
def test_option_changes_the_object(scan, plain, option):
    other = pinn.refine(scan, **{"update_probe": False, **QUICK, **option})
    assert np.abs(other.object - plain.object).max() > 1e-4


def test_a_scan_of_other_counts_is_refined_by_the_same_programs(arrays):
    """Twice the counts are the same amplitudes, once normalised, and twice the deviance."""
    found, missed = [], []
    for times in (1, 2):
        scan = scan_of(arrays, frames=times * arrays["counts"], units="counts")
        found.append(pinn.refine(scan, update_probe=False, **{**QUICK, "epochs": 1}))
        missed.append(engines._compiled.cache_info().misses)
    assert missed[0] == missed[1]
    one, two = found
    assert np.mean(two.frame_likelihood) == pytest.approx(2 * np.mean(one.frame_likelihood), 0.01)
    assert two.losses[0] == pytest.approx(2 * one.losses[0], rel=0.05)


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


@pytest.mark.one_backend
def test_halves_give_a_resolution(scan):
    recon = pinn.refine(scan, update_probe=False, **{**QUICK, "split_half": True})
    assert 0.0 < (recon.statistics["resolution"]["frc50"] or 0.5) <= 0.5
    assert "independent halves" in recon.verdict


@pytest.mark.one_backend
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


@pytest.mark.one_backend
def test_another_refinement_is_not_resumed(scan, tmp_path):
    pinn.refine(scan, output=tmp_path, **{**QUICK, "epochs": 1})
    with pytest.raises(ArchiveError, match="other options \\(momentum\\)"):
        pinn.refine(scan, output=tmp_path, resume=True, momentum=0.1, **QUICK)
    with pytest.raises(ArchiveError, match="another scan"):
        pinn.refine(small_scan(), output=tmp_path, resume=True, **QUICK)
    (tmp_path / "refinement.h5").write_bytes(b"no such thing")
    with pytest.raises(ArchiveError, match="damaged"):
        pinn.refine(scan, output=tmp_path, resume=True, **QUICK)


@pytest.mark.one_backend
def test_options_that_are_gone_are_not_dropped_on_resuming(scan, tmp_path):
    pinn.refine(scan, output=tmp_path, **{**QUICK, "epochs": 1})

    def store(**options):
        with h5py.File(tmp_path / "refinement.h5", "r+") as h5:
            facts = json.loads(h5.attrs["facts"])
            facts["options"] |= options
            h5.attrs["facts"] = json.dumps(facts)

    with pytest.raises(ArchiveError, match=r"other options \(schedule\)"):
        pinn.refine(scan, output=tmp_path, resume=True, schedule=Schedule(probe=3), **QUICK)
    store(tolerance=0.01, object_step=1.0, object_limit=None, probe_epoch=2)  # as in 0.1.0
    assert len(pinn.refine(scan, output=tmp_path, resume=True, **QUICK).losses) > 1
    store(object_limit=1.2)
    with pytest.raises(ArchiveError, match=r"'object_limit' is gone .*\(it was 1\.2\)"):
        pinn.refine(scan, output=tmp_path, resume=True, **QUICK)


def test_time_that_is_over_gives_what_there_is(scan):
    recon = pinn.refine(scan, seconds=1e-6, **QUICK)
    assert recon.statistics["refinement"]["ended"] == "the time is over"
    assert np.isfinite(recon.object).all()


def test_it_ends_by_itself(scan):
    recon = pinn.refine(scan, **{**QUICK, "epochs": 200, "patience": 2})
    assert recon.statistics["refinement"]["ended"] == "the likelihood no longer improves"
    assert len(recon.losses) < 60


@pytest.mark.one_backend
def test_steps_that_lead_astray_are_taken_back(scan, monkeypatch):
    def long_steps(*arguments):
        state = begin(*arguments)
        state.length = 2.0
        return state

    monkeypatch.setattr("pinn.refinement.run.begin", long_steps)
    monkeypatch.setattr("pinn.refinement.engine.ROUND", 1)
    recon = pinn.refine(scan, momentum=0.98, object_damping=0.01, **QUICK)
    assert recon.statistics["refinement"]["rejected_epochs"] > 0
    assert any("taken back" in note for note in recon.notes)
    assert np.isfinite(recon.object).all()
    values = [row["held_deviance"] for row in recon.statistics["history"]]
    assert values[-1] < values[0]  # it goes on from what was kept


@pytest.mark.one_backend
def test_what_cannot_be_is_refused(scan):
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
