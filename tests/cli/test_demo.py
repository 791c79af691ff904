"""The demo, on a scan small enough for a test and with no time to train."""

from __future__ import annotations

import json
import re

from pinn import cli
from pinn.cli import demo


def test_demo_stops_at_its_time_limit_and_reports_what_it_found(tmp_path, monkeypatch, capsys):
    small = {**demo.SCAN, "N": 16, "size": 64, "object": "lines", "photons_per_frame": 1e5}
    del small["overlap"]  # two of frames, size and spacing fix the third
    del small["spokes"]  # lines have none
    monkeypatch.setattr(demo, "SCAN", small)
    monkeypatch.setattr(demo, "TRAINING_SECONDS", 0)
    out = tmp_path / "demo"
    assert cli.run(["demo", "--output", str(out), "--epochs", "3", "--n-frames", "80"]) == 0
    said = capsys.readouterr().err
    assert f"look at {out / 'report.html'}" in said
    assert len((out / "history.csv").read_text().splitlines()) == 2  # header and one epoch
    html, markdown = ((out / f"report.{kind}").read_text() for kind in ("html", "md"))
    metrics = json.loads((out / "metrics.json").read_text())
    shown = f"{metrics['evaluation']['metrics']['nrmse']:.4f}"
    for report in (html, markdown):
        assert shown in report and "80 diffraction patterns" in report
        assert "stopped at its time limit" in report
    pictures = re.findall(r'<img src="([^"]+)"', html)
    assert pictures[0] == "comparison.png" and len(pictures) == 6
    assert all((out / name).stat().st_size > 5000 for name in pictures)
    assert set(pictures) == set(re.findall(r"\]\(([^)]+\.png)\)", markdown))
