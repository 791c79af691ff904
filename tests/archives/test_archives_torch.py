"""Archives and checkpoints in the documented layout of the reference's PyTorch side."""

import numpy as np
import pytest
from old_archives import (
    Raw,
    Shape,
    call,
    code,
    golden_weights,
    name,
    pickled,
    small_probe,
    torch_bytes,
    torch_state,
    write_files,
    zip_bytes,
)

from pinn import cli
from pinn.errors import ArchiveError
from pinn.io.archive import read_archive
from pinn.io.convert_archive import archive_kind, convert_archive
from pinn_archives.members import Members, zip_members
from pinn_archives.torch_file import read_torch

SHAPE = Shape(N=16, gridsize=2, activation="silu")


def options(**changes):
    return {
        "N": 16,
        "gridsize": 2,
        "n_filters_scale": 1,
        "amp_activation": "silu",
        "object.big": True,
        "probe.big": True,
        "nphotons": 1e6,
        "probe": small_probe(16)[None],
        **changes,
    }


def torch_archive(state=None, metadata=None, **changes):
    state = torch_state(SHAPE, golden_weights(SHAPE)) if state is None else state
    files = {
        "manifest.dill": pickled(
            {"models": ["autoencoder", "diffraction_to_obj"], "version": "2.0-pytorch"}
        ),
        "autoencoder/model.pth": torch_bytes({"_sentinel": True}),
        "autoencoder/params.dill": pickled(options(**changes)),
        "diffraction_to_obj/model.pth": torch_bytes(state),
        "diffraction_to_obj/params.dill": pickled(options(**changes)),
    }
    if metadata is not None:
        files["torch_scaling_metadata.pt"] = torch_bytes(metadata, "torch_scaling_metadata")
    return files


def checkpoint(state=None, **changes):
    state = torch_state(SHAPE, golden_weights(SHAPE)) if state is None else state
    data = {"N": 16, "grid_size": (2, 2), "nphotons": 1e6, "probe": small_probe(16)}
    model = {
        "architecture": "cnn",
        "amp_activation": "silu",
        "n_filters_scale": 1,
        "cbam_encoder": False,
        "object_big": True,
        "probe_big": True,
        "mode": "Unsupervised",
    }
    content = {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state,
        "hyper_parameters": {"data_config": data, "model_config": {**model, **changes}},
    }
    return torch_bytes(content)


def convert(tmp_path, files, **settings):
    path = write_files(tmp_path / "wts.h5.zip", files)
    done = convert_archive(path, tmp_path / "new", **settings)
    return done, read_archive(done.path)


def check_layers(archive, weights):
    found = {key.split("/")[2:][0]: [] for key in archive.weights if key.startswith("network/")}
    assert set(found) == set(weights)
    for key, array in archive.weights.items():
        if key.startswith("network/"):
            _, _, layer, part = key.split("/")
            np.testing.assert_array_equal(array, weights[layer][part == "bias"])


def test_every_weight_goes_to_its_layer_with_its_axes(tmp_path):
    done, archive = convert(tmp_path, torch_archive())
    check_layers(archive, golden_weights(SHAPE))
    model = archive.config["model"]
    assert (model["amp_activation"], model["gridsize"], model["ring_activation"]) == (
        "swish",
        2,
        "swish",
    )
    assert done.kind == "archive of PtychoPINN (PyTorch)"
    assert "never tried on a real one" in done.notes[0]
    assert archive.manifest["backend"] == "torch"
    s = 1e6**0.5 / 8  # sqrt(photons) / (N/2)
    assert archive.statistics["exposure_factor"] == pytest.approx(1 / s)


@pytest.mark.parametrize("shape", [Shape(N=64, gridsize=2), Shape(N=128, gridsize=2, ring=False)])
def test_layers_are_found_by_order_and_shape(tmp_path, shape):
    """With names that say nothing; the two decoders in the documented order."""
    weights = golden_weights(shape)
    state = {}
    for number, (key, array) in enumerate(torch_state(shape, weights).items()):
        state[f"net.{number // 2}.{key.rsplit('.', 1)[1]}"] = array
    changes = {"N": shape.N, "probe": small_probe(shape.N), "probe.big": shape.ring}
    done, archive = convert(tmp_path, torch_archive(state, **changes))
    check_layers(archive, weights)
    assert any("the first was taken for the amplitude" in line for line in done.notes)


def test_names_settle_which_decoder_is_which(tmp_path):
    state = torch_state(SHAPE, golden_weights(SHAPE))
    phase_first = dict(sorted(state.items(), key=lambda item: "amp" in item[0]))
    encoder = {key: value for key, value in phase_first.items() if "encoder" in key}
    done, archive = convert(tmp_path, torch_archive({**encoder, **phase_first}))
    check_layers(archive, golden_weights(SHAPE))
    assert not any("decoder" in line for line in done.notes)


def test_a_lightning_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(checkpoint())
    assert archive_kind(path) == "old"
    done = convert_archive(path, tmp_path / "new")
    check_layers(read_archive(done.path), golden_weights(SHAPE))
    assert done.kind == "Lightning checkpoint of PtychoPINN"


