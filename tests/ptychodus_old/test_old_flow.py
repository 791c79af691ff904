"""The whole way through ptychodus 1.2 and 1.4.2, which run `ptycho` in their own process."""

from pathlib import Path

import compare
import pytest
from compare import correlation, with_object_elsewhere

import pinn

HERE = Path(__file__).parent
SETTINGS = ["PtychoPINNTraining.NumEpochs=10", "PtychoPINNModel.GridSize=2"]


def drive(step, *paths, **options):
    return compare.drive(HERE / "drive_old.py", step, *paths, **options)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """256 positions, 32 x 32 pixels, 1e6 photons, counts by `pinn`; exported by ptychodus."""
    folder = tmp_path_factory.mktemp("simulated")
    drive("simulate", folder, n=32, side=16, step_px=3)
    drive("export", folder)
    return folder


@pytest.fixture(scope="session")
def truth(simulated):
    return pinn.load_reconstruction(simulated / "truth.h5")


@pytest.fixture(scope="session")
def trained(simulated, tmp_path_factory):
    """The folder a model was trained to and saved in."""
    out = tmp_path_factory.mktemp("trained")
    drive("train", simulated, out, set=SETTINGS)
    return out


@pytest.fixture(scope="session")
def found(simulated, trained):
    """What a fresh process makes of the scan with the saved model."""
    drive("reconstruct", simulated, trained, set=SETTINGS)
    return pinn.load_reconstruction(trained / "product.h5")


def test_pinn_matches_the_truth_and_pinn_alone(simulated, truth, found):
    scan = pinn.load(simulated / "product.h5")
    alone = pinn.reconstruct(scan, pinn.train(scan, epochs=10, gridsize=2))
    with_truth, with_ours = correlation(found, truth), correlation(found, alone)
    print(f"correlation: truth {with_truth:.3f}, pinn alone {with_ours:.3f}")
    assert with_truth >= 0.8 and with_ours >= 0.9


def test_supervised(simulated, truth, tmp_path):
    """Learns from the object of the exported product, here the one it then infers."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "diffraction.h5").symlink_to(simulated / "diffraction.h5")
    (folder / "product.h5").symlink_to(simulated / "truth.h5")
    for step, paths in (("export", [folder]), ("train", [folder, out])):
        drive(step, *paths, mode="Supervised", set=SETTINGS)
    drive("reconstruct", folder, out, mode="Supervised", set=SETTINGS)
    assert correlation(pinn.load_reconstruction(out / "product.h5"), truth) >= 0.8


def test_an_object_with_another_centre_and_groups_of_another_size(
    simulated, trained, found, tmp_path
):
    """The result lies where it lay, and the gridsize of the model counts, not that set."""
    folder, out = with_object_elsewhere(simulated, tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    for path in trained.glob("*.zip"):
        (out / path.name).symlink_to(path)
    _, text = drive("reconstruct", folder, out, set="PtychoPINNModel.GridSize=1")
    assert "trained with gridsize 2" in text
    moved = pinn.load_reconstruction(out / "product.h5")
    here = correlation(moved, found, (0, 0))
    assert here >= 0.95
    for wrong in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert correlation(moved, found, wrong) < here
