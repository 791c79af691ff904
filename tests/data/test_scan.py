"""The contract of a scan: what it refuses, and in which words."""

import numpy as np
import pytest
from scan_makers import counts_stack, positions, probe

from pinn.data.scan import Scan
from pinn.errors import InputError, ScanError

COUNTS = counts_stack()
POSITIONS = positions()
PROBE = probe()


def with_value(array, index, value):
    changed = np.array(array, np.result_type(array, type(value)))
    changed[index] = value
    return changed


BAD = {
    "rank": (dict(frames=COUNTS[0]), r"shape \(16, 16\), but \(M, N, N\)"),
    "not square": (dict(frames=COUNTS[:, :, :14]), "16 x 14 pixels, but must be square"),
    "odd": (dict(frames=COUNTS[:, :15, :15]), "15 pixels wide, but the side must be even"),
    "too small": (dict(frames=COUNTS[:, 4:12, 4:12]), "8 pixels wide"),
    "too large": (dict(frames=np.zeros((12, 1026, 1026), np.uint8)), "1026 pixels wide"),
    "no frames": (dict(frames=COUNTS[:0], positions_px=POSITIONS[:0]), "has no frames"),
    "complex frames": (dict(frames=COUNTS * 1j), "complex .* absolute value as amplitude"),
    "text frames": (dict(frames=COUNTS.astype(str)), "dtype <U"),
    "lengths": (dict(positions_px=POSITIONS[:-1]), "12 frames but 11 positions"),
    "position shape": (dict(positions_px=POSITIONS.T), r"\(2, 12\), but \(M, 2\)"),
    "position type": (
        dict(positions_px=POSITIONS * 1j),
        "complex128, but an array of real numbers",
    ),
    "position rows": (dict(positions_px=[[1, 2], [3]]), "object, but an array of real numbers"),
    "position nan": (
        dict(positions_px=with_value(POSITIONS, (3, 1), np.nan)),
        r"1 positions .* first is number 3 .*nan",
    ),
    "one place": (dict(positions_px=np.tile([[3.0, 4.0]], (12, 1))), r"all 12 positions .* \[3"),
    "metres": (dict(positions_px=POSITIONS * 5e-8), "looks like metres; divide them by the object"),
    "probe size": (dict(probe=PROBE[:, :8]), r"shape \(16, 8\), but \(16, 16\).*--probe"),
    "probe rank": (dict(probe=PROBE[None, None, None]), r"shape \(1, 1, 1, 16, 16\)"),
    "probe zero": (dict(probe=PROBE * 0), "zero everywhere; give another with --probe"),
    "probe nan": (dict(probe=with_value(PROBE, (2, 3), np.nan)), "not finite"),
    "probe text": (dict(probe=PROBE.astype(str)), "dtype <U"),
    "mask shape": (dict(valid_mask=np.ones((12, 16), bool)), r"shape \(12, 16\)"),
    "mask type": (dict(valid_mask=np.ones((16, 16))), "float64, but bool is required, True = use"),
    "mask empty": (dict(valid_mask=np.zeros((16, 16), bool)), "leaves no pixel.*invert"),
    "truth rank": (dict(truth=np.ones((3, 40, 40))), r"\(3, 40, 40\)"),
    "truth nan": (dict(truth=np.full((90, 90), np.nan)), "truth .* not finite"),
    "scan_index": (dict(scan_index=np.zeros(5, int)), r"\(5,\).* each of 12 frames"),
    "scan_index fraction": (dict(scan_index=np.arange(12) / 2), "whole number"),
    "photons": (dict(photons_per_frame=-1.0), "photons_per_frame .* -1.0, .* above zero"),
    "pixel size": (dict(pixel_size_m=np.inf), "pixel_size_m .* inf"),
    "units": (dict(units="photons"), "'photons', but one of counts, intensity, amplitude"),
    "centre": (dict(centre="middle"), "'middle', but centred, corner or auto"),
    "nominal": (dict(positions_nominal_px=POSITIONS[:4]), "nominal.*12 frames but 4 positions"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_a_sentence(case):
    changes, message = BAD[case]
    arguments = dict(frames=COUNTS, positions_px=POSITIONS, probe=PROBE, name="mine") | changes
    with pytest.raises(ScanError, match=message) as caught:
        Scan(arguments.pop("frames"), arguments.pop("positions_px"), **arguments)
    text = str(caught.value)
    assert "mine" in text
    assert "\n" not in text
    assert isinstance(caught.value, InputError)


def test_good_input_is_kept():
    scan = Scan(
        COUNTS,
        POSITIONS,
        probe=PROBE,
        scan_index=np.arange(12.0) // 6,
        pixel_size_m=5e-8,
        name="mine",
        notes=["first"],
    )
    assert len(scan) == 12
    assert scan.N == 16
    assert scan.units == "counts"
    assert scan.scan_index.dtype == np.int64
    np.testing.assert_array_equal(scan.positions_px, POSITIONS)
    assert scan.notes[0] == "first"
    assert "int64: read as counts" in scan.notes[1]
    assert "mine" in repr(scan)


def test_positions_are_a_copy_that_cannot_be_written():
    own = POSITIONS.copy()
    scan = Scan(COUNTS, own)
    own[:] = 0
    np.testing.assert_array_equal(scan.positions_px, POSITIONS)
    with pytest.raises(ValueError, match="read-only"):
        scan.positions_px[0] = 0


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 1), (1, 16, 16), (3, 16, 16)])
def test_probe_shapes_and_gauge(shape):
    given = np.resize(probe(modes=3), shape) * 7.3
    scan = Scan(COUNTS, POSITIONS, probe=given)
    modes = given.reshape(16, 16, -1).transpose(2, 0, 1) if shape[-1] == 1 else given
    modes = modes.reshape(-1, 16, 16)
    gauge = scan.probe_gauge()
    assert gauge.dtype == np.complex64
    expected = modes * 8 / np.linalg.norm(modes)
    np.testing.assert_allclose(gauge, expected, rtol=3e-7)  # rounding of complex64
    np.testing.assert_allclose(scan.probe, modes, rtol=2e-7)


