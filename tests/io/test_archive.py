"""The archive: what goes in comes out, and every kind of damage has its own sentence."""

import hashlib
import io
import json
import random
import struct
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pinn.errors import ArchiveError, DivergedError, OutputError, PinnError
from pinn.io import archive as module
from pinn.io.archive import Archive, archive_digest, read_archive, write_archive

VERSIONS = {"pinn": "0.1.0", "keras": "3.15.1"}
MEMBERS = [
    "config.json",
    "history.csv",
    "manifest.json",
    "model.weights.h5",
    "optimizer.weights.h5",
    "provenance.json",
    "statistics.json",
]


def example(**changes):
    rng = np.random.default_rng(7)
    values = {
        "config": {"model": {"N": 64, "gridsize": 2, "name": "µ"}, "train": {"rate": 1e-3}},
        "weights": {
            "probe": rng.normal(size=(1, 2, 6, 6, 2)).astype(np.float32),
            "log_scale": np.array([0.25], np.float32),
            "network/conv_1/kernel": rng.normal(size=(3, 3, 1, 4)).astype(np.float32),
            "network/conv_1/bias": np.zeros(4, np.float32),
            "step": np.array(17, np.int64),
        },
        "statistics": {"exposure_factor": 0.1234567890123456789, "scans": [1, 2]},
        "history": [
            {"epoch": 1, "loss": 0.5, "backend": "jax"},
            {"epoch": 2, "loss": 1 / 3, "val_loss": 0.25, "backend": "torch"},
        ],
        "optimizer": {"0000_iterations": np.array(9), "0001_m": np.ones((3, 2), np.float32)},
        "provenance": {"scans": [{"name": "a", "sha256": "00"}], "seed": 3},
    }
    return Archive(**{**values, **changes})


def write(path, archive=None, **options):
    options = {"backend": "jax", "versions": VERSIONS, **options}
    return write_archive(path, archive or example(), **options)


def same_arrays(a, b):
    assert a.keys() == b.keys()
    for name in a:
        left, right = np.asarray(a[name]), b[name]
        left = left.astype(left.dtype.newbyteorder("="))
        assert isinstance(right, np.ndarray)
        assert left.dtype == right.dtype and left.shape == right.shape, name
        assert left.tobytes() == right.tobytes(), name


def rebuild(path, *, drop=(), replace=None, checksums=True, compression=zipfile.ZIP_STORED):
    """Write the archive's members anew, with some dropped or replaced, checksums made good."""
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist() if name not in drop}
    members.update(replace or {})
    if checksums and "manifest.json" not in (replace or {}):
        manifest = json.loads(members["manifest.json"])
        manifest["sha256"] = {
            name: hashlib.sha256(data).hexdigest()
            for name, data in members.items()
            if name != "manifest.json"
        }
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, data in members.items():
            target.writestr(name, data)


def refusal(path):
    with pytest.raises(ArchiveError) as caught:
        read_archive(path)
    message = str(caught.value)
    assert "\n" not in message and message == message.strip() and caught.value.exit_code == 2
    return message


# ------------------------------------------------------------------------------ round trips


def test_round_trip(tmp_path):
    path = write(tmp_path / "wts.h5.zip")
    archive, again = example(), read_archive(path)
    same_arrays(archive.weights, again.weights)
    same_arrays(archive.optimizer, again.optimizer)
    for name in ("config", "statistics", "history", "provenance"):
        assert getattr(again, name) == getattr(archive, name)
    assert again.manifest["backend"] == "jax" and again.manifest["versions"] == VERSIONS
    assert again.manifest["format"] == "pinn-archive" and again.manifest["format_version"] == 1


def test_is_a_plain_zip_whose_checksums_another_reader_finds(tmp_path):
    path = write(tmp_path / "wts.h5.zip")
    with zipfile.ZipFile(path) as source:
        assert source.namelist() == MEMBERS
        manifest = json.loads(source.read("manifest.json"))
        assert sorted(manifest["sha256"]) == [n for n in MEMBERS if n != "manifest.json"]
        for name, digest in manifest["sha256"].items():
            assert hashlib.sha256(source.read(name)).hexdigest() == digest
        with h5py.File(io.BytesIO(source.read("model.weights.h5")), "r") as h5:
            kernel = h5["network"]["conv_1"]["kernel"][()]
    np.testing.assert_array_equal(kernel, example().weights["network/conv_1/kernel"])
    assert archive_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_without_optimizer_the_member_is_absent(tmp_path):
    path = write(tmp_path / "a.zip", example(optimizer=None))
    assert read_archive(path).optimizer is None
    with zipfile.ZipFile(path) as source:
        assert "optimizer.weights.h5" not in source.namelist()