def test_the_command_says_that_it_was_never_tried(tmp_path, capsys):
    path = tmp_path / "last.ckpt"
    path.write_bytes(checkpoint())
    assert cli.run(["convert", str(path), str(tmp_path / "new"), "--input-gain", "2"]) == 0
    told = capsys.readouterr().err
    assert f"{path} is a Lightning checkpoint of PtychoPINN" in told
    assert "never tried on a real one" in told
    assert np.all(read_archive(tmp_path / "new").weights["input/gain"] == 2)


def test_the_factor_of_the_input(tmp_path):
    for settings, metadata, gain, told in [
        ({}, None, 1, "no option says how the input was scaled"),
        ({}, {"data_config": {"data_scaling": "Parseval"}}, 2, "data_scaling = Parseval"),
        ({"input_gain": 1.5}, {"data_config": {"data_scaling": "Parseval"}}, 1.5, None),
    ]:
        done, archive = convert(tmp_path, torch_archive(metadata=metadata), **settings)
        assert np.all(archive.weights["input/gain"] == gain)
        assert any(told in line for line in done.notes) if told else len(done.notes) == 3


def test_numbers_of_the_physics_are_left_and_the_probe_is_found(tmp_path):
    state = torch_state(SHAPE, golden_weights(SHAPE))
    light = np.stack([small_probe(16), 1j * small_probe(16)])[None]
    state |= {"model.probe": light, "scaler.log_scale": np.float32([0.5])}
    _, archive = convert(tmp_path, torch_archive(state, probe=None))
    assert archive.config["model"]["probe_modes"] == 2
    assert archive.weights["probe"].shape == (1, 1, 2, 16, 16, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale_contract_version": "ci_intensity_v2"}, "was trained on intensities"),
        ({"measurement_domain": "count_intensity"}, "was trained on intensities"),
        ({"cnn_output_mode": "real_imag"}, "predicts real and imaginary parts"),
        ({"architecture": "ffno"}, "has architecture 'ffno'"),
        ({"cbam_encoder": True}, "was made with cbam_encoder"),
        ({"batch_norm": True}, "was made with batch_norm"),
        ({"data_scaling": "Max"}, "scales its data by 'Max'"),
        ({"normalize": "Group"}, "normalises by 'Group'"),
        ({"architecture": np.ones(3)}, "has architecture 'array"),
        ({"n_filters_scale": float("inf")}, "says n_filters_scale is 'inf'"),
        ({"N": 1 << 40}, "says N is 1099511627776"),
        ({"gridsize": 0}, "says gridsize is 0"),
        ({"N": None}, "says N is None"),
        ({"N": 17}, "fits no network of ours: N must be even"),
        ({"amp_activation": "gelu"}, "an amplitude made by 'gelu'"),
        ({"probe": None}, "holds no probe; name an NPZ file"),
        ({"nphotons": None}, "neither an intensity scale nor a number of photons"),
        ({"probe.big": False}, "has 10 convolutions, but the cnn .* has 4"),
        ({"n_filters_scale": 2}, "has no convolution of shape"),
        ({"gridsize": 1}, "has no convolution of shape"),
    ],
)
def test_what_our_networks_cannot_be_is_refused(tmp_path, change, message):
    with pytest.raises(ArchiveError, match=message):
        convert(tmp_path, torch_archive(**change))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"enc.cbam.mlp.weight": np.zeros((8, 128), "f4")}, "'enc.cbam.mlp.weight' .* attention"),
        ({"enc.bn.running_mean": np.zeros(8, "f4")}, "no plain convolution has"),
        ({"enc.spatial.conv.weight": np.zeros((1, 2, 7, 7), "f4")}, "no plain convolution has"),
        ({"upscale.weight": np.zeros((4, 4, 2, 2), "f4")}, "no plain convolution has"),
        ({"x": "text"}, "'x' among its weights, which is no tensor"),
    ],
)
def test_weights_that_are_left_over_are_refused(tmp_path, extra, message):
    state = torch_state(SHAPE, golden_weights(SHAPE))
    with pytest.raises(ArchiveError, match=message):
        convert(tmp_path, torch_archive({**state, **extra}))


def test_other_files_of_pytorch_are_refused(tmp_path):
    weights_only = tmp_path / "model.pth"
    weights_only.write_bytes(torch_bytes(torch_state(SHAPE, golden_weights(SHAPE))))
    with pytest.raises(ArchiveError, match=r"is no Lightning checkpoint: .* name the whole wts"):
        convert_archive(weights_only, tmp_path / "new")
    before_1_6 = tmp_path / "old.pth"
    before_1_6.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
    assert archive_kind(before_1_6) == "old"
    with pytest.raises(ArchiveError, match=r"saved by a PyTorch before 1\.6"):
        convert_archive(before_1_6, tmp_path / "new")
    with pytest.raises(ArchiveError, match="_sentinel"):
        convert(tmp_path, torch_archive(), role="autoencoder")


