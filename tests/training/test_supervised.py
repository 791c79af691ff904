"""Training against labels: it learns the object, and nothing of the physics is asked for."""

import numpy as np
import pytest
from small import small_model, small_scan

import pinn
from pinn.config.loss import parse_loss
from pinn.errors import ConfigError, ScanError


@pytest.fixture(scope="module")
def scan():
    return small_scan()


def unlabelled(scan, **options):
    counts = np.rint(scan.read(np.arange(len(scan)))[0].astype(float) ** 2)
    return pinn.Scan(
        counts, scan.positions_px, probe=scan.probe, units="counts", name="bare", **options
    )


def arrays(model):
    return model.network.named_arrays()


def test_it_learns_the_object_and_leaves_probe_and_scale_alone(scan, tmp_path):
    model = small_model(
        scan,
        mode="supervised",
        epochs=15,
        learning_rate=1e-2,
        probe_trainable=True,
        weight_decay=0.01,
        optimizer="adamw",
        output=tmp_path,
    )
    first, last = model.history[0], model.history[-1]
    assert last["label_amplitude"] < 0.8 * first["label_amplitude"]
    assert last["label_phase"] < 0.8 * first["label_phase"]
    assert last["loss"] == pytest.approx(
        2 * last["label_amplitude"] + 4 * last["label_phase"], 1e-5
    )
    assert not {"deviance", "nll", "val_deviance"} & set(last)
    np.testing.assert_allclose(model.probe(), scan.probe_gauge(), atol=1e-6)
    exposure = -2 * np.log(scan.statistics().exposure_factor)
    assert arrays(model)["log_scale"][0] == pytest.approx(exposure, rel=1e-6)
    # the archive serves inference and further training like any other
    again = pinn.load_model(tmp_path)
    picture = pinn.reconstruct(scan, again)
    np.testing.assert_array_equal(picture.object, pinn.reconstruct(scan, model).object)
    more = pinn.train(scan, again, epochs=1, n_groups=24, batch_size=8)
    assert more.history[-1]["deviance"] > 0


def test_a_supervised_run_is_resumed(scan, tmp_path):
    options = dict(mode="supervised", schedule="constant")
    whole = small_model(scan, epochs=2, **options)
    small_model(scan, epochs=1, output=tmp_path, **options)
    part = small_model(scan, epochs=2, output=tmp_path, resume=True, **options)
    for name, array in arrays(whole).items():
        np.testing.assert_allclose(arrays(part)[name], array, atol=2e-6, err_msg=name)
    with pytest.raises(ConfigError, match="a resumed run keeps"):
        small_model(scan, epochs=3, output=tmp_path, resume=True, mode="pinn", schedule="constant")


def test_patches_of_a_file_are_labels_as_good_as_the_truth(scan):
    from pinn.data.labels import sample_patches

    patches, _ = sample_patches(scan.truth, scan.positions_px, scan.N)
    other = unlabelled(scan, label_patches=patches)
    rows = [
        small_model(s, mode="supervised", seed=3, loss="label_complex").history[-1]
        for s in (scan, other)
    ]
    # the small scan lies inside its truth: both are the same numbers
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)


@pytest.mark.parametrize("gridsize", [1, 2])
def test_one_object_per_group_has_one_label(scan, gridsize):
    model = small_model(scan, gridsize=gridsize, object_big=False, mode="supervised", epochs=2)
    assert model.history[1]["loss"] < model.history[0]["loss"]


def test_options_of_the_labels_have_an_effect(scan):
    def loss(**options):
        return small_model(scan, mode="supervised", **options).history[-1]["loss"]

    base = loss()
    for options in (
        dict(loss="label_complex"),
        dict(loss="2 label_amplitude + 4 label_phase + 0.1 tv_amplitude"),
        dict(loss="label_amplitude"),
    ):
        assert abs(loss(**options) - base) > 1e-4, options


def test_what_is_no_label_is_refused_before_anything_is_made(scan, tmp_path):
    bare = unlabelled(scan)
    for options in (dict(mode="supervised"), dict(loss="poisson + label_phase")):
        with pytest.raises(ScanError, match=r"bare has no labels.*pinn simulate"):
            small_model(bare, output=tmp_path / "run", **options)
    flat = unlabelled(scan, truth=np.ones((90, 90), complex))
    with pytest.raises(ScanError, match="is constant"):
        small_model([scan, flat], mode="supervised", output=tmp_path / "run")
    assert not (tmp_path / "run" / "wts.h5.zip").exists()
    assert small_model(flat).history  # nobody asked for labels


def test_counts_cannot_be_calibrated_where_nobody_looks_at_them(scan):
    with pytest.raises(ConfigError, match="leave it out or use mode pinn"):
        small_model(scan, mode="supervised", calibrate_start=True)


def test_a_plus_after_a_name_is_no_exponent():
    expected = {"mae": 1.0, "poisson": 2e-3, "tv_phase": 10.0}
    assert parse_loss("mae+2.e-3poisson+1e+1 tv_phase") == expected


def test_complete_options_are_accepted_again():
    for options in ({}, {"mode": "supervised"}, {"label_epochs": 3}):
        run = pinn.TrainConfig(**options)
        assert pinn.TrainConfig(**run.to_dict()) == run


def test_what_cannot_be_summed_is_refused():
    for options, text in (
        (dict(mode="supervised", loss="poisson + label_phase"), "label terms and regularisers"),
        (dict(mode="supervised", label_epochs=1), "label terms and regularisers"),
        (dict(mode="supervised", loss="tv_phase"), "label terms and regularisers"),
        (dict(loss="label_phase"), "needs a likelihood"),
        (dict(loss="poisson", label_epochs=2), "need a label term"),
        (dict(loss="poisson + poisson"), "appears twice"),
        (dict(loss="poisson + -1 mae"), "not a sum of terms"),
        (dict(loss="poison"), "unknown term 'poison'"),
    ):
        with pytest.raises(ConfigError, match=text):
            pinn.TrainConfig(**options)