def test_folder_stands_for_the_file_in_it(tmp_path):
    assert write(tmp_path) == tmp_path / "wts.h5.zip"
    same_arrays(example().weights, read_archive(tmp_path).weights)
    assert archive_digest(tmp_path) == archive_digest(tmp_path / "wts.h5.zip")


def test_history_of_columns_becomes_rows(tmp_path):
    path = write(tmp_path / "a.zip", example(history={"epoch": [1, 2], "loss": [0.5, 0.1]}))
    assert read_archive(path).history == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.1}]
    assert read_archive(write(tmp_path / "b.zip", example(history=[]))).history == []


def test_same_content_gives_same_bytes(tmp_path, monkeypatch):
    class Clock(module.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    shuffled = example()
    backwards = {name: shuffled.weights[name] for name in reversed(shuffled.weights)}
    monkeypatch.setattr(module, "datetime", Clock)
    one = write(tmp_path / "one.zip").read_bytes()
    two = write(tmp_path / "two.zip", example(weights=backwards)).read_bytes()
    assert one == two


words = st.text("abz01_ .-µ", min_size=1, max_size=5).filter(lambda s: s not in (".", ".."))
paths = st.lists(words, min_size=1, max_size=4).map("/".join)
arrays = npst.arrays(
    st.sampled_from(["f4", "f8", "f2", "i4", "i8", "u1", "b1", "c8", ">f4"]),
    npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    elements={"allow_nan": False, "allow_infinity": False},
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(paths, arrays, max_size=5))
def test_any_names_shapes_and_dtypes_come_back(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("h")
    above = {"/".join(n.split("/")[:d]) for n in weights for d in range(1, n.count("/") + 1)}
    if above & weights.keys():
        with pytest.raises(ArchiveError, match="one name continues the other"):
            write(folder, example(weights=weights))
    else:
        same_arrays(weights, read_archive(write(folder, example(weights=weights))).weights)


# ---------------------------------------------------------------------- refusals in writing


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["weights", "optimizer"])
def test_nan_never_reaches_an_archive(tmp_path, bad, place):
    path = write(tmp_path / "a.zip")
    before = path.read_bytes()
    array = np.zeros((5, 1 << 20), np.float32)  # larger than one step of the check
    array[-1, -1] = bad
    with pytest.raises(DivergedError, match=r"'network/bad' of shape \(5, 1048576\)"):
        write(path, example(**{place: {"network/bad": array}}))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_statistics_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(DivergedError, match=r"statistics\.json .*scans\[1\] is nan"):
        write(tmp_path / "a.zip", example(statistics={"scans": [1.0, np.nan]}))
    with pytest.raises(ArchiveError, match=r"config\.json cannot be written: f is a function"):
        write(tmp_path / "a.zip", example(config={"f": write}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b"])
def test_names_that_hdf5_reads_otherwise_are_refused(tmp_path, name):
    with pytest.raises(ArchiveError, match="cannot be the name of an array"):
        write(tmp_path / "a.zip", example(weights={name: np.zeros(2)}))


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([None]), np.array([b"x"])])
def test_only_numbers_are_stored(tmp_path, array):
    with pytest.raises(ArchiveError, match="use numbers"):
        write(tmp_path / "a.zip", example(weights={"a": array}))


def test_weights_beyond_the_limit_are_refused_before_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setitem(module._LIMITS, "model.weights.h5", 100)
    with pytest.raises(ArchiveError, match="at most 100 are stored"):
        write(tmp_path / "a.zip")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "No space left")])
def test_interrupted_writing_keeps_the_old_archive(tmp_path, monkeypatch, error):
    path = write(tmp_path / "a.zip")
    before = path.read_bytes()

    def broken(*_):
        raise error

    monkeypatch.setattr(module.shutil, "copyfileobj", broken)
    with pytest.raises(OutputError if isinstance(error, OSError) else error):
        write(path, example(weights={"other": np.ones(3)}))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


# ---------------------------------------------------------------------- refusals in reading


