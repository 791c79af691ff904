"""The metric against two images whose figures are known.

    python benchmarks/yardsticks.py lines64_test.npz

The scan's `objectGuess` is its truth; a constant image and the truth blurred by a Gaussian of
4 pixels are evaluated against it, and the rows printed beside figures measured independently.
Exit code 1 where a figure is further off than 2 percent, or half a unit of its last printed digit.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.ndimage import gaussian_filter

from pinn.quality.evaluate import evaluate

COLUMNS = {"nrmse": 0.001, "amplitude_psnr_db": 0.1, "phase_mae_rad": 0.001, "frc50": 0.001}
KNOWN = {
    "constant image": (0.342, 15.4, 0.204, 0.004),
    "truth blurred by 4 px": (0.102, 26.7, 0.064, 0.178),
}


def main() -> int:
    """Print the rows; 0 where all agree."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scan", help="NPZ with objectGuess, xcoords, ycoords")
    parser.add_argument("--border", type=float, default=16)
    options = parser.parse_args()
    with np.load(options.scan) as data:
        truth = data["objectGuess"].astype(np.complex128)
        positions = np.stack([data["ycoords"], data["xcoords"]], 1)
    blurred = gaussian_filter(truth.real, 4) + 1j * gaussian_filter(truth.imag, 4)
    images = dict(zip(KNOWN, (np.ones_like(truth), blurred), strict=True))
    far = 0
    for name, image in images.items():
        result = evaluate(image, truth, positions_px=positions, border=options.border)
        print(f"{name}: region {result.region.bounds_px}, steps {result.steps}")
        for (column, unit), known in zip(COLUMNS.items(), KNOWN[name], strict=True):
            value = result.metrics[column]
            assert value is not None
            off = abs(value - known)
            good = off <= max(0.02 * known, 0.5 * unit)
            far += not good
            print(
                f"  {column:18s} {value:9.5f}  known {known:7.3f}  off {off / known:7.2%}"
                f"  {'' if good else 'FAR'}"
            )
        for note in result.notes:
            print(f"  note: {note}")
    return int(far > 0)


if __name__ == "__main__":
    sys.exit(main())
