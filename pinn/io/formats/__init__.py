"""The scan formats, a module for each or for each family; `registry` knows them all."""

from __future__ import annotations

from typing import Any

# What version 0.1.0 had in a module of this name.
_MOVED = ("FORMATS", "Format", "for_writing", "named", "names", "read_head", "recognise")


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        raise ImportError(
            f"pinn.io.formats.{name} is in pinn.io.formats.registry since pinn 0.2: from "
            f"pinn.io.formats.registry import {name}"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
