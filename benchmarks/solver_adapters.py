"""One solver on one scan in this process, for `benchmarks/solvers.py`: set-up, clock, metrics.

Every solver gets the same amplitudes (square root of counts), positions, start probe and object of
ones, and hands back object, origin, probe modes and positions after every epoch. Metrics are made
between epochs, outside the clock, by the functions of this file and `pinn.quality` alone.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft

METRICS = ("nrmse", "amplitude_psnr_db", "phase_mae_rad", "frc50")
MARGIN = 4  # pixels of canvas around the outermost patches
HELD_OUT = 0.02
LIT = 0.01


@dataclass
class Case:
    """What every solver is given.

    Attributes:
        amplitude: `(M, N, N)` float32, centred, 0 at held-out pixels.
        measured: the same with them.
        mask: `(N, N)` bool, False = held out; None: nothing is.
        probe: `(P, N, N)` complex64 in square root of counts.
        refine_probe: whether the probe is unknown.
        scan: as loaded, for its positions, truth and frame size.
        rows: frames in use.
    """

    amplitude: np.ndarray
    measured: np.ndarray
    mask: np.ndarray | None
    probe: np.ndarray
    refine_probe: bool
    scan: Any
    rows: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        return self.scan.positions_px[self.rows]

    @property
    def canvas(self) -> tuple[np.ndarray, tuple[int, int]]:
        """Origin and shape (even) of an object that holds every patch of the whole scan."""
        places, N = self.scan.positions_px, self.scan.N
        origin = np.floor(places.min(0)).astype(int) - N // 2 - MARGIN
        end = np.ceil(places.max(0)).astype(int) + N // 2 + MARGIN
        size = end - origin
        return origin, tuple(int(n + n % 2) for n in size)


@dataclass
class Snapshot:
    """What a solver has after an epoch; `fractions` says how its model places patches."""

    object: np.ndarray
    origin: np.ndarray
    probe: np.ndarray
    positions: np.ndarray
    fractions: str


def load_case(
    path: str,
    modes: int,
    half: int | None,
    first: int | None = None,
    refine_probe: bool | None = None,
    **options: Any,
) -> Case:
    """A scan with a truth: its probe is known. Without: held-out pixels and a probe to refine.

    Args:
        first: so many frames from the first one on; None: all.
        refine_probe: whether the probe is to be refined, where it is not as said above.
        options: of `pinn.ScanConfig`.
    """
    import pinn

    scan = pinn.load(path, pinn.ScanConfig(**options))
    if first is not None:
        scan = scan.select(np.arange(first))
    rows = np.arange(len(scan))
    if half is not None:
        rows = rows[half::2]
    measured, _ = scan.read(rows)
    mask, amplitude = None, measured
    if scan.truth is None:
        mask = np.random.default_rng(2026).random((scan.N, scan.N)) >= HELD_OUT
        amplitude = np.where(mask, measured, np.float32(0))
    probe = start_modes(scan.probe[0], modes)
    unknown = scan.truth is None if refine_probe is None else refine_probe
    return Case(amplitude, measured, mask, probe, unknown, scan, rows)


def start_modes(probe: np.ndarray, modes: int) -> np.ndarray:
    """The given probe, and weak ones after it: times y, times x, ... (5 percent of the power each).

    Gram-Schmidt, total power as given; the same start for all solvers.
    """
    power = np.sum(np.abs(probe) ** 2)
    y, x = np.meshgrid(*(np.arange(n) - n // 2 for n in probe.shape), indexing="ij")
    found = [probe.astype(np.complex128)]
    for factor in (y, x, y * x, y * y, x * x)[: modes - 1]:
        mode = probe * factor
        for other in found:
            mode = mode - other * np.vdot(other, mode) / np.vdot(other, other)
        found.append(mode)
    shares = [1 - 0.05 * (modes - 1), *[0.05] * (modes - 1)]
    return np.stack(
        [
            m * np.sqrt(share * power / np.sum(np.abs(m) ** 2))
            for m, share in zip(found, shares, strict=True)
        ]
    ).astype(np.complex64)


def predicted(snap: Snapshot, N: int, fractions: str, step: int = 64) -> Iterator[np.ndarray]:
    """Intensities of all frames, centred, some at a time.

    Args:
        fractions: how a position between pixels is taken: `object`: the object is interpolated
            bilinearly; `probe`: every mode is shifted in Fourier space; `first`: only the first is.
    """
    places = snap.positions - snap.origin - N // 2
    whole = (np.floor(places) if fractions == "object" else np.rint(places)).astype(int)
    rest = places - whole
    padded = np.pad(snap.object, N, constant_values=1).astype(np.complex64)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (N + 1, N + 1))
    spectrum = fft.fft2(snap.probe)
    k = fft.fftfreq(N)
    for first in range(0, len(places), step):
        part = slice(first, first + step)
        window = patches[whole[part, 0] + N, whole[part, 1] + N]
        y, x = (rest[part, axis, None, None].astype(np.float32) for axis in (0, 1))
        if fractions == "object":
            rows = (1 - y) * window[:, :-1] + y * window[:, 1:]
            seen = (1 - x) * rows[:, :, :-1] + x * rows[:, :, 1:]
            probe = snap.probe[None]
        else:
            seen = window[:, :-1, :-1]
            ramp = np.exp(-2j * np.pi * (k[:, None] * y + k * x))[:, None].astype(np.complex64)
            probe = fft.ifft2(spectrum * ramp)
            if fractions == "first":
                probe[:, 1:] = snap.probe[1:]
        waves = fft.fft2(seen[:, None] * probe, norm="ortho")
        yield fft.fftshift(np.sum(np.abs(waves) ** 2, axis=1), axes=(-2, -1))


def held_out(snap: Snapshot, case: Case, fractions: str) -> dict[str, float]:
    """R-factor and Poisson deviance per pixel at the pixels no solver has seen; R at the others."""
    assert case.mask is not None
    hidden = ~case.mask
    rates, off, total = [], 0.0, 0.0
    for part in predicted(snap, case.scan.N, fractions):
        measured = case.measured[sum(map(len, rates)) :][: len(part)] * case.mask
        off += float(np.sum(np.abs(np.sqrt(part) * case.mask - measured)))
        total += float(np.sum(measured))
        rates.append(part[:, hidden])
    rate = np.maximum(np.concatenate(rates).astype(np.float64), 1e-3)
    amplitude = case.measured[:, hidden].astype(np.float64)
    counts = amplitude**2
    ratio = np.where(counts > 0, counts, 1.0) / rate
    deviance = 2 * (rate - counts + np.where(counts > 0, counts * np.log(ratio), 0.0))
    return {
        "r_factor": float(np.sum(np.abs(np.sqrt(rate) - amplitude)) / np.sum(amplitude)),
        "deviance": float(np.mean(deviance)),
        "deviance_floor": noise_floor(rate),
        "r_fitted": off / total,
    }


def noise_floor(rate: np.ndarray) -> float:
    """Mean Poisson deviance that counts of these expectations have from them."""
    from scipy import stats

    k, rates = np.arange(400)[:, None], np.geomspace(1e-3, 200.0, 300)
    deviance = 2 * (rates - k + k * np.log(np.maximum(k, 1) / rates))
    expected = np.sum(stats.poisson.pmf(k, rates) * deviance, axis=0)
    few = np.interp(np.log(rate), np.log(rates), expected)
    return float(np.mean(np.where(rate < rates[-1], few, 1 + 1 / (6 * rate))))


def lit(snap: Snapshot, case: Case) -> np.ndarray:
    """Pixels with at least a hundredth of the brightest one's light, given probe and positions.

    Random positions leave holes; what a solver has there is its start, or nothing.
    """
    N, intensity = case.scan.N, np.sum(np.abs(case.probe) ** 2, axis=0)
    light = np.zeros(np.array(snap.object.shape) + 2 * N)
    for y, x in np.rint(case.positions - snap.origin).astype(int) - N // 2 + N:
        light[y : y + N, x : x + N] += intensity
    light = light[N:-N, N:-N]
    return light >= LIT * light.max()


def against_truth(snap: Snapshot, case: Case, valid: np.ndarray | None) -> dict[str, float | None]:
    """The metrics of `pinn evaluate` in the box of the positions less 16 pixels."""
    from pinn.quality.evaluate import evaluate

    result = evaluate(
        types.SimpleNamespace(object=snap.object, origin_px=snap.origin, valid_mask=valid),
        case.scan.truth,
        truth_origin_px=case.scan.truth_origin_px,
        positions_px=case.scan.positions_px,
        border=16,
    )
    return {name: result.metrics[name] for name in METRICS}


def measure(snap: Snapshot, case: Case) -> dict[str, float | None]:
    """Against the truth, or at held-out pixels, through the solver's own model and a common one."""
    if case.scan.truth is not None:
        return {
            **against_truth(snap, case, lit(snap, case)),
            **{f"{name}_box": value for name, value in against_truth(snap, case, None).items()},
        }
    own = held_out(snap, case, snap.fractions)
    common = own if snap.fractions == "probe" else held_out(snap, case, "probe")
    return {**own, **{f"{name}_common": value for name, value in common.items()}}


