"""Options: contradictions are one clear sentence, and every field explains itself."""

import json

import pytest

from pinn.errors import ConfigError
from pinn.simulate import SimulateConfig

BAD = [
    (dict(N=33), "N must be even, but is 33"),
    (dict(N=8), "'N'"),
    (dict(object="cat"), "'object'"),
    (dict(probe="file"), "needs probe_file"),
    (dict(probe_file="p.npz"), "probe_file has no meaning with probe disc"),
    (dict(probe="file", probe_file="p.npz", probe_diameter=0.3), "probe_diameter has no meaning"),
    (dict(defocus=3.0), "defocus has no meaning with probe disc"),
    (dict(central_stop=0.2, probe="gaussian"), "central_stop has no meaning with probe gaussian"),
    (dict(pattern="fermat", jitter=0.1), "jitter has no meaning with pattern fermat"),
    (dict(object="star", lines=10), "lines has no meaning with object star"),
    (dict(spokes=10), "spokes has no meaning with object lines"),
    (dict(mode_ratio=0.4), "mode_ratio has no meaning with probe_modes 1"),
    (dict(overlap=0.5, step=3.0), "give one of them"),
    (dict(overlap=1.0), "'overlap'"),
    (dict(n_frames=1, overlap=0.5), "one frame has no neighbour"),
    (dict(N=64, size=66), "size 66 is too small"),
    (dict(amplitude_min=1.0, amplitude_max=0.5), "must be below amplitude_max"),
    (dict(phase_min=0.0), "both phase_min and phase_max"),
    (dict(phase_min=1.0, phase_max=0.0), "must be below phase_max"),
    (dict(phase="flat", phase_min=0.0, phase_max=1.0), "phase flat has no range"),
    (dict(beamstop=32.0), "hides the whole frame"),
    (dict(frames="amplitude", frames_dtype="uint16"), "cannot be written as uint16"),
    (dict(bad_pixels=0.9), "'bad_pixels'"),
    (dict(photons_per_frame=0), "'photons_per_frame'"),
    (dict(photons=5), "unknown option 'photons'"),
]


@pytest.mark.parametrize(("options", "text"), BAD)
def test_bad_options_are_one_clear_error(options, text):
    with pytest.raises(ConfigError) as caught:
        SimulateConfig(**options)
    message = str(caught.value)
    assert text in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_every_option_is_described():
    for name, field in SimulateConfig.model_fields.items():
        assert field.description and field.description.endswith("."), name


def test_options_survive_json():
    config = SimulateConfig(probe="file", probe_file="a/b.npz", overlap=0.5, seed=4)
    assert SimulateConfig(**json.loads(json.dumps(config.to_dict()))) == config
