"""The demo, on a scan small enough for a test and with no time to train."""

from __future__ import annotations

import json
import re

from pinn import cli
from pinn.cli import demo
from pinn.io.product import load_reconstruction


def test_demo_stops_training_at_its_time_limit_and_reports_what_it_found(
    tmp_path, monkeypatch, capsys
):
    small = {**demo.SCAN, "N": 16, "size": 64, "object": "lines", "photons_per_frame": 1e5}
    del small["overlap"]  # two of frames, size and spacing fix the third
    del small["spokes"]  # lines have none
    monkeypatch.setattr(demo, "SCAN", small)
    monkeypatch.setattr(demo, "TRAINING_SECONDS", 0)
    few = {**demo.REFINEMENT, "epochs": 2, "lbfgs_iterations": 0}
    monkeypatch.setattr(demo, "REFINEMENT", few)
    out = tmp_path / "demo"
    assert cli.run(["demo", "--output", str(out), "--epochs", "3", "--n-frames", "80"]) == 0
    said = capsys.readouterr().err
    assert f"look at {out / 'report.html'}" in said
    assert len((out / "history.csv").read_text().splitlines()) == 2  # header and one epoch
    html, markdown = ((out / f"report.{kind}").read_text() for kind in ("html", "md"))
    metrics = json.loads((out / "metrics.json").read_text())
    # The network's picture comes first, and the refined one is the result.
    shown = re.search(r"^\| normalised error, complex \| (\S+) \| (\S+) \|$", markdown, re.M)
    assert f"{metrics['evaluation']['metrics']['nrmse']:.4f}" == shown[2] != shown[1]
    network, refined = (load_reconstruction(out / f"{n}.h5") for n in ("network", "reconstruction"))
    assert "refinement" in refined.statistics and "refinement" not in network.statistics
    assert refined.verdict in said
    for report in (html, markdown):
        assert shown[1] in report and shown[2] in report and "80 diffraction patterns" in report
        assert "Training was to take 3 epochs and was stopped at its time limit" in report
        assert "in 2 epochs and 0 iterations of L-BFGS" in report
    pictures = re.findall(r'<img src="([^"]+)"', html)
    assert pictures[0] == "side_by_side.png" and len(pictures) == 7
    assert all((out / name).stat().st_size > 5000 for name in pictures)
    assert set(pictures) == set(re.findall(r"\]\(([^)]+\.png)\)", markdown))
