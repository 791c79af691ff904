"""Files are whole or not there, whatever interrupts the writing."""

import json
import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinn.errors import OutputError
from pinn.io import atomic
from pinn.io.atomic import (
    atomic_path,
    atomic_write_csv,
    atomic_write_json,
    atomic_write_text,
    check_writable,
    remove_leftovers,
)
from pinn.io.text import csv_text, json_text, parse_csv


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_success_replaces_and_leaves_nothing_else(tmp_path):
    final = tmp_path / "new" / "picture.png"
    with atomic_path(final) as temporary:
        assert temporary.parent == final.parent and temporary.suffix == ".png"
        assert not final.exists()
        temporary.write_bytes(b"one")
        assert not final.exists()
    with atomic_path(final) as temporary:
        temporary.write_bytes(b"two")
        assert final.read_bytes() == b"one"
    assert final.read_bytes() == b"two" and names(final.parent) == ["picture.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interruption_keeps_the_old_file(tmp_path, error):
    final = tmp_path / "a.txt"
    final.write_text("old")
    with pytest.raises(error), atomic_path(final) as temporary:
        temporary.write_text("half")
        raise error
    assert final.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_killed_process_keeps_the_old_file(tmp_path):
    final = tmp_path / "a.txt"
    final.write_text("old")
    code = """
        import os, signal, sys
        from pinn.io.atomic import atomic_path
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(final)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == -9
    assert final.read_text() == "old"


KILLED = """
    import os, signal, sys
    from pinn.io.atomic import atomic_path
    with atomic_path(sys.argv[1]) as temporary:
        temporary.write_text("half")
        print(temporary.name, flush=True)
        {}
"""


def writer(final, then):
    """A process that is writing `final`, and the name of its temporary file."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED.format(then)), str(final)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    return child, child.stdout.readline().strip()


def test_what_killed_writers_left_goes_and_what_others_write_stays(tmp_path):
    living, at_work = writer(tmp_path / "b.txt", "sys.stdin.read()")
    child, left = writer(tmp_path / "a.txt", "os.kill(os.getpid(), signal.SIGKILL)")
    child.communicate()
    assert child.returncode == -9
    elsewhere = f".c.{'0' * 8}-{child.pid}-abcdef.tmp.txt"  # of a machine that we know nothing of
    old = ".d.0123456789ab.tmp.txt"  # of a version that did not say whose it is
    for name in (elsewhere, old):
        (tmp_path / name).write_text("half")
    assert sorted([left, at_work, elsewhere, old]) == names(tmp_path)
    atomic._cleared.clear()
    atomic_write_text(tmp_path / "e.txt", "whole")
    assert names(tmp_path) == sorted([at_work, elsewhere, old, "e.txt"])
    remove_leftovers(tmp_path, ("b.txt", "c.txt", "d.txt"))
    assert names(tmp_path) == sorted([at_work, elsewhere, "e.txt"])
    living.communicate()
    assert names(tmp_path) == sorted(["b.txt", elsewhere, "e.txt"])


def test_new_file_has_the_rights_of_any_new_file(tmp_path):
    plain, made = tmp_path / "plain", tmp_path / "made"
    plain.write_text("")
    atomic_write_text(made, "")
    assert stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_symbolic_link_is_followed(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    atomic_write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new"


def test_errors_of_the_system_become_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"not a directory|file exists"):
        atomic_write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(OutputError, match="is a folder; name a file inside"):
        atomic_write_text(tmp_path, "x")
    with (
        pytest.raises(OutputError, match=r"cannot write .*a\.txt: no space left on device"),
        atomic_path(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    with pytest.raises(OutputError, match="no such file"), atomic_path(tmp_path / "b.txt"):
        pass  # the body made no file: nothing to put in place
    assert names(tmp_path) == ["file"]


def test_check_writable(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert names(tmp_path) == []  # nothing stays behind
    (tmp_path / "kept").mkdir()
    check_writable(tmp_path / "kept")
    assert names(tmp_path) == ["kept"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="it is a file; name a folder"):
        check_writable(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write into"):
        check_writable(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match="cannot write into /proc"):
        check_writable("/proc/self")


def test_json_takes_numpy_and_paths_and_has_no_nan(tmp_path):
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": (1, None, True), "p": tmp_path}
    atomic_write_json(tmp_path / "a.json", {**value, "psnr": float("inf"), "deep": [np.nan]})
    read = json.loads((tmp_path / "a.json").read_text())
    assert read == {
        "a": 0.5,
        "b": [0, 1, 2],
        "c": [1, None, True],
        "p": str(tmp_path),
        "psnr": None,
        "deep": [None],
    }
    with pytest.raises(ValueError, match=r"deep\[1\]\.x is nan"):
        json_text({"deep": [1, {"x": np.nan}]}, nonfinite="refuse")
    with pytest.raises(TypeError, match="f is a function"):
        json_text({"f": json_text})


cells = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-(10**17), 10**17),
    st.booleans(),
    st.sampled_from(["jax", "a,b", 'quote"', "two\nlines", "µ", "1_0", "-"]),
)
rows = st.lists(st.dictionaries(st.sampled_from(["epoch", "loss", "a,b", "µ"]), cells, min_size=1))


@given(rows)
def test_csv_reads_back_exactly(table):
    again = parse_csv(csv_text(table))
    assert again == table
    assert [{k: type(v) for k, v in row.items()} for row in again] == [
        {k: type(v) for k, v in row.items()} for row in table
    ]


def test_csv_file_has_all_columns_and_empty_cells(tmp_path):
    table = [{"epoch": 1, "loss": np.float32(0.5)}, {"epoch": 2, "val_loss": None, "x": 1e-7}]
    atomic_write_csv(tmp_path / "h.csv", table)
    assert (tmp_path / "h.csv").read_bytes() == b"epoch,loss,val_loss,x\n1,0.5,,\n2,,,1e-07\n"
