"""Archives of other programs: told from scans, and read by whoever says it can."""

from __future__ import annotations

import io
import sys
import zipfile
from importlib.metadata import EntryPoint, entry_points

import numpy as np
import pytest

from pinn import cli
from pinn.errors import ArchiveError, OutputError
from pinn.io import convert_archive as module
from pinn.io.archive import Archive, read_archive
from pinn.io.convert_archive import Foreign, archive_kind, convert_archive


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as target:
        for name in names:
            target.writestr(name, b"")
    return path


@pytest.fixture
def old(tmp_path):
    return zipped(tmp_path / "old.h5.zip", "manifest.dill", "diffraction_to_obj/params.dill")


def read_nothing(source, **_):
    return None


def read_anything(source, **options):
    archive = Archive({"model": {}}, {"a": np.ones(3, "f4")}, provenance={"asked": str(options)})
    return Foreign(archive, "archive of a test", "torch", {"theirs": "1"}, carried=("all",))


@pytest.fixture
def installed(monkeypatch):
    def install(*names):
        found = [EntryPoint(name, f"{__name__}:{name}", module.GROUP) for name in names]
        monkeypatch.setattr(module, "entry_points", lambda group: found)

    install()
    return install


@pytest.mark.parametrize("name", ["wts.h5.zip", "run/manifest.dill", "x/data.pkl", "../data.pkl"])
def test_archives_of_others_are_told_by_their_names(tmp_path, name):
    assert archive_kind(zipped(tmp_path / "a.zip", name)) == "old"


def test_what_else_there_is(tmp_path):
    assert archive_kind(zipped(tmp_path / "a.npz", "frames.npy")) is None
    assert archive_kind(zipped(tmp_path / "b", "manifest.json", "model.weights.h5")) == "ours"
    assert archive_kind(tmp_path / "none") is None and archive_kind(tmp_path) is None
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "before_1_6.pth").write_bytes(b"\x80\x02")
    kinds = [archive_kind(tmp_path / n) for n in ("broken.zip", "broken.npz", "before_1_6.pth")]
    assert kinds == ["old", None, "old"]


def test_without_a_reader_a_sentence_says_what_to_install(tmp_path, old, installed, capsys):
    with pytest.raises(ArchiveError, match=r"`pip install \./compat/archives`") as caught:
        convert_archive(old, tmp_path / "new")
    assert "`pip install pinn-archives`" in str(caught.value)
    assert cli.run(["convert", str(old), str(tmp_path / "new")]) == 2
    assert "pip install ./compat/archives" in capsys.readouterr().err
    old.write_bytes(old.read_bytes()[:40])
    with pytest.raises(ArchiveError, match="no whole zip file"):
        convert_archive(old, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_first_reader_that_knows_the_file_reads_it(tmp_path, old, installed):
    installed("read_nothing", "read_anything")
    light = io.BytesIO()
    np.savez(light, probeGuess=np.ones((2, 2)))
    (tmp_path / "probe.npz").write_bytes(light.getvalue())
    done = convert_archive(old, tmp_path / "new", probe=tmp_path / "probe.npz", input_gain=2.0)
    assert (done.kind, done.carried) == ("archive of a test", ("all",))
    archive = read_archive(done.path)
    assert archive.manifest["backend"] == "torch" and archive.manifest["versions"]["theirs"] == "1"
    assert "'input_gain': 2.0" in archive.provenance["asked"]
    installed("read_nothing")
    with pytest.raises(ArchiveError, match="no archive that an installed reader knows"):
        convert_archive(old, tmp_path / "new")


@pytest.mark.parametrize("fault", ["raise ImportError('no libfoo')", "1 / 0", "other = 1"])
def test_a_reader_that_cannot_be_loaded_is_named_with_its_package(
    tmp_path, old, monkeypatch, capsys, fault
):
    """A distribution as `pip` leaves it, with a fault in its module."""
    folder = tmp_path / "site"
    (folder / "foreign_reader-1.0.dist-info").mkdir(parents=True)
    (folder / "foreign_reader-1.0.dist-info" / "METADATA").write_text("Name: foreign-reader\n")
    (folder / "foreign_reader-1.0.dist-info" / "entry_points.txt").write_text(
        f"[{module.GROUP}]\ntheirs = broken_reader:read\n"
    )
    (folder / "broken_reader.py").write_text(fault)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "broken_reader", raising=False)
    (entry,) = (one for one in entry_points(group=module.GROUP) if one.name == "theirs")
    monkeypatch.setattr(module, "entry_points", lambda group: [entry])
    assert cli.run(["convert", str(old), str(tmp_path / "new")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "'theirs' (broken_reader:read) of the package foreign-reader cannot be loaded" in said
    assert "install the package foreign-reader again, or remove it" in said
    assert "Traceback" not in said and not (tmp_path / "new").exists()


def test_what_is_read_is_never_overwritten(tmp_path, old, installed):
    installed("read_anything")
    with pytest.raises(OutputError, match="it is, or lies in, what is read"):
        convert_archive(old, old)
