"""Where the history of a run goes besides its archive: CSV, TensorBoard, MLflow, or nowhere."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pinn.config import ModelConfig, TrainConfig
from pinn.errors import ConfigError
from pinn.io.atomic import atomic_write_csv

HISTORY = "history.csv"
TENSORBOARD = "tensorboard"

Rows = Sequence[Mapping[str, Any]]


def make_logger(run: TrainConfig, config: ModelConfig, folder: Path | None) -> CsvLogger:
    """The logger that the run asks for, refused now rather than after an epoch.

    Raises:
        ConfigError: its package is missing, or it needs an output folder.
    """
    if run.logger == "tensorboard":
        _need("tensorboardX", "tensorboard")
        if folder is None:
            raise ConfigError("logger tensorboard needs an output folder for its event files")
        return TensorBoardLogger(folder)
    if run.logger == "mlflow":
        _need("mlflow", "mlflow")
        return MlflowLogger(folder, {**config.to_dict(), **run.to_dict()})
    return CsvLogger(folder, keep=run.logger == "csv")


class CsvLogger:
    """`history.csv`, one row per epoch; or, where nothing is to be written, no old one either.

    Args:
        folder: where to; None writes nothing.
        keep: whether there shall be one.
    """

    def __init__(self, folder: Path | None, keep: bool = True) -> None:
        self._folder, self._keep = folder, keep

    def begin(self, history: Rows, provenance: dict[str, Any]) -> None:
        """Before the first step; `history` holds the epochs of a run that is resumed."""
        if history:  # a killed run may not have got to its last row
            self.epoch(history)

    def epoch(self, history: Rows) -> None:
        """After an epoch, and its archive."""
        if self._folder is None or not history:
            return
        if self._keep:
            atomic_write_csv(self._folder / HISTORY, history)
        else:
            (self._folder / HISTORY).unlink(missing_ok=True)

    def end(self, history: Rows, finished: bool) -> None:
        """After the last epoch, or after a stop or an error."""
        if self._keep:
            self.epoch(history)


class TensorBoardLogger(CsvLogger):
    """Event files in `tensorboard/`: every number of the history by epoch.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, keep=False)
        self._writer: Any = None

    def begin(self, history: Rows, provenance: dict[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        # What a killed run wrote beyond its archive is hidden: those epochs come again.
        again = {"purge_step": len(history) + 1} if history else {}
        # Files are named by the second: a run resumed within the same one would overwrite its own.
        suffix = f".{uuid.uuid4().hex[:8]}"
        assert self._folder is not None
        folder = str(self._folder / TENSORBOARD)
        self._writer = SummaryWriter(folder, filename_suffix=suffix, **again)

    def epoch(self, history: Rows) -> None:
        super().epoch(history)
        for name, value in _numbers(history[-1]).items():
            self._writer.add_scalar(name, value, history[-1]["epoch"])
        self._writer.flush()

    def end(self, history: Rows, finished: bool) -> None:
        if self._writer is not None:
            self._writer.close()


class MlflowLogger(CsvLogger):
    """A run in MLflow: options as parameters, the history as metrics, pictures as artifacts.

    The place is MLflow's own choice (MLFLOW_TRACKING_URI), the experiment that of
    MLFLOW_EXPERIMENT_NAME or `pinn`. The run's number stands in the provenance, so that a resumed
    run goes on in the same.

    Args:
        folder: of the run, or None; its name becomes the run's.
        options: parameters.
    """

    def __init__(self, folder: Path | None, options: Mapping[str, Any]) -> None:
        super().__init__(folder, keep=False)
        self._options = options
        self._client: Any = None
        self._id = ""

    def begin(self, history: Rows, provenance: dict[str, Any]) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "pinn")
        try:
            client = MlflowClient()
            run = provenance.get("mlflow_run")
            if run is not None:
                client.update_run(run, status="RUNNING")
                self._id = str(run)
            else:
                named = client.get_experiment_by_name(name)
                experiment = (
                    client.create_experiment(name) if named is None else named.experiment_id
                )
                title = None if self._folder is None else self._folder.name
                self._id = client.create_run(experiment, run_name=title).info.run_id
                for key, value in self._options.items():
                    client.log_param(self._id, key, value)
        except MlflowException as error:
            text = " ".join(str(error).split())
            raise ConfigError(
                f"logger mlflow cannot write where MLFLOW_TRACKING_URI points: {text}"
            ) from None
        self._client = client
        provenance["mlflow_run"] = self._id

    def epoch(self, history: Rows) -> None:
        super().epoch(history)
        row = history[-1]
        for name, value in _numbers(row).items():
            self._client.log_metric(self._id, name, value, step=row["epoch"])

    def end(self, history: Rows, finished: bool) -> None:
        if self._client is None:
            return
        for picture in sorted(self._folder.glob("*.png")) if self._folder else ():
            self._client.log_artifact(self._id, str(picture))
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")


def _need(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"logger {extra} needs the package {package}, which is not installed; run `pip install "
            f'"pinn-ptycho[{extra}]"`, or choose logger csv'
        )


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in row.items()
        if name != "epoch" and isinstance(value, int | float)
    }
