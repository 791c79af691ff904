"""Archives of the reference that are malicious, damaged or of another network are refused."""

import io
import zipfile

import numpy as np
import pytest
from old_archives import (
    Raw,
    Shape,
    archive_files,
    call,
    golden_weights,
    keras_bytes,
    model_h5,
    parameters,
    pickled,
    write_files,
    zip_bytes,
)

from pinn.errors import ArchiveError
from pinn.io.archive import read_archive
from pinn.io.convert_archive import archive_kind, convert_archive
from pinn_archives import members
from pinn_archives.keras_file import KerasFile, Layer
from pinn_archives.network import read_network

SMALL = Shape(N=16)
HUGE = Raw(b"\x8b" + (4000).to_bytes(4, "little") + b"\x7f" * 4000)  # a number


@pytest.fixture
def old(tmp_path):
    return write_files(tmp_path / "old.h5.zip", archive_files(SMALL))


PLACES = [
    "manifest.dill",
    "diffraction_to_obj/params.dill",
    "autoencoder/params.dill",
    "diffraction_to_obj/custom_objects.dill",
    "autoencoder/custom_objects.dill",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["alone", "inside", "function of dill"])
def test_a_payload_in_any_pickle_is_refused_and_not_run(tmp_path, place, how):
    witness = tmp_path / "witness"
    run = call("posix", "system", f"touch {witness}")
    payloads = {
        "alone": run,
        "inside": {"models": ["autoencoder", run], "N": 16, "x": run},
        "function of dill": call("dill._dill", "_create_function", run, {}),
    }
    files = {**archive_files(SMALL), place: pickled(payloads[how])}
    path = write_files(tmp_path / "bad.zip", files)
    with pytest.raises(ArchiveError, match=f"{place} of .* asks for .*nothing of it was run"):
        convert_archive(path, tmp_path / "new")
    assert not witness.exists()
    assert not (tmp_path / "new").exists()


def test_code_in_the_layers_is_refused(tmp_path):
    """A Lambda layer holds marshalled code, a class of any module is imported by Keras."""

    def lambda_layer(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Silu":
                layer["class_name"] = "Lambda"
                layer["config"]["function"] = ["4wEAAAAAAAAAAAAAAAEAAAAD", None, None]

    files = archive_files(SMALL, edit=lambda_layer)
    with pytest.raises(ArchiveError, match="has a layer of class 'Lambda'"):
        convert_archive(write_files(tmp_path / "bad.zip", files), tmp_path / "new")


def _set(config, kind, **settings):
    for layer in config["config"]["layers"]:
        if kind in (layer["class_name"], layer["name"]):
            layer["config"].update(settings)


def _rename(config, old, new):
    for layer in config["config"]["layers"]:
        if layer["name"] == old:
            layer["class_name"] = new


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: _rename(c, "obj", "Add"), "no single layer that combines"),
        (lambda c: _set(c, "CombineComplexLayer", use_polar=False), "adds amplitude and phase"),
        (lambda c: _set(c, "ActivationLayer", scale=2.0), "multiplies its amplitude by 2.0"),
        (lambda c: _set(c, "amp", activation_name="elu"), "known are sigmoid"),
        (lambda c: _set(c, "phi", activation_name="elu"), "a phase made by 'elu'"),
        (lambda c: _set(c, "Conv2D", strides=[2, 2]), "no plain one of 3 x 3"),
        (lambda c: _set(c, "Conv2D", activation="tanh"), "no plain one of 3 x 3"),
        (lambda c: _rename(c, "maxpooling2d", "Add"), "two convolutions and a pooling"),
        (lambda c: _rename(c, "silu", "Add"), "amplitude head of another make"),
        (lambda c: _rename(c, "input", "Add"), "no single input of square frames"),
        (lambda c: _set(c, "InputLayer", batch_shape=[None, 16, 8, 1]), "square frames"),
        (lambda c: _set(c, "InputLayer", batch_shape=[None, 16, 16, 2]), "which no square group"),
        (lambda c: _set(c, "InputLayer", batch_shape=[None, 64, 64, 1]), "of another make|other"),
        (lambda c: c["config"].pop("layers"), "no functional model as Keras 3 writes it"),
        (lambda c: c["config"].update(layers=[{"config": 1}]), "no functional model as Keras 3"),
        (lambda c: c["config"]["layers"].pop(2), "order is not known|no layer"),
        (lambda c: c["config"]["layers"].append(c["config"]["layers"][0]), "two layers are named"),
    ],
)
def test_other_networks_are_refused(tmp_path, edit, message):
    files = archive_files(SMALL, edit=edit)
    with pytest.raises(ArchiveError, match=message):
        convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    weights = golden_weights(SMALL)
    kernel, bias = weights["phase_ring_a"]
    for bad, message in [
        ((kernel[:, :, :2], bias), "layer phase_ring_a in .* has a kernel of shape"),
        ((kernel, bias[:-1]), "does not hold a kernel and a bias"),
        ((kernel.astype("i4"), bias), "does not hold a kernel and a bias"),
        ((kernel * np.nan, bias), "weights that are not finite"),
    ]:
        files = archive_files(SMALL, {**weights, "phase_ring_a": bad})
        with pytest.raises(ArchiveError, match=message):
            convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")


