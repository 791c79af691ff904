"""Archives: saving the last model, loading one in any of the layouts that are about."""

from __future__ import annotations

import logging
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pinn
from pinn import backend
from pinn.errors import ArchiveError, ConfigError
from pinn.io.legacy import to_legacy
from pinn.io.legacy.table import KEY_MAPPINGS, MODEL
from ptycho._choose import backend_of
from ptycho._dictionary import LEGACY, update_legacy_dict
from ptycho._network import DiffractionToObject

if TYPE_CHECKING:
    from pinn.networks.trained import Model

ARCHIVE = "wts.h5.zip"
MODEL_NAMES = ("autoencoder", "diffraction_to_obj")
_LARGEST = 8 << 30  # bytes of an archive
_log = logging.getLogger("ptycho")


class MissingArchive(ArchiveError, FileNotFoundError):
    """There is no archive where one was looked for."""


@dataclass
class _Last:
    """What this process did last; the one piece of state beside the legacy dictionary.

    Attributes:
        model: trained or loaded.
        saved: the file that `save` wrote.
    """

    model: DiffractionToObject | None = None
    saved: Path | None = field(default=None)


_last = _Last()


def remember(model: Model, backend: str | None = None) -> DiffractionToObject:
    """Make a model the one that `save` saves; its results go into the legacy dictionary."""
    scale = 1.0 / model.exposure_factor
    instance = DiffractionToObject(model, scale, backend)
    _last.model = instance
    LEGACY.cfg["intensity_scale"] = scale
    LEGACY.cfg["probe"] = model.probe()[0]
    return instance


def _write_network(model: Model) -> None:
    """The network of an archive into the legacy dictionary, as loading it does."""
    told, _ = to_legacy(model.config)
    for name, row in MODEL.items():
        value = told.get(name, row.default)
        if value is not None:
            LEGACY.cfg[KEY_MAPPINGS.get(name, name)] = value


def last() -> DiffractionToObject:
    """The model that was trained or loaded last.

    Raises:
        ConfigError: none was.
    """
    if _last.model is None:
        raise ConfigError("no model was trained or loaded in this process; do that first")
    return _last.model


def save(out_prefix: str | Path) -> None:
    """Save the model that was trained or loaded last.

    Args:
        out_prefix: a folder, which gets `wts.h5.zip`; or, with the ending `.zip` or where there is
            a file, exactly that file.

    Raises:
        ConfigError: there is no model.
        OutputError: the place cannot be written.
    """
    path = Path(out_prefix)
    file = path if path.is_file() or (path.suffix == ".zip" and not path.is_dir()) else None
    _last.saved = last().model.save(path / ARCHIVE if file is None else file)
    _log.info("wrote %s", _last.saved)


class ModelManager:
    """The original's class of functions around archives."""

    @staticmethod
    def load_multiple_models(
        base_path: str | Path, model_names: Sequence[str] | None = None
    ) -> dict[str, DiffractionToObject]:
        """The models of an archive, of which ours hold one.

        Args:
            base_path: the archive, with or without its `.zip`.
            model_names: of `autoencoder` and `diffraction_to_obj`; default both.

        Raises:
            ArchiveError: another name, or no archive (then a FileNotFoundError as well).
        """
        unknown = [name for name in model_names or () if name not in MODEL_NAMES]
        if unknown:
            raise ArchiveError(f"model {unknown[0]!r} is not known; {', '.join(MODEL_NAMES)} are")
        path = Path(base_path)
        found = next((p for p in (Path(f"{path}.zip"), path) if p.exists()), path)
        model, _ = load_inference_bundle(found)
        return dict.fromkeys(model_names or MODEL_NAMES, model)

    @staticmethod
    def save_multiple_models(models: Any, base_path: str | Path, *_: Any, **__: Any) -> None:
        """Save the last model under `base_path` with `.zip` added."""
        save(f"{base_path}.zip")