def test_missing(tmp_path):
    assert "there is no archive" in refusal(tmp_path / "none.zip")
    assert "there is no wts.h5.zip in folder" in refusal(tmp_path)
    with pytest.raises(ArchiveError, match="there is no archive"):
        archive_digest(tmp_path / "none.zip")


def test_foreign(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    assert "is not a zip file" in refusal(path)
    path.write_bytes(b"")
    assert "is empty" in refusal(path)
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("metadata.json", "{}")
    assert "no archive of pinn: it has no manifest.json" in refusal(path)
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("manifest.json", '{"format": "other"}')
    assert "states the format 'other'" in refusal(path)


@pytest.mark.parametrize("name", ["manifest.dill", "wts/manifest.dill"])
def test_reference_archive_is_named_as_such(tmp_path, name):
    path = tmp_path / "wts.h5.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr(name, b"\x80\x04.")
    message = refusal(path)
    assert "reference PtychoPINN" in message and "pinn convert" in message


def test_truncated_anywhere(tmp_path):
    whole = write(tmp_path / "a.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    for length in [*range(4, len(whole), 997), len(whole) - 1, len(whole) - 22]:
        cut.write_bytes(whole[:length])
        assert "is truncated" in refusal(cut)


@pytest.mark.parametrize("name", MEMBERS)
def test_flipped_bit_fails_the_crc(tmp_path, name):
    path = write(tmp_path / "a.zip")
    with zipfile.ZipFile(path) as source:
        info = source.getinfo(name)
        stored = info.compress_type == zipfile.ZIP_STORED
    data = bytearray(path.read_bytes())
    start = info.header_offset
    start += 30 + sum(struct.unpack("<HH", data[start + 26 : start + 30]))
    data[start + info.compress_size // 2] ^= 1
    path.write_bytes(bytes(data))
    message = refusal(path)
    assert f"is damaged: {name} " in message
    if stored:
        assert f"{name} fails its CRC check" in message


def test_checksum_mismatch(tmp_path):
    path = write(tmp_path / "a.zip")
    rebuild(path, replace={"config.json": b"{}"}, checksums=False)
    assert "config.json does not have the checksum that the manifest states" in refusal(path)


def test_optimizer_without_a_checksum_is_not_trusted(tmp_path):
    path = write(tmp_path / "a.zip", example(optimizer=None))
    other = write(tmp_path / "b.zip")
    with zipfile.ZipFile(other) as source:
        data = source.read("optimizer.weights.h5")
    rebuild(path, replace={"optimizer.weights.h5": data}, checksums=False)
    assert "optimizer.weights.h5 does not have the checksum" in refusal(path)


@pytest.mark.parametrize("name", [n for n in MEMBERS if n != "manifest.json"])
def test_missing_member(tmp_path, name):
    path = write(tmp_path / "a.zip")
    rebuild(path, drop=[name], checksums=False)
    assert f"is incomplete: {name} is missing" in refusal(path)
    if name != "optimizer.weights.h5":
        path = write(tmp_path / "a.zip")
        rebuild(path, drop=[name], checksums=True)
        assert f"is incomplete: {name} is missing" in refusal(path)


def test_newer_version_is_told_from_damage_even_if_nothing_else_fits(tmp_path):
    path = tmp_path / "a.zip"
    manifest = {"format": "pinn-archive", "format_version": 2, "sha256": {"weights.zst": "00"}}
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("manifest.json", json.dumps(manifest))
        target.writestr("config.json", "{}", zipfile.ZIP_LZMA)
    message = refusal(path)
    assert "newer pinn (format 2; this one reads up to 1)" in message and "upgrade" in message


@pytest.mark.parametrize("version", [0, "1", None, True, 1.0])
def test_version_must_be_a_number(tmp_path, version):
    path = write(tmp_path / "a.zip")
    manifest = {**read_archive(path).manifest, "format_version": version}
    rebuild(path, replace={"manifest.json": json.dumps(manifest).encode()})
    assert "manifest.json lacks a version" in refusal(path)


@pytest.mark.parametrize("name", ["config.json", "statistics.json", "provenance.json"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": ', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "but not an object"),
    ],
)
def test_invalid_json(tmp_path, name, text, said):
    path = write(tmp_path / "a.zip")
    rebuild(path, replace={name: text})
    message = refusal(path)
    assert f"is damaged: {name} " in message and said in message


def test_invalid_manifest_and_history(tmp_path):
    path = write(tmp_path / "a.zip")
    rebuild(path, replace={"manifest.json": b"{"})
    assert "manifest.json is not JSON" in refusal(path)
    path = write(tmp_path / "a.zip")
    rebuild(path, replace={"history.csv": b"epoch\n\xff\n"})
    assert "is damaged: history.csv" in refusal(path)


def hdf5(fill):
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        fill(h5)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "model.weights.h5"),
        (b"no hdf5 at all", "model.weights.h5"),
        (hdf5(lambda h5: h5.create_dataset("a", data=np.ones(999)))[:4000], "truncated"),
        (hdf5(lambda h5: h5.create_dataset("a", data="text")), "a is no plain array"),
        (hdf5(lambda h5: h5.create_dataset("a", data=h5py.Empty("f4"))), "a is no plain array"),
        (
            hdf5(lambda h5: h5.create_dataset("a", (1 << 40,), "f4", chunks=(1024,))),
            "a states more data than the file holds",
        ),
        (
            hdf5(
                lambda h5: h5.create_dataset(
                    "a", (10,), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
                )
            ),
            "a is no plain array",
        ),
    ],
)
def test_damaged_or_hostile_hdf5(tmp_path, data, said):
    path = write(tmp_path / "a.zip")
    rebuild(path, replace={"model.weights.h5": data})
    message = refusal(path)
    assert "is damaged: model.weights.h5: " in message and said in message


