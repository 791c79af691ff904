"""The console scripts: flags, precedence, defects of the original that are closed, and a run."""

from pathlib import Path

import compat_scans as small
import numpy as np
import pytest

from pinn.errors import ConfigError
from ptycho._cli import inference, train

NEEDED = ["--train_data_file", "scan.npz"]


@pytest.fixture(autouse=True)
def _fresh():
    import logging

    from ptycho._dictionary import LEGACY

    before = {
        name: (log.level, log.propagate, list(log.handlers))
        for name in ("ptycho", "pinn")
        for log in [logging.getLogger(name)]
    }
    yield
    LEGACY.reset()
    for name, (level, propagate, handlers) in before.items():
        log = logging.getLogger(name)
        log.setLevel(level)
        log.propagate, log.handlers = propagate, handlers


def trained(*words):
    return train.configuration([*NEEDED, *words])


@pytest.mark.parametrize(
    ("words", "where", "value"),
    [
        (["--N", "128"], "model.N", 128),
        ([], "model.N", 0),  # that of the frames
        (["--probe_big", "False"], "model.probe_big", False),
        (["--no-probe_big"], "model.probe_big", False),
        (["--probe_mask"], "model.probe_mask", True),
        (["--max_hidden_channels", "64"], "model.max_hidden_channels", 64),
        (["--max_hidden_channels", "none"], "model.max_hidden_channels", None),
        (["--fno_input_transform", "none"], "model.fno_input_transform", "none"),
        (["--nphotons", "1e6"], "nphotons", 1e6),
        (["--gradient-clip-val", "0.5"], "gradient_clip_val", 0.5),
        (["--torch-plateau-patience", "7"], "plateau_patience", 7),
        (["--scheduler", "WarmupCosine"], "scheduler", "WarmupCosine"),
        (["--backend", "pytorch"], "backend", "pytorch"),
        (["--batch-size", "32"], "batch_size", 32),
    ],
)
def test_flags_set_fields(words, where, value):
    found = trained(*words)[0]
    for part in where.split("."):
        found = getattr(found, part)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--torch-accelerator", "cpu"], "accelerator", "cpu"),
        (["--accelerator", "cuda"], "accelerator", "cuda"),
        (["--torch-deterministic"], "deterministic", True),
        (["--no-deterministic"], "deterministic", False),
        (["--torch-deterministic", "warn"], "deterministic", "warn"),
        (["--num-workers", "3"], "num_workers", 3),
        (["--torch-accumulate-grad-batches", "2"], "accum_steps", 2),
        (["--learning-rate", "2e-3"], "learning_rate", 2e-3),
        (["--learning_rate", "2e-3"], "learning_rate", 2e-3),
        (["--no-enable_checkpointing"], "enable_checkpointing", False),
        (["--torch-scheduler", "ReduceLROnPlateau"], "scheduler", "ReduceLROnPlateau"),
        (["--logger", "none"], "logger_backend", None),
        (["--no-enable-checkpointing"], "enable_checkpointing", False),
        (["--checkpoint-save-top-k", "3"], "checkpoint_save_top_k", 3),
        (["--early-stop-patience", "5"], "early_stop_patience", 5),
        (["--torch-recon-log-fixed-indices", "1", "5"], "recon_log_fixed_indices", [1, 5]),
    ],
)
def test_execution_flags(words, name, value):
    assert getattr(trained(*words)[1], name) == value


def test_nothing_about_execution_is_said_unless_it_is_given():
    assert trained()[1] is None
    assert inference.configuration(["--model_path", "m", "--test_data", "s"])[1] is None


@pytest.mark.parametrize(
    ("old", "new", "read"),
    [
        (["--n_images", "7"], "n_groups", lambda c, e: c.n_groups == 7),
        (["--max_epochs", "3"], "--nepochs", lambda c, e: c.nepochs == 3),
        (["--device", "cpu"], "--accelerator", lambda c, e: e.accelerator == "cpu"),
        (["--disable_mlflow"], "--logger none", lambda c, e: e.logger_backend is None),
        (
            ["--disable-checkpointing"],
            "--no-enable-checkpointing",
            lambda c, e: e.enable_checkpointing is False,
        ),
    ],
)
def test_old_flags_warn_and_map(old, new, read, capsys):
    config, execution, _ = trained(*old)
    assert read(config, execution)
    assert f"use {new}" in capsys.readouterr().err


# Flags of the reference's scripts, as far as they are known: every one is taken.
OF_TRAINING = (
    "--config x.yaml --do_stitching --quiet --verbose --console-level INFO --torch-accelerator cuda"
    " --torch-deterministic --torch-num-workers 0 --torch-accumulate-grad-batches 1"
    " --torch-learning-rate 1e-3 --torch-scheduler CosineAnnealing --torch-plateau-factor 0.5"
    " --torch-plateau-patience 2 --torch-plateau-min-lr 1e-5 --torch-plateau-threshold 0.1"
    " --torch-logger tensorboard --torch-recon-log-every-n-epochs 5 --torch-recon-log-num-patches 4"
    " --torch-recon-log-fixed-indices 1 2 --torch-recon-log-stitch"
    " --torch-recon-log-max-stitch-samples 9 --torch-enable-checkpointing"
    " --torch-checkpoint-save-top-k 1 --disable_mlflow --max_epochs 3 --n_images 5 --device cpu"
    " --checkpoint-monitor val_loss --checkpoint-mode min --early-stop-patience 9 --profile ci"
    " --disable-checkpointing --inference-batch-size 4 --measurement-domain count_intensity"
)
OF_INFERENCE = (
    "--model_path m --test_data s --config x.yaml --output_dir o --debug --comparison_plot"
    " --n_images 7 --n_subsample 8 --subsample_seed 1 --phase_vmin -1 --phase_vmax 1"
    " --debug_dump d --backend pytorch --torch-accelerator cpu --torch-num-workers 1"
    " --torch-inference-batch-size 8 --patch-weighting uniform --varpro-scaling --accelerator cpu"
    " --device cpu --num-workers 1 --inference-batch-size 8 --quiet --log-patch-stats"
    " --patch-stats-limit 3 --probe-mask --probe-mask-sigma 1 --probe-mask-diameter 20"
    " --scale-contract-version legacy_v1 --measurement-domain normalized_amplitude --run_id 7"
    " --infer_dir d --file_index 0"
)


