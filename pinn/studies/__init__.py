"""Sweeps of trainings described in a TOML file: run, resumed, and summed up in one table.

The package loads no Keras by itself: a study can be read, checked and drawn without a framework.
"""

from __future__ import annotations

from pinn.studies.run import StudyResult, study

__all__ = ["StudyResult", "study"]
