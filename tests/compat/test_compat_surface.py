"""What callers import: every symbol, its signature, and that importing it costs nothing."""

import importlib
import inspect
import subprocess
import sys
import tomllib
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest

import pinn
import ptycho

ROOT = Path(__file__).parents[2]
MODULES = [
    "ptycho",
    "ptycho.config.config",
    "ptycho.loader",
    "ptycho.model",
    "ptycho.model_manager",
    "ptycho.params",
    "ptycho.probe",
    "ptycho.raw_data",
    "ptycho.tf_helper",
    "ptycho.train_pinn",
    "ptycho.workflows.backend_selector",
    "ptycho.workflows.components",
    "ptycho_torch.config_bridge",
    "ptycho_torch.config_params",
]
# symbol: names of the parameters that callers use, in order, * before those given by name only
CALLS = {
    "ptycho.config.config:update_legacy_dict": "cfg config",
    "ptycho.params:get": "key",
    "ptycho.params:set": "key value",
    "ptycho.model:params": "",
    "ptycho.raw_data:RawData.from_file": "train_data_file_path",
    "ptycho.raw_data:RawData.from_coords_without_pc": (
        "xcoords ycoords diff3d probeGuess scan_index objectGuess"
    ),
    "ptycho.raw_data:RawData.from_simulation": (
        "xcoords ycoords probeGuess objectGuess scan_index"
    ),
    "ptycho.raw_data:RawData.generate_grouped_data": (
        "self N K nsamples dataset_path seed sequential_sampling gridsize enable_oversampling "
        "neighbor_pool_size"
    ),
    "ptycho.loader:load": "cb probeGuess which create_split",
    "ptycho.loader:PtychoDataset": "train_data test_data",
    "ptycho.loader:PtychoDataContainer.from_raw_data_without_pc": (
        "xcoords ycoords diff3d probeGuess scan_index objectGuess N K nsamples"
    ),
    "ptycho.probe:set_probe_guess": "X_train probe_guess",
    "ptycho.tf_helper:reassemble_position": "obj_tensor global_offsets M",
    "ptycho.model_manager:save": "out_prefix",
    "ptycho.model_manager:ModelManager.load_multiple_models": "base_path",
    "ptycho.train_pinn:calculate_intensity_scale": "container",
    "ptycho.train_pinn:train": "train_data intensity_scale model_instance",
    "ptycho.train_pinn:train_eval": "ptycho_dataset",
    "ptycho.train_pinn:eval": "test_data history trained_model model_path",
    "ptycho.workflows.components:run_cdi_example": (
        "train_data test_data config flip_x flip_y transpose M do_stitching"
    ),
    "ptycho.workflows.components:train_cdi_model": "train_data test_data config",
    "ptycho.workflows.components:reassemble_cdi_image": (
        "test_data config flip_x flip_y transpose M coord_scale"
    ),
    "ptycho.workflows.components:load_inference_bundle": "bundle_dir",
    "ptycho.workflows.components:save_outputs": "amplitude phase results output_prefix",
    "ptycho.workflows.components:create_ptycho_data_container": "data config",
    "ptycho.workflows.components:parse_arguments": "",
    "ptycho.workflows.components:setup_configuration": "args yaml_path",
    "ptycho.workflows.components:update_config_from_dict": "config_updates",
    "ptycho.workflows.components:load_data": (
        "file_path n_images n_subsample flip_x flip_y swap_xy n_samples coord_scale subsample_seed"
    ),
    "ptycho.workflows.backend_selector:run_cdi_example_with_backend": (
        "train_data test_data config flip_x flip_y transpose M do_stitching torch_execution_config"
    ),
    "ptycho.workflows.backend_selector:load_inference_bundle_with_backend": "bundle_dir config",
}


def symbol(name):
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", CALLS)
def test_symbols_take_what_callers_give(name):
    expected = CALLS[name].split()
    parameters = inspect.signature(symbol(name)).parameters
    assert list(parameters)[: len(expected)] == expected
    rest = list(parameters.values())[len(expected) :]
    assert all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in rest)


@pytest.mark.parametrize("module", MODULES)
def test_importing_loads_no_framework(module):
    heavy = ["keras", "jax", "torch", "tensorflow", "pydantic", "scipy", "h5py", "matplotlib"]
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_loader_brings_the_modules_that_ptychodus_forgets_to_import():
    code = "import ptycho.loader, ptycho; ptycho.probe.set_probe_guess; ptycho.tf_helper"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_configurations_are_mutable_and_reach_a_child_process_with_n_0():
    from ptycho.config.config import InferenceConfig, ModelConfig, TrainingConfig

    made = TrainingConfig(model=ModelConfig(N=0, gridsize=2), train_data_file=Path())
    again = ForkingPickler.loads(ForkingPickler.dumps(made))
    again.model.N = 64
    assert again.model.N == 64 and made.model.N == 0
    again.model.N = 0
    assert again == made
    config = InferenceConfig(made.model, model_path=Path(), test_data_file=Path(), debug=(True,))
    assert ForkingPickler.loads(ForkingPickler.dumps(config)) == config


def test_there_is_one_dictionary():
    import ptycho.model
    import ptycho.params
    from ptycho._dictionary import LEGACY

    assert ptycho.params.cfg is LEGACY.cfg
    ptycho.params.set("intensity_scale", 3.5)
    try:
        assert ptycho.model.params()["intensity_scale"] == ptycho.params.get("intensity_scale")
    finally:
        LEGACY.reset()
    with pytest.raises(KeyError):
        ptycho.params.get("intensity_scale")


def test_the_distribution_is_in_step_and_has_the_name_that_ptychodus_asks_for():
    project = tomllib.loads((ROOT / "compat" / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "ptychopinn"
    assert ptycho.__version__ == pinn.__version__
    major, minor = pinn.__version__.split(".")[:2]
    bounds = f">={major}.{minor},<{major}.{int(minor) + 1}"
    assert f"pinn-ptycho{bounds}" in project["dependencies"]
    for script, place in project["scripts"].items():
        assert callable(symbol(place)), script


def test_a_default_that_nobody_stated_is_known_as_one_even_after_a_pickle():
    from pinn.io.legacy.table import Unstated
    from ptycho.config.config import ModelConfig, TrainingConfig

    made = TrainingConfig(ModelConfig())
    again = ForkingPickler.loads(ForkingPickler.dumps(made))
    for config in (made, again):
        assert type(config.backend) is type(config.model.architecture) is Unstated
        assert (config.backend, config.model.architecture) == ("tensorflow", "cnn")
    assert type(ModelConfig(architecture="cnn").architecture) is str
