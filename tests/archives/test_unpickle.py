"""The reader of pickles: what it makes, and that nothing else is made or run."""

import collections
import contextlib
import io
import pathlib
import pickle
import struct

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from old_archives import Raw, call, code, dtype, name, pickled, tensor, text

from pinn.errors import ArchiveError
from pinn_archives import unpickle
from pinn_archives.names import Vocabulary, custom_names
from pinn_archives.unpickle import plain_data


def read(data: bytes, find=None):
    return plain_data(data, "x.dill", find or Vocabulary())


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner)
    | st.dictionaries(st.text() | st.integers(-(1 << 63), 1 << 63), inner),
    max_leaves=12,
)  # fmt: skip


@given(plain, st.sampled_from(range(pickle.HIGHEST_PROTOCOL + 1)))
def test_plain_data_comes_back_as_python_reads_it(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f8", ">f4", "<c8", "i2", "u1", "?", "<U7", "S3"])
def test_arrays_come_back_in_every_protocol(kind, protocol):
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    fortran = np.asfortranarray(values)
    found = read(pickle.dumps({"c": values, "f": fortran, "one": values[1, 2, 3]}, protocol))
    for key in "cf":
        np.testing.assert_array_equal(found[key], values)
        assert found[key].dtype == values.dtype
    assert found["one"] == values[1, 2, 3]
    assert not isinstance(found["one"], np.generic)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_other_plain_things_become_plain(protocol):
    value = {
        "path": pathlib.PurePosixPath("/a/b.npz"),
        "ordered": collections.OrderedDict(b=1, a=[2]),
        "set": {1, "x"},
        "frozen": frozenset([3]),
        "bytes": b"\x00\xff",
    }
    found = read(pickle.dumps(value, protocol))
    assert found["path"] == "/a/b.npz"
    assert found["ordered"] == {"b": 1, "a": [2]}
    assert type(found["ordered"]) is dict
    assert (found["set"], found["frozen"], found["bytes"]) == ({1, "x"}, {3}, b"\x00\xff")


def test_a_tensor_of_tensorflow_through_dill_becomes_an_array():
    array = (np.arange(6) + 1j).reshape(3, 2).astype("complex64")
    np.testing.assert_array_equal(read(pickled({"probe": array}))["probe"], array)


class Runs:
    """What an attacker pickles."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def witness_payloads(witness):
    """Pickles that make a file when they are run by Python."""
    import os
    import subprocess

    command = f"touch {witness}"
    system = call("os", "system", command)
    array = name("numpy._core.multiarray", "_reconstruct")
    return {
        "os.system": pickle.dumps(Runs(os.system, command)),
        "protocol 0": pickle.dumps(Runs(os.system, command), 0),
        "builtins.eval": pickle.dumps(Runs(eval, f"open({str(witness)!r}, 'w').close()")),
        "subprocess": pickle.dumps(Runs(subprocess.call, ["touch", str(witness)])),
        "nested in a dictionary": pickle.dumps({"N": 64, "probe": [Runs(os.system, command)]}),
        "argument of an allowed call": pickled(call("numpy", "dtype", system)),
        "in the state of an array": pickled(
            Raw(call("numpy", "dtype", "f8").code + code((3, "<", system, None, None)) + b"b")
        ),
        "dill makes an array by it": pickled(
            call("dill._dill", "_create_array", name("os", "system"), (command,), (), None)
        ),
        "dill makes a function": pickled(call("dill._dill", "_create_function", b"code", {})),
        "dill finds a type": pickled(call("dill._dill", "_load_type", "CodeType")),
        "attribute of an allowed module": pickled(call("numpy", "core.os.system", command)),
        "names come in by INST": b"(" + text(command) + b"ios\nsystem\n.",
        "names come in by OBJ": b"(" + name("os", "system").code + text(command) + b"o.",
        "NEWOBJ": pickled(
            Raw(name("subprocess", "Popen").code + code((["touch", str(witness)],)) + b"\x81")
        ),
        "NEWOBJ of an allowed name": pickled(Raw(name("numpy", "dtype").code + b")\x81")),
        "copyreg": pickled(call("copyreg", "_reconstructor", name("os", "system"), None, None)),
        "extension code": b"\x80\x04\x82\x01" + code((command,)) + b"R.",
        "persistent identifier": b"\x80\x04" + text("x") + b"Q.",
        "persistent text": b"P1\n.",
        "tensor of a payload": pickled(
            call("tensorflow.python.framework.ops", "convert_to_tensor", system)
        ),
        "numpy loads a file": pickled(call("numpy", "load", str(witness), None, True)),
        "memoised name called later": b"\x80\x04" + name("posix", "system").code + b"\x94.",
        "array of another class": pickled(Raw(array.code + code((system, (0,), b"b")) + b"R")),
    }


PAYLOADS = sorted(witness_payloads("w"))


@pytest.mark.parametrize("which", PAYLOADS)
def test_a_payload_is_refused_and_not_run(tmp_path, which):
    witness = tmp_path / "witness"
    data = witness_payloads(witness)[which]
    with pytest.raises(ArchiveError, match=r"x\.dill") as caught:
        read(data)
    assert not witness.exists()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("which", ["os.system", "builtins.eval", "subprocess"])
def test_these_payloads_work_where_nothing_stops_them(tmp_path, which):
    """The witness of the test above can appear at all."""
    witness = tmp_path / "witness"
    pickle.loads(witness_payloads(witness)[which])
    assert witness.exists()


def test_the_name_is_told():
    with pytest.raises(ArchiveError, match=r"asks for posix\.system, and only plain data"):
        read(pickled(call("posix", "system", "true")))
    with pytest.raises(ArchiveError, match="asks for the instruction NEWOBJ"):
        read(pickled(Raw(name("numpy", "dtype").code + b")\x81")))


def _array(kind, shape, data, order=False):
    state = (1, shape, kind, order, data)
    start = call("numpy._core.multiarray", "_reconstruct", name("numpy", "ndarray"), (0,), b"b")
    return pickled(Raw(start.code + code(state) + b"b"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_array(dtype("f8"), (3,), bytes(8)), "has 8 bytes of numbers"),
        (_array(dtype("f8"), (-1,), bytes(8)), "has no shape"),
        (_array(dtype("f8"), (1 << 40,), bytes(8)), "has 8 bytes of numbers"),
        (_array(dtype("f8"), (2,), [1, 2]), "Python objects"),
        (_array("f8", (1,), bytes(8)), "data type is none"),
        (pickled(call("numpy", "dtype", "O")), "not one of numbers or text"),
        (pickled(call("numpy", "dtype", "O8")), "not one of numbers or text"),
        (pickled(call("numpy", "dtype", "i4,O")), "not one of numbers or text"),
        (pickled(call("numpy", "dtype", "V8")), "not one of numbers or text"),
        (pickle.dumps(np.array([{}, None])), "not one of numbers or text"),
        (pickle.dumps(np.zeros(2, [("a", "i4"), ("b", "f8")])), "not one of numbers or text"),
        (pickle.dumps(np.zeros(2, "M8[s]")), "not one of numbers or text"),
        (pickle.dumps({1: 2})[:-3], "is damaged"),
        (b"", "is damaged"),
        (b"\x80\x09N.", "pickle protocol 9"),
        (b"\xfe.", "is damaged"),
        (pickled(name("numpy", "dtype")), "a name stands where data should"),
        (pickled(Raw(b"}(" + code((1,)) + b"Nu")), "a tuple is used as a key"),
        (pickled(Raw(b"\x8f(" + code((1,)) + b"\x90")), "a tuple is used as a key"),
        (b"\x80\x040.", "is damaged"),
        (pickled(call("numpy._core.multiarray", "_reconstruct", "x", (0,))), "class of its own"),
        (pickled(call("collections", "OrderedDict", 7)), "made of no pairs"),
        (pickled(call("_codecs", "encode", "x", "rot13")), "in another way"),
        (b"I" + b"9" * 5000 + b"\n.", "is damaged"),
    ],
)  # fmt: skip
def test_damaged_or_foreign_data_is_refused(data, message):
    with pytest.raises(ArchiveError, match=message):
        read(data)


def test_bombs_are_refused():
    laughs = b"\x80\x04](" + text("ha") * 10 + b"e\x94"
    for i in range(12):
        laughs += b"](" + (b"h" + bytes([i])) * 10 + b"e\x94"
    with pytest.raises(ArchiveError, match="more than 64 deep or of more than 2000000 parts"):
        read(laughs + b".")
    with pytest.raises(ArchiveError, match="more than 64 deep"):
        read(b"\x80\x04N" + b"\x85" * 100_000 + b".")
    endless = b"\x80\x04]\x94h\x00a."  # a list that holds itself
    with pytest.raises(ArchiveError, match="more than 64 deep"):
        read(endless)
    many = b"\x80\x04]" + b"Na" * (unpickle.MOST_STEPS // 2) + b"."
    with pytest.raises(ArchiveError, match="more than 2000000 instructions"):
        read(many)
    # one long text, encoded again and again
    encode = name("_codecs", "encode").code + b"\x94"
    repeat = b"h\x00(h\x01" + text("latin1") + b"tR0" * 1
    long = text("x" * (1 << 20)) + b"\x94"
    with pytest.raises(ArchiveError, match="grows far beyond its own size"):
        read(b"\x80\x04" + encode + b"0" + long + b"0" + repeat * 300 + b"N.")


@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_any_bytes_end_in_data_or_in_a_sentence(junk, place):
    whole = pickled({"N": 64, "probe": np.ones((2, 2), "complex64"), "x": [1.5, None, (2,)]})
    cut = place % len(whole)
    for data in (junk, whole[:cut] + junk + whole[cut:], whole[:cut] + whole[cut + len(junk) :]):
        with contextlib.suppress(ArchiveError):
            read(data)


def test_words_for_the_layers_of_the_reference_cannot_be_called():
    found = read(pickled({"a": name("ptycho.model", "ProbeIllumination")}), custom_names)
    assert found == {"a": "ptycho.model.ProbeIllumination"}
    for data, message in [
        (call("ptycho.model", "ProbeIllumination"), "a call of something that is a str"),
        (name("ptycho.model", "os.system"), r"asks for ptycho\.model\.os\.system"),
        (name("ptychox", "y"), r"asks for ptychox\.y"),
        (name("numpy", "dtype"), r"asks for numpy\.dtype"),
    ]:
        with pytest.raises(ArchiveError, match=message):
            read(pickled(data), custom_names)


def test_an_array_pickled_with_buffers_elsewhere_is_refused():
    out = io.BytesIO()
    pickle.Pickler(out, 5, buffer_callback=lambda _: None).dump(np.arange(4.0))
    with pytest.raises(ArchiveError, match="NEXT_BUFFER"):
        read(out.getvalue())


def test_numbers_as_old_pickles_wrote_them():
    assert read(b"(lp0\nI01\naL12L\naF1.5\naS'x'\na.") == [True, 12, 1.5, "x"]
    assert read(b"\x80\x02K\x05\x8a\x01\xff\x86" + b".") == (5, -1)
    assert read(b"\x80\x04" + b"J" + struct.pack("<i", -7) + b".") == -7


def test_tensor_helper_makes_what_numpy_makes():
    """The hand-written bytes of these tests mean an array to Python's own reader too."""
    array = np.arange(6, dtype="<c8").reshape(2, 3)
    inner = tensor(array).code
    made = inner[inner.index(text("numpy._core.multiarray")) :]
    assert text("_reconstruct") in made
    start = call("numpy._core.multiarray", "_reconstruct", name("numpy", "ndarray"), (0,), b"b")
    state = code((1, array.shape, dtype("c8"), False, array.tobytes()))
    np.testing.assert_array_equal(pickle.loads(pickled(Raw(start.code + state + b"b"))), array)


# -- numbers without bounds ---------------------------------------------------------------


def long(value: int) -> bytes:
    """A whole number as protocol 2 writes it."""
    size = value.bit_length() // 8 + 1
    return b"\x8b" + struct.pack("<i", size) + value.to_bytes(size, "little", signed=True)


def test_a_number_that_python_cannot_write_is_a_word():
    assert read(b"\x80\x02" + long(1 << 511) + b".") == 1 << 511
    assert read(b"\x80\x02" + long(1 << 20_000) + b".") == unpickle.LARGE
    assert read(b"\x80\x02}" + long(1 << 20_000) + b"Ns.") == {unpickle.LARGE: None}


@pytest.mark.parametrize("items", [b"}(", b"\x8f("], ids=["dictionary", "set"])
def test_keys_that_hash_alike_are_refused(items):
    """Multiples of 2**61 - 1 all hash to 0, so each new one is compared with all before it."""
    keys = [long(k * ((1 << 61) - 1)) for k in range(1, 40)]
    fill = b"u." if items == b"}(" else b"\x90."
    body = b"".join(key + (b"N" if fill == b"u." else b"") for key in keys)
    with pytest.raises(ArchiveError, match="more than 64 bits is used as a key"):
        read(b"\x80\x04" + items + body + fill)


def test_the_memory_of_a_pickle_has_numbers_within_reason():
    assert read(b"I7\np4294967295\n.") == 7
    with pytest.raises(ArchiveError, match="beyond all sense"):
        read(b"I7\np4294967296\n.")


@pytest.mark.parametrize("kind", ["longdouble", "clongdouble"])
def test_long_numbers_of_numpy_become_those_of_python(kind):
    value = np.dtype(kind).type(1.5)
    found = read(pickle.dumps({"a": value}, 2))["a"]
    assert found == 1.5 and type(found) in (float, complex)


def test_only_the_part_that_is_asked_for_is_completed():
    data = pickle.dumps({"wanted": np.arange(3), "rest": np.arange(4)}, 2)
    seen = []

    def part(whole):
        seen.append(type(whole["rest"]))
        return whole["wanted"]

    found = plain_data(data, "x", Vocabulary(), part=part)
    np.testing.assert_array_equal(found, np.arange(3))
    assert issubclass(seen[0], unpickle.Draft)
