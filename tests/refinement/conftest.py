"""The scan that the tests of refinement share; other modules have their own.

Imports stand in the fixtures: this file is read before it is sure that a backend was chosen.
"""

import pytest


@pytest.fixture(scope="module")
def arrays():
    from refining import arrays_of

    return arrays_of()


@pytest.fixture(scope="module")
def scan(arrays):
    from refining import scan_of

    return scan_of(arrays)


@pytest.fixture(scope="module")
def plain(scan):
    from refining import QUICK

    import pinn

    return pinn.refine(scan, update_probe=False, **QUICK)
