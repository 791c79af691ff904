"""Several objects under several probes, and files that are there already."""

import json

import numpy as np
import pytest

from pinn import cli
from pinn.errors import ConfigError, OutputError
from pinn.simulate import (
    SimulateConfig,
    check_reusable,
    made_by,
    recipe_hash,
    recipes,
    simulate_many,
    simulate_to_file,
)

SMALL = dict(N=32, n_frames=12, photons_per_frame=1e4)
RANDOM = SimulateConfig(**SMALL, object="leaves", probe="zernike", seed=7)
NAMES = [f"object{i}_probe{j}" for i in range(3) for j in range(2)]


def metadata(path):
    with np.load(path) as file:
        return json.loads(str(file["metadata"]))


def test_every_pair_has_its_object_and_its_probe(tmp_path):
    files = simulate_many(RANDOM, tmp_path / "out", 3, 2)
    assert [f.path.name for f in files] == [f"{name}.npz" for name in NAMES]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f"{n}.npz" for n in NAMES)
    truth = {name: f.scan.truth for name, f in zip(NAMES, files, strict=True)}
    probe = {
        name: f.scan.probe / np.linalg.norm(f.scan.probe)
        for name, f in zip(NAMES, files, strict=True)
    }
    for i in range(3):
        np.testing.assert_array_equal(truth[f"object{i}_probe0"], truth[f"object{i}_probe1"])
    for j in range(2):  # up to the dose
        for i in (1, 2):
            np.testing.assert_allclose(
                probe[f"object0_probe{j}"], probe[f"object{i}_probe{j}"], atol=1e-6
            )
    assert not np.allclose(truth["object0_probe0"], truth["object1_probe0"])
    assert not np.allclose(
        np.abs(probe["object0_probe0"]), np.abs(probe["object0_probe1"]), atol=0.01
    )
    positions = [f.scan.positions_px for f in files]
    assert not np.allclose(positions[0], positions[1]) and not np.allclose(
        positions[0], positions[2]
    )
    assert len({metadata(f.path)["recipe_sha256"] for f in files}) == 6


def test_each_scan_is_made_again_from_its_own_file(tmp_path):
    written = simulate_many(RANDOM, tmp_path / "out", 2, 2)[3]
    config = SimulateConfig(**metadata(written.path)["recipe"])
    assert recipe_hash(config) == recipe_hash(written.config)
    simulate_to_file(config, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == written.path.read_bytes()


def test_more_objects_or_probes_leave_the_seeds_alone():
    few, many = dict(recipes(RANDOM, 1, 2)), dict(recipes(RANDOM, 4, 3))
    for name, config in few.items():
        for seed in ("seed", "object_seed", "probe_seed"):
            assert getattr(config, seed) == getattr(many[name], seed)
    assert len({c.seed for c in many.values()}) == 12
    assert len({c.object_seed for c in many.values()}) == 4
    assert len({c.probe_seed for c in many.values()}) == 3
    # neighbouring base seeds share nothing: no object of a test campaign is in the training one
    other = dict(recipes(RANDOM.replace(seed=8), 4, 3))
    assert not {c.object_seed for c in many.values()} & {c.object_seed for c in other.values()}


@pytest.mark.parametrize("options", [dict(size=120), dict(size=120, n_frames=None, step=6.0)])
def test_a_stated_size_is_kept(options):
    base = {**SMALL, "object": "leaves", "probe_variation": 0.3, **options}
    config = SimulateConfig(**{k: v for k, v in base.items() if v is not None})
    made = [c for _, c in recipes(config, 1, 3)]
    assert {c.size for c in made} == {120}
    assert len({c.field_px for c in made}) == 1


def test_frames_of_a_campaign_have_the_overlap_asked(tmp_path):
    config = RANDOM.replace(overlap=0.6)
    for file in simulate_many(config, tmp_path, 1, 2):
        assert file.scan.overlap == pytest.approx(0.6)
        assert len(file.scan) == 12


def test_progress_counts_all_frames(tmp_path):
    seen = []
    simulate_many(RANDOM, tmp_path, 2, 1, seen.append)
    assert (seen[-1].done, seen[-1].total) == (24, 24)
    assert [p.done for p in seen] == sorted(p.done for p in seen)


def test_an_interrupted_campaign_goes_on(tmp_path):
    first = simulate_many(RANDOM, tmp_path, 2, 1)
    first[1].path.unlink()
    stamp = first[0].path.stat().st_mtime_ns
    again = simulate_many(RANDOM, tmp_path, 2, 1)
    assert [f.scan is None for f in again] == [True, False]
    assert first[0].path.stat().st_mtime_ns == stamp
    with pytest.raises(OutputError, match="another recipe"):
        simulate_many(RANDOM.replace(photons_per_frame=2e4), tmp_path, 2, 1)
    forced = simulate_many(RANDOM.replace(photons_per_frame=2e4), tmp_path, 2, 1, force=True)
    assert all(f.scan is not None for f in forced)


@pytest.mark.parametrize(
    ("options", "counts", "text"),
    [
        (dict(object="star"), (2, 1), "nothing in object star is random"),
        ({}, (1, 2), "nothing in probe disc is random"),
        (dict(probe="zernike", zernike="5:1"), (1, 2), "give probe_variation"),
        (dict(probe="defocused", aberration=0.0), (1, 2), "give probe_variation"),
        ({}, (0, 1), "0 objects"),
    ],
)
def test_the_same_twice_is_refused(tmp_path, options, counts, text):
    with pytest.raises(ConfigError, match=text):
        simulate_many(SimulateConfig(**SMALL, **options), tmp_path, *counts)
    assert list(tmp_path.iterdir()) == []


def test_what_varies_after_all_is_simulated(tmp_path):
    star = SimulateConfig(
        **SMALL, object="star", phase="independent", probe="gaussian", probe_variation=0.4
    )
    files = simulate_many(star, tmp_path, 2, 2)
    diameters = [f.scan.diameter_px for f in files]
    assert diameters[0] == pytest.approx(diameters[2])
    assert abs(diameters[0] / diameters[1] - 1) > 0.01
    np.testing.assert_allclose(abs(files[0].scan.truth), abs(files[2].scan.truth), atol=1e-6)
    assert not np.allclose(files[0].scan.truth, files[2].scan.truth)


def test_a_file_object_under_two_probes(tmp_path):
    y, x = np.mgrid[:90, :90]
    np.save(tmp_path / "o.npy", (2 + np.sin(0.2 * y)) * np.exp(0.02j * x))
    np.save(tmp_path / "a.npy", y + 2.0 * x)
    for name in ("o.npy", "a.npy"):
        for extra in ({}, dict(overlap=0.5)):
            config = SimulateConfig(
                **SMALL, object="file", object_file=tmp_path / name, probe_variation=0.5, **extra
            )
            one, two = simulate_many(config, tmp_path / f"{name}{len(extra)}", 1, 2)
            np.testing.assert_array_equal(one.scan.truth, two.scan.truth)
            assert one.scan.diameter_px != two.scan.diameter_px


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="need a folder"):
        simulate_many(RANDOM, tmp_path / "out", 2, 1)


