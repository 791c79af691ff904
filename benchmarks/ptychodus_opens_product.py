"""Does ptychodus itself open our result file, with the positions and geometry we meant?

Run in an environment that has ptychodus 1.7 (and h5py), with the project on the path:

    pip install ptychodus==1.7.0
    PYTHONPATH=. python benchmarks/ptychodus_opens_product.py

It writes an asymmetric result with `pinn`, reads it with ptychodus' own product reader, writes it
again with ptychodus' own writer and reads that with `pinn`. It prints what both see and fails
where they disagree by more than 1e-9 pixel.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from pathlib import Path

import numpy as np
from ptychodus.api.io import load_product, save_product

from pinn.io.product import Reconstruction, load_reconstruction

TOLERANCE_PX = 1e-9


def example(pixel_size_m: float | None, with_probe: bool = True) -> Reconstruction:
    """45 rows, 61 columns, one bright pixel at (row 7, column 50); origin (-3.25, 10.5)."""
    obj = np.full((45, 61), 1 + 0j, np.complex64)
    obj[7, 50] = 2j
    probe = np.zeros((2, 16, 16), np.complex64)
    probe[0, 5, 9], probe[1, 3, 3] = 30 + 40j, 10
    return Reconstruction(
        object=obj,
        origin_px=np.array([-3.25, 10.5]),
        coverage=np.ones(obj.shape),
        valid_mask=np.ones(obj.shape, bool),
        positions_px=np.array([[8.0, 30.25], [20.5, 21.0], [30.75, 55.0]]),
        frame_indices=np.array([0, 2, 7]),
        probe=probe if with_probe else None,
        pixel_size_m=pixel_size_m,
        losses=[0.5, 0.25],
        scan_name="asymmetric",
    )


def compare(pixel_size_m: float | None, folder: Path) -> None:
    """Write, open with ptychodus, print and compare; then the way back."""
    recon = example(pixel_size_m)
    product = load_product(recon.save(folder / "ours.h5"))
    geometry = product.object_.get_geometry()
    x = geometry.map_probe_positions_to_object_x_px(product.probe_positions)
    y = geometry.map_probe_positions_to_object_y_px(product.probe_positions)
    probe = product.probes
    print(f"pixel_size_m given: {pixel_size_m}")
    print(f"  object {product.object_.get_array().shape} {geometry}")
    print(f"  pixel {geometry.pixel_height_m:g} x {geometry.pixel_width_m:g} m, centre (y, x) "
          f"({geometry.center_y_m:.9g}, {geometry.center_x_m:.9g}) m")  # fmt: skip
    print(f"  positions as object indices (y, x): {np.stack([y, x], 1).tolist()}")
    print(f"  indexes {product.probe_positions.get_indexes().tolist()}")
    print(f"  probe {probe.get_array().shape}, pixel {probe.get_pixel_geometry()}")
    print(f"  losses {[(int(loss.epoch), float(loss.value)) for loss in product.losses]}")
    print(f"  {product.metadata}")
    np.testing.assert_array_equal(product.object_.get_array()[0], recon.object)
    np.testing.assert_array_equal(probe.get_array()[0], recon.probe)
    np.testing.assert_array_equal(product.probe_positions.get_indexes(), recon.frame_indices)
    # ours: where index N/2 of a patch lies; theirs: where (N - 1)/2 does
    expected = recon.positions_px - recon.origin_px - 0.5
    np.testing.assert_allclose(np.stack([y, x], 1), expected, rtol=0, atol=TOLERANCE_PX)

    save_product(folder / "theirs.h5", product)
    back = load_reconstruction(folder / "theirs.h5")
    np.testing.assert_array_equal(back.object, recon.object)
    np.testing.assert_allclose(back.origin_px, recon.origin_px, rtol=0, atol=TOLERANCE_PX)
    np.testing.assert_allclose(back.positions_px, recon.positions_px, rtol=0, atol=TOLERANCE_PX)
    print(f"  back from ptychodus: origin_px {back.origin_px.tolist()}, pixel {back.pixel_size_m}")


def main() -> None:
    """Check with a known and an unknown pixel size, and without a probe."""
    print("ptychodus", importlib.metadata.version("ptychodus"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pixel_size_m in (2e-8, None):
            compare(pixel_size_m, folder)
        empty = load_product(example(None, with_probe=False).save(folder / "no_probe.h5"))
        print("without a probe: ptychodus sees probe", empty.probes.get_array().shape)
    print("agreed")


if __name__ == "__main__":
    main()
