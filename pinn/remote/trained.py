"""What training in a worker process returns: the archive, and what it says without a backend."""

from __future__ import annotations

import os
import shutil
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pinn
from pinn.config import ModelConfig
from pinn.data.scan import Scan
from pinn.io.archive import archive_digest, archive_path, read_archive
from pinn.io.atomic import atomic_path

if TYPE_CHECKING:
    from pinn.io.product import Reconstruction
    from pinn.networks.trained import Model


class Trained:
    """A model that a worker process has trained, as its archive.

    It is a path (`os.PathLike`) for everything that takes an archive: `pinn.load_model(trained)`.

    Args:
        path: of the archive.
        backend, device: where it was trained.
        temporary: a folder that goes with this object.

    Attributes:
        path: of the archive. Where no `output` was given it is a temporary one, which goes with
            this object or at the end of the program; `save` keeps it.
        backend: that trained it.
        device: that trained it, in words.
        config: the `ModelConfig`.
        history: one dictionary per epoch.
        statistics: of the training, as `pinn.Model.statistics`.
        provenance: scans with their digests, seeds, training options, hardware.
        archive_sha256: checksum of the archive.

    Raises:
        ArchiveError: it cannot be read.
    """

    def __init__(
        self, path: str | Path, backend: str, device: str = "", temporary: Path | None = None
    ) -> None:
        self.path, self.backend, self.device = archive_path(path), backend, device
        archive = read_archive(self.path)
        self.config = ModelConfig.from_stored(archive.config["model"])
        self.history = list(archive.history)
        self.statistics = archive.statistics
        self.provenance = archive.provenance
        self.archive_sha256 = archive_digest(self.path)
        if temporary is not None:
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __repr__(self) -> str:
        return f"Trained({str(self.path)!r}, {len(self.history)} epochs on {self.backend})"

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights by name."""
        return read_archive(self.path).weights

    def load(self) -> Model:
        """The model in this process, on the backend that is loaded here."""
        return pinn.load_model(self.path)

    def save(self, path: str | Path) -> Path:
        """Copy the archive; a folder gets `wts.h5.zip`. Returns the file's path.

        Raises:
            OutputError: the place cannot be written.
        """
        final = archive_path(path)
        with atomic_path(final) as temporary:
            shutil.copyfile(self.path, temporary)
        return final

    def reconstruct(self, scan: Scan, **options: Any) -> Reconstruction:
        """Reconstruct a scan on the backend that trained; see `pinn.remote.reconstruct`."""
        return pinn.remote.reconstruct(scan, self, **{"backend": self.backend, **options})
