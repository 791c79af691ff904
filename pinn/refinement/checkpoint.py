"""The state of a refinement on disk, written aside and renamed, so that it can go on."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pinn.config.refine import RefineConfig
from pinn.config.successors import translated
from pinn.data.fingerprint import digest
from pinn.data.scan import Scan
from pinn.errors import ArchiveError
from pinn.io.atomic import atomic_path
from pinn.io.hdf5_new import new_hdf5
from pinn.io.old_names import with_new_names
from pinn.io.product import Reconstruction
from pinn.refinement.loop import Schedule
from pinn.refinement.state import State

if TYPE_CHECKING:
    from pinn.refinement.loop import Loop

NAME = "refinement.h5"
# What may differ between the parts of one refinement: how long it goes, and what comes after.
_FREE = ("epochs", "seconds", "patience", "lbfgs_iterations", "smooth_object", "split_half")
_FREE_ONCE = ("tolerance",)  # of earlier versions
# Options of earlier versions that are the schedule now.
_EPOCHS = {
    "probe_epoch": "probe",
    "positions_epoch": "positions",
    "variations_epoch": "opr_weights",
    "factors_epoch": "intensities",
    "background_epoch": "background",
}


@dataclass
class Kept:
    """A refinement to go on with; see `Loop`."""

    state: State
    best: State
    energy: float
    rejected: int
    restored: float
    begun_with: float


class Keeper:
    """Writes and reads the checkpoint of one refinement.

    Args:
        folder: where it lies.
        scan, config, start, schedule: of the refinement; another one is refused.
    """

    def __init__(
        self,
        folder: Path,
        scan: Scan,
        config: RefineConfig,
        start: Reconstruction | None,
        schedule: Schedule,
    ) -> None:
        self.path, self._config = folder / NAME, config
        begun = None if start is None else [start.archive_sha256, *start.object.shape]
        options = {k: v for k, v in config.to_dict().items() if k not in _FREE}
        self._identity = {
            "scan": digest(scan),
            "options": options,
            "start": begun,
            "schedule": schedule.of(config),
        }

    def save(self, loop: Loop) -> None:
        """Write everything that the loop needs to go on."""
        course = {"energy": loop.energy, "rejected": loop.rejected, "restored": loop.restored}
        if math.isfinite(loop.begun_with):
            course["begun_with"] = loop.begun_with
        facts = {**course, **self._identity}
        with atomic_path(self.path) as temporary, new_hdf5(temporary) as h5:
            h5.attrs["format"] = "pinn-refinement"
            h5.attrs["facts"] = json.dumps(facts)
            for name, state in (("state", loop.state), ("best", loop.best)):
                _write(h5.create_group(name), state)

    def load(self, like: State) -> Kept | None:
        """What was saved, or None where nothing was.

        Raises:
            ArchiveError: damaged, or of another scan, start or other options.
        """
        if not self.path.is_file():
            return None
        try:
            with h5py.File(self.path, "r") as h5:
                facts = json.loads(h5.attrs["facts"])
                state, best = _read(h5["state"]), _read(h5["best"])
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            reason = str(error).strip("'\"")
            raise ArchiveError(f"checkpoint {self.path} is damaged: {reason}") from None
        self._same(facts)
        for name, array in like.arrays().items():
            if state.arrays()[name].shape != array.shape:
                raise ArchiveError(
                    f"checkpoint {self.path} has {name} of shape {state.arrays()[name].shape}, "
                    f"but {array.shape} is needed; begin anew, without --resume"
                )
        restored = float(facts.get("restored", 0.0))  # 0.1.0 did not write it
        begun_with = float(facts.get("begun_with", math.inf))
        numbers = float(facts["energy"]), int(facts["rejected"]), restored, begun_with
        return Kept(state, best, *numbers)

    def _same(self, facts: dict[str, Any]) -> None:
        own = json.loads(json.dumps(self._identity))
        for name, words in (("scan", "of another scan"), ("start", "from another start")):
            if facts.get(name) != own[name]:
                raise ArchiveError(
                    f"checkpoint {self.path} is {words}; begin anew, without --resume"
                )
        stored = {k: v for k, v in facts.get("options", {}).items() if k not in _FREE_ONCE}
        epochs = {now: stored.pop(name) for name, now in _EPOCHS.items() if name in stored}
        known, lost = translated("RefineConfig", stored)
        if lost:
            raise ArchiveError(
                f"checkpoint {self.path} was made with what is gone: {'; '.join(lost)}; finish it "
                "with the version that began it, or begin anew, without --resume"
            )
        other = [name for name, value in own["options"].items() if known.get(name) != value]
        begun = facts.get("schedule", Schedule(**epochs).of(self._config))
        if begun != own["schedule"]:
            other.append("schedule")
        if other:
            raise ArchiveError(
                f"checkpoint {self.path} was made with other options ({', '.join(other)}); "
                "give the same, or begin anew, without --resume"
            )


def _write(group: h5py.Group, state: State) -> None:
    for name, array in state.arrays().items():
        group[name] = array
    facts = {"epoch": state.epoch, "length": state.length, "history": state.history}
    group.attrs["facts"] = json.dumps(facts)


def _read(group: h5py.Group) -> State:
    facts = json.loads(group.attrs["facts"])
    arrays = {name: np.asarray(dataset[()]) for name, dataset in group.items()}
    return State(**with_new_names(arrays | facts))