def test_links_out_of_the_hdf5_file_are_not_followed(tmp_path):
    secret = tmp_path / "secret.h5"
    secret.write_bytes(hdf5(lambda h5: h5.create_dataset("x", data=np.ones(3))))

    def fill(h5):
        h5["own"] = np.arange(3)
        h5["stolen"] = h5py.ExternalLink(str(secret), "x")

    path = write(tmp_path / "a.zip")
    rebuild(path, replace={"model.weights.h5": hdf5(fill)})
    assert list(read_archive(path).weights) == ["own"]


def test_unknown_members_are_neither_read_nor_unpacked(tmp_path):
    folder = tmp_path / "run"
    path = write(folder / "wts.h5.zip")
    rebuild(path, replace={"../evil.txt": b"x", "/abs.txt": b"x", "notes/readme.txt": b"hello"})
    manifest = read_only_manifest(path)
    for name in ("../evil.txt", "/abs.txt", "notes/readme.txt"):
        manifest["sha256"].pop(name)
    rebuild(path, replace={"manifest.json": json.dumps(manifest).encode()})
    same_arrays(example().weights, read_archive(path).weights)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["run", "wts.h5.zip"]


def read_only_manifest(path):
    with zipfile.ZipFile(path) as source:
        return json.loads(source.read("manifest.json"))


def test_member_that_is_there_twice(tmp_path):
    path = write(tmp_path / "a.zip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the name; the test means it
        with zipfile.ZipFile(path, "a") as target:
            target.writestr("config.json", "{}")
    assert "config.json is there twice" in refusal(path)


def test_zip_bomb_is_refused_by_its_stated_size(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zip")
    rebuild(path, replace={"config.json": b" " * (65 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert "config.json states a size of 68157440 bytes, more than the limit" in refusal(path)
    path = write(tmp_path / "b.zip")
    monkeypatch.setitem(module._LIMITS, "model.weights.h5", 1000)
    assert "model.weights.h5 states a size of" in refusal(path)


def test_encrypted_or_exotic_members_are_refused(tmp_path):
    path = write(tmp_path / "a.zip")
    rebuild(path, compression=zipfile.ZIP_BZIP2)
    assert "is compressed by a method (12)" in refusal(path)
    path = write(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for signature, flag in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):  # every header: "encrypted"
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + flag] |= 1
    path.write_bytes(bytes(data))
    assert "encrypted" in refusal(path)


def test_any_changed_byte_is_found_or_harmless(tmp_path):
    whole = write(tmp_path / "a.zip").read_bytes()
    archive, path, draw = example(), tmp_path / "b.zip", random.Random(5)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        # the last 1200 bytes are the zip's directory, where most ways to fail lie
        low = len(whole) - 1200 if draw.random() < 0.5 else 0
        data[draw.randrange(low, len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        try:
            again = read_archive(path)
        except PinnError:
            refused += 1
        else:
            same_arrays(archive.weights, again.weights)
            assert again.config == archive.config and again.history == archive.history
    assert refused > 150
