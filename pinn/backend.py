"""The only module that imports a framework: backend choice, device, compilation, determinism.

`select` runs before Keras is imported and decides which framework Keras will load. The other
functions hide the few calls that differ between frameworks; none changes a result.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pinn.errors import BackendError, ConfigError

BACKENDS = ("jax", "torch", "tensorflow")
DEVICES = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
