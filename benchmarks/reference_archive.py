"""A real archive of the reference against the outputs the reference gave for it.

    KERAS_BACKEND=tensorflow python benchmarks/reference_archive.py FOLDER

FOLDER holds `wts.h5.zip` and `expected.npz` (input, input_positions, intensity_scale, obj,
pred_amplitude, pred_intensity). The archive is converted, each of its models, the network built
and run, and the relative L2 distances printed; the exit code is 1 when one is larger than 1e-5
(2e-5 for the intensity, which is squared).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

LIMITS = {"obj": 1e-5, "obj_centre": 1e-5, "pred_amplitude": 1e-5, "pred_intensity": 2e-5}
MARGIN = 10  # the reference's canvas is this much wider than a patch, at gridsize 1


def distances(archive: Path, expected) -> dict[str, float]:
    import keras

    from pinn.networks.trained import load_model

    N = expected["input"].shape[1]
    model = load_model(archive, canvas=N + MARGIN)
    offsets = -np.moveaxis(expected["input_positions"][:, 0, ::-1], 1, 2)
    batch = {
        "frames": expected["input"] / np.float32(expected["intensity_scale"]),
        "offsets": np.ascontiguousarray(offsets, "float32"),
        "scan": np.zeros(len(offsets), "int32"),
    }
    out = {k: keras.ops.convert_to_numpy(v) for k, v in model.network(batch).items()}
    clip = slice(MARGIN // 2, MARGIN // 2 + N)
    obj = out["object"][:, clip, clip, 0] + 1j * out["object"][:, clip, clip, 1]
    rate = np.moveaxis(out["rate"], 1, -1).astype(np.float64)
    # The norm of the object is ruled by the thousandfold ring; the part that matters by itself.
    inner = slice(N // 4, 3 * N // 4)
    ours = {
        "obj": obj[..., None],
        "obj_centre": obj[:, inner, inner, None],
        "pred_amplitude": np.sqrt(rate),
        "pred_intensity": rate,
    }
    expected["obj_centre"] = expected["obj"][:, inner, inner]
    return {
        name: float(np.linalg.norm(ours[name] - expected[name]) / np.linalg.norm(expected[name]))
        for name in LIMITS
    }


def main() -> int:
    from pinn import backend
    from pinn.io.convert_archive import ROLES, convert_archive

    folder = Path(sys.argv[1])
    expected = dict(np.load(folder / "expected.npz"))
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for role in ROLES:
            report = convert_archive(
                folder / "wts.h5.zip", Path(place) / role, merge="legacy", role=role
            )
            found[role] = distances(report.path, expected)
    print(json.dumps({"backend": backend.versions()["backend"], **found}, indent=2))
    good = all(row[name] <= limit for row in found.values() for name, limit in LIMITS.items())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
