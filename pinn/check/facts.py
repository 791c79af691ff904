"""The table: what is in a scan."""

from __future__ import annotations

import math

import numpy as np

from pinn.check.illumination import border_share
from pinn.check.look import Look
from pinn.check.places import Layout, known_pixel_m
from pinn.check.report import Fact, Finding
from pinn.config import ScanConfig
from pinn.data.scan import Scan
from pinn.errors import InputError
from pinn.io.formats.registry import recognise


def facts(scan: Scan, config: ScanConfig, seen: Look, found: Layout) -> list[Fact]:
    """The lines of the table, in order; what is not known says so."""
    return [*_of_frames(scan, config, seen), *_of_places(scan, found), *_of_probe(scan, found)]


def _of_frames(scan: Scan, config: ScanConfig, seen: Look) -> list[Fact]:
    stats = scan.statistics()
    M, N = len(scan), scan.N
    size = M * N * N * scan.frames.dtype.itemsize
    lines = []
    if scan.source is not None:
        lines.append(Fact("file", f"{scan.source}", str(scan.source)))
        name = _format(scan, config)
        if name:
            lines.append(Fact("format", name, name))
    dose = "" if stats.photons_known else " (not known to be photons)"
    counts = stats.frame_counts
    spread = f"{counts.min():.3g} to {counts.max():.3g}"
    lines += [
        Fact("frames", f"{M} of {N} x {N} px", [M, N, N]),
        Fact("stored as", f"{scan.frames.dtype}, {_bytes(size)}", str(scan.frames.dtype)),
        Fact("units", scan.units, scan.units),
        Fact(
            "counts per frame",
            f"{stats.mean_counts:.4g} on average, {spread}{dose}",
            stats.mean_counts,
        ),
        Fact("largest count", f"{stats.max_counts:.4g} in a pixel", stats.max_counts),
        Fact("zero frequency", _centre(scan), scan.centre),
    ]
    share = stats.masked_pixels / (M * N * N)
    kind = "none" if scan.valid_mask is None else "one for all frames"
    if scan.valid_mask is not None and len(scan.valid_mask.shape) == 3:
        kind = "one for each frame"
    lines.append(
        Fact(
            "mask",
            f"{kind}; {share:.2%} of all pixels are not used, {stats.dead_pixels} in no frame",
            {"kind": kind, "share": share, "never_used": stats.dead_pixels},
        )
    )
    if scan.steps:
        names = [str(step["step"]) for step in scan.steps]
        lines.append(Fact("prepared by", ", ".join(names), [dict(step) for step in scan.steps]))
    return lines


def _format(scan: Scan, config: ScanConfig) -> str:
    """Title of the format of the scan's file; empty if the file is gone."""
    assert scan.source is not None
    try:
        return recognise(scan.source, config).title
    except InputError:
        return ""


def _centre(scan: Scan) -> str:
    if scan.centre == "corner":
        return "stored in the corner, moved to the middle"
    return f"in the middle, [{scan.N // 2}, {scan.N // 2}]"


def _of_places(scan: Scan, found: Layout) -> list[Fact]:
    pixel = known_pixel_m(scan)
    rows, columns = found.canvas
    step = f"{found.step:.3g} px" + _length(found.step, pixel)
    apart = math.sqrt(math.prod(found.span) / found.places)
    lines = [
        Fact(
            "positions",
            f"{found.places} different ones; {step} to the nearest, {apart:.3g} px on a grid as "
            "dense",
            {"places": found.places, "step_px": found.step, "grid_px": apart},
        ),
        Fact(
            "span",
            f"{found.span[0]:.4g} x {found.span[1]:.4g} px (y, x)"
            + _length(max(found.span), pixel),
            list(found.span),
        ),
        Fact("object", f"{rows} x {columns} px, {_bytes(8 * rows * columns)}", [rows, columns]),
    ]
    index = np.zeros(len(scan), np.int64) if scan.scan_index is None else scan.scan_index
    values, counts = np.unique(index, return_counts=True)
    if len(values) == 1:
        lines.append(Fact("scans", "one", {str(values[0]): int(counts[0])}))
    else:
        text = f"{len(values)}, of {counts.min()} to {counts.max()} frames"
        lines.append(Fact("scans", text, dict(zip(map(str, values), counts.tolist(), strict=True))))
    lines.append(
        Fact("pixel size", "not known" if pixel is None else f"{_metres(pixel)} (object)", pixel)
    )
    energy = scan.energy_ev
    text = "not known"
    if energy is not None:
        wave = scan.wavelength_m
        assert wave is not None
        text = f"{energy / 1e3:.4g} keV {scan.particle}s, wavelength {_metres(wave)}"
    lines.append(Fact("energy", text, energy))
    if scan.distance_m is not None or scan.detector_pixel_m is not None:
        distance = "?" if scan.distance_m is None else _metres(scan.distance_m)
        detector = "?" if scan.detector_pixel_m is None else _metres(scan.detector_pixel_m)
        lines.append(
            Fact(
                "detector",
                f"pixel {detector}, at {distance}",
                {"pixel_m": scan.detector_pixel_m, "distance_m": scan.distance_m},
            )
        )
    if scan.truth is None:
        lines.append(Fact("truth", "none"))
    else:
        size = f"{scan.truth.shape[0]} x {scan.truth.shape[1]} px"
        flat = ", constant: a placeholder" if constant(scan.truth) else ""
        lines.append(Fact("truth", size + flat, list(scan.truth.shape)))
    return lines