# -- files that are there already ---------------------------------------------------------


def test_only_the_same_recipe_may_be_there(tmp_path):
    config, path = SimulateConfig(**SMALL), tmp_path / "s.npz"
    assert not check_reusable(config, path)
    simulate_to_file(config, path)
    assert made_by(path) == recipe_hash(config)
    assert check_reusable(config, path)
    with pytest.raises(OutputError, match="another recipe"):
        check_reusable(config.replace(seed=1), path)
    for content in (b"", b"notes", b"PK\x03\x04"):
        path.write_bytes(content)
        assert made_by(path) is None
        with pytest.raises(OutputError, match="no simulated scan"):
            check_reusable(config, path)
    with pytest.raises(OutputError, match="no simulated scan"):
        check_reusable(config, tmp_path)
    for text in ("[]", "{}", '{"recipe_sha256": 3}', "no JSON"):
        np.savez(path, metadata=text)
        assert made_by(path) is None


# -- the command --------------------------------------------------------------------------


def test_the_command_keeps_refuses_and_forces(tmp_path, capsys):
    out = tmp_path / "s.npz"
    arguments = ["simulate", str(out), "--N", "16", "--n-frames", "12"]
    assert cli.run(arguments) == 0
    assert f"wrote {out}" in capsys.readouterr().err
    stamp = out.stat().st_mtime_ns
    assert cli.run(arguments) == 0
    assert f"kept {out}" in capsys.readouterr().err
    assert out.stat().st_mtime_ns == stamp
    assert cli.run([*arguments, "--seed", "1"]) == 2
    assert "--force" in capsys.readouterr().err
    assert out.stat().st_mtime_ns == stamp
    assert cli.run([*arguments, "--seed", "1", "--force"]) == 0
    assert made_by(out) == recipe_hash(SimulateConfig(N=16, n_frames=12, seed=1))


def test_the_command_makes_a_campaign_from_a_recipe(tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'N = 16\nn_frames = 12\nobject = "grf"\n[simulate]\nn_objects = 2\nprobe = "defocused"\n'
    )
    out = tmp_path / "out"
    assert cli.run(["simulate", str(out), "--config", str(recipe), "--n-probes", "2"]) == 0
    names = [f"object{i}_probe{j}.npz" for i in range(2) for j in range(2)]
    assert sorted(p.name for p in out.iterdir()) == names
    text = capsys.readouterr().err
    assert all(name in text for name in names)
    assert metadata(out / names[0])["recipe"]["object"] == "grf"
    assert cli.run(["simulate", str(out), "--config", str(recipe), "--n-probes", "2"]) == 0
    assert capsys.readouterr().err.count("kept") == 4
