"""Train, stitch, load and save: the workflow functions of PtychoPINN."""

from ptycho import loader, model_manager, params, probe, tf_helper
from ptycho._bundle import load_inference_bundle
from ptycho._files import load_data, save_outputs
from ptycho._run import (
    create_ptycho_data_container,
    reassemble_cdi_image,
    run_cdi_example,
    train_cdi_model,
)
from ptycho._setup import parse_arguments, setup_configuration, update_config_from_dict

__all__ = [
    "create_ptycho_data_container",
    "load_data",
    "load_inference_bundle",
    "loader",
    "model_manager",
    "params",
    "parse_arguments",
    "probe",
    "reassemble_cdi_image",
    "run_cdi_example",
    "save_outputs",
    "setup_configuration",
    "tf_helper",
    "train_cdi_model",
    "update_config_from_dict",
]
