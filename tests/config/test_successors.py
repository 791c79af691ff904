"""Options and modules of 0.1.0: one sentence with the successor, and files that are translated."""

import importlib.util
import json
from pathlib import Path

import pytest

import pinn
from pinn import cli
from pinn.config import Config, ModelConfig, RefineConfig, ScanConfig, TrainConfig
from pinn.config.successors import SUCCESSORS, VALUES, sentence
from pinn.errors import ConfigError
from pinn.moved import MODULES
from pinn.simulate.config import SimulateConfig

CLASSES = {c.__name__: c for c in (ScanConfig, ModelConfig, TrainConfig, RefineConfig)}
CLASSES["SimulateConfig"] = SimulateConfig
COMMANDS = {
    "ScanConfig": "check", "ModelConfig": "train", "TrainConfig": "train",
    "RefineConfig": "refine", "SimulateConfig": "simulate",
}  # fmt: skip
ROWS = [(cls, name) for cls, names in SUCCESSORS.items() for name in names]
PAGE = (Path(pinn.__file__).parents[1] / "docs" / "moving-to-0.2.md").read_text()
V010 = Path(__file__).parents[1] / "contract" / "names.json"


@pytest.mark.parametrize(("cls", "name"), ROWS)
def test_every_row_is_of_an_old_field_and_leads_to_a_present_one(cls, name):
    fields, successor = CLASSES[cls].model_fields, SUCCESSORS[cls][name]
    assert name not in fields
    assert successor.now is None or successor.now in fields
    assert successor.now or successor.advice
    assert f"| `{name}` |" in PAGE


def test_no_field_of_then_is_without_a_row():
    then = json.loads(V010.read_text())["fields"]
    for full in then:
        cls, name = full.split(" ")
        if cls in CLASSES:
            known = name in CLASSES[cls].model_fields or name in SUCCESSORS[cls]
            assert known, full


@pytest.mark.parametrize(("cls", "name"), ROWS)
def test_python_says_the_successor(cls, name):
    if cls == "SimulateConfig" and name in ("n_objects", "n_probes"):
        return  # never were fields
    with pytest.raises(ConfigError) as error:
        CLASSES[cls](**{name: 1})
    assert SUCCESSORS[cls][name].sentence(name) in str(error.value)


@pytest.mark.parametrize("cls", SUCCESSORS)
def test_command_line_and_file_say_the_successor(cls, tmp_path, capsys):
    command, file = COMMANDS[cls], tmp_path / "options.toml"
    for name in SUCCESSORS[cls]:
        told = SUCCESSORS[cls][name].sentence(name)
        assert cli.run([command, f"--{name.replace('_', '-')}", "1"]) == 2
        assert told in capsys.readouterr().err
        file.write_text(f"{name} = 1\n")
        assert cli.run([command, "--config", str(file)]) == 2
        assert f"{told} (in {file})" in capsys.readouterr().err


def test_a_switch_of_then_and_a_key_without_a_flag_are_told(capsys):
    assert cli.run(["refine", "--no-update-factors"]) == 2
    assert "is called update_intensities" in capsys.readouterr().err
    assert cli.run(["train", "--fno-width", "8"]) == 2
    assert "fno_width has no option on the command line" in capsys.readouterr().err
    assert cli.run(["train", "--nonsense"]) == 2
    assert "No such option" in capsys.readouterr().err
    assert sentence("nonsense") is None


def test_keywords_of_functions_say_it_too():
    with pytest.raises(ConfigError, match="encoder_attention' is gone"):
        TrainConfig().replace(encoder_attention="cbam")  # what pinn.train does with keywords


TRANSLATED = [
    (ScanConfig, {"y_path": "a/y", "x_path": "a/x"}, {"positions_path": "a/y,a/x"}),
    (ScanConfig, {"beam_row": 3.5, "beam_column": 4.0}, {"beam_centre": "3.5,4.0"}),
    (ScanConfig, {"beam_row": None, "beam_column": None, "test_fraction": 0.25}, {}),
    (ScanConfig, {"mask_path": "m", "mask_path_polarity": "good"},
     {"mask_path": "m", "bad_pixels_polarity": "good"}),
    (ScanConfig, {"mask_path": None, "mask_path_polarity": "bad"}, {}),
    (ScanConfig, {"bad_pixels": "m.npy", "bad_pixels_polarity": "good", "mask_path": None,
                  "mask_path_polarity": "bad"},
     {"bad_pixels": "m.npy", "bad_pixels_polarity": "good"}),
    (ScanConfig, {"bad_pixels": "m.npy", "bad_pixels_polarity": "bad", "mask_path": "m",
                  "mask_path_polarity": "bad"},
     {"bad_pixels": "m.npy", "mask_path": "m"}),
    (ScanConfig, {"bad_pixels": "m.npy", "bad_pixels_polarity": "good", "mask_path": "m",
                  "mask_path_polarity": "good"},
     {"bad_pixels": "m.npy", "mask_path": "m", "bad_pixels_polarity": "good"}),
    (ModelConfig, {"encoder_attention": "none", "positions_limit": 5.0, "N": 32}, {"N": 32}),
    (TrainConfig, {"freeze": "stem, near_*,"}, {"rate_factors": "stem:0,near_*:0"}),
    (TrainConfig, {"freeze": "stem", "rate_factors": "far:0.1"},
     {"rate_factors": "stem:0,far:0.1"}),
    (TrainConfig, {"freeze": None, "rate_factors": None, "weights_seed": None}, {}),
    (TrainConfig, {"rate_factors": "far:0.1", "freeze": None}, {"rate_factors": "far:0.1"}),
    (RefineConfig, {"polish": 3, "variations": 2, "update_factors": True, "tolerance": 1e-3},
     {"lbfgs_iterations": 3, "opr_modes": 2, "update_intensities": True}),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "stored", "now"), TRANSLATED)
