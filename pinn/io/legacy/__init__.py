"""The bridge to the reference system: fields of its configuration, and ours.

Nothing else in `pinn` knows these fields: they are translated into our own configuration first, and
checked then. What becomes of each stands in `table.toml`. The classes and the dictionary that
programs written for the reference use are made from it in `compat/`. Nothing here imports a
framework.

    from pinn.io.legacy import to_legacy, to_pinn

    new = to_pinn({"N": 128, "gridsize": 2, "nphotons": 1e6})
    new.model, new.train, new.scan, new.notes
    fields, notes = to_legacy(new.model, new.train, new.scan)
"""

from pinn.io.legacy.back import to_legacy
from pinn.io.legacy.forward import Translation, to_pinn

__all__ = ["Translation", "to_legacy", "to_pinn"]

# What version 0.1.0 had here: module of the distribution ptychopinn that has it.
_MOVED = {
    "ptycho.config.config": (
        *("ModelConfig", "TrainingConfig", "InferenceConfig", "PyTorchExecutionConfig"),
        *("dataclass_to_legacy_dict", "update_legacy_dict", "validate_model_config"),
        *("validate_training_config", "validate_inference_config"),
    ),
    "ptycho._dictionary": ("config_from_dict",),
    "ptycho._doubts": ("doubts",),
    "ptycho.params": ("LEGACY", "LegacyParams", "LegacyDictionary", "DEFAULTS"),
}


# And what is here under another name.
_RENAMED = {
    "KEY_MAPPINGS": "pinn.io.legacy.table.KEY_MAPPINGS",
    "LegacyTranslation": "pinn.io.legacy.Translation",
}


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        raise ImportError(f"pinn.io.legacy.{name} is {_RENAMED[name]} since pinn 0.2")
    for module, names in _MOVED.items():
        if name in names:
            raise ImportError(
                f"{name} is no longer in pinn.io.legacy. Use {module} of the distribution "
                "ptychopinn (`pip install ./compat`)"
            )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