def _of_probe(scan: Scan, found: Layout) -> list[Fact]:
    if scan.probe is None:
        return [Fact("probe", "none")]
    assert found.diameter is not None
    modes = len(scan.probe)
    power = np.sum(np.abs(scan.probe) ** 2, (-1, -2))
    shares = ", ".join(f"{share:.0%}" for share in power / power.sum())
    kind = (
        "complex" if np.any(np.abs(scan.probe.imag) > 1e-4 * np.abs(scan.probe).max()) else "real"
    )
    several = f"{modes} modes ({shares})" if modes > 1 else "one mode"
    if scan.probe_variations is not None:
        several += f", {len(scan.probe_variations)} variations"
    lines = [
        Fact(
            "probe",
            f"{several}, {kind}, {found.diameter:.3g} px across (4 sigma), "
            f"{border_share(scan.probe):.2%} of the power near the edge of its array",
            {"modes": modes, "diameter_px": found.diameter},
        )
    ]
    if found.linear is not None and found.area is not None:
        lines.append(
            Fact(
                "overlap",
                f"{found.linear:.0%} linear (1 - step / diameter), {found.area:.0%} of the area "
                "with the six nearest",
                {"linear": found.linear, "area": found.area},
            )
        )
    return lines


def truth_findings(scan: Scan) -> list[Finding]:
    """Whether the scan lies on its truth."""
    if scan.truth is None:
        return []
    if constant(scan.truth):
        return [
            Finding(
                "remark",
                "truth-constant",
                "the truth in the file is constant: a starting guess, nothing to compare with",
            )
        ]
    low = scan.positions_px.min(0) - scan.N / 2 - scan.truth_origin_px
    high = scan.positions_px.max(0) + scan.N / 2 - scan.truth_origin_px
    beyond = float(max(-low.min(), (high - scan.truth.shape).max(), 0.0))
    if beyond < 1.0:
        return []
    return [
        Finding(
            "warning" if beyond > scan.N / 2 else "remark",
            "truth-small",
            f"the frames reach {beyond:.0f} px beyond the truth of {scan.truth.shape[0]} x "
            f"{scan.truth.shape[1]} px: only what both cover can be compared; if the truth should "
            "hold the scan, the positions are in another unit or frame",
        )
    ]


def constant(image: np.ndarray) -> bool:
    """True for an image without contrast."""
    return bool(np.ptp(image.real) < 1e-6 and np.ptp(image.imag) < 1e-6)


def _length(pixels: float, pixel_m: float | None) -> str:
    return "" if pixel_m is None else f" ({_metres(pixels * pixel_m)})"


def _metres(value: float) -> str:
    """A length with a prefix: 12.3 nm."""
    if value <= 0:
        return "0 m"
    prefixes: dict[int, str] = {-4: "p", -3: "n", -2: "u", -1: "m", 0: ""}
    power = min(0, max(-4, math.floor(math.log10(value) / 3 + 1e-9)))
    return f"{value / 1000.0**power:.4g} {prefixes[power]}m"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