def test_what_was_stored_is_translated(cls: type[Config], stored, now):
    assert cls.from_stored(stored) == cls(**now)


@pytest.mark.parametrize(
    ("cls", "stored"),
    [
        (ScanConfig, {"test_fraction": 0.4}),
        (ModelConfig, {"decoder_attention": "eca"}),
        (TrainConfig, {"shuffle_seed": 3}),
        (RefineConfig, {"round": 1}),
    ],
)
def test_what_has_no_counterpart_is_refused_or_left_out(cls, stored, caplog):
    ((name, value),) = stored.items()
    with pytest.raises(ConfigError, match=rf"'{name}' is gone .* \(it was {value!r}\)"):
        cls.from_stored(stored)
    assert cls.from_stored(stored, lenient=True) == cls()
    assert name in caplog.text


@pytest.mark.parametrize(("inside", "beside"), [("good", "bad"), ("bad", "good")])
def test_two_masks_of_different_polarity_are_not_read_with_one(inside, beside):
    """0.1.0 had a polarity for each; with one of them for both, a mask would be inverted."""
    stored = {
        "mask_path": "m", "mask_path_polarity": inside,
        "bad_pixels": "m.npy", "bad_pixels_polarity": beside,
    }  # fmt: skip
    told = f"mask_path marks the {inside} pixels and the bad_pixels file the {beside} ones"
    with pytest.raises(ConfigError, match=f"{told}.* invert the file"):
        ScanConfig.from_stored(stored)


GONE = [
    (cls, name, value)
    for cls, names in VALUES.items()
    for name, gone in names.items()
    for value in gone.values
]


@pytest.mark.parametrize(("cls", "name", "value"), GONE)
def test_a_value_that_is_gone_says_what_to_take(cls, name, value, tmp_path, capsys, caplog):
    gone = VALUES[cls][name]
    told = f"{name} {value} is gone since 0.2: {gone.advice}"
    with pytest.raises(ConfigError) as error:
        CLASSES[cls](**{name: value})
    assert str(error.value) == told
    with pytest.raises(ConfigError) as error:
        CLASSES[cls].from_stored({name: value, "seed": 3})
    assert str(error.value) == told
    assert CLASSES[cls].from_stored({name: value, "seed": 3}, lenient=True) == CLASSES[cls](seed=3)
    assert told in caplog.text
    file = tmp_path / "options.toml"
    file.write_text(f"{name} = '{value}'\n")
    assert cli.run([COMMANDS[cls], "--config", str(file)]) == 2
    assert f"'{value}' is not one of '" in capsys.readouterr().err  # and those that there are
    listed = " ".join(PAGE.split()).split("Values that are gone: ")[1].split(". `precision`")[0]
    assert value in listed and f"({gone.advice})" in listed


@pytest.mark.parametrize(("old", "new"), MODULES.items())
def test_modules_say_where_they_are(old, new):
    assert importlib.util.find_spec(new) is not None
    with pytest.raises(ModuleNotFoundError, match=f"{old} is {new} since"):
        importlib.import_module(old)
    assert f"| `{old}` | `{new}` |" in PAGE


# What packages of 0.1.0 had in their `__all__`, and have no more.
EXPORTED = {
    "pinn.io.legacy": (
        *("DEFAULTS", "InferenceConfig", "KEY_MAPPINGS", "LEGACY", "LegacyDictionary"),
        *("LegacyParams", "LegacyTranslation", "ModelConfig", "PyTorchExecutionConfig"),
        *("TrainingConfig", "config_from_dict", "dataclass_to_legacy_dict", "doubts"),
        *("update_legacy_dict", "validate_inference_config", "validate_model_config"),
        "validate_training_config",
    ),
    "pinn.simulate": ("Written", "recipes", "simulate_many"),
    "pinn.studies": ("StudyResult",),
}


@pytest.mark.parametrize(("package", "name"), [(p, n) for p, ns in EXPORTED.items() for n in ns])
def test_names_that_packages_exported_say_what_became_of_them(package, name):
    with pytest.raises(ImportError, match=rf"{name} is .*(pinn 0\.2|pinn\.io\.legacy\. Use )"):
        getattr(importlib.import_module(package), name)


def test_from_imports_say_it_and_others_are_left_alone():
    with pytest.raises(ImportError, match=r"pinn\.metrics is pinn\.quality since"):
        from pinn import metrics  # noqa: F401
    with pytest.raises(ImportError, match=r"from pinn\.quality\.evaluate import evaluate"):
        from pinn.metrics import evaluate  # noqa: F401
    with pytest.raises(ImportError, match=r"simulate_many is gone .* a loop"):
        from pinn.simulate import simulate_many  # noqa: F401
    with pytest.raises(ImportError, match=r"from pinn\.studies\.run import StudyResult"):
        from pinn.studies import StudyResult  # noqa: F401
    with pytest.raises(ImportError, match=r"from pinn\.io\.formats\.registry import names"):
        from pinn.io.formats import names  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        from pinn.studies import nonsense  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"No module named .pinn\.nonsense."):
        importlib.import_module("pinn.nonsense")
    assert not hasattr(pinn, "metrics")
