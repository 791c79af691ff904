"""Real ptychodus 1.7 objects of a small asymmetric scan, and the quickly trained test network."""

import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


def pytest_configure(config):
    # ptychodus imports a module that later versions of Python have not
    config.addinivalue_line("filterwarnings", "ignore:'xdrlib' is deprecated:DeprecationWarning")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """36 frames of 16 x 16, two probe modes, three hot bad pixels, off the origin in metres."""
    from drive import simulate

    folder = tmp_path_factory.mktemp("small")
    simulate(folder, 16, 6, 3.0, 2e5, 1, 2, 3, (3e-6, -7e-6))
    return folder


@pytest.fixture(scope="session")
def given(small):
    """What ptychodus hands to a reconstructor; the object is the truth."""
    from ptychodus.api.io import load_diffraction_data, load_product
    from ptychodus.api.reconstruct import prepare_reconstruct_input

    return prepare_reconstruct_input(
        load_diffraction_data(small / "diffraction.h5"), load_product(small / "truth.h5")
    )


@pytest.fixture
def core():
    """A ptychodus with the algorithms of pinn in it, quick ones."""
    import tiny  # noqa: F401  (registers `test-tiny`)
    from ptychodus.model import ModelCore

    from pinn.interop.ptychodus import register

    with ModelCore() as core:
        settings = register(core).settings
        settings.architecture.set_value("test-tiny")
        settings.epochs.set_value(3)
        settings.picture_every.set_value(1)
        core.pinn_settings = settings
        yield core


def parts(core, name):
    """One algorithm of pinn."""
    parameter = core.processing_core.algorithm_parameter
    parameter.set_value(f"pinn_{name}")
    assert parameter.get_value() == f"pinn_{name}"
    return parameter.get_current_reconstructor()


def apart(found, expected):
    """Relative distance of two stacks of frames but for one factor.

    ptychodus' propagator does not keep the number of photons; that is not what is compared.
    """
    factor = np.vdot(found, expected) / np.vdot(found, found)
    return np.linalg.norm(factor * found - expected) / np.linalg.norm(expected)


def far_field(scan, rows):
    """Intensities of the scan's own parts, NumPy float64: positions, probe modes, truth."""
    half = scan.N // 2
    corners = np.rint(scan.positions_px[rows] - half - scan.truth_origin_px).astype(int)
    frames = []
    for y, x in corners:
        waves = scan.probe.astype(np.complex128) * scan.truth[y : y + scan.N, x : x + scan.N]
        fields = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(waves, (1, 2))), (1, 2)) / scan.N
        frames.append(np.sum(np.abs(fields) ** 2, axis=0))
    return np.array(frames)
