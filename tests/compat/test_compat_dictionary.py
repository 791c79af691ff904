"""The reference's dictionary key by key: defaults, updates, what stays, and the way back."""

from __future__ import annotations

import copy
import dataclasses
import io
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from legacy_tables import (
    ARCHIVE,
    DEFAULTS,
    FIXTURE,
    INFERENCE_FIELDS,
    MODEL_FIELDS,
    PATHS,
    TRAINING_FIELDS,
)

from pinn.errors import ConfigError
from ptycho._classes import (
    InferenceConfig,
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    translated,
)
from ptycho._dictionary import (
    LegacyParams,
    config_from_dict,
    dataclass_to_legacy_dict,
    update_legacy_dict,
)
from ptycho._doubts import disagreements

pytestmark = pytest.mark.filterwarnings("ignore:n_images is an old name:DeprecationWarning")


def updated(config) -> dict:
    params = LegacyParams()
    update_legacy_dict(params.cfg, config)
    return params.cfg


ARCHIVED = updated(
    TrainingConfig(
        ModelConfig(),
        train_data_file=Path("peer_lines64_1e9_train.npz"),
        test_data_file=Path("peer_lines64_1e9_test.npz"),
        nepochs=2,
        n_groups=128,
        output_dir=Path("out_gs1"),
    )
)
FAR = TrainingConfig(
    ModelConfig(
        N=128,
        gridsize=3,
        amp_activation="swish",
        object_big=False,
        probe_big=False,
        probe_mask=True,
        pad_object=False,
        probe_scale=2.0,
        gaussian_smoothing_sigma=0.5,
    ),
    train_data_file=Path("/canonical/baseline/train.npz"),
    test_data_file=Path("/canonical/baseline/test.npz"),
    batch_size=32,
    nepochs=100,
    mae_weight=0.3,
    nll_weight=0.7,
    realspace_mae_weight=0.05,
    realspace_weight=0.1,
    nphotons=5e8,
    n_groups=512,
    n_subsample=1024,
    subsample_seed=99,
    neighbor_count=6,
    positions_provided=False,
    probe_trainable=True,
    intensity_scale_trainable=True,
    output_dir=Path("/canonical/baseline/out"),
    sequential_sampling=True,
)
FIXED = updated(FAR)


@pytest.mark.parametrize("key", DEFAULTS)
def test_default_of_the_dictionary(key):
    assert LegacyParams().cfg[key] == DEFAULTS[key]


@pytest.mark.parametrize("key", ARCHIVE)
def test_key_of_an_archive_the_reference_wrote(key):
    assert ARCHIVED[key] == ARCHIVE[key]
    assert type(ARCHIVED[key]) is type(ARCHIVE[key])


@pytest.mark.parametrize("key", FIXTURE)
def test_key_of_the_references_own_fixture(key):
    assert FIXED[key] == FIXTURE[key]


def test_there_are_no_other_keys():
    assert set(LegacyParams().cfg) == set(DEFAULTS)
    assert set(ARCHIVED) == set(ARCHIVE)
    assert set(FIXED) == set(ARCHIVE) | {"n_subsample", "subsample_seed"}
    assert {k: v for k, v in FIXED.items() if k not in FIXTURE and k in DEFAULTS} == {
        k: v for k, v in DEFAULTS.items() if k not in FIXTURE
    }


# The three classes have 75 fields, of which two are the network.
CASES = [
    *[("model", name) for name in MODEL_FIELDS],
    *[("inference model", name) for name in MODEL_FIELDS],
    *[("training", name) for name in TRAINING_FIELDS],
    *[("inference", name) for name in INFERENCE_FIELDS],
]


TABLES = {
    "model": MODEL_FIELDS,
    "inference model": MODEL_FIELDS,
    "training": TRAINING_FIELDS,
    "inference": INFERENCE_FIELDS,
}


def made(kind: str, name: str, value):
    value = Path(value) if name in PATHS else value
    if kind == "model":
        return TrainingConfig(ModelConfig(**{name: value}))
    if kind == "training":
        return TrainingConfig(ModelConfig(), **{name: value})
    asked = {"model_path": Path("m"), "test_data_file": Path("t.npz")}
    if kind == "inference model":
        return InferenceConfig(ModelConfig(**{name: value}), **asked)
    return InferenceConfig(ModelConfig(), **{**asked, name: value})


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda word: word)
def test_every_field_goes_both_ways(kind, name):
    _, value, key = TABLES[kind][name]
    config = made(kind, name, value)
    before = updated(made(kind, "N" if "model" in kind else "neighbor_count", 4))
    after = updated(config)
    key = key or name
    assert after[key] == value and type(after[key]) is type(value)
    assert before.get(key) != value, "the case shows nothing"
    again = config_from_dict(after, "inference" if "inference" in kind else "training")
    expected = dataclasses.replace(config, n_images=None)
    assert again == expected


