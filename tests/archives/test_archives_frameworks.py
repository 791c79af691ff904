"""Files as the frameworks themselves write them: what is read without them is what they hold."""

import pickle
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from old_archives import pickled, small_probe, zip_bytes

from pinn.errors import ArchiveError
from pinn.io.convert_archive import convert_archive
from pinn.networks.trained import load_model
from pinn_archives.members import zip_members
from pinn_archives.names import Vocabulary
from pinn_archives.torch_file import read_torch
from pinn_archives.unpickle import plain_data


def saved(tmp_path, value):
    path = tmp_path / "x.pt"
    torch.save(value, path)
    return read_torch(zip_members(path, str(path)))


@pytest.mark.parametrize(
    "kind",
    [
        *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32),
        *(torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128),
    ],
    ids=str,
)
def test_tensors_of_every_kind(tmp_path, kind):
    tensor = torch.arange(24).reshape(2, 3, 4).to(kind)
    found = saved(tmp_path, {"plain": tensor, "turned": tensor.permute(2, 0, 1), "cut": tensor[1:]})
    wide = tensor.float() if kind == torch.bfloat16 else tensor
    np.testing.assert_array_equal(found["plain"], wide.numpy())
    np.testing.assert_array_equal(found["turned"], wide.permute(2, 0, 1).numpy())
    np.testing.assert_array_equal(found["cut"], wide[1:].numpy())


def test_what_stands_beside_tensors_in_a_checkpoint(tmp_path):
    layer = torch.nn.Conv2d(2, 3, 3)
    found = saved(
        tmp_path,
        {
            "state_dict": layer.state_dict(),
            "parameter": layer.bias,
            "size": layer.weight.shape,
            "device": torch.device("cpu"),
            "dtype": torch.float32,
            "options": OrderedDict(lr=1e-3, path=Path("a/b")),
            "scalar": torch.tensor(2.5),
        },
    )
    np.testing.assert_array_equal(found["state_dict"]["weight"], layer.weight.detach().numpy())
    np.testing.assert_array_equal(found["parameter"], layer.bias.detach().numpy())
    assert found["size"] == (3, 2, 3, 3)
    assert (found["device"], found["dtype"]) == ("cpu", "torch.float32")
    assert found["options"] == {"lr": 1e-3, "path": "a/b"}
    assert found["scalar"] == 2.5


def test_a_whole_module_is_refused(tmp_path):
    with pytest.raises(ArchiveError, match="asks for torch"):
        saved(tmp_path, torch.nn.Conv2d(2, 3, 3))


def test_a_tensor_of_tensorflow():
    import tensorflow as tf

    array = (np.arange(6) + 1j).reshape(3, 2).astype("complex64")
    found = plain_data(pickle.dumps({"probe": tf.constant(array)}), "x", Vocabulary())
    np.testing.assert_array_equal(found["probe"], array)


class Head(torch.nn.Module):
    """A decoder in the documented form, for N = 16 (no stage of its own)."""

    def __init__(self, patches, act):
        super().__init__()
        self.act = act
        self.conv1 = torch.nn.Conv2d(124, patches, 3, padding=1)
        self.up = torch.nn.Sequential(
            torch.nn.Conv2d(4, 128, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(128, 128, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Upsample(scale_factor=2, mode="nearest"),
        )
        self.conv2 = torch.nn.Conv2d(128, patches, 3, padding=1)

    def forward(self, x):
        inner = torch.nn.functional.pad(self.act(self.conv1(x[:, :-4])), (4, 4, 4, 4))
        ring = torch.ones(16, 16)
        ring[4:12, 4:12] = 0
        return inner + torch.nn.functional.silu(self.conv2(self.up(x[:, -4:]))) * ring


class Network(torch.nn.Module):
    """The documented network for N = 16 and groups of four."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Sequential(
            torch.nn.Conv2d(4, 128, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(128, 128, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
        )
        self.decoder_amp = Head(4, torch.nn.functional.silu)
        self.decoder_phase = Head(4, lambda x: torch.pi * torch.tanh(x))

    def forward(self, x):
        x = self.encoder(x)
        return torch.polar(self.decoder_amp(x), self.decoder_phase(x))


def test_a_network_of_pytorch_gives_the_same_patches(tmp_path):
    torch.manual_seed(5)
    network = Network()
    torch.save(network.state_dict(), tmp_path / "model.pth")
    options = {
        "N": 16,
        "gridsize": 2,
        "n_filters_scale": 1,
        "amp_activation": "silu",
        "nphotons": 1e6,
        "data_scaling": "Parseval",
        "probe": small_probe(16),
    }
    files = {
        "manifest.dill": pickled({"models": ["diffraction_to_obj"], "version": "2.0-pytorch"}),
        "diffraction_to_obj/model.pth": (tmp_path / "model.pth").read_bytes(),
        "diffraction_to_obj/params.dill": pickled(options),
    }
    (tmp_path / "wts.h5.zip").write_bytes(zip_bytes(files))
    done = convert_archive(tmp_path / "wts.h5.zip", tmp_path / "new")
    model = load_model(done.path).network
    frames = np.random.default_rng(2).uniform(0, 2, (3, 16, 16, 4)).astype("float32")
    ours = keras.ops.convert_to_numpy(model.object_patches(frames))
    with torch.no_grad():
        theirs = network(torch.tensor(2 * frames.transpose(0, 3, 1, 2))).numpy()
    ours = ours[..., 0] + 1j * ours[..., 1]
    # float32 through seven convolutions
    assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)
