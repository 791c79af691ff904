"""Plain data as text: JSON without NaN, CSV that reads back exactly."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np


def json_text(value: Any, *, nonfinite: Literal["null", "refuse"] = "null") -> str:
    """JSON of plain data, NumPy numbers and arrays, and paths, with a line end.

    Args:
        value: mappings, sequences, strings, numbers, booleans, None, NumPy, `Path`.
        nonfinite: JSON knows no NaN and no infinity: write null, or refuse.

    Raises:
        TypeError: a value has no JSON form; the message says where it is.
        ValueError: a number is not finite and `nonfinite` is "refuse".
    """
    plain = _plain(value, "", nonfinite == "refuse")
    # ASCII, because the name of a file may hold bytes that no encoding allows.
    return json.dumps(plain, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV of rows that need not have the same keys.

    The columns are the keys in the order they first appear; a missing key or None is an empty
    cell; floats are written so that they read back exactly.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = (row.get(column) for column in columns)
        writer.writerow([cell.item() if isinstance(cell, np.generic) else cell for cell in cells])
    return out.getvalue()


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table; the first is its head."""
    table = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, with two spaces between columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def parse_csv(text: str) -> list[dict[str, Any]]:
    """Rows of `csv_text`: empty cells are left out, numbers and booleans become such again."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return [
        {key: _cell(cell) for key, cell in zip(rows[0], row, strict=False) if cell != ""}
        for row in rows[1:]
    ]


def _cell(text: str) -> Any:
    if re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        return int(text)
    if text in ("True", "False"):
        return text == "True"
    try:
        return text if "_" in text else float(text)
    except ValueError:
        return text


def _plain(value: Any, where: str, refuse: bool) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{where}.{k}".lstrip("."), refuse) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]", refuse) for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        if refuse:
            raise ValueError(f"{where or 'the value'} is {value}")
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{where or 'the value'} is a {type(value).__name__}, which JSON cannot hold")