def load_inference_bundle(
    bundle_dir: str | Path, model_name: str = "diffraction_to_obj"
) -> tuple[DiffractionToObject, dict[str, Any]]:
    """A model from its archive, ours or the original's.

    Args:
        bundle_dir: a folder with `wts.h5.zip` or with an archive's content, an archive, or a zip
            file that holds one.
        model_name: any of the original's two names.

    Returns:
        The model, and a copy of the legacy dictionary, into which its network and
        `intensity_scale` were written.

    Raises:
        ArchiveError: missing (then a FileNotFoundError as well), damaged, malicious or foreign.
    """
    if model_name not in MODEL_NAMES:
        raise ArchiveError(f"model {model_name!r} is not known; {', '.join(MODEL_NAMES)} are")
    path = _found(Path(bundle_dir))
    backend.select()
    from pinn.io.convert_archive import archive_kind, convert_archive

    with _unwrapped(path) as (archive, folder):
        try:
            if archive_kind(archive) == "old":
                done = convert_archive(archive, folder / "converted")
                _log.info("%s is an archive of the original: read as %s", path, done.kind)
                for text in (*done.lost, *done.notes):
                    _log.info("%s", text)
                archive = done.path
            elif archive.is_dir():
                archive = _packed(archive, folder / "packed.zip")
            model = pinn.load_model(archive)
        except ArchiveError as error:  # of a copy that nobody knows the name of
            raise ArchiveError(str(error).replace(str(archive), str(path))) from None
    _log.info("loaded %s: network %s, N %s", path, model.config.architecture, model.config.N)
    _write_network(model)
    return remember(model), dict(LEGACY.cfg)


def load_inference_bundle_with_backend(
    bundle_dir: str | Path, config: Any, model_name: str = "diffraction_to_obj"
) -> tuple[DiffractionToObject, dict[str, Any]]:
    """The same, to run on `config.backend`: in this process if it can, else in a worker.

    Raises:
        BackendError: a backend that is unknown or not installed.
    """
    chosen, worker = backend_of(config.backend)
    update_legacy_dict(LEGACY.cfg, config)
    model, _ = load_inference_bundle(bundle_dir, model_name)
    if worker:
        model.backend = chosen
    return model, dict(LEGACY.cfg)


def _found(path: Path) -> Path:
    """The archive of a folder or file; of the folder above one that was just saved to, that."""
    if path.is_dir():
        if (path / ARCHIVE).is_file() or _is_content(path):
            return path
        saved = _last.saved
        if saved is not None and saved.is_file() and path.resolve() in saved.resolve().parents:
            _log.info("%s has no %s: what was saved last, %s, is taken", path, ARCHIVE, saved)
            return saved
        raise MissingArchive(
            f"there is no {ARCHIVE} in folder {path}; name the folder a model was saved to"
        )
    if not path.exists():
        raise MissingArchive(
            f"there is no archive {path}; name the file, or a folder that holds {ARCHIVE}"
        )
    return path


def _is_content(folder: Path) -> bool:
    """Whether it is an archive, ours or the original's, that somebody unpacked."""
    return any((folder / name).is_file() for name in ("manifest.json", "manifest.dill"))


@contextmanager
def _unwrapped(path: Path) -> Iterator[tuple[Path, Path]]:
    """The archive itself, and a folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="ptycho-") as place:
        folder = Path(place)
        if path.is_dir() and (path / ARCHIVE).is_file():
            path = path / ARCHIVE
        if path.is_file() and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as outer:
                names = [n for n in outer.namelist() if PurePosixPath(n).name == ARCHIVE]
                if names:
                    path = _unpacked(outer, names[0], path, folder / ARCHIVE)
        yield path, folder


def _unpacked(outer: zipfile.ZipFile, name: str, path: Path, target: Path) -> Path:
    """The archive in a zip.

    Raises:
        ArchiveError: it is damaged, or would grow beyond what such a zip can hold.
    """
    info, most = outer.getinfo(name), max(4 * path.stat().st_size, 256 << 20)
    if info.file_size > min(most, _LARGEST):
        raise ArchiveError(f"{path} unpacks to more than {most >> 20} MB; get another copy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"{path} is compressed by a method that no archive uses")
    try:
        with outer.open(info) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    except (EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{path} is damaged: {name} cannot be read ({error})") from None
    return target


def _packed(content: Path, target: Path) -> Path:
    """An archive of ours that somebody unpacked, packed again."""
    with zipfile.ZipFile(target, "w") as packed:
        for member in sorted(content.iterdir()):
            if member.is_file():
                packed.write(member, member.name)
    return target