@pytest.mark.parametrize(
    ("work", "flags"), [(train, OF_TRAINING), (inference, OF_INFERENCE)], ids=["train", "inference"]
)
def test_every_flag_of_the_original_is_taken(work, flags):
    work.parser().parse_args(flags.split())


def test_flags_without_effect_say_so(capsys):
    inference.configuration(
        ["--model_path", "m", "--test_data", "s", "--run_id", "7", "--probe-mask"]
    )
    said = capsys.readouterr().err
    assert "--run_id has no effect: models come from archives" in said
    assert "--probe-mask has no effect: the archive has the probe" in said


def test_debug_is_a_flag_of_inference(capsys):
    words = ["--model_path", "m", "--test_data", "s", "--debug"]
    assert inference.configuration(words)[2].verbose is True
    assert inference.configuration([*words, "false"])[2].verbose is False


def test_a_file_of_a_training_is_taken_by_inference(tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("nepochs: 9\nN: 32\nn_subsample: 40\nmodel:\n  gridsize: 2\n")
    words = ["--model_path", "m", "--test_data", "s", "--config", str(file)]
    config = inference.configuration(words)[0]
    assert config.n_subsample == 40 and config.model.gridsize == 1  # the archive says which


def test_keys_of_the_dictionary_are_options_of_a_file_too(tmp_path, capsys):
    file = tmp_path / "options.yaml"
    file.write_text("object.big: false\noutput_prefix: there\noffset: 4\n")
    config = trained("--config", str(file))[0]
    assert config.model.object_big is False and config.output_dir == Path("there")
    assert "offset has no effect: the canvas" in capsys.readouterr().err


def test_the_command_line_counts_before_the_file_and_that_before_the_defaults(tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("nepochs: 9\nnphotons: 1e6\nprobe_big: no\nmodel:\n  gridsize: 2\n  N: 32\n")
    config = trained("--config", str(file), "--N", "64", "--nepochs", "4")[0]
    assert (config.nepochs, config.model.N) == (4, 64)  # line
    assert (config.nphotons, config.model.gridsize) == (1e6, 2)  # file, flat and nested
    assert config.model.probe_big is False
    assert config.batch_size == 16  # default


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nepoch: 3", "unknown option 'nepoch'"),
        ("nepochs: many", "a whole number"),
        ("probe_big: perhaps", "true or false"),
        ("model: 3", "options by name"),
        ("- 1", "no options"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_a_sentence(tmp_path, text, message):
    file = tmp_path / "options.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        trained("--config", str(file))


def test_a_default_is_never_a_wish():
    from pinn.io.legacy.table import Unstated

    config = trained()[0]
    assert isinstance(config.backend, Unstated) and isinstance(config.model.architecture, Unstated)
    stated = trained("--backend", "tensorflow", "--architecture", "cnn")[0]
    assert type(stated.backend) is str and type(stated.model.architecture) is str


@pytest.mark.parametrize(
    ("work", "words", "sentence"),
    [
        (train, [], "give --train_data_file"),
        (train, ["--train_data_file", "nothing.npz"], "does not exist"),
        (inference, ["--model_path", "m"], "give --test_data"),
        (inference, ["--test_data", "s"], "give --model_path"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(work, words, sentence, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["script", *words])
    with pytest.raises(SystemExit) as end:
        work.main()
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error


def test_train_then_reconstruct_then_evaluate(tmp_path, capsys):
    from ptycho._cli import evaluate

    scan = str(small.write(tmp_path / "scan.npz", small.arrays(300)))
    out, again = tmp_path / "out", tmp_path / "again"
    words = ["--train_data_file", scan, "--output_dir", str(out), "--nepochs", "2"]
    words += ["--batch_size", "8", "--do_stitching", "--accelerator", "cpu"]
    train.work(words)
    said = capsys.readouterr().err
    assert said.count("device:") == 1 and "epoch 2 of 2" in said
    names = {p.name for p in out.iterdir()}
    assert {"wts.h5.zip", "reconstructed_amplitude.png", "reconstructed_phase.png"} <= names
    assert {"history.csv", "best"} <= names  # records, since an execution flag was given
    words = ["--model_path", str(out), "--test_data", scan, "--output_dir", str(again)]
    words += ["--comparison_plot", "--phase_vmin", "-1", "--debug_dump", str(again / "dump")]
    words += ["--frames", "counts"]
    assert evaluate.work([*words, "--n_groups", "290", "--quiet"]) == 0
    assert "device:" not in capsys.readouterr().err
    names = {p.name for p in again.iterdir()}
    assert {"reconstruction.h5", "reconstructed_amplitude.png", "comparison_plot.png"} <= names
    assert (again / "evaluation" / "metrics.json").is_file()
    with np.load(again / "dump" / "debug.npz") as dump:
        assert dump["obj_tensor_full"].shape == (290, 16, 16, 1)
