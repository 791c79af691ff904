"""The whole forward model against arrays measured from the reference (goldens/README.md)."""

from pathlib import Path

import keras
import numpy as np
import pytest

from pinn.config import ModelConfig
from pinn.networks.model import PtychoModel

pytestmark = pytest.mark.each_backend

GOLDEN = Path(__file__).parents[1] / "goldens" / "forward.npz"


def _reference_order(model: PtychoModel, ring: bool) -> list:
    """Convolutions in the order in which the reference creates them."""
    layer = model.network.get_layer
    order = [f"encoder_{i}_{ab}" for i in range(3) for ab in "ab"]
    for part in ("amplitude", "phase"):
        order.append(f"{part}_centre_out")
        if ring:
            order.append(f"{part}_ring_out")
        order += [f"{part}_decoder_{i}_{ab}" for i in range(2) for ab in "ab"]
        if ring:
            order += [f"{part}_ring_{ab}" for ab in "ab"]
    return [layer(name) for name in order]


def _fill(model: PtychoModel, ring: bool) -> None:
    for k, conv in enumerate(_reference_order(model, ring)):
        rng = np.random.RandomState(1000 + k)
        shape = tuple(conv.kernel.shape)
        deviation = np.sqrt(2 / np.prod(shape[:3]))
        conv.kernel.assign((rng.standard_normal(shape) * deviation).astype("float32"))
        conv.bias.assign((0.05 * rng.standard_normal(shape[3])).astype("float32"))


FEWER_PARTS = [(False, 1), (False, 2), (True, 1)]  # of what the whole is made of


@pytest.mark.parametrize(
    ("ring", "gridsize"),
    [
        (True, 2),
        *(pytest.param(*which, marks=pytest.mark.one_backend) for which in FEWER_PARTS),
    ],
)
def test_forward_model_equals_the_reference(gridsize, ring):
    golden = np.load(GOLDEN)
    name = f"gs{gridsize}_probebig{int(ring)}"
    config = ModelConfig(
        architecture="cnn",
        N=64,
        gridsize=gridsize,
        n_filters_scale=1,
        amp_activation="sigmoid",
        probe_big=ring,
        ring_activation="swish",
        merge="legacy",
    )
    model = PtychoModel(config, canvas=74 if gridsize == 1 else 78)
    _fill(model, ring)
    probe = golden["probe_normalized"]
    model.probe.set_probe(probe)
    # The gauge moves the probe's norm into the scale.
    factor = float(golden["intensity_scale"]) * np.linalg.norm(probe) / 32
    model.scale.set_from_exposure([1 / factor])
    i = np.arange(2 * 64 * 64 * gridsize**2).reshape(2, 64, 64, gridsize**2)
    frames = 0.25 * (1 + np.sin(0.013 * i))
    legacy = golden[f"{name}_pos"]  # (B, 1, 2, C), [x, y], negated
    offsets = -np.moveaxis(legacy[:, 0, ::-1], 1, 2)
    batch = {
        "frames": frames.astype("float32"),
        "offsets": np.ascontiguousarray(offsets, "float32"),
        "scan": np.zeros(2, "int32"),
    }
    out = {k: keras.ops.convert_to_numpy(v) for k, v in model(batch).items()}
    clip = (model.canvas - 64) // 2
    obj = out["object"][:, clip : clip + 64, clip : clip + 64]
    rows = slice(None, None, 4)  # the stored copy keeps every fourth row
    _close(obj[:, rows, :, 0] + 1j * obj[:, rows, :, 1], golden[f"{name}_obj"])
    amplitude = np.sqrt(np.moveaxis(out["rate"], 1, -1))
    _close(amplitude[:, rows], golden[f"{name}_amp"])


def _close(ours, golden):
    # float32 through 14 convolutions, a merge and an FFT
    assert np.linalg.norm(ours - golden) <= 1e-5 * np.linalg.norm(golden)
