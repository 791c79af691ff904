"""A measurement: what is named once goes everywhere."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scan_makers import counts_stack, positions, probe

import pinn
from pinn.data.frames import ArrayFrames
from pinn.data.measurement import FACTS, LABELS, Measurement
from pinn.data.scan import Scan
from pinn.errors import ScanError

ONE_MORE = {
    "    saturation: PositiveFact = None\n": "    stage_temperature_k: PositiveFact = None\n",
    "    positions_from_m: bool = False\n": (
        "    ring_current: Annotated[np.ndarray | None, Kind(axes=1)] = None\n"
    ),
}
JOURNEY = """
import json, sys
from multiprocessing.reduction import ForkingPickler
import numpy as np
import pinn
from pinn.errors import ScanError
from pinn.io.convert import convert
from pinn.io.load import scan_of
from pinn.io.formats.npz import read_npz
from pinn.io.formats.registry import named
from pinn.remote.transfer import describe, rebuild

folder, M = sys.argv[1], 12
rng = np.random.default_rng(0)
arrays = dict(diff3d=rng.poisson(40, (M, 16, 16)), xcoords=rng.uniform(30, 60, M),
    ycoords=rng.uniform(20, 90, M), metadata=json.dumps({"stage_temperature_k": 91.5}))
np.savez(folder + "/scan.npz", **arrays)
scan = pinn.load(folder + "/scan.npz", drop_frames="0-2", frame_size=24)
assert scan.stage_temperature_k == 91.5
for suffix in ("npz", "cxi"):
    convert(folder + "/scan.npz", folder + "/out." + suffix, flip_frames="ud")
    assert pinn.load(folder + "/out." + suffix).stage_temperature_k == 91.5

config = pinn.ScanConfig(drop_frames="0-2")
found = read_npz(scan.source, config)
found.ring_current = np.arange(M) / 10  # as a reader of a format that has one would
scan = scan_of(scan.source, found, config, named("npz"))
sent = ForkingPickler.dumps(describe(scan, scan.source.parent / "way"))
there = rebuild(ForkingPickler.loads(sent))
for one in (scan, there, scan.select([0, 4]), there.select([0, 4])):
    expected = np.arange(3, M) / 10
    np.testing.assert_array_equal(one.ring_current, expected if len(one) > 2 else expected[[0, 4]])
    assert one.stage_temperature_k == 91.5
try:
    pinn.Scan(arrays["diff3d"][3:], scan.positions_px, stage_temperature_k=-1)
except ScanError as error:
    assert "stage_temperature_k" in str(error), error
else:
    raise AssertionError("not checked")
"""


def test_an_attribute_that_is_added_in_one_place_travels_everywhere(tmp_path):
    copy = shutil.copytree(
        Path(pinn.__file__).parent, tmp_path / "pinn", ignore=shutil.ignore_patterns("*.pyc")
    )
    path = copy / "data" / "measurement.py"
    text = path.read_text(encoding="utf-8")
    for line, more in ONE_MORE.items():
        assert text.count(line) == 1
        text = text.replace(line, line + more)
    path.write_text(text, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", JOURNEY, str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_facts_are_single_values_that_files_keep():
    scan = Scan(counts_stack(), positions(), energy_ev=8e3, saturation=500)
    assert scan.facts() == {
        "energy_ev": 8e3, "particle": "photon", "saturation": 500.0,
        "propagation": "far", "detector_response": "none",
    }  # fmt: skip
    assert set(scan.facts()) <= set(FACTS)
    assert {"truth", "label_patches", "made_with"} == LABELS


def test_every_attribute_is_documented_and_is_a_keyword_of_a_scan():
    for attribute in dataclasses.fields(Measurement):
        assert f"    {attribute.name}: " in Measurement.__doc__, attribute.name
    with pytest.raises(TypeError, match="colour"):
        Scan(counts_stack(), positions(), colour="red")


def test_a_scan_of_the_attributes_of_a_scan_is_the_same():
    given = probe(modes=6).reshape(2, 3, 16, 16)
    corner = np.fft.ifftshift(counts_stack().astype(float), (1, 2))
    mask = ArrayFrames(np.random.default_rng(0).random(corner.shape) > 0.1)
    scan = Scan(corner, positions(), probe=given, probe_weights=np.ones((12, 2)), valid_mask=mask)
    again = Scan(**scan.attributes())
    assert (again.centre, again.units, again.units_given) == ("corner", "counts", False)
    assert again.notes == scan.notes
    for name in ("positions_px", "probe", "probe_variations", "probe_weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scan, name))
    for one, other in zip(again.read([3, 0]), scan.read([3, 0]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_measurement_is_not_checked_and_is_selected_like_a_scan():
    found = Measurement(ArrayFrames(counts_stack()[:, :5]), None, scan_index=np.arange(12))
    some = found.select(np.array([4, 2]))
    assert len(some) == 2 and some.positions_px is None
    np.testing.assert_array_equal(some.scan_index, [4, 2])
    np.testing.assert_array_equal(some.frames.read(np.array([0])), counts_stack()[[4], :5])
    some.close()
    with pytest.raises(ScanError, match="closed"):
        found.frames.read(np.array([0]))