class Clock:
    """CPU-seconds of this process between `start` and `stop`, added up."""

    def __init__(self) -> None:
        self.total, self._since = 0.0, 0.0

    def start(self) -> None:
        self._since = time.process_time()

    def stop(self) -> float:
        self.total += time.process_time() - self._since
        return self.total


Report = Callable[[dict[str, Any]], None]
Watch = Callable[[int, Snapshot], None]


def run_ptychi(case: Case, epochs: int, watch: Watch, clock: Clock, report: Report, **how: Any):
    """An engine of pty-chi.

    Its positions count from the middle of an even canvas to patch index N/2, as ours do; its
    Fourier transform is not normalised, so that the probe is divided by N; data are counts, not
    shifted. The first epoch of LSQML only rescales the probe unless told otherwise; the probes here
    have their scale, so it is told otherwise, and no epoch is lost.

    Args:
        how: `engine`, `batch`, `step` of object and probe; `interpolate`: the object bilinearly,
            instead of shifting the first probe mode.
    """
    _stand_in_for_torchvision()
    import torch

    torch.set_num_threads(1)
    from ptychi import api
    from ptychi.api.task import PtychographyTask

    engine, N = how["engine"], case.scan.N
    options = {
        "lsqml": api.LSQMLOptions,
        "epie": api.EPIEOptions,
        "ad": api.AutodiffPtychographyOptions,
        "dm": api.DMOptions,
    }[engine]()
    running = options.reconstructor_options
    running.default_device, running.random_seed = api.Devices.CPU, 0
    running.num_epochs = epochs
    if engine == "lsqml":
        running.rescale_probe_intensity_in_first_epoch = False
    if engine != "dm":
        running.batch_size = how["batch"]
        for part in (options.object_options, options.probe_options):
            part.optimizer, part.step_size = api.Optimizers.SGD, how["step"]
            if engine == "epie":
                part.alpha = 1.0
    if how.get("interpolate"):
        options.object_options.patch_interpolation_method = api.PatchInterpolationMethods.BILINEAR
        running.forward_model_params = {"apply_subpixel_shifts_on_probe": False}
        running.forward_model_options.pad_for_shift = 1
    options.probe_options.optimizable = case.refine_probe
    placed = "object" if how.get("interpolate") else "first"
    origin, shape = case.canvas
    places = (case.positions - origin - np.array(shape) / 2).astype(np.float32)
    clock.start()
    task = PtychographyTask(
        options,
        diffraction_data=case.amplitude**2,
        object_data=np.ones((1, *shape), np.complex64),
        probe_data=case.probe[None] / np.float32(N),
        probe_position_y_px=places[:, 0],
        probe_position_x_px=places[:, 1],
        valid_pixel_mask=case.mask,
    )
    report({"kind": "set-up", "cpu_s": clock.stop()})
    for epoch in range(1, epochs + 1):
        clock.start()
        task.run(1)
        clock.stop()
        found = task.get_data_to_cpu("object", as_numpy=True)[0]
        probe = task.get_data_to_cpu("probe", as_numpy=True)[0] * np.float32(N)
        watch(epoch, Snapshot(found, origin, probe, case.positions, placed))


