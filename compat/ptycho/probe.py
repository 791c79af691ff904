"""The probe in the legacy dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptycho import params


def set_probe(probe: Any) -> None:
    """Keep a probe `(N, N)` or `(modes, N, N)` under `probe`; nothing in `pinn` reads it."""
    params.set("probe", np.asarray(probe, np.complex64))


def set_probe_guess(X_train: Any = None, probe_guess: Any = None) -> None:
    """Keep the caller's probe; the frames are not needed for it.

    Args:
        X_train: ignored, as the original does when there is a probe.
        probe_guess: `(N, N)` or `(modes, N, N)` complex; None leaves what is there.
    """
    if probe_guess is not None:
        set_probe(probe_guess)


def get_probe() -> np.ndarray:
    """The probe that was kept.

    Raises:
        KeyError: none was.
    """
    probe: np.ndarray = params.get("probe")
    return probe
