"""Pictures: whole files, right pixels, no global state."""

import sys
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib import colormaps
from skimage.io import imread

from pinn.errors import InputError, OutputError
from pinn.plots import comparison, panels, pictures
from pinn.quality.evaluate import evaluate

RNG = np.random.default_rng(2)
Y, X = np.mgrid[:60, :80]
OBJECT = (1 + 0.5 * (X > 40)) * np.exp(0.02j * Y)


def reconstruction(**more):
    coverage = np.ones(OBJECT.shape)
    coverage[:20, :25] = 0
    positions = np.array([[10.0, 10.0], [50.0, 70.0]])
    return SimpleNamespace(
        object=OBJECT, origin_px=np.zeros(2), coverage=coverage, positions_px=positions, **more
    )


def read(path):
    return imread(path)[..., :3].astype(int)


def has_colour(image, colour, share):
    """Whether at least `share` of the pixels have a colour, to one step of rounding."""
    wanted = np.round(np.array(colour[:3]) * 255)
    return np.mean(np.all(np.abs(image - wanted) <= 1, -1)) >= share


def test_uncovered_pixels_are_grey_and_colours_follow_the_values(tmp_path):
    path = pictures.write_amplitude(tmp_path / "a.png", reconstruction(pixel_size_m=1e-8))
    image = read(path)
    assert min(image.shape[:2]) > 600
    palette = colormaps[panels.AMPLITUDE_MAP]
    grey = np.array([int(panels.UNCOVERED[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    # 10 % of the object is uncovered, half of it has either amplitude; text takes its share.
    assert has_colour(image, grey, 0.04)
    assert has_colour(image, palette(0.0), 0.15) and has_colour(image, palette(1.0), 0.15)


def test_an_object_covered_throughout_has_no_grey(tmp_path):
    image = read(pictures.write_amplitude(tmp_path / "a.png", OBJECT))
    grey = np.array([int(panels.UNCOVERED[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    assert not has_colour(image, grey, 0.001)


def test_a_phase_ramp_is_removed_only_on_request(tmp_path):
    kept = read(pictures.write_phase(tmp_path / "k.png", OBJECT))
    removed = read(pictures.write_phase(tmp_path / "r.png", OBJECT, remove_phase_ramp=True))
    middle = slice(300, 700), slice(300, 800)
    # With the ramp colours run down the rows; without it the object has one phase.
    assert len(np.unique(kept[middle].reshape(-1, 3), axis=0)) > 20
    assert len(np.unique(removed[300:600, 300:800].reshape(-1, 3), axis=0)) <= 3


def test_phase_colours_are_cyclic_once_the_phase_wraps():
    limits, name, words = panels.phase_colours(np.linspace(-3.1, 3.1, 99), "all")
    assert limits == (-np.pi, np.pi) and name == panels.CYCLIC_MAP and "wraps" in words
    limits, name, words = panels.phase_colours(np.linspace(-1.0, 1.0, 999), "all")
    assert limits == pytest.approx((-0.99, 0.99)) and name == panels.PHASE_MAP
    assert "0.5 to 99.5 percentile of all" in words


def test_ranges_are_robust_and_never_empty():
    values = np.concatenate([np.linspace(0, 1, 10001), [1e9, np.nan, -np.inf]])
    assert panels.robust_range(values) == pytest.approx((0.005, 0.995), abs=1e-3)
    low, high = panels.robust_range(np.ones(5))
    assert low < 1 < high
    assert panels.robust_range(np.array([np.nan])) == (0.0, 1.0)


def test_every_picture_is_written(tmp_path):
    truth = OBJECT + 0.1 * (RNG.normal(size=OBJECT.shape) + 1j * RNG.normal(size=OBJECT.shape))
    result = evaluate(reconstruction(), truth, border=2, pixel_size_m=2e-8)
    probe = np.exp(-((Y[:32, :32] - 16) ** 2 + (X[:32, :32] - 15) ** 2) / 50 + 0.1j * X[:32, :32])
    frames = RNG.poisson(2.0, (7, 16, 16)).astype(np.float32)
    frames[:, 3] = -1
    patches = np.exp(1j * RNG.normal(size=(7, 16, 16)))
    made = [
        comparison.write_comparison(tmp_path / "comparison.png", result),
        comparison.write_frc(tmp_path / "frc.png", result),
        pictures.write_probe(tmp_path / "probe.png", probe),
        pictures.write_probe(tmp_path / "modes.png", np.stack([probe, 0.5j * probe])[None], 1e-8),
        pictures.write_samples(tmp_path / "samples.png", frames, patches),
        pictures.write_samples(tmp_path / "dark.png", np.zeros((1, 16, 16)), patches[:1]),
        pictures.write_phase(tmp_path / "sub" / "phase.png", reconstruction(scan_name="x")),
    ]
    for path in made:
        image = read(path)
        assert image.shape[0] >= 600 and image.shape[1] >= 500 and image.std() > 10
    assert sorted(p.name for p in tmp_path.iterdir() if "tmp" in p.name) == []


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [0.3]},
        {"epoch": [1, 2, 3], "loss": [3.0, np.nan, 1.0], "val_loss": [3.1, None, 1.2]},
        [
            {"epoch": 1, "loss": 2.0, "nll": -1.0, "backend": "jax", "seconds": 2.0},
            {"epoch": 2, "loss": 1.0, "nll": -2.0, "backend": "jax", "seconds": 2.0, "extra": 1},
        ],
    ],
)
def test_histories_of_both_forms_are_drawn(tmp_path, history):
    assert read(pictures.write_loss(tmp_path / "loss.png", history)).std() > 10


def test_small_and_thin_objects_are_drawn(tmp_path):
    for shape in ((1, 1), (3, 200), (400, 5)):
        item = RNG.normal(size=shape) + 1j
        assert read(pictures.write_phase(tmp_path / f"{shape[0]}.png", item)).std() > 1


def test_nothing_global_is_touched(tmp_path):
    before = dict(matplotlib.rcParams)
    had_pyplot = "matplotlib.pyplot" in sys.modules
    pictures.write_amplitude(tmp_path / "a.png", OBJECT)
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot


def test_a_failed_picture_leaves_the_old_one(tmp_path):
    path = pictures.write_amplitude(tmp_path / "a.png", OBJECT)
    content = path.read_bytes()
    with pytest.raises(InputError, match="picture format"):
        pictures.write_amplitude(tmp_path / "a.xyz", OBJECT)
    with pytest.raises(InputError, match="covers no pixel"):
        empty = reconstruction()
        empty.coverage = np.zeros(OBJECT.shape)
        pictures.write_amplitude(path, empty)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    blocked = tmp_path / "a.png" / "b.png"
    with pytest.raises(OutputError, match="cannot write"):
        pictures.write_amplitude(blocked, OBJECT)


def test_bad_input_is_refused(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(InputError, match="no loss"):
        pictures.write_loss(path, {"epoch": [1], "backend": ["jax"]})
    with pytest.raises(InputError, match="frames have shape"):
        pictures.write_samples(path, np.ones((3, 8, 8)), np.ones((2, 8, 8)))
    with pytest.raises(InputError, match="the probe has shape"):
        pictures.write_probe(path, np.ones((8, 9)))
    flat = evaluate(np.ones((64, 64)), OBJECT[:64, :64].repeat(2, 0)[:64], ramp=False)
    with pytest.raises(InputError, match="no Fourier ring correlation"):
        comparison.write_frc(path, flat)
    assert not path.exists()
