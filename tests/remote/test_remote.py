"""Training and inference in a worker process: as in process, and never left hanging."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import remote_parts
import tiny  # noqa: F401  (registers the network `test-tiny`)
from remote_parts import OPTIONS

import pinn
from pinn.errors import ArchiveError, BackendError, ConfigError, ScanError, WorkerError
from pinn.io.archive import read_archive
from pinn.remote import Worker

BACKEND = os.environ["KERAS_BACKEND"]
PATIENCE = 600  # seconds until a process that does not end is given up


@pytest.fixture(scope="module")
def scan():
    return remote_parts.scan()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder of temporary files; nothing of a worker is left there in the end."""
    folder = tmp_path_factory.mktemp("temporary")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    yield folder
    tempfile.tempdir = before
    assert not list(folder.glob("pinn-remote-*"))


@pytest.fixture(scope="module")
def worker(place):
    with Worker(BACKEND, device="cpu", imports=["tiny", "remote_parts"]) as worker:
        yield worker


@pytest.fixture(scope="module")
def in_process(tmp_path_factory):
    """The same training and reconstruction in this process, without a worker."""
    folder = tmp_path_factory.mktemp("plain")
    remote_parts.main(folder)
    return folder


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def trained(worker, scan, told):
    return worker.train(scan, progress=told.append, **OPTIONS)


def same_weights(path, other):
    ours, theirs = read_archive(path), read_archive(other)
    assert set(ours.weights) == set(theirs.weights)
    for name, array in ours.weights.items():
        np.testing.assert_array_equal(array, theirs.weights[name], err_msg=name)
    assert set(ours.optimizer) == set(theirs.optimizer)
    for name, array in ours.optimizer.items():
        np.testing.assert_array_equal(array, theirs.optimizer[name], err_msg=name)
    assert ours.statistics == theirs.statistics
    assert ours.config == theirs.config


def test_training_is_the_one_in_process_bit_by_bit(trained, in_process):
    same_weights(trained.path, in_process / "wts.h5.zip")
    theirs = read_archive(in_process)
    for row, other in zip(trained.history, theirs.history, strict=True):
        assert row["loss"] == other["loss"] and row["val_loss"] == other["val_loss"]
    assert trained.provenance["scans"] == theirs.provenance["scans"]
    assert trained.provenance["events"] == theirs.provenance["events"]