def zip_in(data: bytes) -> dict:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {member: file.read(member) for member in file.namelist()}


def _with_inner(files, changes):
    inner = {**zip_in(files["diffraction_to_obj/model.keras"]), **changes}
    inner = {member: data for member, data in inner.items() if data is not None}
    return {**files, "diffraction_to_obj/model.keras": zip_bytes(inner)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {**f, "manifest.dill": pickled({"models": ["x"]})}, "lists the models x"),
        (lambda f: {**f, "manifest.dill": pickled([1])}, "does not list models"),
        (lambda f: {**f, "manifest.dill": pickled({})[:-1]}, "is damaged"),
        (lambda f: {n: d for n, d in f.items() if n != "manifest.dill"}, "0 files manifest.dill"),
        (lambda f: {**f, "b/manifest.dill": f["manifest.dill"]}, "2 files manifest.dill"),
        (lambda f: {n: d for n, d in f.items() if "model.keras" not in n}, "has no model.keras"),
        (lambda f: {n: d for n, d in f.items() if "params" not in n}, "params.dill is missing"),
        (lambda f: {**f, "diffraction_to_obj/params.dill": pickled([1])}, "holds a list where"),
        (lambda f: {**f, "diffraction_to_obj/model.keras": b"no"}, "is no whole zip file"),
        (lambda f: {**f, "diffraction_to_obj/model.h5": b"no"}, "model.h5 of .* is damaged"),
        (lambda f: _with_inner(f, {"config.json": b"{"}), "no functional model"),
        (lambda f: _with_inner(f, {"config.json": b"[" * 100_000}), "no functional model"),
        (lambda f: _with_inner(f, {"model.weights.h5": b"x"}), "weights.h5 cannot be read"),
        (lambda f: _with_inner(f, {"model.weights.h5": None}), "model.weights.h5 is missing"),
    ],
)
def test_damaged_archives_end_in_a_sentence(tmp_path, change, message):
    path = write_files(tmp_path / "a.zip", change(archive_files(SMALL)))
    with pytest.raises(ArchiveError, match=message):
        convert_archive(path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probe": None}, "holds no probe; name an NPZ file that has one with --probe"),
        ({"probe": np.ones((8, 8), "c8")}, "the probe in .* has shape"),
        ({"probe": np.ones((16, 8), "c8")}, r"has shape \(16, 8\); \(N, N\)"),
        ({"probe": np.zeros((16, 16), "c8")}, "its probe is dark"),
        ({"intensity_scale": -1.0}, "its intensity scale is -1.0"),
        ({"intensity_scale": "x"}, "has no intensity scale"),
        ({"intensity_scale": float("inf")}, "has no intensity scale"),
        ({"intensity_scale": np.ones(2)}, "has no intensity scale"),
        (
            {"intensity_scale": HUGE},
            "has no intensity scale",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, message):
    files = archive_files(SMALL)
    files["diffraction_to_obj/params.dill"] = pickled(parameters(SMALL, **options))
    with pytest.raises(ArchiveError, match=message):
        convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")


@pytest.mark.parametrize("evil", ["../evil", "/tmp/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_names_that_lead_out_are_refused(tmp_path, evil):
    files = archive_files(SMALL)
    for level in (
        {**files, evil: b"x"},
        _with_inner(files, {evil: b"x"}),
    ):
        path = write_files(tmp_path / "a.zip", level)
        assert archive_kind(path) == "old"
        with pytest.raises(ArchiveError, match="would lead out of any folder"):
            convert_archive(path, tmp_path / "new")


def test_zip_bombs_are_refused_before_they_grow(tmp_path):
    files = archive_files(SMALL)
    bomb = bytes(2 << 20)
    for place in ("manifest.dill", "autoencoder/custom_objects.dill"):
        path = tmp_path / "bomb.zip"
        path.write_bytes(zip_bytes({**files, place: bomb}, zipfile.ZIP_DEFLATED))
        with pytest.raises(ArchiveError, match=f"states that {place} has 2097152 bytes, but at"):
            convert_archive(path, tmp_path / "new")
    many = {**files, **{f"f{i}": b"" for i in range(10_001)}}
    with pytest.raises(ArchiveError, match="files, so it is no model archive"):
        convert_archive(write_files(tmp_path / "many.zip", many), tmp_path / "new")


def test_a_member_twice_or_packed_in_a_strange_way(tmp_path):
    path = write_files(tmp_path / "a.zip", archive_files(SMALL))
    with (
        zipfile.ZipFile(path, "a") as file,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        file.writestr("manifest.dill", b"N.")
    with pytest.raises(ArchiveError, match="two files of one name"):
        convert_archive(path, tmp_path / "new")
    path.write_bytes(zip_bytes({"manifest.dill": b"N."}, zipfile.ZIP_BZIP2))
    with pytest.raises(ArchiveError, match="compressed by a method that no archive uses"):
        convert_archive(path, tmp_path / "new")


def test_hdf5_that_points_elsewhere_is_refused(tmp_path):
    """An external dataset would copy any file of this machine into the new archive."""
    import h5py

    (tmp_path / "secret").write_bytes(bytes(range(256)) * 8)
    inner = zip_in(keras_bytes(SMALL))
    weights = io.BytesIO(inner["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        del file["layers/conv2d/vars/1"]
        file["layers/conv2d/vars"].create_dataset(
            "1", (128,), "f4", external=[(str(tmp_path / "secret"), 0, 512)]
        )
    files = _with_inner(archive_files(SMALL), {"model.weights.h5": weights.getvalue()})
    with pytest.raises(ArchiveError, match="no plain array of numbers"):
        convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")


def changed(data: bytes, rng) -> bytes:
    """A few bytes of `data` replaced, taken out or put in."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place, length = int(rng.integers(len(out))), int(rng.integers(1, 9))
        fresh = rng.integers(0, 256, length * int(rng.integers(2)), dtype="u1").tobytes()
        out[place : place + length * int(rng.integers(2))] = fresh
        out = out or bytearray(b"x")
    return bytes(out)


@pytest.mark.parametrize("seed", range(40))
def test_files_changed_at_random_end_in_a_sentence_or_convert(tmp_path, seed):
    rng = np.random.default_rng(seed)
    files = archive_files(SMALL)
    del files["autoencoder/model.keras"]  # never opened here
    place = sorted(files)[seed % len(files)]
    if place.endswith(".keras"):
        inner = zip_in(files[place])
        member = sorted(inner)[seed % len(inner)]
        files = _with_inner(files, {member: changed(inner[member], rng)})
    else:
        files[place] = changed(files[place], rng)
    try:
        done = convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")
    except ArchiveError as error:
        told = str(error)
    else:
        told = str(done.path)
        assert read_archive(done.path).weights
    assert str(tmp_path) in told
    assert "\n" not in told


def test_hdf5_that_points_beyond_all_numbers_is_refused(tmp_path):
    """Found by changing bytes at random: h5py seeks to a place no C integer can count."""
    whole = model_h5(1.0)
    bad = whole[:48] + b"\xf0" * 8 + whole[56:]
    files = {**archive_files(SMALL), "diffraction_to_obj/model.h5": bad}
    with pytest.raises(ArchiveError, match=r"model\.h5 of .* is damaged"):
        convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")


def test_cut_files_end_in_a_sentence(tmp_path, old):
    data = old.read_bytes()
    for size in (0, 3, 100, len(data) // 2, len(data) - 10):
        path = tmp_path / "cut.zip"
        path.write_bytes(data[:size])
        with pytest.raises(ArchiveError):
            convert_archive(path, tmp_path / "new")
    with pytest.raises(ArchiveError, match="there is no archive"):
        convert_archive(tmp_path / "none.zip", tmp_path / "new")


def test_odd_options_do_not_matter_where_the_network_knows(tmp_path):
    """Arrays, huge numbers and texts where a word is expected: told, and the graph holds."""
    files = archive_files(SMALL)
    odd = {
        "gridsize": np.ones(3),
        "N": HUGE,
    }
    odd |= {"probe.mask": np.ones(3), "object.big": "no\nway" * 1000}
    files["diffraction_to_obj/params.dill"] = pickled(parameters(SMALL, **odd))
    done = convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")
    told = [line for line in done.notes if "but the network was built with" in line]
    assert len(told) == 3
    assert all(len(line) < 200 and "\n" not in line for line in told)


def test_names_with_control_characters_are_refused(tmp_path):
    files = {**archive_files(SMALL), "a\x1b[2Jb": b""}
    with pytest.raises(ArchiveError, match="it holds a file named"):
        convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")
    bad = pickled(call("os\x1b", "sys\ntem"))
    with pytest.raises(ArchiveError, match=r"asks for os\\x1b\.sys\\ntem, and"):
        convert_archive(
            write_files(tmp_path / "b.zip", {**archive_files(SMALL), "manifest.dill": bad}),
            tmp_path / "new",
        )


def test_a_layer_that_takes_from_itself_is_refused():
    """It would be followed backwards for ever."""
    plain = {"padding": "same", "strides": 1, "activation": "relu"}

    def layer(name, kind, *inputs, channels=0, **config):
        kernel = np.zeros((3, 3, 1, channels), "f4") if channels else None
        bias = np.zeros(channels, "f4") if channels else None
        return Layer(name, kind, config, inputs, [], kernel, bias)

    layers = [
        layer("in", "InputLayer", batch_shape=[None, 16, 16, 1]),
        layer("loop", "UpSampling2D", "loop"),
        layer("one", "Conv2D", "loop", channels=4, **plain),
        layer("two", "Conv2D", "one", channels=4, **plain),
        layer("pool", "MaxPooling2D", "two"),
        layer("sum", "Add", "pool", "in"),
        layer("amplitude", "ActivationLayer", "sum"),
        layer("phase", "ActivationLayer", "sum"),
        layer("end", "CombineComplexLayer", "amplitude", "phase"),
    ]
    file = KerasFile({item.name: item for item in layers}, ("end",), "3", False)
    with pytest.raises(ArchiveError, match="layer 'loop' that takes from itself"):
        read_network(file, "x")


def test_a_list_of_models_that_are_no_names_is_refused(tmp_path):
    models = [Raw(b"\x8a\x02\x00\x01"), np.arange(2.0)]
    files = {**archive_files(SMALL), "manifest.dill": pickled({"models": models})}
    with pytest.raises(ArchiveError, match="lists the models none"):
        convert_archive(write_files(tmp_path / "a.zip", files), tmp_path / "new")


def test_what_is_unpacked_has_one_budget_nested_zips_included(monkeypatch):
    monkeypatch.setattr(members, "LEAST_BUDGET", 3000)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(1500))
        file.writestr("b", bytes(1500))
    with zipfile.ZipFile(outer := io.BytesIO(), "w") as file:
        file.writestr("inner.zip", inner.getvalue())
    found = members.zip_members(outer, "x.zip")
    with members.inner_zip(found, "inner.zip", 1 << 20) as nested:
        assert len(nested.read("a", 1 << 20)) == 1500
        assert len(nested.read("a", 1 << 20)) == 1500, "the same file counts once"
        with pytest.raises(ArchiveError, match=r"unpacks to more than .* far beyond its own size"):
            nested.read("b", 1 << 20)
