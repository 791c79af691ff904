"""Damaged files of every format: read, or refused in a sentence; nothing else may happen.

A process of its own opens the files, with a limit on its memory and on its time. What counts as a
failure: any exception but our own, a warning, a file left open, more than a little memory, a number
that is not finite, and the end or the hanging of the process.

The last two are let pass in one case, when the innermost call is h5py's: HDF5 1.14 does not survive
every damage to its structures (it follows a list of free space, or of texts, that leads back to its
beginning for ever), and no Python program can help that. Dask may need long for an array that is
said to lie in very many chunks; that passes as well. A crash of SciPy or of anything else does not.
"""

from pathlib import Path

import dask
import h5py
import pytest
from fuzz_tools import KINDS, Child, damage, hot_ranges, innermost
from hypothesis import given, settings
from hypothesis import strategies as st
from other_parts import (
    ARRAYS,
    ATTRIBUTES,
    OTHERS,
    parts_of,
    replace_attribute,
    replace_item,
    replace_member,
)
from small_scans import SMALL, members, zip_up

LONGEST = 1200
MEMORY = 100 << 20
H5PY, DASK = (str(Path(library.__file__).parent) for library in (h5py, dask))

EDITS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.integers(0, 1 << 20),
        st.sampled_from((1, 2, 4, 8, 16, 64, 512)),
        st.integers(0, 1 << 20),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def child():
    process = Child()
    yield process
    process.close()


def check(answer, folder):
    verdict, text, memory = answer
    if verdict in ("crashed", "hung"):
        at_work = innermost(text)
        assert H5PY in at_work or (verdict == "hung" and DASK in at_work), text
        return
    assert verdict in ("loaded", "refused"), text
    assert memory < MEMORY
    if verdict == "refused":
        assert str(folder) in text and "\n" not in text and len(text) < LONGEST


def fuzz(name, folder, child, examples):
    """Damage one of the files of a scan, in many ways one after the other."""
    made = SMALL[name](folder)
    verdict, text, _ = child.ask(made.path, made.options)
    assert verdict == "loaded", text
    whole = {path: path.read_bytes() for path in made.files}
    structure = {path: hot_ranges(path) for path in made.files}

    @settings(max_examples=examples)
    @given(
        which=st.integers(0, len(made.files) - 1),
        everywhere=st.sampled_from((False, False, False, True)),
        sealed=st.booleans(),
        member=st.integers(0, 20),
        edits=EDITS,
    )
    def attempt(which, everywhere, sealed, member, edits):
        path = made.files[which]
        if sealed and whole[path].startswith(b"PK"):
            # Damage that the checksum of a member agrees with.
            path.write_bytes(whole[path])
            parts = members(path)
            key = sorted(parts)[member % len(parts)]
            span = len(parts[key]) if everywhere else 128
            parts[key] = damage(parts[key], edits, [(0, span)])
            zip_up(path, parts)
        else:
            ranges = [(0, len(whole[path]))] if everywhere else structure[path]
            path.write_bytes(damage(whole[path], edits, ranges))
        try:
            check(child.ask(made.path, made.options), folder)
        finally:
            path.write_bytes(whole[path])

    attempt()


@pytest.mark.parametrize("name", SMALL)
def test_damaged_files(name, tmp_path, child):
    fuzz(name, tmp_path, child, 15)


@pytest.mark.full
@pytest.mark.parametrize("name", SMALL)
def test_many_damaged_files(name, tmp_path, child):
    fuzz(name, tmp_path, child, 600)


def swap(name, folder, child, examples):
    """Put other things under the names in one of the files of a scan."""
    made = SMALL[name](folder)
    whole = {path: path.read_bytes() for path in made.files}
    names = {path: parts_of(path) for path in made.files}

    @settings(max_examples=examples)
    @given(
        which=st.integers(0, len(made.files) - 1),
        part=st.integers(0, 50),
        how=st.sampled_from((*ARRAYS, *OTHERS)),
        other=st.none() | st.tuples(st.integers(0, 10), st.integers(0, len(ATTRIBUTES) - 1)),
    )
    def attempt(which, part, how, other):
        path = made.files[which]
        key = names[path][part % len(names[path])]
        try:
            if path.suffix != ".npz" and other is not None:
                replace_attribute(path, key, other[0], ATTRIBUTES[other[1]])
            elif path.suffix != ".npz":
                replace_item(path, key, how)
            elif how in ARRAYS:
                replace_member(path, key, how)
            check(child.ask(made.path, made.options), folder)
        finally:
            path.unlink()
            path.write_bytes(whole[path])

    attempt()


STRUCTURED = [name for name in SMALL if name not in ("mat_5", "merlin")]


@pytest.mark.parametrize("name", STRUCTURED)
def test_other_parts(name, tmp_path, child):
    swap(name, tmp_path, child, 12)


@pytest.mark.full
@pytest.mark.parametrize("name", STRUCTURED)
def test_many_other_parts(name, tmp_path, child):
    swap(name, tmp_path, child, 600)


@pytest.mark.parametrize("name", SMALL)
def test_truncated_files(name, tmp_path, child):
    made = SMALL[name](tmp_path)
    path = max(made.files, key=lambda one: one.stat().st_size)
    whole = path.read_bytes()
    for share in (0.01, 0.3, 0.6, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * share)])
        answer = child.ask(made.path, made.options)
        check(answer, tmp_path)
        # Of a raster that was interrupted the whole lines are read, and that is said.
        assert answer[0] == "refused" or "was to hold 15 frames: 10 were read" in answer[1]


@pytest.mark.parametrize("name", SMALL)
def test_files_that_were_not_copied_to_the_end(name, tmp_path, child):
    # The size is right and the rest zero, as a copy leaves it that made room first.
    made = SMALL[name](tmp_path)
    for path in made.files:
        whole = path.read_bytes()
        for share in (0.02, 0.3, 0.6, 0.9):
            kept = int(len(whole) * share)
            path.write_bytes(whole[:kept] + bytes(len(whole) - kept))
            check(child.ask(made.path, made.options), tmp_path)
        path.write_bytes(whole)


def test_the_child_tells_what_happened(tmp_path, child):
    # So that the tests above can fail: each verdict, and memory that is taken and not used.
    made = SMALL["npz"](tmp_path)
    assert child.ask(made.path, {})[0] == "loaded"
    assert child.ask(tmp_path / "none", {})[0] == "refused"
    verdict, text, _ = child.ask(made.path, {"no_such_option": 1})
    assert verdict == "refused" and "no_such_option" in text
    verdict, text, _ = child.ask(5, None)
    assert verdict == "raised" and "TypeError" in text
