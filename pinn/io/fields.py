"""Probe, truth and label patches on the grid of the prepared frames.

What a step does to the frames has its counterpart in real space: a cropped detector makes object
pixels larger, added-up pixels make the field of view smaller (see `pinn.data.resample`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinn.data import resample
from pinn.data.frames import DerivedFrames, FrameSource
from pinn.data.prepare import as_source
from pinn.errors import ScanError
from pinn.io.extras import read_probe
from pinn.io.stages import FrameStages

MOST_LOST = 0.1  # of the probe's energy, by cutting its field of view
_TOLD = 1e-3


def prepared_probe(stages: FrameStages) -> np.ndarray | None:
    """The file's probe or the option's, brought to the prepared frames.

    A probe of the size of the stored frames is taken through all steps, one of the size of the
    cropped frames through binning, one of the final size is taken as it is; others are left to be
    refused by `Scan`.

    Returns:
        complex `(..., N, N)`, or None.

    Raises:
        ScanError: a probe file that cannot be read, or binning cuts too much of the probe.
    """
    config, probe = stages.config, stages.found.probe
    if config.probe is not None:
        probe = read_probe(config.probe)
        stages.notes.append(f"probe from {config.probe}")
    if probe is None or probe.ndim < 2 or probe.dtype.kind not in "iufc":
        return probe
    if probe.shape[2:] == (1,):
        probe = probe[..., 0]
    side, final, b = stages.side, stages.final, config.bin_frames
    size = tuple(probe.shape[-2:])
    before = resample.energy(probe)
    if size == stages.image and size != (side, side):
        probe = resample.crop_far_field(probe, side)
        _tell(stages, "cropping the frames leaves out", before, resample.energy(probe))
    if tuple(probe.shape[-2:]) == (side, side) and b > 1:
        before = resample.energy(probe)
        probe = resample.cut_probe(probe, b)
        lost = _tell(stages, "adding up pixels cuts off", before, resample.energy(probe))
        if lost > MOST_LOST:
            raise ScanError(
                f"adding up {b} x {b} pixels leaves {final} x {final} px for the probe of "
                f"{stages.path} and cuts off {lost:.0%} of its energy (at most {MOST_LOST:.0%} is "
                "let pass); lower --bin-frames"
            )
    elif size == (final, final) and (b > 1 or side != stages.image[0]):
        stages.notes.append(f"the probe has {final} x {final} px already and is taken as it is")
    return probe


def _tell(stages: FrameStages, what: str, before: float, after: float) -> float:
    """The share of the probe's energy that is lost."""
    lost = 1.0 - after / before if before > 0 else 0.0
    if lost > _TOLD:
        stages.notes.append(f"{what} {lost:.2%} of the probe's energy")
    return lost


def prepared_truth(stages: FrameStages, turned: bool) -> dict[str, Any]:
    """The truth on the grid of the positions, or none where it has no place there.

    Args:
        turned: the positions have other axes than in the file.

    Returns:
        `truth` and `truth_origin_px`, arguments of `Scan`.
    """
    found, scale = stages.found, stages.scale
    truth, origin = found.truth, found.truth_origin_px
    if truth is None:
        return {}
    if turned:
        stages.notes.append("the truth was left out: the positions were turned against it")
        return {}
    if scale != (1.0, 1.0) and np.ndim(truth) == 2 and np.isfinite(truth).all():
        truth, origin = resample.resample_truth(truth, origin, scale)
        stages.notes.append(
            f"the truth was resampled to {truth.shape[0]} x {truth.shape[1]} object pixels"
        )
    return {"truth": truth, "truth_origin_px": origin}


def prepared_labels(stages: FrameStages, turned: bool) -> FrameSource | None:
    """Label patches of the prepared frames, all of the file's; or None where they have no form.

    Args:
        turned: the positions have other axes than in the file.
    """
    labels = stages.found.label_patches
    if labels is None:
        return None
    source = as_source(labels)
    shape = tuple(source.shape)
    if shape != (stages.M, *stages.image) or source.dtype.kind not in "fc":
        stages.notes.append(
            f"label patches {shape} of {source.dtype} do not match the frames: left out"
        )
        return None
    if stages.scale != (1.0, 1.0) or stages.config.flip_frames != "none":
        stages.notes.append(
            "the label patches were left out: the frames were cropped or flipped, they were not"
        )
        return None
    if turned:
        stages.notes.append(
            "the label patches were left out: the positions were turned against them"
        )
        return None
    if stages.config.bin_frames == 1:
        return source
    side = stages.final

    def cut(patches: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return resample.centred_window(patches, side)

    return DerivedFrames(source, cut, image=(side, side))
