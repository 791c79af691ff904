"""Pictures that a run leaves in its folder: losses, samples of patches, a stitched preview."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from keras import ops

from pinn.data.feed import Batches
from pinn.data.scan import Scan
from pinn.networks.trained import Model
from pinn.plots.panels import (
    AMPLITUDE_MAP,
    draw_image,
    new_figure,
    phase_colours,
    robust_range,
    save,
)
from pinn.plots.pictures import write_loss, write_samples
from pinn.reconstruction.inference import reconstruct

_PREVIEW_FRAMES = 400


def write_training_pictures(folder: Path, model: Model, feed: Batches) -> None:
    """`loss.png` and `samples.png` (frames and predicted patches of the first batch)."""
    if model.history:
        write_loss(folder / "loss.png", model.history)
    batch = feed.batch(0, 0)
    patches = ops.convert_to_numpy(model.network.scaled_patches(batch))
    real = batch["weight"] > 0
    first = patches[real][:, 0]
    frames = batch["frames"][real][..., 0]
    write_samples(folder / "samples.png", frames, first[..., 0] + 1j * first[..., 1])


def write_preview(path: Path, model: Model, scan: Scan, epoch: int) -> None:
    """Amplitude and phase of the middle of a scan, stitched, as the network has it now.

    Args:
        path: the picture.
        model: in training.
        scan: of which the `_PREVIEW_FRAMES` frames nearest to its middle are used, so that the
            cost is bounded.
        epoch: for the heading.
    """
    rows = _middle(scan.positions_px, max(_PREVIEW_FRAMES, model.config.gridsize**2))
    # not scaled to the frames: the picture shows what the network says
    recon = reconstruct(scan.select(rows), model, calibrate=False)
    valid = recon.valid_mask
    amplitude = np.abs(recon.object)
    phase = np.angle(recon.object * np.conj(np.sum(recon.object[valid])))
    limits, cmap, words = phase_colours(phase[valid], "covered pixels")
    figure = new_figure(11.0, 5.2)
    left, right = figure.subplots(1, 2)
    draw_image(
        figure,
        left,
        amplitude,
        limits=robust_range(amplitude[valid]),
        cmap=AMPLITUDE_MAP,
        label="amplitude",
        valid=valid,
    )
    label = f"phase in rad ({words})"
    draw_image(figure, right, phase, limits=limits, cmap=cmap, label=label, valid=valid)
    what = f"{len(rows)} of {len(scan)} frames" if len(rows) < len(scan) else "all frames"
    figure.suptitle(f"{scan.name or 'scan'} after epoch {epoch}, {what}, contrast not calibrated")
    save(figure, path)


def _middle(positions: np.ndarray, count: int) -> np.ndarray:
    """Rows of the `count` positions nearest to the middle of all, in order."""
    middle = (positions.min(0) + positions.max(0)) / 2
    away = np.sum((positions - middle) ** 2, axis=1)
    return np.sort(np.argsort(away, kind="stable")[:count])
