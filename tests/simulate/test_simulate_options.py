"""Every option has an effect, and options that came later leave older recipes alone."""

import functools
import itertools
import json

import numpy as np
import pytest

from pinn.simulate import SimulateConfig, recipe_hash, recipe_of, simulate, simulate_to_file

BASE = dict(N=32, n_frames=16, photons_per_frame=1e5)
LENGTHS = dict(energy_ev=8000.0, distance_m=1.5, detector_pixel_m=75e-6)
STAR = dict(object="star")
GRF, PROCEDURAL, POLYHEDRA = (dict(object=kind) for kind in ("grf", "procedural", "polyhedra"))
DEFOCUSED, ZERNIKE = dict(probe="defocused"), dict(probe="zernike")
PLATE = dict(probe="zone_plate")
PICTURE = dict(object="file", object_file="a.npy")
ARRAY = dict(object="file", object_file="c.npy")
PLACES = dict(pattern="file", positions_file="p.csv", n_frames=None)

# what an option is added to, and one value or more
EFFECTS = {
    "N": [({}, 48)],
    "seed": [({}, 1)],
    "object": [({}, kind) for kind in ("star", "leaves", "demo", "grf", "procedural", "polyhedra")],
    "object_seed": [({}, 1), (GRF, 1), (PROCEDURAL, 1), (POLYHEDRA, 1)],
    "size": [({}, 100), (PICTURE, 120), (PLACES, 100)],
    "amplitude_min": [({}, 0.1), (PICTURE, 0.1)],
    "amplitude_max": [({}, 0.9), (GRF, 0.9)],
    "phase": [({}, "flat"), ({}, "independent"), (PICTURE, "independent"), (ARRAY, "flat")],
    "phase_min": [(dict(phase_max=1.0), -0.5)],
    "phase_max": [(dict(phase_min=-0.5), 1.0)],
    "contrast": [({}, 0.5), (ARRAY, 0.5)],
    "lines": [({}, 40)],
    "spokes": [(STAR, 10), (dict(object="demo"), 10)],
    "feature_px": [(GRF, 5.0), (PROCEDURAL, 5.0), (POLYHEDRA, 5.0)],
    "object_file": [(dict(object="file"), "b.npy")],
    "phase_file": [(PICTURE, "b.npy")],
    "object_fit": [(PICTURE, "crop"), (ARRAY, "resize")],
    "field_px": [(STAR, 40.0), (PICTURE, 40.0), (dict(object="leaves"), 40.0)],
    "probe": [({}, kind) for kind in ("gaussian", "defocused", "zernike", "zone_plate")],
    "probe_file": [(dict(probe="file"), "q.npz")],
    "probe_diameter": [({}, 0.5), (dict(probe="gaussian"), 0.5), (ZERNIKE, 0.5)],
    "defocus": [(DEFOCUSED, 5.0), (ZERNIKE, 5.0)],
    "central_stop": [(DEFOCUSED, 0.3), (ZERNIKE, 0.3), (PLATE, 0.3)],
    "aberration": [(DEFOCUSED, 1.0)],
    "probe_modes": [({}, 2), (PLATE, 3)],
    "mode_ratio": [(dict(probe_modes=2), 0.2)],
    "zernike": [(ZERNIKE, "6:0.7")],
    "zernike_order": [(ZERNIKE, 3)],
    "zernike_rms": [(ZERNIKE, 0.4)],
    "zone_plate_diameter_m": [(PLATE, 2e-6)],
    "outer_zone_m": [(PLATE | LENGTHS | dict(distance_m=0.4), 70e-9), (PLATE, 70e-9)],
    "defocus_m": [(PLATE, 1e-5)],
    "probe_variation": [({}, 0.3), (PLATE, 0.3), (ZERNIKE, 0.3)],
    "probe_seed": [(DEFOCUSED, 1), (ZERNIKE, 1)],
    "energy_ev": [({k: v for k, v in LENGTHS.items() if k != "energy_ev"}, 9000.0), (PLATE, 9e3)],
    "distance_m": [(LENGTHS, 2.0), (PLATE, 0.5)],
    "detector_pixel_m": [(LENGTHS, 55e-6), (PLATE, 55e-6)],
    "pattern": [({}, kind) for kind in ("random", "fermat", "spiral")],
    "n_frames": [({}, 20)],
    "overlap": [({}, 0.5)],
    "step": [({}, 3.0)],
    "jitter": [({}, 0.1)],
    "position_error": [({}, 0.5)],
    "interpolation": [({}, "fourier")],
    "positions_file": [(PLACES, "r.csv")],
    "positions_unit": [(PLACES | LENGTHS | dict(energy_ev=50.0), "um")],
    "positions_place": [(PLACES, "absolute")],
    "photons_per_frame": [({}, 1e4)],
    "poisson": [({}, False)],
    "background": [({}, 1.0)],
    "bad_pixels": [({}, 0.1)],
    "beamstop": [({}, 3.0)],
    "saturation": [({}, 40.0)],
    "frames": [({}, "amplitude")],
    "position_error_limit": [({}, 3.0), (PLACES, 1.0)],
    "position_scale_error": [({}, 0.02), (dict(size=100), -0.02), (PLACES, 0.1)],
    "position_rotation_deg": [({}, 2.0)],
    "position_shear": [({}, 0.05)],
    "probe_error": [(DEFOCUSED, 0.3), (ZERNIKE, -0.3), (PLATE, 0.3)],
    "probe_drift": [({}, 0.1), (dict(probe_modes=3), 0.1)],
    "probe_drift_modes": [(dict(probe_drift=0.1), 3)],
    "intensity_fluctuation": [({}, 0.1)],
    "background_uneven": [({}, 1.0)],
    "gap_width": [(dict(gap_row=4), 3)],
    "gap_row": [(dict(gap_width=2, gap_column=3), 5)],
    "gap_column": [(dict(gap_width=2, gap_row=3), 5)],
    "frames_dtype": [({}, "float32"), ({}, "uint16")],
}
CASES = [(name, *case) for name, cases in EFFECTS.items() for case in cases]


