"""A trained model and its archive: weights as named arrays, configuration, statistics, history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pinn import backend
from pinn.config import ModelConfig, ReconstructConfig
from pinn.data.fingerprint import same
from pinn.data.probe_modes import orthogonal_modes
from pinn.data.statistics import TrainingStatistics
from pinn.errors import ArchiveError, ConfigError, PinnError
from pinn.io.archive import Archive, archive_digest, archive_path, read_archive, write_archive
from pinn.networks.model import PtychoModel
from pinn.networks.predictor import Predictor, Stage, compile_predictor, compile_stage

_MOVED = {"loss": "poisson"}  # once of the model, now of the training run; what it usually was


class Model:
    """A trained network with its options, statistics, history and provenance.

    Attributes:
        config: the `ModelConfig`.
        network: the `PtychoModel`, a `keras.Model`.
        statistics: training statistics (`pinn.data.statistics`) as a dictionary.
        history: one dictionary per epoch.
        provenance: scans with their hashes, seeds, training options, hardware.
        optimizer_arrays: state of the optimiser by name, or None.
        archive_sha256: checksum of the archive the model was read from or saved to.
    """

    def __init__(
        self,
        config: ModelConfig,
        network: PtychoModel,
        statistics: dict[str, Any],
        history: list[dict[str, Any]] | None = None,
        provenance: dict[str, Any] | None = None,
        optimizer_arrays: dict[str, np.ndarray] | None = None,
        archive_sha256: str | None = None,
    ) -> None:
        self.config, self.network, self.statistics = config, network, statistics
        self.history = [] if history is None else history
        self.provenance = provenance or {}
        self.optimizer_arrays = optimizer_arrays
        self.archive_sha256 = archive_sha256
        self._predictor: tuple[tuple[Any, ...], Predictor] | None = None
        self._stage: Stage | None = None

    def predictor(
        self, probe: np.ndarray, config: ReconstructConfig, contrast: np.ndarray | None = None
    ) -> Predictor:
        """The compiled predictor (see `compile_predictor`); the last one is kept, for compilation
        takes longer than a few hundred frames."""
        known = None if contrast is None else contrast.tobytes()
        key = probe.shape, probe.tobytes(), known, config.weighting, config.crop
        if self._predictor is None or self._predictor[0] != key:
            self._predictor = key, compile_predictor(self.network, probe, config, contrast)
        return self._predictor[1]

    def stage(self) -> Stage:
        """A stage of an unrolled network, compiled once (see `compile_stage`)."""
        if self._stage is None:
            self._stage = compile_stage(self.network)
        return self._stage

    def of_size(self, N: int) -> Model:
        """The same unrolled network for frames of another size; it keeps no probe of its training.

        Args:
            N: side of the frames.
        """
        if N == self.config.N:
            return self
        config = self.config.replace(N=N, probe_modes=1, positions_trainable=False)
        network = PtychoModel(config, N)
        network.network.set_weights(self.network.network.get_weights())
        provenance = {**self.provenance, "scans": [], "validation_scans": []}
        return Model(
            config, network, self.statistics, self.history, provenance, None, self.archive_sha256
        )

    @property
    def exposure_factor(self) -> float:
        """Exposure factor of the training scans (their amplitude to mean energy (N/2)^2)."""
        return float(self.statistics["exposure_factor"])

    def scan_number(self, digest: str) -> int | None:
        """Which training scan has this digest (`pinn.data.fingerprint`), or None."""
        for number, scan in enumerate(self.provenance.get("scans", [])):
            if same(scan.get("digest"), digest):
                return number
        return None

    def probe_counts(self, scan: int = 0) -> np.ndarray:
        """Probe of a training scan in square root of counts, the learned scale included."""
        from keras import ops

        log_scale = float(ops.convert_to_numpy(self.network.scale())[scan])
        return (self.probe(scan) * np.exp(log_scale / 2)).astype(np.complex64)

    def probe(self, scan: int = 0) -> np.ndarray:
        """Probe of a training scan in the gauge, `(P, N, N)` complex64, after support etc.

        Its modes are orthogonal, the strongest first; the weights in the archive need not be.
        """
        from keras import ops

        re, im = (ops.convert_to_numpy(part)[scan] for part in self.network.probe())
        return orthogonal_modes(re + 1j * im).astype(np.complex64)

    def contrast(self, scan: int = 0) -> np.ndarray | None:
        """Factors `(2,)` of the deviations of a training scan's object, if the model has some."""
        from keras import ops

        if self.network.contrast is None:
            return None
        return np.array(ops.convert_to_numpy(self.network.contrast)[scan])

    def displacements(self, scan: int = 0) -> np.ndarray | None:
        """What training added to the positions of a training scan, `(M, 2)` [y, x] in pixels.

        Of mean zero, see `pinn.layers.positions`; None where positions were not learned.
        """
        from keras import ops

        if self.network.positions is None:
            return None
        return np.asarray(ops.convert_to_numpy(self.network.positions.of_scan(scan)), np.float64)

    def save(self, path: str | Path, optimizer: bool = True) -> Path:
        """Write the archive; a folder gets `wts.h5.zip`. Returns the file's path.

        Args:
            optimizer: include the optimiser's state, so that training can be resumed.

        Raises:
            DivergedError: a weight is not finite.
            OutputError: the place cannot be written.
        """
        path = archive_path(Path(path))
        archive = Archive(
            config={"model": self.config.to_dict(), "train": self.provenance.get("train", {})},
            weights=self.network.named_arrays(),
            statistics=self.statistics,
            history=self.history,
            optimizer=self.optimizer_arrays if optimizer else None,
            provenance=self.provenance,
        )
        versions = backend.versions()
        write_archive(path, archive, backend=versions["backend"], versions=versions)
        self.archive_sha256 = archive_digest(path)
        return path