def _stand_in_for_torchvision() -> None:
    """pty-chi imports one class of torchvision that none of these engines uses.

    The index has torchvision for CUDA builds of PyTorch only; beside a CPU build it does not load.
    """
    try:
        import torchvision.transforms  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        outer, inner = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
        inner.GaussianBlur = None
        outer.transforms = inner
        sys.modules |= {"torchvision": outer, "torchvision.transforms": inner}


def run_pinn(
    case: Case,
    epochs: int,
    watch: Watch,
    clock: Clock,
    report: Report,
    model: str | None = None,
    options: dict[str, Any] | None = None,
):
    """`pinn.refine`, from a flat object or from a network.

    Args:
        model: archive of the network; the start that it makes is made twice, and the second, which
            compiles nothing, counts.
        options: further ones of `pinn.refine`.
    """
    import pinn
    from pinn.progress import Deadline
    from pinn.reconstruction.network_start import network_start

    options = dict(options or {})

    start = None
    if model is not None:
        network = pinn.load_model(model)
        times = []
        for _ in range(2):
            scan, before = fresh(case), time.process_time()
            cover = options.get("start_cover", 1)
            start, _ = network_start(scan, network, np.arange(len(scan)), cover, Deadline())
            times.append(time.process_time() - before)
        facts = start.statistics["network_start"]
        report({"kind": "start", "cpu_s": times[1], "first_call_cpu_s": times[0], **facts})
        # what `pinn.refine` does with a model, its start already made
        options.pop("start_cover", None)
        # it looks at some frames only, and is measured at all of them
        whole = replace(_snapshot(start, case), positions=case.positions)
        report({"kind": "network", **measure(whole, case)})
    count = 0

    def seen(recon: Any) -> None:
        nonlocal count
        clock.stop()
        count += 1
        watch(count, _snapshot(recon, case))
        clock.start()

    scan = fresh(case)
    clock.start()
    settings = {
        "update_probe": case.refine_probe,
        "split_half": False,
        "seed": 0,
        "lbfgs_iterations": 0,
    }
    result = pinn.refine(scan, start=start, epochs=epochs, watch=seen, **settings | options)
    seen(result)  # its object may have been smoothed at the end
    clock.stop()


