"""The bridge to the reference system: its configuration classes, its dictionary, and ours.

The only mutable, unchecked configuration in `pinn`, and the only global dictionary, for callers
that were written for PtychoPINN. Nothing else in `pinn` reads either: they are translated into our
own configuration first, and checked then (`to_pinn`). Nothing here imports a framework.

    from pinn.io.legacy import LEGACY, ModelConfig, TrainingConfig, to_pinn, update_legacy_dict

    old = TrainingConfig(ModelConfig(N=128, gridsize=2), nphotons=1e6)
    update_legacy_dict(LEGACY.cfg, old)             # for callers that read the dictionary
    new = to_pinn(old, dictionary=LEGACY.cfg)       # new.model, new.train, new.scan, new.notes
"""

from pinn.io.legacy.back import LegacyTranslation, to_legacy
from pinn.io.legacy.configuration import (
    InferenceConfig,
    ModelConfig,
    TrainingConfig,
    validate_inference_config,
    validate_model_config,
    validate_training_config,
)
from pinn.io.legacy.dictionary import (
    DEFAULTS,
    KEY_MAPPINGS,
    LEGACY,
    LegacyDictionary,
    LegacyParams,
    config_from_dict,
    dataclass_to_legacy_dict,
    update_legacy_dict,
)
from pinn.io.legacy.execution import PyTorchExecutionConfig
from pinn.io.legacy.translate import Translation, doubts, to_pinn

__all__ = [
    "DEFAULTS",
    "KEY_MAPPINGS",
    "LEGACY",
    "InferenceConfig",
    "LegacyDictionary",
    "LegacyParams",
    "LegacyTranslation",
    "ModelConfig",
    "PyTorchExecutionConfig",
    "TrainingConfig",
    "Translation",
    "config_from_dict",
    "dataclass_to_legacy_dict",
    "doubts",
    "to_legacy",
    "to_pinn",
    "update_legacy_dict",
    "validate_inference_config",
    "validate_model_config",
    "validate_training_config",
]
