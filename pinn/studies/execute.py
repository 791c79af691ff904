"""One run: train, reconstruct each test scan, compare with the truth; every step recorded.

An interrupted training goes on from its archive; a finished one is not repeated while its archive
is there, which is kept without the state of the optimiser, so that a test added later costs only
itself. Each record appears whole, when its step is done, and what is finished stays until its
successor is.
"""

from __future__ import annotations

import secrets
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pinn
from pinn.backend.machine import hardware, peak_memory_mb, versions
from pinn.config import ReconstructConfig, ScanConfig, TrainConfig
from pinn.errors import ArchiveError, OutOfMemoryError, OutputError, PinnError
from pinn.io.archive import read_archive, write_archive
from pinn.io.atomic import atomic_write_json, atomic_write_text
from pinn.io.load import load
from pinn.plots.comparison import write_comparison
from pinn.progress import Progress, StopRequested
from pinn.quality.evaluate import evaluate
from pinn.studies.records import (
    ARCHIVE,
    BROKEN,
    DONE,
    ERROR,
    FAILED,
    SPENT,
    TRAINING,
    claimed,
    read_json,
    record_failure,
    test_path,
)
from pinn.studies.runs import same_options

Report = Callable[[Progress], None]


def execute(
    folder: Path,
    spec: Mapping[str, Any],
    progress: Report | None = None,
    *,
    keep: bool = False,
    pictures: bool = True,
) -> bool:
    """Compute what is missing of a run. What goes wrong is recorded, not raised.

    Args:
        folder: of the run.
        spec: `Run.spec`.
        progress: as of `pinn.train`.
        keep: leave the archive whole, and the reconstructions in the folder.
        pictures: draw every comparison.

    Returns:
        False if another process is at it, and nothing was done.

    Raises:
        StopRequested: by `progress`; the training is saved.
        OutputError: the folder cannot be written.
    """
    with claimed(folder) as free:
        if free:
            _compute(folder, spec, _Watch(folder, spec["resolved"], progress), keep, pictures)
    return free


def _compute(
    folder: Path, spec: Mapping[str, Any], watch: _Watch, keep: bool, pictures: bool
) -> None:
    trained = _attempt(folder, partial(_trained, folder, spec, watch))
    if "error" in trained:
        record_failure(folder, spec, trained["status"], trained["error"])
        return
    model, stamp = trained["model"], trained["stamp"]
    for id, test in spec["tests"].items():
        path = test_path(folder, id)
        known = read_json(path) or {}
        if (
            known.get("status") != DONE
            or known.get("trained") != stamp
            or not same_options(known.get("resolved"), test["resolved"])
        ):
            record = _attempt(folder, partial(_tested, path, test, model, watch, keep, pictures))
            about = {"test": test["name"], "resolved": test["resolved"], "trained": stamp}
            atomic_write_json(path, {**record, **about})
    if not keep:
        _without_optimiser(folder / ARCHIVE)


