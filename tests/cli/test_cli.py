"""The command line without its long work: options, sources, errors, exit codes, progress."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

import pinn
from pinn import cli
from pinn.cli.app import COMMANDS
from pinn.cli.common import Common
from pinn.cli.progress import Reporter
from pinn.config import ModelConfig, ReconstructConfig, ScanConfig, TrainConfig
from pinn.errors import DivergedError, ScanError
from pinn.progress import Progress
from pinn.simulate import SimulateConfig, simulate_to_file


def shown(capsys, *arguments):
    """`--show-config` of a command as {name: (value, source)}."""
    assert cli.run([*arguments, "--show-config"]) == 0
    rows = (line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    return {name: tuple(rest.rsplit("  ", 1)) for name, rest in rows}


def value(entry):
    return entry[0].strip(), entry[1].strip()


@pytest.fixture
def recorded(monkeypatch):
    """Replaces loading, device and training; what `pinn.train` was called with appears here."""
    calls = {}

    class Loaded:
        notes = ("a remark",)
        steps = ({"step": "bin", "factor": 2},)

    def load(path, config):
        calls["load"] = (path, config)
        return Loaded()

    def train(scans, model=None, **options):
        calls["train"] = options
        if "fail" in calls:
            raise calls["fail"]
        if "config" in calls:
            (options["output"] / "config.json").write_text(calls["config"])

        class Trained:
            history = ({"loss": 0.25},)
            provenance: ClassVar = {}

        return Trained()

    monkeypatch.setattr(Common, "start_device", lambda self: None)
    monkeypatch.setattr("pinn.cli.scans.stop_at_errors", lambda *args: None)  # there is no scan
    monkeypatch.setitem(pinn.__dict__, "load", load)
    monkeypatch.setitem(pinn.__dict__, "train", train)
    return calls


# -- help ---------------------------------------------------------------------------------


def test_help_of_every_command_loads_no_framework():
    code = (
        "import sys\nfrom pinn import cli\nfrom pinn.cli.app import COMMANDS\n"
        "heavy = {'keras', 'jax', 'torch', 'tensorflow', 'pandas'}\n"
        "slow = {'matplotlib', 'scipy', 'h5py', 'pydantic'}\n"
        "for line in (['--version'], ['--help'], *([name, '--help'] for name in COMMANDS)):\n"
        "    assert cli.run(line) == 0\n"
        "    loaded = (heavy | slow if len(line) == 1 else heavy) & set(sys.modules)\n"
        "    assert not loaded, (line, loaded)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_python_m_pinn_is_the_command_line():
    result = subprocess.run(
        [sys.executable, "-m", "pinn", "--version"], check=True, capture_output=True, text=True
    )
    assert result.stdout == f"pinn, version {pinn.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert cli.run([name, "--help"]) == 0
    assert f"Usage: pinn {name}" in capsys.readouterr().out


def test_every_field_is_an_option_with_its_description_and_default(capsys):
    for name, classes in {
        "train": (ScanConfig, ModelConfig, TrainConfig),
        "reconstruct": (ScanConfig, ReconstructConfig),
        "simulate": (pinn.SimulateConfig,),
    }.items():
        cli.run([name, "--help-all"])
        text = " ".join(capsys.readouterr().out.split())
        for cls in classes:
            for field, info in cls.model_fields.items():
                assert info.description, f"{field} has no description"
                if name == "train" and field in ("N", "probe_modes"):
                    continue  # the scan has them
                listed = f"--{field.replace('_', '-')} " in text
                assert listed == (field not in cls.keys_only), field
                if listed:
                    assert " ".join(info.description.split()[:3]) in text, field


def test_help_shows_what_is_needed_first_and_how_many_more_there_are(capsys):
    for name in ("train", "refine", "simulate"):
        assert cli.run([name, "--help"]) == 0
        brief = capsys.readouterr().out
        assert cli.run([name, "--help-all"]) == 0
        whole = capsys.readouterr().out
        few, all_ = (
            sum(line.startswith("  -") for line in text.splitlines()) for text in (brief, whole)
        )
        assert few <= 16
        assert f"{all_ - few} more options: pinn {name} --help-all" in brief


# -- where values come from ---------------------------------------------------------------


def test_sources_are_default_file_and_command_line(tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text(
        'epochs = 7\nlearning-rate = 0.5\nprobe_trainable = true\nloss = "mae"\n'
        "[reconstruct]\nbatch_size = 3\n[train]\nbatch_size = 5\n"
    )
    rows = shown(capsys, "train", "--config", str(file), "--epochs", "9", "--n_groups", "11")
    assert value(rows["epochs"]) == ("9", "command line")
    assert value(rows["n_groups"]) == ("11", "command line")
    assert value(rows["learning_rate"]) == ("0.5", "options file")
    assert value(rows["probe_trainable"]) == ("True", "options file")
    assert value(rows["loss"]) == ("mae", "options file")
    assert value(rows["batch_size"]) == ("5", "options file")
    assert value(rows["gridsize"]) == (str(ModelConfig().gridsize), "default")


@pytest.mark.parametrize("flag", ["--n-filters-scale", "--n_filters_scale"])
def test_both_spellings_of_a_name_are_taken(flag, capsys):
    assert value(shown(capsys, "train", flag, "3")["n_filters_scale"]) == ("3", "command line")


def test_booleans_are_switches_both_ways(capsys):
    on = shown(capsys, "train", "--probe-trainable", "--no-restore-best")
    assert value(on["probe_trainable"]) == ("True", "command line")
    assert value(on["restore_best"]) == ("False", "command line")
    assert cli.run(["train", "--probe-trainable", "yes", "--show-config"]) == 0  # a SCAN, no value
    assert cli.run(["train", "--probe-trainable=yes", "--show-config"]) == 2


def test_none_switches_an_optional_number_off(tmp_path, capsys, recorded):
    assert value(shown(capsys, "train")["clip_norm"]) == ("1.0", "default")
    assert value(shown(capsys, "train", "--clip-norm", "none")["clip_norm"])[0] == "none"
    file = tmp_path / "options.toml"
    file.write_text('clip_norm = "none"\n')
    cli.run(["train", "a.npz", "--output", str(tmp_path), "--config", str(file)])
    assert recorded["train"]["clip_norm"] is None
    assert cli.run(["train", "--epochs", "none", "--show-config"]) == 2


def test_only_what_was_stated_is_passed_on(recorded, tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text("gridsize = 3\nobject_big = false\n")
    arguments = ["train", "a.npz", "--output", str(tmp_path / "run"), "--config", str(file)]
    arguments += ["--epochs", "4", "--frames", "counts", "--resume"]
    assert cli.run(arguments) == 0
    stated = {
        k: v
        for k, v in recorded["train"].items()
        if k not in ("progress", "record", "validation_scans")
    }
    assert stated == {
        "output": tmp_path / "run",
        "resume": True,
        "gridsize": 3,
        "epochs": 4,
        "object_big": False,
    }
    assert recorded["load"][1] == ScanConfig(frames="counts")
    assert "a.npz: a remark" in capsys.readouterr().err


def test_run_folder_keeps_the_resolved_options_with_their_sources(recorded, tmp_path):
    cli.run(["train", "a.npz", "--output", str(tmp_path), "--epochs", "4", "--centre", "corner"])
    kept = recorded["train"]["record"]  # written before the first step, so that no kill loses it
    assert kept["scan"]["centre"] == "corner" and kept["scans"] == ["a.npz"]
    assert kept["preparation"] == [[{"step": "bin", "factor": 2}]]
    assert kept["sources"]["epochs"] == "command line"
    assert kept["sources"]["gridsize"] == "default"


def test_resume_takes_what_is_not_stated_from_the_run(recorded, tmp_path):
    stored = {  # of 0.1.0, whose masks had two polarities and whose seeds were four
        "scan": {"centre": "corner", "saturation": 900.0, "mask_path_polarity": "bad"},
        "model": {"gridsize": 2, "encoder_attention": "none"},
        "train": {"keep_best": 2, "epochs": 9, "weights_seed": None},
    }
    (tmp_path / "config.json").write_text(json.dumps(stored))
    command = ["train", "a.npz", "--output", str(tmp_path), "--resume", "--restore-best"]
    assert cli.run([*command, "--saturation", "800"]) == 0
    assert recorded["load"][1] == ScanConfig(centre="corner", saturation=800.0)
    given, sources = recorded["train"], recorded["train"]["record"]["sources"]
    assert given["restore_best"] is True and "epochs" not in given, "the archive knows the rest"
    assert [sources[name] for name in ("centre", "epochs", "saturation", "seed")] == [
        *("archive", "archive", "command line", "default"),
    ]
    assert cli.run([*command[:-2], "--restore-best"]) == 2, "a new run has no keep_best to take"
    (tmp_path / "config.json").write_text("[1")
    assert cli.run(command[:-1]) == 0


# -- errors and exit codes ----------------------------------------------------------------


def failed(capsys, *arguments):
    code = cli.run(list(arguments))
    return code, capsys.readouterr().err


def test_unknown_name_in_the_file_lists_the_known_ones(tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text("epoch = 3\n")
    code, text = failed(capsys, "train", "--config", str(file), "--show-config")
    assert code == 2
    assert "unknown option 'epoch'; train knows: " in text and f"(in {file})" in text
    assert " epochs," in text and " backend," in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epochs = 3.7", "option 'epochs'"),
        ("epochs = 0", "greater than or equal to 1"),
        ("epochs = true", "this option takes neither true nor false"),
        ('loss = "mse"', "unknown term 'mse'"),
        ("epochs = ", "not valid TOML"),
        ("epochs = [1, 2]", "option 'epochs' in"),
    ],
)
def test_impossible_value_in_the_file_is_refused(tmp_path, capsys, content, words):
    file = tmp_path / "options.toml"
    file.write_text(content + "\n")
    code, text = failed(capsys, "train", "--config", str(file), "--show-config")
    assert code == 2 and words in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], "Missing argument 'SCAN...'"),
        (["train", "a.npz"], "Missing option '--output'"),
        (["train", "a.npz", "--output", "x", "--epochs", "0"], "option 'epochs'"),
        (["train", "--no-such-option"], "No such option"),
        (["train", "--config", "nowhere.toml"], "nowhere.toml does not exist"),
        (["nonsense"], "No such command"),
        (["simulate"], "Missing argument 'OUT'"),
        (["simulate", "out.npz", "--N", "63"], "N must be even"),
        (["reconstruct", "a.npz", "--model", "m"], "Missing option '--output'"),
        (["evaluate", "r.h5"], "give either --truth or --against"),
        (["evaluate", "r.h5", "--truth", "a", "--against", "b"], "give either"),
        (["info", "nowhere.zip"], "nowhere.zip"),
        (["--backend", "theano", "train"], "'theano' is not one of"),
        (["train", "a.npz", "--output", "x", "--device", "abacus"], "'abacus' is not one of"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_code_2_and_says_what(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, text = failed(capsys, *arguments)
    assert code == 2 and words in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ScanError("frames are odd"), 2, "Error: frames are odd"),
        (DivergedError("not finite"), 1, "Error: not finite"),
        (KeyError("gone"), 1, "Failed unexpectedly: KeyError: 'gone'; set PINN_TRACEBACK=1"),
        (MemoryError(), 2, "more memory than there is"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_exit_code_tells_input_failure_and_interruption_apart(
    recorded, tmp_path, capsys, monkeypatch, error, code, words
):
    monkeypatch.delenv("PINN_TRACEBACK", raising=False)
    recorded["fail"] = error
    got, text = failed(capsys, "train", "a.npz", "--output", str(tmp_path / "run"))
    assert got == code and words in text and "Traceback" not in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_the_output_does_not_have_are_replaced(tmp_path, monkeypatch, encoding):
    """Of what click does not encode by itself."""
    written = [io.BytesIO(), io.BytesIO()]
    streams = [io.TextIOWrapper(raw, encoding, errors="strict") for raw in written]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    assert cli.run(["check", str(tmp_path / "scan_α.npz")]) == 2
    streams[1].flush()
    assert b".npz does not exist" in written[1].getvalue()
    print("中")
    streams[0].flush()
    assert written[0].getvalue().strip() == b"?"


def test_traceback_on_request(recorded, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PINN_TRACEBACK", "1")
    recorded["fail"] = KeyError("gone")
    _, text = failed(capsys, "train", "a.npz", "--output", str(tmp_path / "run"))
    assert "Traceback" in text and "set PINN_TRACEBACK" not in text


def test_output_that_cannot_be_written_is_refused_before_any_work(recorded, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, text = failed(capsys, "train", "a.npz", "--output", str(tmp_path / "file"))
    assert code == 2 and "it is a file" in text
    assert "load" not in recorded and "train" not in recorded


def test_backend_after_the_command_wins_over_the_one_before(recorded, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Common, "select_backend", lambda self: asked.append(self.backend))
    rest = ["train", "a.npz", "--output", str(tmp_path / "run")]
    file = tmp_path / "options.toml"
    file.write_text('backend = "tensorflow"\n')
    cli.run(["--backend", "jax", *rest])
    cli.run(["--backend", "jax", *rest, "--backend", "torch"])
    cli.run([*rest, "--config", str(file)])
    cli.run(["--backend", "jax", *rest, "--config", str(file)])
    assert asked == ["jax", "torch", "tensorflow", "jax"]


def test_another_backend_than_the_loaded_one_is_refused(tmp_path):
    chosen = os.environ["KERAS_BACKEND"]
    other = "torch" if chosen != "torch" else "jax"
    code = f"import keras\nfrom pinn import cli\nsys_exit = cli.run({['train', 'a.npz']!r} + "
    code += f"['--output', {str(tmp_path)!r}, '--backend', {other!r}])\nassert sys_exit == 2"
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert f"already imported with {chosen}" in result.stderr


# -- progress -----------------------------------------------------------------------------


def reports(stage):
    if stage == "train":
        for epoch in (1, 2):
            yield Progress(stage, 10 * epoch - 5, 20, rate=5.0, epoch=epoch, epochs=2)
            yield Progress(
                stage, 10 * epoch, 20, 5.0, epoch, 2, loss=0.5 / epoch, val_loss=0.6 / epoch
            )
    else:
        for done in range(1, 101):
            yield Progress(stage, done, 100, rate=50.0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def written(stage, stream, quiet=False):
    with Reporter(quiet, stream) as report:
        for progress in reports(stage):
            report(progress)
    return stream.getvalue()


def test_plain_lines_without_a_terminal():
    lines = written("train", io.StringIO()).splitlines()
    assert lines == [
        "epoch 1/2  loss 0.5  validation 0.6  5 groups/s  0:02 left",
        "epoch 2/2  loss 0.25  validation 0.3  5 groups/s  0:00 left",
    ]
    lines = written("reconstruct", io.StringIO()).splitlines()
    assert 10 <= len(lines) <= 11
    assert lines[-1] == "reconstruct 100 %  100/100  50 frames/s  0:00 left"


def test_bar_on_a_terminal_shows_epoch_loss_and_end():
    text = written("train", Terminal())
    assert "train 2/2" in text and "loss 0.25" in text and "20/20" in text


def test_quiet_is_silent():
    assert written("train", Terminal(), quiet=True) == ""


# -- evaluate and simulate, small enough to run -------------------------------------------


def test_simulate_then_evaluate_the_truth_against_itself(tmp_path, capsys):
    scan = tmp_path / "scan.npz"
    arguments = ["simulate", str(scan), "--N", "32", "--n-frames", "200", "--seed", "3", "--quiet"]
    assert cli.run(arguments) == 0
    assert capsys.readouterr().err == ""
    again = tmp_path / "again.npz"
    cli.run(["simulate", str(again), *arguments[2:]])
    assert scan.read_bytes() == again.read_bytes()
    out = tmp_path / "out"
    assert cli.run(["evaluate", str(scan), "--truth", str(scan), "--output", str(out)]) == 0
    assert "against truth" in capsys.readouterr().out
    found = json.loads((out / "metrics.json").read_text())
    assert found["metrics"]["nrmse"] < 1e-6
    assert found["area"] == "scan positions less border"
    assert {"comparison.png", "frc.png"} <= {path.name for path in out.iterdir()}


def test_evaluate_finds_a_known_error_and_the_positions_of_another_file(tmp_path):
    rng = np.random.default_rng(8)
    truth = (1 + 0.2 * rng.normal(size=(120, 140))) * np.exp(0.3j * rng.normal(size=(120, 140)))
    noise = rng.normal(size=(2, 120, 140)) * 0.05 / np.sqrt(2)
    y, x = rng.uniform(10, 110, 50), rng.uniform(10, 130, 50)
    np.savez(tmp_path / "truth.npz", objectGuess=truth)
    np.savez(tmp_path / "recon.npz", object=truth + noise[0] + 1j * noise[1], origin_px=[0, 0])
    np.savez(tmp_path / "scan.npz", ycoords=y, xcoords=x)
    arguments = [str(tmp_path / "recon.npz"), "--truth", str(tmp_path / "truth.npz")]
    arguments += ["--positions", str(tmp_path / "scan.npz"), "--border", "4", "--quiet"]
    assert cli.run(["evaluate", *arguments, "--no-register", "--no-ramp"]) == 0
    found = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    expected = 0.05 / np.sqrt(np.mean(np.abs(truth) ** 2))
    assert found["metrics"]["nrmse"] == pytest.approx(expected, rel=0.03)
    assert found["area"] == "scan positions less border" and found["border_px"] == 4
    y0, y1 = found["region_px"]["y"]
    assert y.min() + 3 <= y0 <= y.min() + 6 and y.max() - 6 <= y1 <= y.max() - 3


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"other": np.ones(3)}, "no array 'object' or 'objectGuess'; it has: other"),
        ({"object": np.ones((20, 20))}, "a complex image"),
        ({"object": np.ones((20, 20), complex), "origin_px": [1.0]}, "two finite numbers"),
    ],
    ids=["foreign", "real", "origin"],
)
def test_evaluate_refuses_files_without_an_object(tmp_path, capsys, arrays, words):
    np.savez(tmp_path / "recon.npz", **arrays)
    np.save(tmp_path / "truth.npy", np.ones((20, 20), complex))
    arguments = [str(tmp_path / "recon.npz"), "--truth", str(tmp_path / "truth.npy")]
    code, text = failed(capsys, "evaluate", *arguments)
    assert code == 2 and words in text


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", f"{LONG}.npz"],
        ["simulate", f"{LONG}/a.npz"],
        ["refine", "a.npz", "--output", LONG],
        ["convert", "{scan}", f"{LONG}.npz"],
        ["convert", "{scan}", f"{LONG}.cxi"],
        ["convert", "{scan}", f"{LONG}.h5"],
        ["evaluate", LONG, "--truth", "a.npz"],
        ["compare", LONG, "--truth", "a.npz", "--output", "c"],
        ["info", LONG],
        ["train", "a.npz", "--config", f"{LONG}.toml", "--output", "b"],
        ["study", f"{LONG}.toml", "--output", "b"],
    ],
    ids=lambda arguments: " ".join(arguments)[:24],
)
def test_a_name_that_is_too_long_is_one_sentence(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    if "{scan}" in arguments:
        simulate_to_file(SimulateConfig(N=16, object="lines", n_frames=10), tmp_path / "scan.npz")
    code, text = failed(capsys, *(word.format(scan="scan.npz") for word in arguments))
    assert code == 2 and "Error: " in text and "file name too long" in text
    assert "unexpectedly" not in text


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "[" * 2000 + "]" * 2000])
def test_a_file_that_is_nested_without_end_is_one_sentence(tmp_path, capsys, text):
    file = tmp_path / "deep.toml"
    file.write_text(text)
    out = ["--output", str(tmp_path / "out")]
    for arguments in (["train", "a.npz", "--config", str(file)], ["study", str(file)]):
        code, said = failed(capsys, *arguments, *out)
        assert code == 2 and f"options file {file} is nested too deeply" in said
