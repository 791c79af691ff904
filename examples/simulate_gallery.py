"""One picture of every object, probe and pattern that `pinn simulate` makes.

    python examples/simulate_gallery.py docs/pictures/simulate.png

Needs no backend. The objects are shown by amplitude and phase over the square that the scan
lights; the probes by brightness (amplitude) and colour (phase); the patterns by their positions.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from pinn.io.atomic import atomic_path
from pinn.simulate import SimulateConfig, SimulatedScan, simulate

OBJECTS = ("lines", "star", "leaves", "demo", "grf", "procedural", "polyhedra", "file")
PROBES: dict[str, dict[str, Any]] = {
    "disc": {},
    "gaussian": {},
    "defocused": {},
    "zernike": {"zernike_rms": 2.0},
    "zone_plate": {},
    "zernike, coma": {"probe": "zernike", "zernike": "8:1.5", "defocus": 0.0},
    "zone plate, in focus": {"probe": "zone_plate", "defocus_m": 0.0},
    "second mode": {"probe": "defocused", "probe_modes": 2},
}
PATTERNS = ("raster", "spiral", "fermat", "random")


def main(target: Path) -> None:
    """Simulate everything once, and draw it."""
    figure = Figure(figsize=(11.2, 7.6), dpi=72, layout="constrained")
    grid = figure.subplots(4, len(OBJECTS))
    with tempfile.TemporaryDirectory() as folder:
        picture = write_picture(Path(folder) / "picture.png")
        for column, kind in enumerate(OBJECTS):
            extra = {"object_file": picture} if kind == "file" else {}
            show_object(grid[:2, column], kind, scan_of(object=kind, **extra))
    for axes, (name, options) in zip(grid[2], PROBES.items(), strict=True):
        scan = scan_of(**{"probe": name, **options})
        mode = scan.probe[-1]
        axes.imshow(coloured(mode))
        axes.set_title(f"{name.replace('_', ' ')}\n{scan.diameter_px:.0f} px wide", fontsize=8)
    for axes, kind in zip(grid[3, : len(PATTERNS)], PATTERNS, strict=True):
        y, x = scan_of(pattern=kind, n_frames=300).positions_true_px.T
        axes.plot(x, y, ".", markersize=2.5, color="black")
        axes.invert_yaxis()
        axes.set_title(kind, fontsize=8)
        axes.set_aspect("equal")
    frames: dict[str, dict[str, Any]] = {
        "a frame": {},
        "1e4 photons": {"photons_per_frame": 1e4},
        "bad pixels,\nbeamstop": {"bad_pixels": 0.03, "beamstop": 4.0},
        "saturation": {"saturation": 300.0},
    }
    for axes, (name, options) in zip(grid[3, len(PATTERNS) :], frames.items(), strict=True):
        scan = scan_of(probe="zone_plate", **options)
        axes.imshow(np.log1p(scan.frames(200, 201)[0].astype(float).clip(0, 3e4)), cmap="magma")
        axes.set_title(name, fontsize=8)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    with atomic_path(target) as path:
        figure.savefig(path, metadata={"Software": None})


def scan_of(**options: Any) -> SimulatedScan:
    """The scan all parts of the picture come from, but for some options."""
    return simulate(SimulateConfig(**{"N": 64, "n_frames": 400, "seed": 3, **options}))


def show_object(pair: np.ndarray, name: str, scan: SimulatedScan) -> None:
    """Amplitude above phase, over what the probe illuminates."""
    margin = int(scan.positions_true_px.min() - scan.diameter_px / 2)
    inner = scan.truth[margin:-margin, margin:-margin]
    pair[0].imshow(np.abs(inner), cmap="gray")
    pair[0].set_title(name, fontsize=8)
    phase = np.angle(inner)
    pair[1].imshow(phase, cmap="twilight_shifted", vmin=-np.pi, vmax=np.pi)
    pair[1].set_xlabel(f"{phase.min():.1f} to {phase.max():.1f} rad", fontsize=8)


def coloured(field: np.ndarray) -> np.ndarray:
    """Phase as hue, amplitude as brightness."""
    modulus = np.abs(field)
    hue = np.angle(field) / (2 * np.pi) % 1.0
    return hsv_to_rgb(np.stack([hue, np.ones_like(hue), modulus / modulus.max()], -1))


def write_picture(path: Path) -> Path:
    """A photograph from scikit-image as a PNG: any picture will do."""
    from skimage import data, io

    io.imsave(path, data.camera(), check_contrast=False)
    return path


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "simulate.png"))
