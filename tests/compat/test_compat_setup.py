"""`setup_configuration` and its neighbours: one configuration from a command line and a file."""

import argparse
from dataclasses import fields

import pytest

from pinn.errors import ConfigError
from pinn.io.legacy.table import Unstated
from ptycho import params
from ptycho._choose import choose
from ptycho._dictionary import LEGACY
from ptycho.config.config import ModelConfig, TrainingConfig, update_legacy_dict
from ptycho.workflows.components import (
    parse_arguments,
    setup_configuration,
    update_config_from_dict,
)


@pytest.fixture(autouse=True)
def _fresh():
    LEGACY.reset()
    yield
    LEGACY.reset()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("nepochs: 9\nbatch_size: 8\nmodel:\n  gridsize: 2\n  N: 32\n")
    return path


def filled_in(*words):
    """What the parser of somebody else gives, who states the defaults of the fields."""
    parser = argparse.ArgumentParser()
    for kind in (ModelConfig, TrainingConfig):
        for field in fields(kind):
            if field.name != "model":
                default = field.default
                if isinstance(default, str):  # as anybody writes it
                    default = str(default)
                parser.add_argument(f"--{field.name}", default=default)
    parser.add_argument("--config")
    return parser.parse_args(words)


def test_a_stated_default_counts_before_the_file(file):
    args = parse_arguments(["--nepochs", "50", "--N", "64", "--config", str(file)])
    config = setup_configuration(args)
    assert (config.nepochs, config.batch_size) == (50, 8)
    assert (config.model.N, config.model.gridsize) == (64, 2)
    assert isinstance(config.backend, Unstated)


def test_a_default_that_a_parser_filled_in_does_not(file):
    config = setup_configuration(filled_in("--batch_size", "4", "--probe_big", "False"), str(file))
    assert (config.nepochs, config.batch_size) == (9, 4)
    assert (config.model.N, config.model.gridsize) == (32, 2)
    assert config.model.probe_big is False and config.model.object_big is True
    assert isinstance(config.backend, Unstated)
    assert isinstance(config.model.architecture, Unstated)


def test_without_a_file_it_is_the_command_line():
    config = setup_configuration(parse_arguments(["--n_images", "7", "--max_epochs", "3"]), None)
    assert (config.n_groups, config.nepochs, config.model.N) == (7, 3, 64)


def test_the_dictionary_is_updated_and_sealed(file):
    setup_configuration(parse_arguments(["--config", str(file)]))
    assert (params.cfg["nepochs"], params.cfg["gridsize"]) == (9, 2)
    with pytest.warns(UserWarning, match="sealed"):
        params.set("N", 64)


def test_a_wrong_value_is_a_sentence_and_changes_nothing(file):
    with pytest.raises(ConfigError, match="a whole number"):
        setup_configuration(filled_in("--nepochs", "many"), file)
    file.write_text("nepoch: 3")
    with pytest.raises(ConfigError, match="unknown option 'nepoch'"):
        setup_configuration(parse_arguments([]), file)
    assert "architecture" not in params.cfg


def test_options_by_field_or_by_key():
    update_config_from_dict({"object_big": False, "probe.mask": False, "N": 32})
    assert [params.cfg[key] for key in ("object.big", "probe.mask", "N")] == [False, False, 32]
    with pytest.raises(ConfigError, match="data_source"):
        update_config_from_dict({"data_source": "cats"})


@pytest.mark.parametrize("alone", [True, False])
def test_values_of_an_earlier_run_do_not_count_and_that_is_said(caplog, monkeypatch, alone):
    monkeypatch.setattr("ptycho._choose._told", set())
    caplog.set_level("INFO", "ptycho")
    update_legacy_dict(params.cfg, TrainingConfig(ModelConfig(N=16), n_subsample=20))
    config = TrainingConfig(ModelConfig(N=16))
    if alone:  # as `train_pinn.train` has it
        update_legacy_dict(params.cfg, config)
        config = None
    assert choose(config, N=16).asked.train.subsample is None
    assert params.cfg["n_subsample"] == 20
    assert "n_subsample = 20" in caplog.text and "unset" in caplog.text
