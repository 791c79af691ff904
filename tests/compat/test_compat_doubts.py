"""What the legacy dictionary says beside a configuration, and alone: stale values and doubts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from legacy_tables import ARCHIVE, DEFAULTS, INFERENCE_FIELDS, MODEL_FIELDS, TRAINING_FIELDS

from pinn import config as ours
from pinn.errors import ConfigError
from pinn.io.legacy import to_pinn
from pinn.io.legacy.table import KINDS
from ptycho._choose import fitted
from ptycho._classes import (
    ModelConfig,
    PyTorchExecutionConfig,
    TrainingConfig,
    translated,
    values_of,
)
from ptycho._dictionary import LegacyParams, config_from_dict, update_legacy_dict
from ptycho._doubts import ONLY_KEYS, disagreements, doubts


def config(**values) -> TrainingConfig:
    network = {name: values.pop(name) for name in list(values) if name in MODEL_FIELDS}
    return TrainingConfig(ModelConfig(**network), **values)


def beside(configuration, cfg):
    found = translated(configuration)
    return replace(found, notes=(*disagreements(configuration, cfg), *found.notes))


def alone(cfg):
    found = translated(config_from_dict(cfg))
    return replace(found, notes=(*doubts(cfg), *found.notes))


def said(translation, words: str) -> list[str]:
    return [note for note in translation.notes if words in note]


def test_every_key_has_one_fate():
    names = {*MODEL_FIELDS, *TRAINING_FIELDS, *INFERENCE_FIELDS}
    keys = {key for *_, key in [*MODEL_FIELDS.values(), *TRAINING_FIELDS.values()] if key}
    only_keys = {*DEFAULTS, *ARCHIVE} - names - keys
    assert only_keys <= set(ONLY_KEYS)
    assert not set(ONLY_KEYS) & set(KINDS["training"])


def test_what_is_no_configuration_is_refused():
    for wrong in (None, PyTorchExecutionConfig(), "config.yaml"):
        with pytest.raises(ConfigError, match="no legacy configuration"):
            translated(wrong)
    with pytest.raises(ConfigError, match="model is NoneType"):
        translated(TrainingConfig(None))


def test_a_scan_at_hand_decides_dose_and_number_of_groups():
    found = translated(config(n_groups=300, nphotons=1e6))
    less = fitted(found, 100, True)
    assert less.scan.photons_per_frame is None and less.train.n_groups == 100
    assert said(less, "the frames are counts") and said(less, "100 are used")
    same = fitted(found, 1000, False)
    assert (same.scan, same.train, same.notes) == (found.scan, found.train, found.notes)
    assert fitted(translated(config(n_groups=300, n_subsample=40)), 100, True).train.n_groups == 40
    groups = {"n_groups": 300, "gridsize": 2, "neighbor_count": 6}
    with pytest.raises(ConfigError, match="enable_oversampling"):
        fitted(translated(config(**groups)), 100, True)
    more = translated(config(**groups, enable_oversampling=True, neighbor_pool_size=8))
    assert fitted(more, 100, True).train.n_groups == 300


def test_the_dictionary_of_an_archive_gives_its_network():
    results = {"probe": np.ones((64, 64, 1), np.complex64), "intensity_scale": 988.2}
    cfg = {**ARCHIVE, **results, "_version": "1.0"}
    found = to_pinn(values_of(config_from_dict(cfg)), exact=True)
    assert found.notes == () and doubts(cfg) == []
    assert found.model == ours.ModelConfig(
        architecture="cnn",
        N=64,
        gridsize=1,
        n_filters_scale=2,
        amp_activation="sigmoid",
        ring_activation="swish",
        merge="legacy",
        input_transform="none",
    )


def test_the_configuration_counts_and_the_dictionary_is_compared_with_it():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config(N=128, n_subsample=1024, nepochs=60))
    now = config(N=64, nepochs=60)
    found = beside(now, params.cfg)
    assert found.model.N == 64 and found.train.subsample is None
    assert len(said(found, "N = 128, the configuration 64: the configuration counts")) == 1
    assert len(said(found, "n_subsample = 1024, which the configuration leaves unset")) == 1
    assert not said(found, "nepochs")
    assert (found.model, found.train) == (translated(now).model, translated(now).train)
    update_legacy_dict(params.cfg, now)
    again = beside(now, params.cfg)
    assert not said(again, "N = 128") and len(said(again, "n_subsample = 1024")) == 1


def test_defaults_of_an_untouched_dictionary_are_no_disagreement():
    params = LegacyParams()
    now = config(N=64)
    assert beside(now, params.cfg).notes == translated(now).notes
    params.set("nepochs", 7)
    (note,) = set(beside(now, params.cfg).notes) - set(translated(now).notes)
    assert "nepochs = 7" in note


def test_a_stale_value_that_was_deleted_is_gone():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config(n_subsample=1024))
    update_legacy_dict(params.cfg, config())
    del params.cfg["n_subsample"]
    assert not said(alone(params.cfg), "n_subsample")


def test_a_dictionary_alone_after_an_update_gives_what_the_configuration_gives():
    params = LegacyParams()
    now = config(N=128, gridsize=2, nphotons=1e6, train_data_file=Path("a.npz"))
    update_legacy_dict(params.cfg, now)
    for cfg in (params.cfg, dict(params.cfg)):
        assert alone(cfg) == translated(now)


def test_a_stale_value_of_a_dictionary_alone_counts_as_unset():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config(n_subsample=1024))
    update_legacy_dict(params.cfg, config())
    found = alone(params.cfg)
    assert found.train.subsample is None
    assert len(said(found, "n_subsample = 1024 was left")) == 1


def test_a_dictionary_nobody_updated_is_taken_at_its_word_and_doubted():
    found = alone(LegacyParams().cfg)
    assert (found.model.N, found.model.gridsize, found.train.epochs) == (128, 2, 60)
    assert found.model.probe_support == 32.0 and not found.model.probe_big
    (doubt,) = said(found, "no configuration was written")
    for word in ("N 128 (64)", "gridsize 2 (1)", "nepochs 60 (50)", "probe.big False (True)",
                 "probe.mask True (False)", "probe_scale 10.0 (4.0)",
                 "intensity_scale.trainable False (True)", "positions.provided False"):  # fmt: skip
        assert word in doubt
    assert "mae_weight" not in doubt and "nphotons" not in doubt


def test_other_keys_of_a_dictionary_have_no_effect_and_are_named_if_changed():
    params = LegacyParams()
    update_legacy_dict(params.cfg, config())
    plain = alone(params.cfg)
    params.cfg.update(max_position_jitter=20, offset=4, n_group=3, intensity_scale=988.2)
    params.cfg["probe"] = np.ones((4, 4))
    found = alone(params.cfg)
    assert (found.model, found.train) == (plain.model, plain.train)
    new = [note for note in found.notes if note not in plain.notes]
    assert len(new) == 2
    assert "max_position_jitter 20" in new[0] and "n_group in the legacy" in new[1]


def test_a_dictionary_for_inference():
    cfg = {"N": 64, "gridsize": 1, "architecture": "cnn", "model_path": "m", "n_groups": 5}
    found = translated(config_from_dict(cfg, "inference"))
    assert found.train is None and found.n_groups == 5 and found.model_path == Path("m")