def test_a_missing_probe_is_an_error_when_it_is_used():
    scan = Scan(COUNTS, POSITIONS, name="mine")
    scan.statistics()
    with pytest.raises(ScanError, match=r"mine.* has no probe; give one with --probe"):
        scan.probe_gauge()


def test_a_single_frame_and_repeated_places_are_allowed():
    Scan(COUNTS[:1], POSITIONS[:1]).read([0])
    repeated = np.repeat(POSITIONS[:6], 2, axis=0)
    assert len(Scan(COUNTS, repeated)) == 12


def test_a_truth_that_does_not_cover_the_scan_is_noted():
    wide = np.ones((100, 70), complex)
    assert not any("truth" in note for note in Scan(COUNTS, POSITIONS, truth=wide).notes)
    narrow = Scan(COUNTS, POSITIONS, truth=wide[:80])
    assert any("truth (80, 70) does not cover" in note for note in narrow.notes)
    below = Scan(COUNTS, POSITIONS - 30.0, truth=wide)
    assert any("does not cover" in note for note in below.notes)


def test_what_was_found_in_all_frames_is_not_said_of_some():
    scan = Scan(with_value(COUNTS, 0, 0), POSITIONS, notes=["from the reader"])
    scan.statistics()
    assert any("frames are dark" in note for note in scan.notes)
    some = scan.select(np.arange(1, 12))
    assert not any("dark" in note for note in some.notes) and "from the reader" in some.notes


def test_positions_far_apart_are_noted():
    notes = Scan(COUNTS, POSITIONS * 1000).notes
    assert any("further than the frame is wide (16 px)" in note for note in notes)


def test_the_source_names_the_file_in_messages():
    with pytest.raises(ScanError, match=r"frames of here/scan\.npz"):
        Scan(COUNTS[0], POSITIONS, source="here/scan.npz")


def test_reading_after_close_is_refused():
    scan = Scan(COUNTS, POSITIONS)
    scan.close()
    with pytest.raises(ScanError, match="closed"):
        scan.read([0])
