"""One run at a time in a folder, whatever became of the one before."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from pinn.errors import OutputError
from pinn.io import lock, owners
from pinn.io.lock import LOCK, BusyError, awaited, held

HOLD = """
    import sys
    from pinn.io.lock import held
    with held(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.read()
"""


def holder(folder):
    """Another process that holds a folder until its input ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "held\n"
    return child


def refusal(folder):
    with pytest.raises(BusyError) as error, held(folder):
        pass
    return str(error.value)


@pytest.fixture(params=["the system's lock", "the file alone"])
def locks(request, monkeypatch):
    if request.param == "the file alone":  # as on a file system without locks
        monkeypatch.setattr(lock, "fcntl", None)


def test_a_second_process_is_refused_until_the_first_ends(tmp_path, locks):
    folder = tmp_path / "run"
    child = holder(folder)
    said = refusal(folder)
    assert f"another run writes into {folder} (process {child.pid} on " in said
    assert f" since {time.strftime('%Y-')}" in said and "choose another --output" in said
    child.communicate()
    with held(folder):
        assert json.loads((folder / LOCK).read_text())["process"] == os.getpid()
    assert not folder.exists(), "what was made and stayed empty goes"


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, locks):
    child = holder(tmp_path)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert (tmp_path / LOCK).exists()
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_another_machine_counts_where_the_file_alone_decides(tmp_path, monkeypatch):
    stated = {"host": "elsewhere", "mark": "0" * 8, "process": 1, "since": "2026-01-02 03:04:05"}
    (tmp_path / LOCK).write_text(json.dumps(stated))
    monkeypatch.setattr(lock, "fcntl", None)
    said = refusal(tmp_path)
    assert "process 1 on elsewhere since 2026-01-02 03:04:05; if it is gone, remove" in said
    monkeypatch.undo()
    with held(tmp_path):  # the system knows that nobody holds it
        pass


def test_the_holder_may_hold_again_but_no_other_thread(tmp_path):
    found = []
    with held(tmp_path), held(tmp_path):
        thread = threading.Thread(target=lambda: found.append(refusal(tmp_path)))
        thread.start()
        thread.join()
    assert "(this process)" in found[0]
    with held(tmp_path), pytest.raises(BusyError), held(tmp_path, again=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_one_that_waits_gets_it_next(tmp_path):
    child = holder(tmp_path / "run")
    timer = threading.Timer(0.5, child.communicate)
    timer.start()
    began = time.monotonic()
    with awaited(tmp_path / "run", LOCK):
        assert time.monotonic() - began > 0.3
    timer.join()


def test_a_file_in_the_way_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="it is a file; name a folder"), held(tmp_path / "file"):
        pass


def test_processes_that_are_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert owners.gone(owners.host_mark(), child.pid)
    assert not owners.gone(owners.host_mark(), os.getpid())
    assert not owners.gone("0" * 8, child.pid)
    assert not owners.gone(owners.host_mark(), 1)
