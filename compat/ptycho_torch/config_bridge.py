"""From the PyTorch side's configuration to the canonical one."""

from pinn.io.legacy.torch_bridge import (
    left_behind,
    to_inference_config,
    to_model_config,
    to_training_config,
)

__all__ = ["left_behind", "to_inference_config", "to_model_config", "to_training_config"]
