"""Options: contradictions are one clear sentence, and every field explains itself."""

import json

import pytest

from pinn.errors import ConfigError
from pinn.simulate import SimulateConfig, options

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
    (dict(probe_error=0.3), "probe_error has no meaning with probe disc"),
    (dict(probe="zernike", defocus=0.0, probe_error=0.3), "relative to the defocus, but that is 0"),
    (dict(probe="zone_plate", defocus_m=0.0, probe_error=0.3), "relative to the defocus"),
    (dict(probe_drift_modes=2), "no meaning without probe_drift"),
    (dict(n_frames=1, probe_drift=0.1), "one frame has no probe_drift"),
    (dict(gap_row=3), "gap_row has no effect without gap_width"),
    (dict(gap_width=3), "does not say where"),
    (dict(gap_width=3, gap_column=62), "gap_column 62 and gap_width 3 reach beyond the frame"),
    (dict(position_error_limit=-1.0), "'position_error_limit'"),
    (dict(intensity_fluctuation=-0.1), "'intensity_fluctuation'"),
    (dict(beamstop=32.0), "hides the whole frame"),
    (dict(frames="amplitude", frames_dtype="uint16"), "cannot be written as uint16"),
    (dict(bad_pixels=0.9), "'bad_pixels'"),
    (dict(photons_per_frame=0), "'photons_per_frame'"),
    (dict(photons=5), "unknown option 'photons'"),
    (dict(object="file"), "object file needs object_file"),
    (dict(object="reconstruction"), "object reconstruction needs object_file"),
    (dict(object_file="a.png"), "object_file has no meaning with object lines"),
    (dict(object="reconstruction", object_file="r.h5", amplitude_min=0.1), "give both"),
    (dict(object="file", object_file="a", phase_file="b", phase="flat"), "phase_file has no"),
    (dict(amplitude_min=1.0), "must be below amplitude_max 1"),
    (dict(feature_px=4.0), "feature_px has no meaning with object lines"),
    (dict(object_fit="crop"), "object_fit has no meaning with object lines"),
    (dict(field_px=40.0), "field_px has no meaning with object lines"),
    (dict(aberration=1.0, probe="zernike"), "aberration has no meaning with probe zernike"),
    (dict(zernike="5:1"), "zernike has no meaning with probe disc"),
    (dict(probe="zernike", zernike="5:1", zernike_rms=1.0), "zernike states them"),
    (dict(probe="zernike", zernike="5:1", zernike_order=3), "zernike states them"),
    (dict(probe="zone_plate", probe_diameter=0.3), "probe_diameter has no meaning"),
    (dict(probe="zone_plate", defocus=3.0), "defocus has no meaning with probe zone_plate"),
    (dict(defocus_m=1e-5), "defocus_m has no meaning with probe disc"),
    (dict(outer_zone_m=1e-8), "outer_zone_m has no meaning"),
    (dict(zone_plate_diameter_m=1e-4), "zone_plate_diameter_m has no meaning"),
    (dict(probe="file", probe_file="p", probe_variation=0.1), "probe_variation has no meaning"),
    (dict(probe_seed=1), "nothing random"),
    (dict(probe="defocused", aberration=0.0, probe_seed=1), "nothing random"),
    (dict(energy_ev=8e3), "without distance_m and detector_pixel_m"),
    (dict(energy_ev=8e3, distance_m=1.0), "without detector_pixel_m"),
    (dict(pattern="file"), "needs positions_file"),
    (dict(positions_file="p.csv"), "positions_file has no meaning with pattern raster"),
    (dict(positions_place="absolute"), "positions_place has no meaning"),
    (dict(pattern="file", positions_file="p.csv", n_frames=9), "n_frames has no meaning"),
    (dict(pattern="file", positions_file="p.csv", overlap=0.5), "overlap has no meaning"),
    (dict(pattern="file", positions_file="p.csv", step=4.0), "step has no meaning"),
    (dict(pattern="file", positions_file="p.csv", positions_unit="um"), "need the pixel size"),
    (dict(pattern="spiral", jitter=0.1), "jitter has no meaning with pattern spiral"),
    (dict(saturation=70000.0, frames_dtype="uint16"), "above 65535"),
    (dict(saturation=0.5), "'saturation'"),
]


@pytest.mark.parametrize(("given", "text"), BAD)
def test_bad_options_are_one_clear_error(given, text):
    with pytest.raises(ConfigError) as caught:
        SimulateConfig(**given)
    message = str(caught.value)
    assert text in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_every_option_is_described():
    for name, field in SimulateConfig.model_fields.items():
        assert field.description and field.description.endswith("."), name


DEFAULTS = {
    "amplitude_min": options.AMPLITUDE[0],
    "amplitude_max": options.AMPLITUDE[1],
    "spokes": options.SPOKES,
    "probe_diameter": options.PROBE_DIAMETER["gaussian"],
    "aberration": options.ABERRATION,
    "mode_ratio": options.MODE_RATIO,
    "zernike_order": options.ZERNIKE_ORDER,
    "zernike_rms": options.ZERNIKE_RMS,
    "zone_plate_diameter_m": options.ZONE_PLATE_DIAMETER_M,
    "outer_zone_m": options.OUTER_ZONE_M,
    "n_frames": options.N_FRAMES,
    "overlap": options.OVERLAP,
    "jitter": options.JITTER,
    "probe_drift_modes": options.DRIFT_MODES,
    "central_stop": options.ZONE_PLATE_STOP,
    "energy_ev": options.ENERGY_EV,
    "detector_pixel_m": options.DETECTOR_PIXEL_M,
}


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_the_help_states_the_default(name, default):
    words = SimulateConfig.model_fields[name].description.split()
    assert f"{default:g}" in [word.strip(".,;)") for word in words]


def test_options_survive_json():
    config = SimulateConfig(probe="file", probe_file="a/b.npz", overlap=0.5, seed=4)
    assert SimulateConfig(**json.loads(json.dumps(config.to_dict()))) == config
