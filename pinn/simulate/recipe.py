"""A recipe made into a scan: planned whole, exposed frame by frame.

Everything but the frames is computed at once; frames come in chunks, so that memory does not grow
with their number. Each frame has its own random stream, derived from the seed and its index: the
result does not depend on the size of the chunks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinn.data.geometry import probe_diameter_px
from pinn.errors import ConfigError
from pinn.io.formats.npz_writer import scan_arrays, write_npz
from pinn.progress import Progress
from pinn.simulate.config import SimulateConfig
from pinn.simulate.detector import Detector, make_detector, uneven_background
from pinn.simulate.forward import diffract, extract_patches, frame_photons, weighted
from pinn.simulate.identity import VERSION, recipe_hash, recipe_of
from pinn.simulate.illumination import drifting, intensity_factors, opr_weights
from pinn.simulate.object_file import ObjectFile, open_object
from pinn.simulate.objects import make_object
from pinn.simulate.optics import Optics, optics_of
from pinn.simulate.position_errors import stated_positions
from pinn.simulate.positions import Layout, mean_nearest_distance, plan, plan_from_file
from pinn.simulate.probes import make_probe

CHUNK_PIXELS = 1 << 20  # frame pixels computed at once: 16 MiB per complex temporary

# Independent random streams, so that one option (the dose, say) leaves the rest of the scan alone.
_OBJECT, _PROBE, _PATTERN, _ERROR, _DETECTOR, _FRAME = range(6)
_LIMIT, _DRIFT, _INTENSITY, _BACKGROUND = range(6, 10)


@dataclass(frozen=True)
class SimulatedScan:
    """A scan whose frames are computed when asked for.

    Attributes:
        config: the recipe.
        truth: `(H, W)` complex64, the object; its pixel `[0, 0]` has the coordinate (0, 0).
        probe_true: `(P, N, N)`, or where it drifts `(V, P, N, N)` complex64 with its mean first:
            the probe that made the frames, in square root of counts.
        probe_stated: as a file states it: the true one, or one with another defocus.
        positions_px: `(M, 2)` float64 (y, x), as a file states them.
        positions_true_px: `(M, 2)` float64 (y, x), where the probe was.
        detector: its bad pixels and number type.
        photons: `(M,)` float64, expected photons in each frame before any loss.
        diameter_px: probe diameter, 4 sigma.
        overlap: linear overlap of the true positions; None for one frame.
        optics: lengths in metres, where the recipe states them.
        probe_weights: `(M, V)` float64, OPR weights where the probe drifts; or None.
        intensity: `(M,)` float64 of mean 1, factor on each frame, part of `photons`; or None.
    """

    config: SimulateConfig
    truth: np.ndarray
    probe_true: np.ndarray
    probe_stated: np.ndarray
    positions_px: np.ndarray
    positions_true_px: np.ndarray
    detector: Detector
    photons: np.ndarray
    diameter_px: float
    overlap: float | None
    optics: Optics | None = None
    probe_weights: np.ndarray | None = None
    intensity: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.positions_px)

    @property
    def valid_mask(self) -> np.ndarray:
        """`(N, N)` bool, True = use the pixel."""
        return self.detector.valid_mask

    @property
    def probe(self) -> np.ndarray:
        """`(P, N, N)` complex64, the probe that made the frames, without its variations."""
        return self.probe_true if self.probe_weights is None else self.probe_true[0]

    @property
    def background_px(self) -> np.ndarray | None:
        """`(N, N)` float64 counts under every frame, where they are not even; else None."""
        background = self.detector.background
        return background if isinstance(background, np.ndarray) else None

    def rates(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Expected counts of frames `start` to `stop`, without background: `(n, N, N)` float64."""
        where = self.positions_true_px[start:stop]
        patches = extract_patches(self.truth, where, self.config.N, self.config.interpolation)
        weights = None if self.probe_weights is None else self.probe_weights[start:stop]
        rates = diffract(patches, weighted(self.probe_true.astype(np.complex128), weights))
        if self.intensity is not None:
            rates *= self.intensity[start:stop, None, None]
        return rates

    def frames(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames `start` to `stop` as the detector writes them: `(n, N, N)`."""
        rates = self.rates(start, stop)
        out = np.empty(rates.shape, self.detector.dtype)
        for k, rate in enumerate(rates):
            out[k] = self.detector.expose(rate, _rng(self.config, _FRAME, start + k))
        return out

    def chunks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """All frames in order, `size` at a time (default: about a million pixels)."""
        size = size or _chunk(self.config.N)
        for start in range(0, len(self), size):
            yield self.frames(start, min(start + size, len(self)))

    def metadata(self) -> dict[str, Any]:
        """What a file states about the making of this scan: ready for JSON, no dates or paths."""
        amplitude = np.abs(self.truth)
        facts = {
            "simulator": VERSION,
            "recipe": recipe_of(self.config),
            "recipe_sha256": recipe_hash(self.config),
            "photons_per_frame": float(self.photons.mean()),
            "counts_per_pixel": float(self.photons.mean() / self.config.N**2),
            "background_per_pixel": float(np.mean(self.detector.background)),
            "probe_diameter_px": self.diameter_px,
            "overlap": self.overlap,
            "object_origin_px": [0.0, 0.0],
            "object_amplitude_spread": float(amplitude.std() / amplitude.mean()),
        }
        if self.optics is not None:
            facts |= asdict(self.optics)
        if (level := self.detector.written_saturation) is not None:
            facts["saturation"] = level
        return facts


def simulate(config: SimulateConfig) -> SimulatedScan:
    """Plan a scan: object, probe, positions, dose and detector; frames are computed on demand.

    Args:
        config: the recipe.

    Returns:
        the scan; its probe carries the dose: the mean over frames of the expected photons is
        `photons_per_frame` (to the rounding of complex64).

    Raises:
        ConfigError: the recipe contradicts itself.
        ScanError: a file of the recipe cannot be used.
    """
    given = open_object(config)
    modes, layout = _arrange(config, given)
    diameter = probe_diameter_px(modes)
    true = layout.positions_px
    weights = opr_weights(config, len(true)) if config.probe_drift > 0 else None
    varied = _varied(config, modes)
    # rounded before use: a file holds exactly the object and probe that made its frames
    truth = make_object(
        config,
        layout.size,
        illuminated_field(config, layout, diameter),
        _stream(config.seed if config.object_seed is None else config.object_seed, _OBJECT),
        given,
        layout.whole,
    ).astype(np.complex64)
    photons, intensity = _photons(truth, true, varied, weights, config), None
    if config.intensity_fluctuation > 0:
        rng = _rng(config, _INTENSITY)
        intensity = intensity_factors(len(true), config.intensity_fluctuation, rng)
        photons = photons * intensity
    if not photons.mean() > 0:
        raise ConfigError(
            "the object transmits nothing under the probe; raise amplitude_max or move the scan"
        )
    factor = config.photons_per_frame / photons.mean()
    probe = stated = (np.sqrt(factor) * varied).astype(np.complex64)
    photons = photons * factor
    seeds = _stream(config.seed, _ERROR), _stream(config.seed, _LIMIT)
    uneven: float | np.ndarray = 0.0
    if config.background_uneven > 0:
        uneven = uneven_background(config.N, config.background_uneven, _rng(config, _BACKGROUND))
    if config.probe_error is not None:
        wrong = _varied(config, _modes(config, config.probe_error))
        stated = (np.sqrt(factor) * wrong).astype(np.complex64)
    return SimulatedScan(
        config=config,
        truth=truth,
        probe_true=probe,
        probe_stated=stated,
        positions_px=stated_positions(config, true, *seeds),
        positions_true_px=true,
        detector=make_detector(config, float(photons.max()), _rng(config, _DETECTOR), uneven),
        photons=photons,
        diameter_px=diameter,
        overlap=None if len(true) == 1 else 1.0 - mean_nearest_distance(true) / diameter,
        optics=optics_of(config),
        probe_weights=weights,
        intensity=intensity,
    )


def arrange(config: SimulateConfig) -> Layout:
    """Where the probe of a recipe goes, without drawing the object or any frame.

    Raises:
        ConfigError, ScanError: as `simulate`.
    """
    return _arrange(config, open_object(config))[1]


def illuminated_field(config: SimulateConfig, layout: Layout, diameter_px: float) -> float:
    """Side in pixels of the central square that star, demo, leaves and resized files fill."""
    field = layout.extent_px + diameter_px if config.field_px is None else config.field_px
    return min(field, layout.size)


def simulate_to_file(
    config: SimulateConfig, path: str | Path, progress: Callable[[Progress], None] | None = None
) -> SimulatedScan:
    """Simulate into an NPZ, in constant memory. The same recipe gives the same bytes.

    The file holds the true object and probe as `objectGuess` and `probeGuess`, `positions_true`
    `(M, 2)` float64 (y, x) besides the stated `xcoords`, `ycoords`, and the recipe as metadata.
    Where the recipe asks for them there are `probe_weights` `(M, V)` of a `probeGuess`
    `(V, P, N, N)` that drifts, `probe_true` of a `probeGuess` that is wrong, `intensity_true`
    `(M,)` and `background_true` `(N, N)`. It appears whole or not at all.

    Args:
        config: the recipe.
        path: of the NPZ.
        progress: called after every chunk; an exception from it ends the work and leaves no file.

    Returns:
        the scan that was written.

    Raises:
        ConfigError, ScanError: as `simulate`.
        OutputError: the file cannot be written.
    """
    scan = simulate(config)
    started = time.monotonic()

    def blocks() -> Iterator[np.ndarray]:
        done, total = 0, len(scan)
        for chunk in scan.chunks():
            yield chunk
            done += len(chunk)
            if progress is not None:
                rate = done / max(time.monotonic() - started, 1e-9)
                progress(Progress("simulate", done, total, rate))

    write_npz(
        path,
        blocks(),
        (len(scan), config.N),
        scan.detector.dtype,
        file_arrays(scan),
        scan.metadata(),
        frames_units=config.frames,
    )
    return scan


def simulate_arrays(config: SimulateConfig) -> dict[str, Any]:
    """The whole scan in memory.

    Returns:
        `frames` `(M, N, N)`, `frames_units`, `positions_px`, `positions_true_px` `(M, 2)` float64
        (y, x), `probe` `(N, N)`, `(P, N, N)` or `(V, P, N, N)` complex64, `truth` `(H, W)`
        complex64 with origin (0, 0), `valid_mask` `(N, N)` bool (True = use), `overlap`,
        `diameter_px`, `metadata`; with `frames = counts` also `counts`, the same array as
        `frames`; and of `probe_weights`, `probe_true`, `intensity_true` and `background_true`
        those that a file would have.
    """
    scan = simulate(config)
    frames = np.concatenate(list(scan.chunks()))
    arrays: dict[str, Any] = {
        "frames": frames,
        "frames_units": config.frames,
        "positions_px": scan.positions_px,
        "positions_true_px": scan.positions_true_px,
        "probe": _squeezed(scan.probe_stated),
        "truth": scan.truth,
        "valid_mask": scan.valid_mask,
        "overlap": scan.overlap,
        "diameter_px": scan.diameter_px,
        "metadata": scan.metadata(),
    }
    if config.frames == "counts":
        arrays["counts"] = frames
    if scan.probe_weights is not None:
        arrays["probe_weights"] = scan.probe_weights
    return arrays | _unstated(scan)


def file_arrays(scan: SimulatedScan) -> dict[str, np.ndarray]:
    """The members of the scan's NPZ besides the frames."""
    shared = scan_arrays(
        scan.positions_px,
        probe=scan.probe_stated,
        truth=scan.truth,
        valid_mask=scan.valid_mask,
        probe_weights=scan.probe_weights,
    )
    return {**shared, "positions_true": scan.positions_true_px, **_unstated(scan)}


def _unstated(scan: SimulatedScan) -> dict[str, np.ndarray]:
    """What made the frames and a file would not state, where the recipe asks for it."""
    arrays = {
        "probe_true": None if scan.config.probe_error is None else _squeezed(scan.probe_true),
        "intensity_true": scan.intensity,
        "background_true": scan.background_px,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _modes(config: SimulateConfig, error: float = 0.0) -> np.ndarray:
    probe_seed = config.seed if config.probe_seed is None else config.probe_seed
    return make_probe(config, np.random.default_rng(_stream(probe_seed, _PROBE)), error)


def _varied(config: SimulateConfig, modes: np.ndarray) -> np.ndarray:
    """The modes; with their variations where the probe drifts, `(V, P, N, N)`."""
    if config.probe_drift == 0:
        return modes
    return drifting(config, modes, _stream(config.seed, _DRIFT))


def _arrange(config: SimulateConfig, given: ObjectFile | None) -> tuple[np.ndarray, Layout]:
    modes = _modes(config)
    if config.pattern == "file":
        optics = optics_of(config)
        return modes, plan_from_file(config, optics.pixel_size_m if optics else None, given)
    side = given.side if given is not None and given.crop else None
    seed = _stream(config.seed, _PATTERN)
    return modes, plan(config, probe_diameter_px(modes), seed, side)


def _photons(
    truth: np.ndarray,
    positions: np.ndarray,
    probe: np.ndarray,
    weights: np.ndarray | None,
    config: SimulateConfig,
) -> np.ndarray:
    photons = np.empty(len(positions))
    step = _chunk(config.N)
    for start in range(0, len(positions), step):
        where = positions[start : start + step]
        patches = extract_patches(truth, where, config.N, config.interpolation)
        some = None if weights is None else weights[start : start + step]
        photons[start : start + step] = frame_photons(patches, weighted(probe, some))
    return photons


def _chunk(N: int) -> int:
    return max(1, CHUNK_PIXELS // (N * N))


def _rng(config: SimulateConfig, *key: int) -> np.random.Generator:
    return np.random.default_rng(_stream(config.seed, *key))


def _stream(seed: int, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=key)


def _squeezed(probe: np.ndarray) -> np.ndarray:
    return probe[0] if len(probe) == 1 else probe
