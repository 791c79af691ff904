"""Flags of the PyTorch side, with and without `--torch-`, and the old ones that map to them."""

from __future__ import annotations

import argparse
import logging
from dataclasses import fields
from typing import Any

from ptycho._classes import PyTorchExecutionConfig, TrainingConfig
from ptycho._cli import deprecated
from ptycho._cli.flags import add_flag

# Flag without --torch-: field of the execution configuration.
_EXECUTION = {
    "accelerator": "accelerator",
    "deterministic": "deterministic",
    "num-workers": "num_workers",
    "accumulate-grad-batches": "accum_steps",
    "learning-rate": "learning_rate",
    "scheduler": "scheduler",
    "logger": "logger_backend",
    "precision": "precision",
    "enable-checkpointing": "enable_checkpointing",
    "checkpoint-save-top-k": "checkpoint_save_top_k",
    "checkpoint-monitor": "checkpoint_monitor_metric",
    "checkpoint-mode": "checkpoint_mode",
    "early-stop-patience": "early_stop_patience",
    "recon-log-every-n-epochs": "recon_log_every_n_epochs",
    "recon-log-num-patches": "recon_log_num_patches",
    "recon-log-stitch": "recon_log_stitch",
    "recon-log-max-stitch-samples": "recon_log_max_stitch_samples",
    "inference-batch-size": "inference_batch_size",
}
OF_INFERENCE = ("accelerator", "num-workers", "inference-batch-size")
_PLATEAU = ("plateau_factor", "plateau_patience", "plateau_min_lr", "plateau_threshold")
# fields of TrainingConfig that have a flag by that name already
_TAKEN = {field.name.replace("_", "-") for field in fields(TrainingConfig)}
_PREFIX = "execution."
# What the frames are, by our words and by the PyTorch side's: our units.
DOMAINS = {
    **{word: word for word in ("counts", "intensity", "amplitude")},
    "count_intensity": "counts",
    "normalized_amplitude": "amplitude",
}
# Flags of the PyTorch side's own scripts that are taken and do nothing, and why.
_WITHOUT_EFFECT = {
    "profile": "there is one set of defaults",
    "scale-contract-version": "one trained scale carries the counts",
    "log-patch-stats": "the loss of each epoch is said",
    "patch-stats-limit": "the loss of each epoch is said",
    "run-id": "models come from archives: --model_path",
    "infer-dir": "the scan is named by --test_data",
    "file-index": "the scan is named by --test_data",
}
_OF_ARCHIVE = ("probe-mask", "probe-mask-sigma", "probe-mask-diameter")


def add_torch_flags(parser: argparse.ArgumentParser, names: tuple[str, ...] | None = None) -> None:
    """The flags; all of them, or some for inference."""
    group = parser.add_argument_group("how it runs (with any backend)")
    known = {field.name: field for field in fields(PyTorchExecutionConfig)}
    for flag, name in _EXECUTION.items():
        if names is not None and flag not in names:
            continue
        flags = [f"--torch-{flag}"]
        if flag not in _TAKEN:
            flags.append(f"--{flag}")
        add_flag(group, flags, _PREFIX + name, known[name])
    group.add_argument("--device", dest="device", default=None, help=argparse.SUPPRESS)
    group.add_argument("--frames", "--measurement-domain", "--measurement_domain",
                       choices=list(DOMAINS),
                       help="what the frames are [default: the file tells]")  # fmt: skip
    reasons = dict.fromkeys(() if names is None else _OF_ARCHIVE, "the archive has the probe")
    for flag, reason in {**_WITHOUT_EFFECT, **reasons}.items():
        group.add_argument(f"--{flag}", f"--{flag.replace('-', '_')}", action=_Nothing, nargs="?",
                           const=reason, help=argparse.SUPPRESS)  # fmt: skip
    if names is not None:
        return
    group.add_argument(
        "--torch-recon-log-fixed-indices",
        "--recon-log-fixed-indices",
        nargs="+",
        type=int,
        dest=_PREFIX + "recon_log_fixed_indices",
        default=argparse.SUPPRESS,
    )
    of_training = {field.name: field for field in fields(TrainingConfig)}
    for name in _PLATEAU:
        add_flag(group, [f"--torch-{name.replace('_', '-')}"], name, of_training[name])
    for old in ("disable-checkpointing", "disable_mlflow", "disable-mlflow"):
        group.add_argument(f"--{old}", action="store_true", help=argparse.SUPPRESS)
    group.add_argument("--max_epochs", "--max-epochs", type=int, help=argparse.SUPPRESS)


class _Nothing(argparse.Action):
    """A flag that is taken and does nothing, which it says."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        said = getattr(namespace, "without_effect", ())
        namespace.without_effect = (*said, f"{option} has no effect: {self.const}")


def execution_of(options: dict[str, Any]) -> PyTorchExecutionConfig | None:
    """Take the flags out of the options; None if none was given.

    Raises:
        ConfigError: an impossible value.
    """
    given = {
        name.removeprefix(_PREFIX): options.pop(name)
        for name in list(options)
        if name.startswith(_PREFIX)
    }
    for text in options.pop("without_effect", ()):
        logging.getLogger("ptycho").warning("%s", text)
    device = options.pop("device", None)
    if device is not None:
        deprecated("--device", "--accelerator")
        given.setdefault("accelerator", device)
    if options.pop("disable_checkpointing", False):
        deprecated("--disable-checkpointing", "--no-enable-checkpointing")
        given.setdefault("enable_checkpointing", False)
    if options.pop("disable_mlflow", False):
        deprecated("--disable_mlflow", "--logger none")
        given.setdefault("logger_backend", None)
    epochs = options.pop("max_epochs", None)
    if epochs is not None:
        deprecated("--max_epochs", "--nepochs")
        options.setdefault("nepochs", epochs)
    # what nobody states is not repeatable bit for bit, which costs time
    return PyTorchExecutionConfig(**{"deterministic": False, **given}) if given else None