@pytest.mark.parametrize(
    "place",
    [
        "manifest.dill",
        "diffraction_to_obj/params.dill",
        "autoencoder/params.dill",
        "diffraction_to_obj/model.pth",
        "torch_scaling_metadata.pt",
    ],
)
def test_a_payload_in_any_file_is_refused_and_not_run(tmp_path, place):
    witness = tmp_path / "witness"
    bad = pickled({"a": call("posix", "system", f"touch {witness}")})
    if not place.endswith(".dill"):
        bad = zip_bytes({"archive/data.pkl": bad, "archive/version": b"3\n"})
    files = {**torch_archive(metadata={"a": 1}), place: bad}
    with pytest.raises(ArchiveError, match=r"asks for posix\.system"):
        convert(tmp_path, files)
    assert not witness.exists()


def test_a_payload_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    witness = tmp_path / "witness"
    run = call("builtins", "eval", f"open({str(witness)!r}, 'w')")
    path = tmp_path / "last.ckpt"
    for content in (
        pickled({"state_dict": run}),
        pickled(call("torch._utils", "_rebuild_tensor_v2", run, 0, (), (), False, None)),
        pickled(Raw(code(("storage", run, "0", "cpu", 1)) + b"Q")),
        pickled(call("torch", "load", str(path))),
        pickled(call("torch.hub", "load", "x", "y")),
    ):
        path.write_bytes(zip_bytes({"archive/data.pkl": content, "archive/data/0": bytes(4)}))
        with pytest.raises(ArchiveError, match="asks for"):
            convert_archive(path, tmp_path / "new")
    assert not witness.exists()


def _tensor_file(tmp_path, key=None, *, offset=0, size=(2, 2), step=(2, 1), numbers=16, **files):
    place = key or ("storage", name("torch", "FloatStorage"), "0", "cpu", 4)
    made = call(
        "torch._utils", "_rebuild_tensor_v2", Raw(code(place) + b"Q"), offset, size, step, False, {}
    )
    path = tmp_path / "x.pt"
    path.write_bytes(
        zip_bytes({"x/data.pkl": pickled(made), "x/data/0": bytes(range(numbers)), **files})
    )
    return read_torch(zip_members(path, str(path)))


def test_tensors_are_views_of_their_numbers(tmp_path):
    found = _tensor_file(tmp_path, step=(1, 2))
    want = np.frombuffer(bytes(range(16)), "<f4").reshape(2, 2).T
    np.testing.assert_array_equal(found, want)
    big = _tensor_file(tmp_path, **{"x/byteorder": b"big"})
    np.testing.assert_array_equal(big, np.frombuffer(bytes(range(16)), ">f4").reshape(2, 2))
    assert _tensor_file(tmp_path, size=(0, 3), step=(3, 1)).shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (1 << 40,), "step": (0,)}, "reaches beyond its 4 numbers"),
        ({"size": (2, 2), "step": (4, 1)}, "reaches beyond"),
        ({"offset": 1}, "reaches beyond"),
        ({"offset": -1}, "has no shape"),
        ({"size": (2, 2), "step": (2, -1)}, "a shape is none"),
        ({"numbers": 12}, "states 4 numbers, but has 12 bytes"),
        ({"key": ("storage", "os", "0", "cpu", 4)}, "of the unknown kind"),
        ({"key": ("storage", name("torch", "FloatStorage"), "../0", "cpu", 4)}, "unknown kind"),
        ({"key": ("storage", name("torch", "FloatStorage"), "7", "cpu", 4)}, "data/7 is missing"),
        ({"key": ("module", 1)}, "kept in an unknown way"),
    ],
)
def test_tensors_that_lie_are_refused(tmp_path, changes, message):
    with pytest.raises(ArchiveError, match=message):
        _tensor_file(tmp_path, **changes)


def test_numbers_are_read_last_and_only_those_that_are_wanted(tmp_path, monkeypatch):
    """A checkpoint of hollow storages is refused for what it is, before memory is taken."""
    key = ("storage", name("torch", "FloatStorage"), "0", "cpu", 4)
    made = call("torch._utils", "_rebuild_tensor_v2", Raw(code(key) + b"Q"), 0, (4,), (1,), 0, {})
    path = tmp_path / "x.ckpt"
    path.write_bytes(
        zip_bytes({"x/data.pkl": pickled({"junk": made, "b": 1}), "x/data/0": bytes(16)})
    )
    read = []
    whole = Members.read
    monkeypatch.setattr(Members, "read", lambda s, n, m: read.append(n) or whole(s, n, m))
    with pytest.raises(ArchiveError, match="no Lightning checkpoint"):
        convert_archive(path, tmp_path / "new")
    assert read_torch(zip_members(path, "x"), lambda found: found["b"]) == 1
    assert read == ["x/data.pkl"] * 2
    assert read_torch(zip_members(path, "x"))["junk"].shape == (4,) and "x/data/0" in read