def test_a_reconstruction_is_the_one_in_process_bit_by_bit(worker, scan, trained, in_process):
    ours = worker.reconstruct(scan, trained)
    theirs = pinn.load_reconstruction(in_process)
    for name in ("object", "origin_px", "coverage", "valid_mask", "probe", "positions_px"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert (ours.notes, ours.config, ours.losses) == (theirs.notes, theirs.config, theirs.losses)
    assert ours.archive_sha256 == trained.archive_sha256
    small = worker.reconstruct(scan, trained, weighting="crop", crop=4)
    assert np.any(small.coverage != ours.coverage)


def test_progress_arrives_as_in_process(trained, told, in_process):
    ends = [[p.done, p.epoch, p.loss] for p in told if p.loss is not None]
    theirs = json.loads((in_process / "told.json").read_text())
    assert ends == [row for row in theirs if row[2] is not None]
    assert {(p.stage, p.total, p.epochs) for p in told} == {("train", told[-1].total, 2)}


def test_what_was_trained_can_be_used_here_and_is_kept_when_saved(worker, scan, trained, tmp_path):
    assert (trained.backend, trained.device) == (BACKEND, f"{BACKEND} on cpu")
    model = trained.load()
    assert model.archive_sha256 == trained.archive_sha256
    assert trained.config == model.config and trained.statistics == model.statistics
    path = trained.save(tmp_path)
    assert path.read_bytes() == trained.path.read_bytes()
    np.testing.assert_array_equal(trained.arrays()["probe"], model.network.named_arrays()["probe"])
    model.archive_sha256 = None  # a model of this process goes to the worker as it is
    ours = worker.reconstruct(scan, model)
    np.testing.assert_array_equal(ours.object, worker.reconstruct(scan, path).object)
    assert ours.archive_sha256 is None and model.archive_sha256 is None
    with pytest.raises(ConfigError, match="a trained model is a dict"):
        worker.reconstruct(scan, {})


def test_the_temporary_archive_goes_with_its_object(worker, scan):
    trained = worker.train(scan, **{**OPTIONS, "epochs": 1})
    path = trained.path
    assert path.is_file()
    del trained
    assert not path.parent.exists()


def test_predictions_are_the_patches_of_the_network(worker, trained):
    frames = np.random.default_rng(0).uniform(0, 2, (5, 16, 16, 4))
    frames[0, 2, 3] = -1
    ours = worker.predict(frames, trained, batch_size=2)
    pairs = trained.load().network.object_patches(frames.astype(np.float32))
    theirs = keras.ops.convert_to_numpy(pairs)
    assert ours.shape == (5, 4, 16, 16) and ours.dtype == np.complex64
    # the same float32 network, compiled for another size of batch
    np.testing.assert_allclose(ours, theirs[..., 0] + 1j * theirs[..., 1], rtol=1e-5, atol=1e-6)
    assert worker.predict(frames[:0], trained).shape == (0, 4, 16, 16)
    with pytest.raises(ScanError, match=r"frames are \(5, 16, 16, 3\)"):
        worker.predict(frames[..., :3], trained)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        worker.predict(frames, trained, batch_size=0)


def test_a_stop_ends_the_run_after_the_step_and_a_resumed_run_is_the_whole_one(
    worker, scan, trained, tmp_path
):
    asked = []

    def stop(progress):
        asked.append(progress)
        raise pinn.StopRequested

    pid = worker.pid
    cut = worker.train(scan, output=tmp_path, progress=stop, **OPTIONS)
    assert len(asked) == 1 and asked[0].done == OPTIONS["batch_size"]
    assert cut.history == [] and cut.provenance["unfinished"]["batch"] == 1
    assert cut.path == tmp_path / "wts.h5.zip"
    assert worker.pid == pid  # it goes on to serve
    same_weights(worker.train(scan, output=tmp_path, resume=True).path, trained.path)
    assert not list(tmp_path.glob(".*"))


def test_labels_arrive_where_training_needs_them(worker, scan):
    options = {**OPTIONS, "epochs": 1, "mode": "supervised"}
    columns = worker.train(scan, **options).history[0]
    assert np.isfinite(columns["label_phase"]) and "deviance" not in columns


def test_a_stopped_reconstruction_is_what_there_is(worker, scan, trained):
    def stop(progress):
        raise pinn.StopRequested

    found = worker.reconstruct(scan, trained, progress=stop, batch_size=8)
    assert "stopped on request after 8 of 40 frames" in found.notes
    assert found.statistics["frames"] == 8


def test_a_scan_may_be_a_path(worker, trained, tmp_path):
    from pinn.io.formats.npz_writer import write_scan_npz

    write_scan_npz(tmp_path / "scan.npz", remote_parts.scan(60))
    config = pinn.ScanConfig(drop_frames="40-59")
    loaded = pinn.load(tmp_path / "scan.npz", config)
    ours = worker.reconstruct((tmp_path / "scan.npz", config), trained)
    np.testing.assert_array_equal(ours.object, worker.reconstruct(loaded, trained).object)
    assert len(ours.frame_indices) == 40
    again = worker.train(
        [(tmp_path / "scan.npz", config)],
        trained,
        validation_scans=[tmp_path / "scan.npz"],
        n_groups=16,
        epochs=1,
    )
    assert len(again.history) == 3 and "validation_scans" in again.provenance


# -- errors ------------------------------------------------------------------------------


def raised(call, *arguments, **options):
    with pytest.raises(pinn.errors.PinnError) as found:
        call(*arguments, **options)
    return type(found.value), str(found.value)


def test_errors_are_those_of_the_same_call_in_process(worker, scan, tmp_path):
    pid = worker.start() and worker.pid
    frames = np.zeros((len(scan), scan.N, scan.N), np.uint16)
    dark = pinn.Scan(frames, scan.positions_px, probe=scan.probe, name="dark")
    for options in (
        {"nonsense": 1},
        {"epochs": 0},
        {"keep_best": 1},
        {"mode": "supervised", "loss": "poisson"},
    ):
        assert raised(worker.train, scan, **options) == raised(pinn.train, scan, **options)
    # its sentence lists the networks that are known, and other tests made some known here
    assert raised(worker.train, scan, architecture="none of ours")[0] is ConfigError
    assert raised(worker.train, dark)[0] is ScanError
    assert raised(worker.train, dark) == raised(pinn.train, dark)
    assert raised(worker.train, []) == raised(pinn.train, [])
    resumed = {"output": tmp_path, "resume": True}
    assert raised(worker.train, scan, **resumed) == raised(pinn.train, scan, **resumed)
    assert raised(worker.reconstruct, scan, tmp_path) == raised(pinn.load_model, tmp_path)
    assert raised(worker.reconstruct, scan, tmp_path, crop=3)[0] is ConfigError
    assert raised(worker.reconstruct, scan, tmp_path)[0] is ArchiveError
    assert raised(worker.train, scan, gridsize={2}) == raised(pinn.train, scan, gridsize={2})
    with pytest.raises(ConfigError, match="an option cannot be passed to a worker process"):
        worker.train(scan, output=lambda: "a folder")
    only_here = types.ModuleType("only_here")
    only_here.Place = type("Place", (), {"__module__": "only_here"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "only_here", only_here)
        with pytest.raises(ConfigError, match=r"cannot be passed to a worker process.*only_here"):
            worker.call("remote_parts:speak", text=only_here.Place())
    assert worker.pid == pid


def test_functions_of_a_module_can_be_called(worker):
    values = np.arange(6, dtype=">i4").reshape(2, 3)
    found = worker.call("remote_parts:double", {"values": values}, more=np.float64(0.5))
    np.testing.assert_array_equal(found["values"], 2 * values + 0.5)
    assert found["pid"] == worker.pid != os.getpid()
    with pytest.raises(ConfigError, match="has no attribute 'nothing'"):
        worker.call("remote_parts:nothing")
    with pytest.raises(ConfigError, match="gave a int, but a dictionary"):
        worker.call("remote_parts:wrong")
    with pytest.raises(ConfigError, match="array 'values' holds Python objects"):
        worker.call("remote_parts:double", {"values": np.array([None])})


def test_what_is_printed_there_does_not_disturb(worker):
    assert worker.call("remote_parts:make_noise")["input"] == 0


def test_log_records_arrive_at_the_levels_of_this_process(worker, caplog):
    with caplog.at_level(logging.INFO, "ptycho"):
        worker.call("remote_parts:speak", text="hello")
    with caplog.at_level(logging.ERROR, "pinn"):
        worker.call("remote_parts:speak", text="once more")
    assert caplog.record_tuples == [
        ("pinn", logging.WARNING, "hello, 100 %"),
        ("ptycho.workflows", logging.INFO, "hello from ptycho"),
    ]
    assert caplog.records[0].process == worker.pid
    assert caplog.records[0].funcName == "speak"


# -- ends --------------------------------------------------------------------------------


def test_what_nobody_foresaw_is_named_and_its_traceback_kept(worker, place):
    with pytest.raises(WorkerError, match="LookupError: nowhere; the traceback is in ") as found:
        worker.call("remote_parts:fail", text="nowhere")
    path = Path(str(found.value).split(" is in ")[1])
    assert "in fail" in path.read_text() and path.parent == place
    assert "\n" not in str(found.value)
    assert worker.pid is None


def test_a_worker_that_was_killed_is_reported_and_replaced(worker, scan):
    worker.start()
    pid = worker.pid

    def kill(progress):
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(WorkerError, match=f"worker process on {BACKEND} was ended by SIGKILL"):
        worker.train(scan, progress=kill, **OPTIONS)
    assert worker.pid is None
    with pytest.raises(ChildProcessError):  # nothing of it is left to be waited for
        os.waitpid(pid, 0)
    assert worker.start() and worker.pid not in (None, pid)


def test_a_second_call_meanwhile_is_refused_and_an_interrupt_ends_the_worker(
    worker, scan, tmp_path
):
    worker.start()
    pid = worker.pid

    def interrupt(progress):
        with pytest.raises(WorkerError, match="is busy with another call"):
            worker.predict(np.zeros((1, 16, 16, 4)), "nowhere")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.train(scan, output=tmp_path, progress=interrupt, **OPTIONS)
    assert worker.pid is None
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    assert not list(tmp_path.glob(".*"))


ORPHAN = """
import os, signal, sys, tempfile
import pinn, remote_parts

tempfile.tempdir = sys.argv[1]
pinn.remote.train(
    remote_parts.scan(),
    backend=sys.argv[2],
    imports="tiny",
    output=sys.argv[3],
    progress=lambda progress: os.kill(os.getpid(), signal.SIGKILL),
    **remote_parts.OPTIONS,
)
"""


def test_a_worker_ends_when_its_caller_was_killed(tmp_path):
    temporary, output = tmp_path / "temporary", tmp_path / "run"
    temporary.mkdir()
    paths = os.pathsep.join([*sys.path])
    command = [sys.executable, "-c", ORPHAN, temporary, BACKEND, output]
    child = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert child.returncode == -signal.SIGKILL
    # the folder of files on the way is the last thing the worker removes
    since = time.monotonic()
    while any(temporary.glob("pinn-remote-*")):
        assert time.monotonic() - since < PATIENCE, "the worker goes on without its caller"
        time.sleep(0.05)
    assert not list(output.glob(".*"))


SCRIPT = """
import sys
import pinn

print("begun", flush=True)
with pinn.remote.Worker(sys.argv[1], device="cpu") as worker:
    print(worker.call("remote_parts:double", {"values": [1, 2]})["values"])
    try:
        worker.call("remote_parts:leave", status=5)
    except pinn.errors.WorkerError as error:
        print(error)
"""


def test_a_script_without_a_guard_runs_once_and_reads_the_last_words_of_a_worker(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "script.py", BACKEND]
    paths = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": paths}
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    *lines, end = said.stdout.splitlines()
    assert lines == ["begun", "[2. 4.]"]
    assert "exit code 5; its last words were 'the last words'" in end


# -- choice ------------------------------------------------------------------------------


def test_a_backend_that_is_not_there_is_refused_before_anything_starts(monkeypatch, place, scan):
    before = set(place.iterdir())
    monkeypatch.setitem(sys.modules, BACKEND, None)  # forbids its import
    with pytest.raises(BackendError, match=r'not installed; run `pip install "pinn-ptycho\['):
        pinn.remote.train(scan, backend=BACKEND)
    with pytest.raises(BackendError, match=r"unknown backend 'theano' .*known: jax, torch"):
        pinn.remote.reconstruct(scan, "model", backend="theano")
    with pytest.raises(BackendError, match="unknown device 'abacus'; known: auto, cpu"):
        monkeypatch.undo()
        pinn.remote.predict(np.zeros(3), "model", backend=BACKEND, device="abacus")
    assert set(place.iterdir()) == before


def test_names_of_backends():
    usual = {"jax": "JAX", "torch": "PyTorch", "tensorflow": "tf"}
    assert Worker(usual[BACKEND]).backend == Worker(BACKEND.upper()).backend == BACKEND
    assert not pinn.remote.needs_worker(usual[BACKEND])


def test_a_module_that_cannot_be_imported(place):
    with pytest.raises(ConfigError, match="module 'no_such_module' of imports"):
        Worker(BACKEND, imports="no_such_module").start()
