"""Broken files: one sentence that names the file, and nothing is run, written or left behind."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from breaking import MARKER, nested, npz, objects
from npz_files import N
from refusals import REFUSALS
from small_scans import SMALL, Small

import pinn
from pinn import cli
from pinn.errors import InputError

LONGEST = 900  # characters of a sentence, with the names of pytest's folders
MEMORY = 64 << 20  # bytes; the files hold some ten thousand, and state up to 10^15 numbers
# Nothing is wrong with a copy of dark frames: `convert` copies, and does not look at them.
DARK = {"npz: dark", "npz: frames of nothing", "plain: nothing written"}
# The commands read a scan in one way: a few of these show it.
SHOWN = (
    *("file: empty", "npz: infinite", "npz: dark", "npz: pickled frames", "beside: no probe"),
    *("plain: nothing written", "cxi: one place less", "ptychodus alone", "mat truncated"),
    *("xml bomb", "pair without frames"),
)


@pytest.fixture
def backend(monkeypatch):
    """The commands choose a backend, although none of these gets as far as loading it."""
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "jax"))


def broken(name, folder):
    made = REFUSALS[name][0](folder)
    return made if isinstance(made, Small) else Small(made)


def contents(folder):
    """Everything in a folder, to see that nothing was added or changed."""
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


def arguments(options):
    return [part for k, v in options.items() for part in (f"--{k.replace('_', '-')}", str(v))]


def refusal(path, options):
    with pytest.raises(InputError) as caught:
        pinn.load(path, **options).statistics()
    return str(caught.value)


@pytest.mark.parametrize("name", SMALL)
def test_whole_files_are_read(tmp_path, name):
    made = SMALL[name](tmp_path)
    scan = pinn.load(made.path, **made.options)
    assert scan.statistics().mean_counts > 0 and len(scan) > 10
    scan.close()


@pytest.mark.parametrize("name", REFUSALS)
def test_a_broken_file_is_a_sentence(tmp_path, name):
    made = broken(name, tmp_path)
    before = contents(tmp_path)
    tracemalloc.start(1)
    try:
        message = refusal(made.path, made.options)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(tmp_path) in message
    assert any(path.name in message for path in (*made.files, *before)), message
    for words in REFUSALS[name][1:]:
        assert words in message, message
    assert "\n" not in message and len(message) < LONGEST and "Traceback" not in message
    assert contents(tmp_path) == before and not (tmp_path / MARKER).exists()
    assert most < MEMORY


@pytest.mark.parametrize("name", SHOWN)
def test_the_commands_say_the_same_sentence(tmp_path, name, capsys, backend):
    (tmp_path / "in").mkdir()
    made = broken(name, tmp_path / "in")
    message = refusal(made.path, made.options)
    before = contents(tmp_path)
    scan, out = str(made.path), str(tmp_path / "out")
    commands = [["check", scan], ["reconstruct", scan, "--model", out, "--output", out]]
    if name not in DARK:
        commands.append(["convert", scan, f"{out}.npz"])
    for command in commands:
        assert cli.run([*command, *arguments(made.options), "--quiet"]) == 2
        said, error = capsys.readouterr()
        assert error == f"Error: {message}\n" and said == ""
    assert contents(tmp_path) == before and not (tmp_path / "in" / MARKER).exists()


def test_a_process_says_no_more_than_the_sentence(tmp_path):
    # With all of Python's warnings on, and names that are no text in any encoding.
    files = []
    for number, name in enumerate(("npz: checksum of frames", "merlin start only", "mat checksum")):
        folder = tmp_path / os.fsdecode(b"scan \xff %d" % number)
        folder.mkdir()
        files.append(str(broken(name, folder).path))
    code = (
        "import sys\nfrom pinn import cli\n"
        "sys.exit(sum(cli.run(['check', '--quiet', path]) for path in sys.argv[1:]))"
    )
    command = [sys.executable, "-W", "always", "-c", code, *files]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONUTF8": "1"})
    lines = done.stderr.splitlines()
    assert done.returncode == 2 * len(files) and done.stdout == b""
    assert len(lines) == len(files) and all(line.startswith(b"Error: ") for line in lines), lines


# ------------------------------------------- what is passed over, and never run or believed


@pytest.mark.parametrize("key", ["metadata", "_metadata", "notes"])
def test_pickles_that_are_not_needed_are_left_alone(tmp_path, key):
    path = objects(key, ())(tmp_path).path
    scan = pinn.load(path)
    assert any(repr(key) in note for note in scan.notes)
    assert scan.statistics().mean_counts > 0 and not (tmp_path / MARKER).exists()


@pytest.mark.parametrize(
    "text",
    [
        nested(100_000),
        '{"a":' * 100_000,
        '{"pixel_size_m": %s}' % ("9" * 400),
        '{"pixel_size_m": %s}' % ("9" * 5000),
        '{"pixel_size_m": "small", "energy_ev": [], "distance_m": NaN, "saturation": -1}',
        '{"acquisition": [1], "steps": {"a": 1}, "positions_offset_px": [1]}',
    ],
    ids=["brackets", "open braces", "400 digits", "5000 digits", "words", "other kinds"],
)
def test_metadata_that_say_nothing(tmp_path, text):
    scan = pinn.load(npz(metadata=np.array(text))(tmp_path))
    assert scan.pixel_size_m is scan.energy_ev is scan.distance_m is scan.saturation is None
    assert scan.steps == () and scan.acquisition == {}
    scan.close()


def test_a_scan_without_a_probe_says_how_to_give_one(tmp_path):
    path = npz(probeGuess=None)(tmp_path)
    with pytest.raises(InputError, match=r"scan\.npz has no probe; give one with --probe FILE"):
        pinn.load(path).probe_gauge()
    np.save(tmp_path / "other.npy", np.ones((N, N), complex))
    assert pinn.load(path, probe=tmp_path / "other.npy").probe_gauge().shape == (1, N, N)