def test_no_option_is_forgotten():
    assert set(EFFECTS) == set(SimulateConfig.model_fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that the options name."""
    path = tmp_path_factory.mktemp("files")
    y, x = np.mgrid[:90, :90]
    np.save(path / "a.npy", y + 2.0 * x)
    np.save(path / "b.npy", np.hypot(y, x))
    np.save(path / "c.npy", (2 + np.sin(0.2 * y)) * np.exp(0.02j * x))
    wave = np.exp(-((y - 40.0) ** 2 + (x - 45.0) ** 2) / 90)[29:61, 29:61]
    np.savez(path / "o.npz", probe=wave)
    np.savez(path / "q.npz", probe=wave.T)
    (path / "p.csv").write_text("30,31\n35,33\n33,40\n")
    (path / "r.csv").write_text("30,31\n35,33\n33,41\n")
    return path


def config_of(folder, options):
    options = {k: v for k, v in {**BASE, **options}.items() if v is not None}
    for name in ("object_file", "phase_file", "probe_file", "positions_file"):
        if name in options:
            options[name] = folder / options[name]
    return SimulateConfig(**options)


@functools.cache
def content(config):
    """Everything a file would hold but the recipe itself."""
    scan = simulate(config)
    facts = {k: v for k, v in scan.metadata().items() if not k.startswith("recipe")}
    arrays = [scan.frames(), scan.positions_px, scan.positions_true_px, scan.probe_stated]
    arrays.append(scan.truth)
    return [json.dumps(facts), *(a.dtype.str + str(a.shape) for a in arrays)] + [
        a.tobytes() for a in [*arrays, scan.valid_mask]
    ]


STARTS = {"object_file": "a.npy", "probe_file": "o.npz", "positions_file": "p.csv"}


@pytest.mark.parametrize(
    ("name", "base", "value"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)]
)
def test_every_option_has_an_effect(folder, name, base, value):
    before = {**base, **({name: STARTS[name]} if name in STARTS else {})}
    if name in ("phase_min", "phase_max"):  # they come in pairs: another value of this one
        before[name] = value / 2
    if name == "gap_width":  # comes with a place
        before[name] = value - 1
    if name == "energy_ev" and base is not PLATE:
        before[name] = 8000.0
    one = config_of(folder, before)
    two = config_of(folder, {**base, name: value})
    assert recipe_hash(one) != recipe_hash(two)
    assert content(one) != content(two)


# -- recipes ------------------------------------------------------------------------------

# Checksums of the first release: a recipe without newer options keeps its own for good.
FIRST = [
    ({}, "0d7546d41ff2c4209f75d6f21aaf944f272080aca63c7438a2743c176d70da56"),
    (
        dict(object="leaves", probe="defocused", pattern="fermat", N=128, seed=3, bad_pixels=0.01),
        "77b945e49944028fb1c6b4ebe09286e13bfa6eb4bd3d75d476da9b8c18ee3139",
    ),
]


@pytest.mark.parametrize(("options", "digest"), FIRST)
def test_recipes_of_the_first_release_keep_their_checksum(options, digest):
    assert recipe_hash(SimulateConfig(**options)) == digest


@pytest.mark.parametrize(("name", "base", "value"), CASES[::3])
def test_a_recipe_is_the_same_after_json(folder, name, base, value):
    config = config_of(
        folder, {**{k: v for k, v in STARTS.items() if k in base}, **base, name: value}
    )
    text = json.dumps(recipe_of(config))
    assert str(folder) not in text
    recipe = json.loads(text)
    for key in ("object_file", "phase_file", "probe_file", "positions_file"):
        if recipe.get(key):
            recipe[key] = folder / recipe[key]
    assert recipe_hash(SimulateConfig(**recipe)) == recipe_hash(config)


KINDS = [GRF, PROCEDURAL, POLYHEDRA, PICTURE, ARRAY, ZERNIKE, PLATE, PLACES, dict(pattern="spiral")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: next(iter(kind.values())))
def test_the_same_recipe_gives_the_same_bytes_for_every_kind(tmp_path, folder, kind):
    config = config_of(folder, {**kind, "seed": 5})
    for name in "ab":
        simulate_to_file(config, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_kind_goes_with_every_other():
    """No combination ends in anything but a scan of finite counts."""
    probes = ("disc", "gaussian", "defocused", "zernike", "zone_plate")
    for probe, pattern in itertools.product(probes, ("raster", "spiral", "fermat")):
        config = SimulateConfig(**BASE, object="grf", probe=probe, pattern=pattern, probe_modes=2)
        scan = simulate(config)
        rates = scan.rates()
        assert np.isfinite(rates).all() and rates.min() >= 0
        assert rates.sum((1, 2)).mean() == pytest.approx(1e5, rel=1e-6)
