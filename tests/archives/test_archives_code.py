"""Code where Keras would look for it: whatever becomes of such an archive, nothing of it is run."""

import base64
import contextlib
import io
import json
import marshal

import h5py
import numpy as np
import pytest
from old_archives import Shape, archive_files, call, model_h5, pickled, write_files, zip_bytes
from test_archives_harm import zip_in

from pinn.errors import ArchiveError
from pinn.io.convert_archive import convert_archive

SMALL = Shape(N=16)
MODEL = "diffraction_to_obj/model.keras"


def trap(witness):
    """A pickle that makes a file when it is opened."""
    return pickled(call("posix", "mknod", str(witness)))


def function(witness):
    """A function as Keras 3 writes a lambda: its code, marshalled."""
    code = compile(f"open({str(witness)!r}, 'w')", "x", "eval")
    assert marshal.loads(marshal.dumps(code)).co_code  # it would work
    return {
        "class_name": "__lambda__",
        "config": {
            "code": base64.b64encode(marshal.dumps(code)).decode(),
            "defaults": None,
            "closure": None,
        },
    }


def imported(_):
    """A function that Keras would import by its name."""
    return {"module": "builtins", "class_name": "function", "config": "eval"}


def convolution(**settings):
    def edit(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Conv2D":
                layer["config"].update(settings)

    return edit


def outside(name, value):
    return lambda config: config.update({name: value})


def renamed(module, kind, registered):
    def edit(config):
        layer = next(e for e in config["config"]["layers"] if e["class_name"] == "Conv2D")
        layer.update(module=module, class_name=kind, registered_name=registered)

    return edit


@pytest.mark.parametrize("made", [function, imported])
@pytest.mark.parametrize(
    ("place", "refused"),
    [
        (lambda code: convolution(activation=code), "no plain one of 3 x 3"),
        (lambda code: convolution(padding=code), "no plain one of 3 x 3"),
        # read by nobody
        (lambda code: convolution(kernel_initializer=code, kernel_constraint=code), None),
        (lambda code: outside("compile_config", {"loss": code, "optimizer": code}), None),
        (lambda code: outside("build_config", code), None),
    ],
    ids=["activation", "padding", "initializer", "compile", "build"],
)
def test_functions_in_the_configuration_are_never_made(tmp_path, made, place, refused):
    witness = tmp_path / "witness"
    files = archive_files(SMALL, edit=place(made(witness)))
    path = write_files(tmp_path / "bad.zip", files)
    if refused is None:
        assert convert_archive(path, tmp_path / "new").path.is_file()
    else:
        with pytest.raises(ArchiveError, match=refused):
            convert_archive(path, tmp_path / "new")
    assert not witness.exists()


@pytest.mark.parametrize("kind", ["Lambda", "Popen", "TorchModuleWrapper", "TFSMLayer"])
def test_layers_of_other_classes_are_refused(tmp_path, kind):
    files = archive_files(SMALL, edit=renamed("subprocess", kind, f"subprocess>{kind}"))
    with pytest.raises(ArchiveError):
        convert_archive(write_files(tmp_path / "bad.zip", files), tmp_path / "new")


@pytest.mark.parametrize("place", ["assets/x.pkl", "data.pkl", "custom_objects.dill"])
def test_a_pickle_inside_the_keras_file_is_never_opened(tmp_path, place):
    witness = tmp_path / "witness"
    files = archive_files(SMALL)
    inner = {**zip_in(files[MODEL]), place: trap(witness)}
    path = write_files(tmp_path / "bad.zip", {**files, MODEL: zip_bytes(inner)})
    with contextlib.suppress(ArchiveError):
        convert_archive(path, tmp_path / "new")
    assert not witness.exists()


def hdf5(attributes, data=b""):
    out = io.BytesIO(data)
    with h5py.File(out, "a") as file:
        file.attrs.update(attributes)
    return out.getvalue()


def test_attributes_of_hdf5_are_numbers_or_refused(tmp_path):
    witness = tmp_path / "witness"
    data = trap(witness)
    for value in (np.void(data), str(data), np.array([1.0, 2.0])):
        files = archive_files(SMALL)
        files["diffraction_to_obj/model.h5"] = hdf5({"intensity_scale": value})
        path = write_files(tmp_path / "bad.zip", files)
        with contextlib.suppress(ArchiveError):  # the options of the archive have the scale as well
            convert_archive(path, tmp_path / "new")
        assert not witness.exists()


def test_a_whole_model_in_hdf5_is_refused(tmp_path):
    """The form of Keras 2, whose attribute `model_config` may hold a Lambda layer."""
    witness = tmp_path / "witness"
    layers = [{"class_name": "Lambda", "config": function(witness)}]
    old = hdf5(
        {"model_config": json.dumps({"class_name": "Functional", "config": {"layers": layers}})},
        model_h5(1.0),
    )
    files = archive_files(SMALL)
    for name in (MODEL, "diffraction_to_obj/model.h5"):
        path = write_files(tmp_path / "bad.zip", {**files, name: old})
        if name == MODEL:
            with pytest.raises(ArchiveError, match="no whole zip file"):
                convert_archive(path, tmp_path / "new")
        else:  # of which only the scale is read
            convert_archive(path, tmp_path / "new")
        assert not witness.exists()


def test_weights_of_opaque_data_are_refused(tmp_path):
    witness = tmp_path / "witness"
    data = trap(witness)
    files = archive_files(SMALL)
    inner = zip_in(files[MODEL])
    out = io.BytesIO(inner["model.weights.h5"])
    with h5py.File(out, "a") as file:
        del file["layers/conv2d/vars/1"]
        file["layers/conv2d/vars/1"] = np.array([np.void(data)])
    files[MODEL] = zip_bytes({**inner, "model.weights.h5": out.getvalue()})
    with pytest.raises(ArchiveError):
        convert_archive(write_files(tmp_path / "bad.zip", files), tmp_path / "new")
    assert not witness.exists()
