"""Probe, count scale and positions in training: each finds the error a scan was simulated with.

The network answers with the true patches from the start and is frozen, so that what is found is
found by the physics alone.
"""

import keras
import numpy as np
import pytest
from recall import teach
from small import small_model, small_scan

import pinn
from pinn.cli.info import describe
from pinn.config import ModelConfig
from pinn.errors import ConfigError
from pinn.io.archive import read_archive
from pinn.layers.positions import UNIT_PX, Displacements
from pinn.simulate import SimulateConfig, simulate_arrays
from pinn.simulate.forward import extract_patches

OBJECT = dict(object="grf", probe="defocused", photons_per_frame=1e6)


def known(N=32, n_frames=80, **options):
    """What was simulated, and the scan as a file would state it."""
    recipe = SimulateConfig(N=N, n_frames=n_frames, **OBJECT, **options)
    made = simulate_arrays(recipe)
    scan = pinn.Scan(made["counts"], made["positions_px"], probe=made["probe"], name="known")
    return made, scan


def taught(made, scan, gridsize=1, **options):
    """A model that answers the scan with its true patches and has learned nothing else."""
    model = pinn.train(
        scan,
        architecture="test-recall",
        input_transform="none",
        gridsize=gridsize,
        epochs=1,
        learning_rate=1e-12,
        batch_size=8,
        validation="none",
        **options,
    )
    teach(model, scan, extract_patches(made["truth"], made["positions_true_px"], scan.N))
    return model


def trained(scan, model, **options):
    return pinn.train(
        scan, model, batch_size=8, rate_factors="recall:0", validation="none", **options
    )


def log_scale(made):
    """The true one: the energy of the probe over that of its gauge."""
    probe = made.get("probe_true", made["probe"])
    return np.log(np.sum(np.abs(probe) ** 2) / (probe.shape[-1] / 2) ** 2)


def test_the_count_scale_is_found():
    """An object of mean energy other than one: the exposure alone gives a wrong scale."""
    made, scan = known(N=16, n_frames=60)
    start = taught(made, scan, probe_trainable=False)

    def error(model):
        return abs(float(model.network.named_arrays()["log_scale"][0]) - log_scale(made))

    found = trained(scan, start, epochs=10, learning_rate=3e-2)
    assert error(start) > 0.3
    assert error(found) < error(start) / 10


def test_a_probe_of_wrong_defocus_is_found():
    made, scan = known(probe_error=0.3)
    start = taught(made, scan, probe_trainable=True)
    true = made["probe_true"].astype(np.complex128)
    true = true * (16 / np.linalg.norm(true))

    def error(model):
        probe = model.probe()[0]
        turn = np.vdot(probe, true)
        return np.linalg.norm(probe * turn / abs(turn) - true) / np.linalg.norm(true)

    found = trained(scan, start, epochs=12, learning_rate=3e-2)
    assert error(start) > 0.3
    assert error(found) < error(start) / 5
    np.testing.assert_array_equal(scan.probe[0], made["probe"])  # the scan's own stays


def rms(error):
    """Without what no frame depends on: a common shift."""
    return np.sqrt(np.mean((error - error.mean(0)) ** 2))


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A scan with positions in error, a model that has learned them, and its archive."""
    made, scan = known(n_frames=100, position_error_limit=1.5, feature_px=4.0)
    start = taught(made, scan, 3, positions_trainable=True)
    start.network.scale.log_scale.assign([log_scale(made)])
    folder = tmp_path_factory.mktemp("moved")
    found = trained(scan, start, epochs=15, learning_rate=3e-3, output=folder)
    return made, scan, found, folder


def test_positions_in_error_are_found(moved):
    made, _, found, _ = moved
    error = made["positions_px"] - made["positions_true_px"]
    learned = found.displacements()
    assert learned.shape == (100, 2) and np.abs(learned.mean(0)).max() < 1e-5
    assert rms(error) > 0.8
    assert rms(error + learned) < rms(error) / 4
    assert np.median(np.abs(error + learned - (error + learned).mean(0))) < 0.15


def test_learned_positions_are_in_the_archive(moved):
    _, scan, found, folder = moved
    again = pinn.load_model(folder)
    np.testing.assert_array_equal(again.displacements(), found.displacements())
    facts = describe(read_archive(folder))
    assert facts["weights"]["positions/0000"] == [100, 2]
    assert facts["config"]["model"]["positions_trainable"] is True
    # and training goes on with them, whatever place the scan has
    _, other = known(n_frames=30, seed=5)
    more = trained([other, scan], again, epochs=1, learning_rate=1e-12, n_groups=24)
    np.testing.assert_allclose(more.displacements(1), found.displacements(), atol=1e-5)
    assert not np.abs(more.displacements(0)).max() > 1e-5


def test_resume_equals_an_uninterrupted_run(tmp_path):
    scan = small_scan(position_error=0.5)
    options = dict(schedule="constant", positions_trainable=True)
    whole = small_model(scan, epochs=2, **options)
    small_model(scan, epochs=1, output=tmp_path, **options)
    part = small_model(scan, epochs=2, output=tmp_path, resume=True, **options)
    assert np.abs(whole.displacements()).max() > 0.02
    np.testing.assert_allclose(part.displacements(), whole.displacements(), atol=1e-4)


def test_displacements_are_bounded_and_have_their_gauges():
    layer = Displacements((5, 4), limit=2.0)
    layer.build()
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.3, (5, 2)), rng.normal(0, 0.3, (4, 2))]
    weights[0][0] = 50.0, -50.0
    for variable, value in zip(layer.raw, weights, strict=True):
        variable.assign(value.astype("float32"))
    bounded = [2.0 * np.tanh(UNIT_PX * w / 2.0) for w in weights]
    expected = [d - d.mean(0) for d in bounded]
    for number in (0, 1):
        got = keras.ops.convert_to_numpy(layer.of_scan(number))
        np.testing.assert_allclose(got, expected[number], atol=2e-6)
    frame = np.array([[0, 3, 1], [8, 5, 6]])
    got = keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(frame)))
    wanted = np.concatenate(expected)[frame]
    np.testing.assert_allclose(got, wanted - wanted.mean(1, keepdims=True), atol=2e-6)


def test_without_the_option_nothing_of_it_is_there(tmp_path):
    scan = small_scan()
    model = small_model(scan)
    model.save(tmp_path)
    assert model.displacements() is None and model.network.positions is None
    weights = read_archive(tmp_path).weights
    assert not [name for name in weights if name.startswith("positions")]
    assert pinn.load_model(tmp_path).displacements() is None


def test_positions_need_groups():
    with pytest.raises(ConfigError, match="with gridsize 1 there is one frame in a group"):
        ModelConfig(gridsize=1, positions_trainable=True)


def test_scans_that_are_watched_keep_their_positions():
    one, other = small_scan(0), small_scan(1)
    model = small_model(
        one,
        validation_scans=[other],
        positions_trainable=True,
        optimizer="adamw",
        weight_decay=0.1,
        epochs=2,
    )
    assert np.abs(model.displacements(0)).max() > 0.01
    assert not model.displacements(1).any()