def changed(kind: str):
    """A configuration whose every field is another than its default."""
    model = ModelConfig(**{name: value for name, (_, value, _) in MODEL_FIELDS.items()})
    own = {
        name: Path(value) if name in PATHS else value
        for name, (_, value, _) in TABLES[kind].items()
    }
    return (TrainingConfig if kind == "training" else InferenceConfig)(model, **own)


@pytest.mark.parametrize("kind", ["training", "inference"])
def test_a_configuration_far_from_all_defaults_key_by_key(kind):
    """The expected dictionary is put together from the tables, by the keys that they state."""
    config = changed(kind)
    defaults = {**MODEL_FIELDS, **TABLES[kind]}
    for name, (default, value, _) in defaults.items():
        assert value != default, name
    expected = dict(DEFAULTS)
    for name, (_, value, key) in defaults.items():
        expected[key or name] = value
    found = updated(config)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == value, key
        assert key in DEFAULTS or type(found[key]) is type(value), key
    again = config_from_dict(found, kind)
    assert again == dataclasses.replace(config, n_images=None)


def test_a_network_alone_is_a_flat_dictionary_too():
    flat = dataclass_to_legacy_dict(ModelConfig(N=128, object_big=False))
    assert (flat["N"], flat["object.big"], flat["probe.mask"]) == (128, False, False)
    assert len(flat) == len(MODEL_FIELDS)


def test_none_is_kept_by_the_flat_dictionary_and_skipped_by_the_update():
    config = TrainingConfig(ModelConfig())
    assert dataclass_to_legacy_dict(config)["n_subsample"] is None
    cfg = {"n_subsample": 7, "mine": 1}
    update_legacy_dict(cfg, config)
    assert cfg["n_subsample"] == 7 and cfg["mine"] == 1
    assert "subsample_seed" not in cfg and cfg["n_groups"] == 512


def test_n_images_is_resolved_late_too_and_both_spellings_appear():
    config = TrainingConfig(ModelConfig(), n_images=300)
    assert {k: updated(config)[k] for k in ("n_images", "n_groups")} == dict(
        n_images=300, n_groups=300
    )
    config.n_groups = None  # callers may write after it was made
    assert updated(config)["n_groups"] == 300
    config.n_images = None
    assert updated(config)["n_groups"] == 512


def test_what_is_no_configuration_is_refused_and_writes_nothing():
    params = LegacyParams()
    for wrong in (PyTorchExecutionConfig(), {"N": 64}, ModelConfig):
        with pytest.raises(ConfigError, match="no legacy configuration"):
            update_legacy_dict(params.cfg, wrong)
    assert params.cfg == DEFAULTS


def test_execution_options_never_reach_the_dictionary():
    execution = PyTorchExecutionConfig(
        accelerator="cpu", num_workers=3, learning_rate=0.02, gradient_clip_val=0.3
    )
    params = LegacyParams()
    config = TrainingConfig(ModelConfig())
    update_legacy_dict(params.cfg, config)
    before = copy.deepcopy(params.cfg)
    translation = translated(config, execution)
    assert disagreements(config, params.cfg) == []
    assert translation.train.learning_rate == 0.02 and translation.train.clip_norm == 0.3
    assert params.cfg == before
    # None of its own options is a key, and those it shares with the run are the run's.
    assert not {"accelerator", "num_workers", "learning_rate", "precision"} & set(params.cfg)
    assert config.gradient_clip_val is None and "gradient_clip_val" not in params.cfg


# -- values that an earlier run left


def test_a_value_left_from_an_earlier_run_stays_and_is_known_to_be_stale():
    params = LegacyParams()
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig(), n_subsample=1024))
    assert not params.cfg.stale
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig()))
    assert params.cfg["n_subsample"] == 1024, "as in the reference"
    assert params.cfg.stale == {"n_subsample"}
    assert config_from_dict(params.cfg).n_subsample is None