def fresh(case: Case) -> Any:
    """The scan as `pinn` gets it: without the truth, and without hidden pixels."""
    from pinn.data.scan import Scan

    counted = case.scan.statistics().photons_known  # then the counts choose the likelihood
    return Scan(
        case.amplitude**2 if counted else case.amplitude,
        case.positions,
        probe=case.probe,
        valid_mask=case.mask,
        units="counts" if counted else "amplitude",
        centre="centred",
        name=case.scan.name,
    )


def run_network(case: Case, seconds: float, folder: Path) -> tuple[int, float, Snapshot]:
    """A network with defaults, trained on the scan for so many CPU-seconds, and what it makes.

    Returns:
        Epochs, CPU-seconds of the training, and the reconstruction.
    """
    import pinn
    from pinn.progress import StopRequested

    began, epoch = time.process_time(), 0

    def progress(report: Any) -> None:
        nonlocal epoch
        epoch = report.epoch or 0
        if time.process_time() - began > seconds:
            raise StopRequested

    scan = fresh(case)
    model = pinn.train(scan, output=folder, progress=progress)
    spent = time.process_time() - began
    return epoch, spent, _snapshot(pinn.reconstruct(scan, model), case)


def _snapshot(recon: Any, case: Case) -> Snapshot:
    probe = case.probe if recon.probe is None else recon.probe
    return Snapshot(recon.object, recon.origin_px, probe, recon.positions_px, "object")
