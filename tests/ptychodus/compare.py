"""How results are compared, and products whose object lies elsewhere; without ptychodus."""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np

from pinn.quality.evaluate import evaluate


def drive(script, step, *paths, backend=None, **options):
    """Run a step of `drive.py` or `drive_old.py`; returns what it says, and its output."""
    command = [sys.executable, "-P", str(script), step, *map(str, paths)]
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            command += [f"--{name.replace('_', '-')}", str(one)]
    variables = {**os.environ, **({"KERAS_BACKEND": backend} if backend else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def correlation(recon, truth, moved_px=None):
    """Of complex images on the area of the scan, `|<a, b>| / (|a| |b|)`; 0 for a flat one.

    Both are placed by their origins and aligned as `pinn.quality.evaluate` does it (sub-pixel
    shift, one complex factor, phase ramp), then the mean of each is taken off. With `moved_px`
    they are not aligned, but the first is moved by that.
    """
    if moved_px is None:
        found = evaluate(recon, truth)
    else:
        found = evaluate(
            recon.object,
            truth.object,
            recon_origin_px=np.asarray(recon.origin_px) + moved_px,
            truth_origin_px=truth.origin_px,
            positions_px=truth.positions_px,
            register=False,
        )
    a, b = found.recon[found.valid], found.truth[found.valid]
    a, b = a - a.mean(), b - b.mean()
    return abs(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b))


def with_object_elsewhere(folder, target, rows=12, columns=5):
    """The same scan, its object larger by rows above and columns on the right.

    Nothing has moved, but the centre of the object is no more that of the scan.
    """
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "diffraction.h5", target / "diffraction.h5")
    shutil.copyfile(folder / "product.h5", target / "product.h5")
    with h5py.File(target / "product.h5", "r+") as h5:
        old = h5["object"]
        array, known = old[()], dict(old.attrs)
        del h5["object"]
        pad = [(0, 0)] * (array.ndim - 2) + [(rows, 0), (0, columns)]
        new = h5.create_dataset("object", data=np.pad(array, pad, constant_values=1))
        new.attrs.update(known)
        new.attrs["center_y_m"] = known["center_y_m"] - rows / 2 * known["pixel_height_m"]
        new.attrs["center_x_m"] = known["center_x_m"] + columns / 2 * known["pixel_width_m"]
    return target
