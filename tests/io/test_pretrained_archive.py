"""The model that comes with the package: it is there, small, and leaves with wheel and sdist."""

import tomllib
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path

from pinn.io.archive import PRETRAINED_PATH, read_archive

ROOT = Path(__file__).parents[2]
INSIDE = "networks/pretrained/wts.h5.zip"


def test_the_archive_is_a_file_of_the_package_of_at_most_two_megabytes():
    file = resources.files("pinn").joinpath(INSIDE)
    assert file.is_file() and Path(str(file)) == PRETRAINED_PATH
    assert PRETRAINED_PATH.stat().st_size <= 2e6


def test_it_holds_what_a_reconstruction_needs_and_no_more():
    archive = read_archive(PRETRAINED_PATH)
    assert archive.optimizer is None
    assert archive.config["model"]["architecture"] == "unrolled"
    assert archive.config["model"]["stages"] >= 1
    card = archive.provenance["card"]
    assert "as it begins" in card["what it is"] and card["where it fails"]


def test_wheel_and_sdist_take_it_along():
    """Read from the settings: a build takes longer than all tests here. The whole package is in
    both, and nothing of it is left out, by name or because it is not in version control."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert settings["targets"]["wheel"] == {"packages": ["pinn"]}
    assert "pinn" in settings["targets"]["sdist"]["include"]
    assert not {"exclude", "only-include", "artifacts"} & settings["targets"]["sdist"].keys()
    assert settings.keys() == {"targets"}
    ignored = (ROOT / ".gitignore").read_text().split()
    parts = ["pinn", *INSIDE.split("/")]
    assert not [one for one in ignored for part in parts if fnmatch(part, one.strip("/"))]
