"""`ptycho_evaluate`: compare a reconstruction with a truth.

With `--model_path` and `--test_data` the scan is reconstructed first (all flags of
`ptycho_inference`) and compared with its own `objectGuess`; anything else is handed to
`pinn evaluate`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pinn import cli
from ptycho._cli import inference, run


def work(arguments: Sequence[str] | None = None) -> int:
    """Evaluate; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not any(word.split("=")[0] in ("--model_path", "--model-path") for word in given):
        return cli.run(["evaluate", *given])

    options = inference.configuration(given)
    scan, folder = options[0].test_data_file, inference.reconstruct(*options)
    return cli.run(["evaluate", str(folder / "reconstruction.h5"), "--truth", str(scan)])


def main() -> None:
    """The console script."""
    codes: list[int] = []
    run(lambda: codes.append(work()))
    sys.exit(codes[0])