def load_model(path: str | Path, canvas: int | None = None) -> Model:
    """Read a trained model from an archive (the file, or a folder that holds `wts.h5.zip`).

    Args:
        canvas: side of the group canvas for further training; not needed for inference.

    Raises:
        ArchiveError: missing, damaged, foreign, too new, or its parts contradict each other.
    """
    path = Path(path)
    archive = read_archive(path)
    try:
        stored = {k: v for k, v in archive.config["model"].items() if k not in _MOVED}
        config = ModelConfig.from_stored(stored)
        scans = archive.weights["log_scale"].shape[0]
        contrast = "contrast" in archive.weights
        frames = _frames(archive.weights, scans) if config.positions_trainable else None
        network = PtychoModel(config, canvas or config.N, scans, contrast=contrast, frames=frames)
        options = dict(archive.provenance.get("train") or archive.config.get("train", {}))
        for name, usual in _MOVED.items():
            value = archive.config["model"].get(name, usual)
            if value != usual and name not in options:
                archive.provenance["train"] = {**options, name: value}
        network.load_arrays(archive.weights)
        TrainingStatistics.from_dict(archive.statistics)
    except ConfigError as error:
        raise ArchiveError(
            f"archive {path} cannot be built: {error} (a network of your own must be registered "
            "before it is loaded; a newer version of pinn may have options this one lacks)"
        ) from None
    except (KeyError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, PinnError) or backend.out_of_memory(error):
            raise
        raise ArchiveError(f"archive {path} contradicts itself: {error}") from None
    return Model(
        config,
        network,
        archive.statistics,
        list(archive.history),
        archive.provenance,
        archive.optimizer,
        archive_digest(path),
    )


def _frames(weights: dict[str, np.ndarray], scans: int) -> list[int] | None:
    """Number of frames of every scan whose positions were learned; None: of no scan."""
    names = [f"positions/{number:04d}" for number in range(scans)]
    return [len(weights[name]) for name in names] if names[0] in weights else None