def _attempt(folder: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work returns, or `status` and `error`: one cell must not end the study.

    A refusal is final; anything else may be the machine's.
    """
    try:
        return work()
    except (StopRequested, OutputError):
        raise
    except Exception as error:
        atomic_write_text(folder / ERROR, traceback.format_exc())
        if isinstance(error, OutOfMemoryError):  # others may have had it
            return {"status": BROKEN, "error": str(error)}
        if isinstance(error, PinnError):
            return {"status": FAILED, "error": str(error)}
        text = " ".join(str(error).split())[:400] or "no message"
        sentence = f"failed unexpectedly: {type(error).__name__}: {text}"
        return {"status": BROKEN, "error": sentence}


def _trained(folder: Path, spec: Mapping[str, Any], watch: _Watch) -> dict[str, Any]:
    """The trained `model`, from the archive or by training, and the `stamp` of its record."""
    run, before = folder / "run", folder / "run.before"
    record = read_json(folder / TRAINING) or {}
    usable = same_options(record.get("resolved"), spec["resolved"])
    finished = usable and record.get("status") == DONE
    if record.get("status") == FAILED:  # a dead end that going on would only reach again
        shutil.rmtree(run, ignore_errors=True)
    elif not watch.same_run and not finished and run.exists():  # trained with other defaults
        shutil.rmtree(before, ignore_errors=True)
        run.rename(before)
    start = _from_archive(run)
    if start is not None and finished:
        return {"model": start, "stamp": record.get("stamp")}
    options = spec["options"]
    scans = [load(path, ScanConfig(**options["scan"])) for path in spec["scans"]]
    epochs = TrainConfig(**options["train"]).epochs
    if start is not None and (len(start.history) >= epochs or start.optimizer_arrays is None):
        model = start  # killed between the last epoch and the record of it, or that was lost
    else:
        watch.begin(resumed=start is not None)
        model = pinn.train(
            scans,
            output=run,
            resume=start is not None,
            progress=watch,
            **options["model"],
            **options["train"],
        )
        watch.end()
    last, stamp = model.history[-1], secrets.token_hex(8)
    atomic_write_json(
        folder / TRAINING,
        {
            "status": DONE,
            "stamp": stamp,  # tests name it: those of an earlier training are done again
            "values": {
                "train_cpu_s": watch.spent,
                "peak_memory_mb": peak_memory_mb(),
                "parameters": int(model.network.network.count_params()),
                "epochs_trained": len(model.history),
                "final_loss": last["loss"],
                "final_val_loss": last.get("val_loss"),
            },
            "resumed": start is not None,
            "groups": model.provenance.get("groups"),
            "notes": [note for scan in scans for note in scan.notes],
            "versions": versions(),
            "hardware": hardware(),
            "resolved": spec["resolved"],
        },
    )
    shutil.rmtree(before, ignore_errors=True)
    return {"model": model, "stamp": stamp}


def _without_optimiser(path: Path) -> None:
    """Take the optimiser's state, two thirds of it, out of an archive."""
    try:
        archive = read_archive(path)
    except ArchiveError:  # damaged since; who needs it next trains anew
        return
    if archive.optimizer is not None:
        known = archive.manifest
        slim = replace(archive, optimizer=None)
        write_archive(path, slim, backend=known["backend"], versions=known["versions"])


def _from_archive(run: Path) -> Any:
    """The model as far as it was trained, or None: there is none, or a damaged one."""
    if not (run.parent / ARCHIVE).exists():
        return None
    try:
        model = pinn.load_model(run)
    except ArchiveError:
        shutil.rmtree(run)
        return None
    return model if model.history else None


def _tested(
    path: Path, test: Mapping[str, Any], model: Any, watch: _Watch, keep: bool, pictures: bool
) -> dict[str, Any]:
    """The record of a test; pictures and reconstruction lie beside it."""
    scan = load(test["path"], ScanConfig(**test["scan"]))
    clock = time.process_time()
    recon = pinn.reconstruct(scan, model, ReconstructConfig(**test["reconstruct"]), progress=watch)
    spent = time.process_time() - clock
    watch.stop_if_asked()
    if keep:
        recon.save(path.with_suffix(".h5"))
    found = evaluate(recon, scan.truth, truth_origin_px=scan.truth_origin_px, **test["evaluate"])
    if pictures:
        write_comparison(path.with_suffix(".png"), found)
    return {
        "status": DONE,
        "metrics": found.metrics,
        "values": {"reconstruct_cpu_s": spent, "peak_memory_mb": peak_memory_mb()},
        "evaluation": found.to_dict(curve=False),
        "contrast": recon.statistics.get("contrast"),
        "frames": len(scan),
        "notes": list(recon.notes),
    }


class _Watch:
    """Passes progress on, adds up processor time over interruptions, and remembers a stop."""

    def __init__(self, folder: Path, resolved: Any, report: Report | None) -> None:
        self._path, self._resolved, self._report = folder / SPENT, resolved, report
        self._stopped = False
        found = read_json(self._path) or {}
        self.same_run = same_options(found.get("resolved"), resolved)
        self.spent = float(found.get("train_cpu_s") or 0.0) if self.same_run else 0.0
        self._since: float | None = None

    def begin(self, resumed: bool) -> None:
        if not resumed:
            self.spent = 0.0
        self._since = time.process_time()
        self._lap()

    def end(self) -> None:
        self._lap()
        self._since = None
        self.stop_if_asked()

    def stop_if_asked(self) -> None:
        if self._stopped:
            raise StopRequested

    def __call__(self, progress: Progress) -> None:
        if progress.loss is not None and self._since is not None:
            self._lap()
        if self._report is None:
            return
        try:
            self._report(progress)
        except StopRequested:
            self._stopped = True
            raise

    def _lap(self) -> None:
        now = time.process_time()
        self.spent += now - (self._since or now)
        self._since = now
        atomic_write_json(self._path, {"train_cpu_s": self.spent, "resolved": self._resolved})
