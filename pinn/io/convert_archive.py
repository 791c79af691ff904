"""From an archive of another program to one of ours: `convert_archive`.

What a file is, is told here; what reads it is found by the entry points of `pinn.archive_readers`,
since pickles of other programs are no business of most users. The reader of PtychoPINN's archives
is the distribution `pinn-archives` (`compat/archives`).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from pinn import __version__
from pinn.data.zipped import load_member, read_members
from pinn.errors import ArchiveError, OutputError
from pinn.io.archive import ARCHIVE_NAME, Archive, write_archive

ROLES = ("diffraction_to_obj", "autoencoder")  # the models in one, the first is for inference
MERGES = ("probe", "uniform", "legacy")
GROUP = "pinn.archive_readers"
READERS = "pinn-archives"

_MANIFEST = "manifest.dill"
_TORCH_SUFFIXES = (".ckpt", ".pth", ".pt")
_MOST_NAMES = 10_000
_DAMAGE = (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Foreign:
    """What a reader makes of a file; an entry point is called as `read(source, *, merge, role,
    probe, input_gain)` and returns this, or None for a file that is not of its kind.

    Attributes:
        archive: ours.
        kind: what the file is, for people.
        framework: `tensorflow` or `torch`, which trained it.
        versions: of the libraries that wrote it, as far as they are known.
        carried, lost, notes: sentences: what went over, what did not, what is worth knowing.
    """

    archive: Archive
    kind: str
    framework: str
    versions: Mapping[str, str] = field(default_factory=dict)
    carried: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Converted:
    """What a conversion did.

    Attributes:
        path: the archive written.
        kind, carried, lost, notes: as of `Foreign`.
    """

    path: Path
    kind: str
    carried: tuple[str, ...]
    lost: tuple[str, ...]
    notes: tuple[str, ...]


def archive_kind(path: str | Path) -> Literal["old", "ours"] | None:
    """Whether a path is a model archive: of the reference (`old`), of `ours`, or none.

    Scans may be zip files too (NPZ); what tells is the names of the files inside. A folder is
    never a scan. Damaged files are none here; whoever reads them says what is wrong.
    """
    path = Path(path)
    if path.is_dir():
        names = names_in(path)
    elif not path.is_file():  # missing, or a pipe, which would be waited for
        return None
    elif not starts_as_zip(path):  # torch.save before 1.6, or no zip at all
        return "old" if path.suffix in _TORCH_SUFFIXES else None
    else:
        try:
            with zipfile.ZipFile(path) as source:
                names = source.namelist()
        except _DAMAGE:  # let the reader say so, unless it is a scan by its name
            return None if path.suffix == ".npz" else "old"
    last = {PurePosixPath(name).name for name in names}
    if last & {_MANIFEST, ARCHIVE_NAME, "data.pkl"}:
        if ARCHIVE_NAME in last and path.is_dir() and (path / ARCHIVE_NAME).is_file():
            return archive_kind(path / ARCHIVE_NAME)
        return "old"
    return "ours" if {"manifest.json", "model.weights.h5"} <= set(names) else None


def names_in(folder: Path) -> list[str]:
    """Files down to the third level, which is all that an archive has."""
    names: list[str] = []
    for pattern in ("*", "*/*", "*/*/*"):
        for path in folder.glob(pattern):
            if len(names) > _MOST_NAMES:
                return names
            if path.is_file() and not path.is_symlink():
                names.append(path.relative_to(folder).as_posix())
    return names


def starts_as_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def convert_archive(
    source: str | Path,
    target: str | Path,
    *,
    merge: str = "probe",
    role: str | None = None,
    probe: str | Path | None = None,
    input_gain: float | None = None,
) -> Converted:
    """Read an archive of another program and write one of ours.

    Args:
        source: the archive, a folder that holds it or its content, or a Lightning checkpoint.
        target: a file that ends in `.zip`, or a folder that gets `wts.h5.zip`.
        merge: rule for groups; `legacy` reproduces the reference's, the others are sound.
        role: which of the two models, `diffraction_to_obj` or `autoencoder`; by default the first
            that is there.
        probe: NPZ file with `probeGuess` or `probe` that takes the place of the archive's.
        input_gain: PyTorch only: factor of the network's input, where no option states it.

    Raises:
        ArchiveError: no reader is installed; or no archive of the reference, damaged, malicious,
            or of another network.
        OutputError: the target is the source, or cannot be written.
    """
    source, target = Path(source), Path(target)
    final = target if target.suffix == ".zip" else target / ARCHIVE_NAME
    _keep(source, final)
    if archive_kind(source) == "ours":
        raise ArchiveError(f"{source} is an archive of pinn already; there is nothing to convert")
    if merge not in MERGES:
        raise ArchiveError(f"merge rule {merge!r} is not known; known are {', '.join(MERGES)}")
    given = None if probe is None else _given_probe(Path(probe))
    try:
        for read in readers(source):
            found = read(source, merge=merge, role=role, probe=given, input_gain=input_gain)
            if found is not None:
                break
        else:
            raise ArchiveError(f"{source} is no archive that an installed reader knows")
    except MemoryError:
        raise ArchiveError(
            f"{source} asks for more memory than there is; it is damaged, or too large for this "
            "machine"
        ) from None
    path = write_archive(
        final,
        found.archive,
        backend=found.framework,
        versions={"pinn": __version__, "backend": found.framework, **found.versions},
    )
    return Converted(path, found.kind, found.carried, found.lost, found.notes)


def readers(source: Path) -> list[Callable[..., Foreign | None]]:
    """The readers that are installed.

    Raises:
        ArchiveError: none is, or one cannot be loaded.
    """
    found = [_loaded(entry) for entry in entry_points(group=GROUP)]
    if not found and starts_as_zip(source) and not zipfile.is_zipfile(source):
        raise ArchiveError(f"{source} is no whole zip file; get another copy")
    if not found:
        raise ArchiveError(
            f"{source} is no archive of pinn. What reads PtychoPINN's is the package {READERS}. "
            "From a clone or an unpacked source distribution of pinn-ptycho, install it by "
            f"`pip install ./compat/archives`. Once it is published, `pip install {READERS}` does "
            "the same"
        )
    return found


def _loaded(entry: EntryPoint) -> Callable[..., Foreign | None]:
    try:
        reader: Callable[..., Foreign | None] = entry.load()
    except Exception as error:  # whatever a package of others may raise when it is imported
        owner = "a package" if entry.dist is None else f"the package {entry.dist.name}"
        raise ArchiveError(
            f"the reader of archives {entry.name!r} ({entry.value}) of {owner} cannot be loaded "
            f"({type(error).__name__}: {error}); install {owner} again, or remove it"
        ) from None
    return reader


def _keep(source: Path, final: Path) -> None:
    for read in (source, source / ARCHIVE_NAME):
        try:
            same = os.path.samefile(read, final)
        except OSError:  # one of them does not exist
            same = False
        if same or (source.is_dir() and final.resolve().is_relative_to(source.resolve())):
            raise OutputError(
                f"cannot write {final}: it is, or lies in, what is read; name another output"
            )


def _given_probe(path: Path) -> np.ndarray:
    members = read_members(path)
    for name in ("probeGuess", "probe"):
        if name in members:
            return load_member(path, members[name])
    raise ArchiveError(f"{path} has no array 'probeGuess' or 'probe'")
