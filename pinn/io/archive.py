"""The model archive `wts.h5.zip`: a plain zip of JSON, CSV and HDF5, no pickle, no code.

Members: `manifest.json` (format, version, backend and libraries that wrote it, SHA-256 of every
other member), `config.json`, `model.weights.h5` (one HDF5 dataset per named array),
`statistics.json`, `history.csv`, `provenance.json` and, to resume training,
`optimizer.weights.h5`. Nothing here knows a framework: arrays by name are all a backend needs.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from pinn.errors import ArchiveError, DivergedError
from pinn.io.arrays import check_arrays, read_arrays, write_arrays
from pinn.io.atomic import atomic_path
from pinn.io.owners import own_mark
from pinn.io.text import csv_text, json_text, parse_csv

ARCHIVE_NAME = "wts.h5.zip"
PRETRAINED = "pretrained"
PRETRAINED_PATH = Path(__file__).parents[1] / "networks" / "pretrained" / ARCHIVE_NAME
FORMAT_NAME = "pinn-archive"
FORMAT_VERSION = 1

_MANIFEST, _HISTORY = "manifest.json", "history.csv"
_WEIGHTS, _OPTIMIZER = "model.weights.h5", "optimizer.weights.h5"
_JSON = ("config.json", "statistics.json", "provenance.json")
_REQUIRED = (*_JSON, _HISTORY, _WEIGHTS)
_LIMITS = {_WEIGHTS: 8 << 30, _OPTIMIZER: 24 << 30}  # Adam keeps two numbers per weight
_TEXT_LIMIT = 64 << 20
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, eq=False)
class Archive:
    """What an archive holds.

    Attributes:
        config: resolved configuration, JSON-ready.
        weights: arrays by name; `/` in a name makes HDF5 groups.
        statistics: training-set statistics, JSON-ready.
        history: one dictionary per epoch; a dictionary of columns is turned into rows.
        optimizer: state arrays of the optimiser by name, or None.
        provenance: scans, hashes, seeds, hardware, JSON-ready.
        manifest: filled by `read_archive`, ignored by `write_archive`.
    """

    config: dict[str, Any]
    weights: dict[str, np.ndarray]
    statistics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    optimizer: dict[str, np.ndarray] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.history, Mapping):
            columns = self.history
            rows = [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
            object.__setattr__(self, "history", rows)


def archive_path(path: str | Path) -> Path:
    """The archive's file: `path` itself, or `wts.h5.zip` inside it when it is a folder.

    The name `pretrained`, where there is nothing of that name, is the archive of the package.
    """
    path = Path(path)
    if path == Path(PRETRAINED) and not path.exists():
        path = PRETRAINED_PATH
    return path / ARCHIVE_NAME if path.is_dir() else path


def write_archive(
    path: str | Path, archive: Archive, *, backend: str, versions: Mapping[str, Any]
) -> Path:
    """Write an archive in one step: whole, or not at all.

    The same content gives the same bytes, but for `created` in the manifest. Arrays go to disk
    one by one, so that memory does not grow with their number.

    Args:
        path: the file, or a folder that gets `wts.h5.zip`.
        archive: what to write.
        backend: name of the Keras backend the weights come from.
        versions: versions of the libraries that made them.

    Returns:
        The file written.

    Raises:
        DivergedError: a weight, an optimiser state or a statistic is not finite.
        ArchiveError: something has no place in an archive (a name, a type, a size).
        OutputError: the place cannot be written.
    """
    final = archive_path(path)
    arrays = {_WEIGHTS: archive.weights}
    if archive.optimizer is not None:
        arrays[_OPTIMIZER] = archive.optimizer
    for member, group in arrays.items():
        check_arrays(group, member, _LIMITS[member])
    texts = {_HISTORY: csv_text(archive.history).encode()}
    parts = (archive.config, archive.statistics, archive.provenance)
    for name, part in zip(_JSON, parts, strict=True):
        texts[name] = _json_bytes(name, part)
    prefix = f".{final.stem[:40]}.{own_mark()}-"
    with atomic_path(final) as temporary, ExitStack() as stack:
        members: dict[str, IO[bytes]] = {name: io.BytesIO(text) for name, text in texts.items()}
        for name, group in arrays.items():
            # unnamed where the system can; else under a name that the next run clears away
            file = stack.enter_context(
                tempfile.TemporaryFile(dir=final.parent, prefix=prefix, suffix=".tmp")
            )
            write_arrays(file, group)
            members[name] = file
        manifest = {
            "format": FORMAT_NAME,
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "backend": backend,
            "versions": dict(versions),
            "sha256": {name: _sha256(members[name]) for name in sorted(members)},
        }
        members[_MANIFEST] = io.BytesIO(_json_bytes(_MANIFEST, manifest))
        with zipfile.ZipFile(temporary, "w") as target:
            for name in sorted(members):
                info = zipfile.ZipInfo(name)  # dated 1980: no clock in the bytes
                info.create_system, info.external_attr = 3, 0o644 << 16
                if name not in arrays:  # float weights do not shrink, text does
                    info.compress_type = zipfile.ZIP_DEFLATED
                with target.open(info, "w", force_zip64=name in arrays) as out:
                    shutil.copyfileobj(members[name], out, 1 << 20)
    return final


def read_archive(path: str | Path) -> Archive:
    """Read and check an archive: the file, or a folder that holds `wts.h5.zip`.

    Members it does not know are left alone; nothing is ever unpacked under a name from the file.

    Raises:
        ArchiveError: missing, foreign, one of the reference's, newer, truncated or damaged; the
            message says which.
    """
    file = _existing(path)
    with _open(file) as source:
        members = _members(source, file)
        manifest = _manifest(source, members, file)
        checksums = manifest["sha256"]
        for name in _REQUIRED:
            if name not in members:
                raise ArchiveError(f"archive {file} is incomplete: {name} is missing")
        parts: dict[str, Any] = {}
        for name, info in members.items():
            if name == _MANIFEST:
                continue
            with tempfile.SpooledTemporaryFile(max_size=16 << 20) as copy:
                if _copy(source, info, copy, file) != checksums.get(name):
                    raise ArchiveError(
                        f"archive {file} is damaged: {name} does not have the checksum that the "
                        "manifest states"
                    )
                parts[name] = _parse(name, copy, info.file_size, file)
    return Archive(
        config=parts["config.json"],
        weights=parts[_WEIGHTS],
        statistics=parts["statistics.json"],
        history=parts[_HISTORY],
        optimizer=parts.get(_OPTIMIZER),
        provenance=parts["provenance.json"],
        manifest=manifest,
    )


def archive_digest(path: str | Path) -> str:
    """SHA-256 of the archive's file in hexadecimal, for provenance.

    Raises:
        ArchiveError: there is no such file.
    """
    file = _existing(path)
    try:
        with open(file, "rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveError(f"archive {file} cannot be read: {error.strerror}") from None


# ---------------------------------------------------------------------------------- writing


def _json_bytes(name: str, value: Mapping[str, Any]) -> bytes:
    try:
        return json_text(value, nonfinite="refuse").encode()
    except ValueError as error:
        raise DivergedError(f"{name} cannot be written: {error}, which is not finite") from None
    except TypeError as error:
        raise ArchiveError(f"{name} cannot be written: {error}") from None


def _sha256(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


# ---------------------------------------------------------------------------------- reading


def _existing(path: str | Path) -> Path:
    file = archive_path(path)
    if file.is_file():
        return file
    if file.parent == Path(path):
        raise ArchiveError(f"there is no {ARCHIVE_NAME} in folder {path}; train a model first")
    raise ArchiveError(
        f"there is no archive {file}; name the file, or a folder that holds {ARCHIVE_NAME}"
    )


def _open(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGE as error:
        if isinstance(error, OSError):
            raise ArchiveError(f"archive {file} cannot be read: {error}") from None
    if file.stat().st_size == 0:
        raise ArchiveError(f"archive {file} is empty; its writing was interrupted")
    with open(file, "rb") as source:
        if source.read(4) == b"PK\x03\x04":
            raise ArchiveError(f"archive {file} is truncated: its end is missing or damaged")
    raise ArchiveError(f"{file} is not a zip file, so it is no archive of pinn")


def _members(source: zipfile.ZipFile, file: Path) -> dict[str, zipfile.ZipInfo]:
    names = source.namelist()
    if any(name.rsplit("/", 1)[-1] == "manifest.dill" for name in names):
        raise ArchiveError(
            f"{file} is an archive of the reference PtychoPINN (it holds manifest.dill); convert "
            f"it first with `pinn convert {file} OUT`"
        )
    if _MANIFEST not in names:
        raise ArchiveError(f"{file} is a zip file, but no archive of pinn: it has no {_MANIFEST}")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in source.infolist():
        if info.filename in members:
            raise ArchiveError(f"archive {file} is damaged: {info.filename} is there twice")
        if info.filename in (*_REQUIRED, _OPTIMIZER, _MANIFEST):
            members[info.filename] = info
    return members


def _manifest(
    source: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], file: Path
) -> dict[str, Any]:
    text = io.BytesIO()
    _copy(source, members[_MANIFEST], text, file)
    manifest = _json_object(_MANIFEST, text.getvalue(), file)
    if manifest.get("format") != FORMAT_NAME:
        raise ArchiveError(
            f"{file} is no archive of pinn: its {_MANIFEST} states the format "
            f"{manifest.get('format')!r}"
        )
    version = manifest.get("format_version")
    if type(version) is not int or version < 1 or not isinstance(manifest.get("sha256"), dict):
        raise ArchiveError(f"archive {file} is damaged: {_MANIFEST} lacks a version or checksums")
    if version > FORMAT_VERSION:
        raise ArchiveError(
            f"archive {file} was written by a newer pinn (format {version}; this one reads up to "
            f"{FORMAT_VERSION}); upgrade pinn"
        )
    for name in manifest["sha256"]:
        if name not in members:
            raise ArchiveError(f"archive {file} is incomplete: {name} is missing")
    return manifest


def _copy(source: zipfile.ZipFile, info: zipfile.ZipInfo, out: IO[bytes], file: Path) -> str:
    """Copy a member to `out` and return its SHA-256; the zip's own CRC is checked on the way."""
    limit = _LIMITS.get(info.filename, _TEXT_LIMIT)
    problem = ""
    if info.file_size > limit:  # before a byte of it is unpacked
        problem = f"states a size of {info.file_size} bytes, more than the limit of {limit}"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = f"is compressed by a method ({info.compress_type}) that pinn never uses"
    if problem:
        raise ArchiveError(f"archive {file} is damaged: {info.filename} {problem}")
    digest = hashlib.sha256()
    try:
        with source.open(info) as member:
            while block := member.read(1 << 20):
                digest.update(block)
                out.write(block)
    except _DAMAGE as error:
        what = "fails its CRC check" if "CRC" in str(error) else f"cannot be read ({error})"
        raise ArchiveError(f"archive {file} is damaged: {info.filename} {what}") from None
    out.seek(0)
    return digest.hexdigest()


def _parse(name: str, copy: IO[bytes], size: int, file: Path) -> Any:
    try:
        if name in _LIMITS:
            return read_arrays(copy, size)
        if name == _HISTORY:
            return parse_csv(copy.read().decode())
    except (ValueError, csv.Error) as error:
        raise ArchiveError(f"archive {file} is damaged: {name}: {error}") from None
    return _json_object(name, copy.read(), file)


def _json_object(name: str, text: bytes, file: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"archive {file} is damaged: {name} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ArchiveError(f"archive {file} is damaged: {name} is JSON, but not an object")
    return value