@pytest.mark.parametrize(
    "write",
    [
        lambda cfg: cfg.__setitem__("n_subsample", 1024),
        lambda cfg: cfg.update(n_subsample=1024),
        lambda cfg: cfg.update({"n_subsample": 1024}),
        lambda cfg: cfg.__ior__({"n_subsample": 1024}),
        lambda cfg: update_legacy_dict(cfg, TrainingConfig(ModelConfig(), n_subsample=1024)),
    ],
)
def test_a_value_written_again_is_stale_no_longer(write):
    params = LegacyParams()
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig(), n_subsample=1024))
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig()))
    write(params.cfg)
    assert config_from_dict(params.cfg).n_subsample == 1024


def test_all_groups_of_an_inference_are_not_the_512_of_a_training_before():
    params = LegacyParams()
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig()))
    update_legacy_dict(params.cfg, InferenceConfig(ModelConfig(), Path("m"), Path("t")))
    assert params.cfg["n_groups"] == 512
    assert config_from_dict(params.cfg, "inference").n_groups is None


def test_a_dictionary_that_travels_knows_what_is_stale():
    params = LegacyParams()
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig(), n_subsample=1024))
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig()))
    for again in (
        ForkingPickler.loads(ForkingPickler.dumps(params.cfg)),
        copy.copy(params.cfg),
        copy.deepcopy(params.cfg),
    ):
        assert again == params.cfg and again.stale == {"n_subsample"}
        again["n_subsample"] = 3
        assert params.cfg.stale == {"n_subsample"} and not again.stale


# -- the functions around it


def test_get_set_and_defaults():
    params = LegacyParams()
    assert params.get("N") == 128
    with pytest.raises(KeyError, match="intensity_scale"):
        params.get("intensity_scale")
    assert params.get("intensity_scale", None) is None
    assert params.get("intensity_scale", default=2.0) == 2.0
    params.set("intensity_scale", 988.2)
    assert params.get("intensity_scale") == 988.2


@pytest.mark.parametrize(
    ("N", "gridsize", "bigN", "padded"),
    [(64, 1, 64, 74), (64, 2, 68, 78), (64, 3, 72, 82), (128, 1, 128, 138), (128, 2, 132, 142),
     (256, 1, 256, 266), (256, 2, 260, 270)],
)  # fmt: skip
def test_derived_sizes(N, gridsize, bigN, padded):
    params = LegacyParams()
    params.set("N", N)
    params.set("gridsize", gridsize)
    assert params.get("bigN") == params.bigN() == params.params()["bigN"] == bigN
    assert params.padded_size() == padded
    assert params.padding_size() == padded - N
    assert "bigN" not in params.cfg


def test_impossible_values_are_refused_and_the_old_ones_stay():
    params = LegacyParams()
    with pytest.raises(ValueError, match="generic"):
        params.set("data_source", "cats")
    with pytest.raises(ValueError, match="realspace_weight"):
        params.set("realspace_mae_weight", 0.1)
    assert params.cfg == DEFAULTS
    params.set("data_source", "lines")
    params.set("realspace_weight", 1.0)
    params.set("realspace_mae_weight", 0.1)
    params.cfg["data_source"] = "cats"  # a direct write passes every check
    assert params.get("data_source") == "cats"
    params.set("intensity_scale", 3.0)  # which is no reason to refuse anything else


def test_a_sealed_dictionary_warns_and_obeys():
    params = LegacyParams()
    params.seal()
    params.set("intensity_scale", 3.0)
    params.set("probe", np.ones((4, 4)))
    params.set("timestamp", "now")
    with pytest.warns(UserWarning, match="sealed"):
        params.set("N", 64)
    assert params.get("N") == 64
    params.unseal()
    params.set("N", 32)


def test_reset_keeps_the_object_that_callers_hold():
    params = LegacyParams()
    held = params.cfg
    update_legacy_dict(held, TrainingConfig(ModelConfig(), n_subsample=5))
    update_legacy_dict(held, TrainingConfig(ModelConfig()))
    params.seal()
    params.reset()
    assert params.cfg is held and held == DEFAULTS and not held.stale and not params.sealed


def test_printed_parameters_show_arrays_in_short(capsys):
    params = LegacyParams()
    params.set("probe", np.ones((64, 64), np.complex64))
    params.print_params()
    text = capsys.readouterr().out
    assert "probe: array of shape (64, 64), complex64\n" in text
    assert "bigN: 132\n" in text and "label: ''\n" in text
    stream = io.StringIO()
    params.print_params(stream)
    assert stream.getvalue() == text
