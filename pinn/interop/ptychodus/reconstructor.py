"""The algorithms: a network that is trained and then infers, one fitted to a single scan, and
refinement of what there is.

All run in a thread of the process of ptychodus, data and model in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ptychodus.api.reconstruct import (
    ReconstructInput,
    Reconstructor,
    ReconstructOutput,
    TrainableReconstructor,
    TrainOutput,
)

import pinn
from pinn.errors import ConfigError
from pinn.interop.ptychodus import exchange
from pinn.interop.ptychodus.settings import PinnSettings
from pinn.interop.stream import Stream
from pinn.io.product import Reconstruction
from pinn.progress import Progress

logger = logging.getLogger("pinn")

_WHOLE = 100  # progress of an inference is told in percent


class PinnReconstructor(TrainableReconstructor):
    """Train on exported scans; then infer with the model in memory.

    Args:
        name: as ptychodus shows it.
        mode: `pinn` or `supervised`.
        settings: read when a run begins.
    """

    def __init__(self, name: str, mode: str, settings: PinnSettings) -> None:
        super().__init__()
        self._name, self._mode, self._settings = name, mode, settings
        self._model: Any = None
        self._goal: int | None = None

    @property
    def name(self) -> str:
        return self._name

    def get_progress_goal(self) -> int:
        """Epochs in training, percent in inference."""
        return self._settings.epochs.get_value() if self._goal is None else self._goal

    # ------------------------------------------------------------------------ model

    @property
    def model(self) -> Any:
        """The trained `pinn.Model` in memory, or None."""
        return self._model

    def is_model_loaded(self) -> bool:
        return self._model is not None

    def get_model_file_filter(self) -> str:
        return "PINN Models (*.zip)"

    def get_model_file_extension(self) -> str:
        return ".zip"

    def load_model_from_file(self, file_path: Path) -> None:
        """Read an archive of `pinn` (the file, or a folder with `wts.h5.zip`)."""
        self._settings.select_backend()
        self._model = pinn.load_model(file_path)

    def save_model(self, file_path: Path) -> None:
        """Write the archive, without the state of the optimiser."""
        if self._model is None:
            raise ConfigError("there is no model to save; train one, or open one from a file")
        self._model.save(file_path, optimizer=False)

    # --------------------------------------------------------------------- training

    def get_training_data_file_filter(self) -> str:
        return "Training Data (*.h5 *.npz)"

    def export_training_data(self, file_path: Path, parameters: ReconstructInput) -> None:
        """Write frames, positions, probe modes, object and bad pixels."""
        exchange.export(file_path, parameters)

    def train(self, input_path: Path, output_path: Path) -> Iterator[TrainOutput]:
        """Train on the scans in a folder; archive, history and pictures go to `output_path`.

        Yields:
            Both losses of all epochs so far, within an epoch as well, so that it can be stopped.
        """
        self._settings.select_backend()
        options = self._settings.training()
        self._goal = int(options["epochs"])
        learned, watched = exchange.training_scans(input_path)
        history: list[dict[str, Any]] = []

        def work(tell: Callable[[TrainOutput], None]) -> Any:
            def progress(report: Progress) -> None:
                note(report, history)
                done = len(history)
                tell(
                    TrainOutput(
                        training_loss=exchange.losses_of(history, "loss"),
                        validation_loss=exchange.losses_of(history, "val_loss"),
                        progress=done,
                    )
                )

            return pinn.train(
                learned,
                mode=self._mode,
                validation_scans=watched,
                output=output_path,
                progress=progress,
                **options,
            )

        stream = Stream(work)
        try:
            yield from stream
        finally:  # also where ptychodus stops it: the model is that of the last epoch
            if stream.result is not None:
                self._model = stream.result
            self._goal = None
            for scan in (*learned, *watched):
                scan.close()  # the next export may go to the same file

    # -------------------------------------------------------------------- inference

    def reconstruct(self, parameters: ReconstructInput) -> Iterator[ReconstructOutput]:
        """Infer with the model in memory.

        Yields:
            The object after each quarter of the frames, at last the whole with its contrast
            calibrated.
        """
        if self._model is None:
            raise ConfigError(
                f"{self._name} of pinn has no model; train one or open one from a file (the "
                "algorithm Fit needs none)"
            )
        model = self._model
        options = self._settings.reconstruction()
        scan = exchange.scan_of(parameters, self._settings.units.get_value())
        self._goal = _WHOLE

        def work(tell: Callable[[Reconstruction], None]) -> None:
            tell(
                pinn.reconstruct(
                    scan, model, watch=tell, progress=lambda _: stream.check(), **options
                )
            )

        stream: Stream[Reconstruction, None] = Stream(work)
        try:
            for result in stream:
                part = int(result.statistics["frames"] * _WHOLE / len(scan))
                yield ReconstructOutput(
                    exchange.product_of(result, parameters, model.history), progress=part
                )
        finally:
            self._goal = None


class PinnFit(Reconstructor):
    """Fit a network to the frames of one scan, as an iterative algorithm would its object."""

    def __init__(self, name: str, settings: PinnSettings) -> None:
        super().__init__()
        self._name, self._settings = name, settings

    @property
    def name(self) -> str:
        return self._name

    def get_progress_goal(self) -> int:
        """Epochs."""
        return self._settings.epochs.get_value()

    def reconstruct(self, parameters: ReconstructInput) -> Iterator[ReconstructOutput]:
        """Train without labels on this scan alone.

        Yields:
            The object and the losses every `PictureEvery` epochs and at the end.
        """
        self._settings.select_backend()
        options = self._settings.training()
        asked = self._settings.reconstruction()
        every = self._settings.picture_every.get_value()
        scan = exchange.scan_of(parameters, self._settings.units.get_value())
        epochs = int(options["epochs"])

        def work(tell: Callable[[ReconstructOutput], None]) -> None:
            def preview(model: Any, **how: Any) -> None:
                result = pinn.reconstruct(
                    scan, model, progress=lambda _: stream.check(), **{**asked, **how}
                )
                product = exchange.product_of(result, parameters, model.history)
                tell(ReconstructOutput(product, progress=len(model.history)))

            def watch(model: Any) -> None:
                if len(model.history) % every == 0 and len(model.history) < epochs:
                    preview(model, calibrate=False)

            def progress(report: Progress) -> None:
                stream.check()
                note(report, [])

            model = pinn.train(scan, watch=watch, progress=progress, **options)
            preview(model)

        stream: Stream[ReconstructOutput, None] = Stream(work)
        yield from stream


class PinnRefine(Reconstructor):
    """Refine object, probe and positions by descent through the forward model.

    Args:
        name: as ptychodus shows it.
        settings: read when a run begins.
        networks: the first of them that has a model makes the start `network`.
    """

    def __init__(
        self, name: str, settings: PinnSettings, networks: Sequence[PinnReconstructor]
    ) -> None:
        super().__init__()
        self._name, self._settings, self._networks = name, settings, networks

    @property
    def name(self) -> str:
        return self._name

    def get_progress_goal(self) -> int:
        """Epochs and iterations of L-BFGS, at most: it ends where the frames say no more."""
        config = self._settings.refinement()
        return config.epochs + config.lbfgs_iterations

    def reconstruct(self, parameters: ReconstructInput) -> Iterator[ReconstructOutput]:
        """Refine from the product's object, from a network's reconstruction or from nothing.

        Yields:
            Object, probe, positions and losses every `PictureEvery` epochs, and the best at last.
        """
        self._settings.select_backend()
        config, start = self._settings.refinement(), self._settings.start()
        every = self._settings.picture_every.get_value()
        model = self._network() if start == "network" else None
        scan = exchange.scan_of(parameters, self._settings.units.get_value())

        def work(tell: Callable[[ReconstructOutput], None]) -> None:
            seen = 0

            def progress(report: Progress) -> None:
                stream.check()
                if report.stage in ("refine", "lbfgs"):  # not of the two halves
                    note(report, [])

            def preview(result: Reconstruction) -> None:
                rows = [
                    {"epoch": row["epoch"], "loss": row["deviance"]}
                    for row in result.statistics["history"]
                ]
                product = exchange.product_of(result, parameters, rows)
                tell(ReconstructOutput(product, progress=rows[-1]["epoch"] if rows else 0))

            def watch(result: Reconstruction) -> None:
                nonlocal seen
                seen += 1
                if seen % every == 0:
                    preview(result)

            begin: Any = exchange.start_of(scan) if start == "object" else model
            result = pinn.refine(scan, begin, config, progress=progress, watch=watch)
            for line in (result.statistics["refinement"]["ended"], result.verdict, *result.notes):
                logger.info(line)
            preview(result)

        stream: Stream[ReconstructOutput, None] = Stream(work)
        yield from stream

    def _network(self) -> Any:
        for network in self._networks:
            if network.is_model_loaded():
                return network.model
        raise ConfigError(
            "there is no network to begin with; train one or open one from a file, as "
            f"{' or '.join(network.name for network in self._networks)}, or set another start"
        )


def note(report: Progress, history: list[dict[str, Any]]) -> None:
    """Log what a report of training says, and add the losses at the end of an epoch."""
    if report.message:
        logger.info(report.message)
    if report.loss is None:
        return
    row = {"epoch": report.epoch, "loss": report.loss}
    text = f"epoch {report.epoch} of {report.epochs}: loss {report.loss:.6g}"
    if report.val_loss is not None:
        row["val_loss"] = report.val_loss
        text += f", validation loss {report.val_loss:.6g}"
    history.append(row)
    logger.info(text)


def algorithms(settings: PinnSettings) -> Sequence[Reconstructor]:
    """All of them, in the order in which ptychodus lists them."""
    networks = [
        PinnReconstructor("PINN", "pinn", settings),
        PinnReconstructor("Supervised", "supervised", settings),
    ]
    return [*networks, PinnFit("Fit", settings), PinnRefine("Refine", settings, networks)]
