"""From our configuration to the reference's and back: what it can say returns unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinn.config import ModelConfig, ReconstructConfig, ScanConfig, TrainConfig
from pinn.errors import ConfigError
from pinn.io.legacy import to_legacy, to_pinn


def maybe(strategy):
    return st.none() | strategy


rates = st.floats(0.0, 0.999, allow_nan=False)


@st.composite
def networks(draw):
    """Networks that the old classes can say."""
    kind = draw(st.sampled_from(["cnn", "baseline", "fno", "ffno"]))
    options = {
        "architecture": kind,
        "N": draw(st.sampled_from([16, 64, 96, 128])),
        "gridsize": draw(st.integers(1, 5)),
        "object_big": draw(st.booleans()),
        "probe_trainable": draw(st.booleans()),
        "scale_trainable": draw(st.booleans()),
        "probe_support": draw(maybe(st.floats(1.0, 60.0))),
    }
    heads = st.sampled_from(["softplus", "sigmoid2", "relu"])
    if kind == "baseline" and options["gridsize"] > 1:
        options["object_big"] = True  # it predicts every frame
    if kind in ("cnn", "baseline"):
        options["n_filters_scale"] = draw(st.integers(1, 16))
    if kind == "cnn":
        options |= {"pad_object": draw(st.booleans()), "probe_big": draw(st.booleans())}
        options["amp_activation"] = draw(heads)
    if kind in ("fno", "ffno"):
        options["head"] = draw(st.sampled_from(["polar", "rectangular"]))
        if options["head"] == "polar":
            options["amp_activation"] = draw(heads)
        options["fno_width"] = draw(st.integers(1, 64))
        options["fno_modes"] = draw(maybe(st.sampled_from([3, 8])))
        options["fno_blocks"] = draw(maybe(st.sampled_from([1, 7])))
        options["fno_refine_blocks"] = draw(st.integers(0, 5))
    return ModelConfig(**options)


@st.composite
def runs(draw, model):
    """Runs that the old classes can say."""
    supervised = model.architecture != "cnn" and draw(st.booleans())
    weight = draw(st.floats(1e-9, 1e6))
    loss = draw(st.sampled_from(["poisson", "mae", f"poisson + {weight!r} mae"]))
    schedule = draw(
        st.sampled_from(
            [
                {},
                {"schedule": "constant"},
                {"schedule": "exponential"},
                {"warmup_epochs": 5.0, "rate_floor": 0.25},
                {"warmup_epochs": 0.0, "rate_floor": 0.0},
                {
                    "schedule": "plateau",
                    "plateau_factor": 0.3,
                    "plateau_patience": 7,
                    "plateau_threshold": 0.125,
                    "rate_floor": 0.05,
                },
            ]
        )
    )
    clip = draw(
        st.sampled_from(
            [
                {},
                {"clip_norm": None},
                {"clip_norm": 0.5},
                {"clip_norm": None, "clip_value": 0.5},
                {"clip_norm": None, "clip_adaptive": 0.01},
            ]
        )
    )
    others = model.gridsize**2 - 1
    optimizer = draw(st.sampled_from(["adam", "adamw", "sgd"]))
    numbers = {"momentum": draw(rates)} if optimizer == "sgd" else {"beta_1": draw(rates)}
    if optimizer != "sgd":
        numbers["beta_2"] = draw(rates)
    return TrainConfig(
        mode="supervised" if supervised else "pinn",
        loss=None if supervised else loss,
        epochs=draw(st.integers(1, 10**4)),
        batch_size=draw(st.integers(1, 10**4)),
        n_groups=draw(maybe(st.integers(1, 10**6).filter(lambda n: n != 512))),
        neighbours=draw(maybe(st.integers(others + 1, 999))) if others else None,
        subsample=draw(maybe(st.integers(1, 10**6))),
        subsample_seed=draw(maybe(st.integers(0, 10**6))),
        sequential=draw(st.booleans()),
        optimizer=optimizer,
        weight_decay=draw(maybe(st.floats(0.0, 1.0))),
        **numbers,
        **schedule,
        **clip,
    )


@settings(max_examples=80)
@given(st.data(), st.sampled_from(["tensorflow", "torch", "jax"]), st.floats(1.0, 1e12))
def test_what_can_be_said_comes_back(data, backend, photons):
    model = data.draw(networks())
    train = data.draw(runs(model))
    scan = ScanConfig(photons_per_frame=photons)
    fields, notes = to_legacy(model, train, scan, backend=backend, strict=True)
    assert notes == []
    again = to_pinn(fields)
    assert (again.model, again.scan, again.backend) == (model, scan, backend)
    assert again.train.loss_terms == pytest.approx(train.loss_terms, rel=1e-9)
    assert again.train.decay_of_weights == train.decay_of_weights
    plain = {"loss": None, "rate_floor": 0.01, "weight_decay": None}
    assert again.train.replace(**plain) == train.replace(**plain)
    assert again.train.rate_floor == pytest.approx(train.rate_floor, rel=1e-12)


def test_weights_stay_within_the_references_range():
    for weight in (1e-6, 1e-2, 1.0, 1e3):
        train = TrainConfig(loss=f"poisson + {weight} mae", batch_size=16)
        fields, _ = to_legacy(ModelConfig(architecture="cnn"), train, strict=True)
        assert 0 < fields["mae_weight"] <= 1 and 0 < fields["nll_weight"] <= 1


def test_the_network_of_an_archive_comes_back_exactly():
    model = ModelConfig(
        architecture="cnn",
        gridsize=1,
        amp_activation="sigmoid",
        ring_activation="swish",
        merge="legacy",
        input_transform="none",
    )
    fields, _ = to_legacy(model, strict=True)
    assert fields["amp_activation"] == "sigmoid"
    assert to_pinn(fields, exact=True).model == model
    for name in ("swish", "relu", "softplus"):
        other = model.replace(amp_activation=name)
        assert to_pinn(to_legacy(other, strict=True)[0], exact=True).model == other
    _, notes = to_legacy(model.replace(amp_activation="sigmoid2"))
    assert "sigmoid2" in notes[0]


@pytest.mark.parametrize(
    ("model", "train", "word"),
    [
        ({"amp_activation": "sigmoid"}, {}, "sigmoid2"),
        ({"amp_activation": "swish"}, {}, "means softplus"),
        ({"head": "rectangular"}, {}, "rectangular"),
        ({"probe_modes": 3}, {}, "probe_modes"),
        ({"merge": "uniform"}, {}, "merge"),
        ({"input_transform": "standard"}, {}, "input_transform"),
        ({"architecture": "cnn"}, {"mode": "supervised"}, "baseline"),
        ({}, {"loss": "gaussian"}, "gaussian"),
        ({}, {"loss": "poisson + 0.1 tv_phase"}, "tv_phase"),
        (
            {"architecture": "baseline"},
            {"mode": "supervised", "loss": "label_complex"},
            "label_complex",
        ),
        ({}, {"grouping": "quadrants"}, "quadrants"),
        ({}, {"learning_rate": 0.1}, "learning_rate"),
        ({}, {"seed": 4}, "seed"),
        ({}, {"clip_value": 1.0}, "two ways"),
        ({}, {"schedule": "exponential", "decay": 0.5}, "decay"),
        ({}, {"schedule": "exponential", "rate_floor": 0.5}, "rate_floor"),
        ({}, {"rate_floor": 0.5}, "warmup_epochs"),
        ({}, {"warmup_epochs": 0.5}, "warmup_epochs"),
        ({}, {"validation": "random"}, "validation"),
    ],
)
def test_what_cannot_be_said_is_named_or_refused(model, train, word):
    model, train = ModelConfig(**model), TrainConfig(**train)
    assert any(word in note for note in to_legacy(model, train)[1])
    with pytest.raises(ConfigError, match=word):
        to_legacy(model, train, strict=True)


@pytest.mark.parametrize(
    ("name", "value", "beside"),
    [
        ("epochs", 3, {}),
        ("batch_size", 3, {}),
        ("n_groups", 3, {}),
        ("neighbours", 9, {}),
        ("subsample", 3, {}),
        ("subsample_seed", 3, {}),
        ("sequential", True, {}),
        ("mode", "supervised", {}),
        ("loss", "mae", {}),
        ("optimizer", "sgd", {}),
        ("momentum", 0.5, {"optimizer": "sgd"}),
        ("beta_1", 0.5, {}),
        ("beta_2", 0.5, {}),
        ("weight_decay", 0.5, {}),
        ("weight_decay", 0.0, {"optimizer": "adamw"}),
        ("clip_norm", 0.5, {}),
        ("schedule", "constant", {}),
        ("warmup_epochs", 2.0, {}),
        ("plateau_factor", 0.25, {"schedule": "plateau"}),
        ("plateau_patience", 9, {"schedule": "plateau"}),
        ("plateau_threshold", 0.25, {"schedule": "plateau"}),
        ("rate_floor", 0.25, {"schedule": "plateau"}),
    ],
)
def test_an_option_of_the_run_changes_the_legacy_configuration(name, value, beside):
    without = to_legacy(ModelConfig(), TrainConfig(**beside))[0]
    assert to_legacy(ModelConfig(), TrainConfig(**beside, **{name: value}))[0] != without


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("N", 128),
        ("gridsize", 3),
        ("architecture", "fno"),
        ("n_filters_scale", 2),
        ("amp_activation", "relu"),
        ("fno_modes", 5),
        ("fno_width", 5),
        ("fno_blocks", 5),
        ("fno_refine_blocks", 5),
        ("object_big", False),
        ("pad_object", False),
        ("probe_big", False),
        ("probe_trainable", True),
        ("probe_support", 16.0),
        ("probe_support", 9.0),
        ("scale_trainable", False),
    ],
)
def test_an_option_of_the_network_changes_the_legacy_configuration(name, value):
    without = to_legacy(ModelConfig())[0]
    assert to_legacy(ModelConfig(**{name: value}))[0] != without


def test_without_a_run_the_defaults_are_meant():
    assert to_legacy(ModelConfig()) == to_legacy(ModelConfig(), TrainConfig(), ScanConfig())
    assert to_pinn(to_legacy(ModelConfig())[0]).reconstruct == ReconstructConfig()
