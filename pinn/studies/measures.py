"""What a study can report: the metrics of `pinn evaluate` and the cost of each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pinn.errors import ConfigError
from pinn.studies.names import listed, nearest


@dataclass(frozen=True)
class Measure:
    """One number of a cell.

    Attributes:
        words: what it is.
        unit: empty for a pure number.
        form: format of the number in a table.
        better: `low`, `high`, or empty where neither is better.
        compared: it comes from the comparison with the truth.
        wide: it may span powers of ten, so that a logarithmic axis makes sense.
    """

    words: str
    unit: str
    form: str
    better: str
    compared: bool = True
    wide: bool = False

    @property
    def label(self) -> str:
        """Words with the unit."""
        return f"{self.words} ({self.unit})" if self.unit else self.words


_RANGE = "range of the truth"
_RING = "cycles/px, Nyquist 0.5"
MEASURES = {
    "nrmse": Measure("normalised error, complex", "", ".4f", "low"),
    "amplitude_mae": Measure("amplitude MAE", "", ".4f", "low"),
    "amplitude_psnr_db": Measure(f"amplitude PSNR, {_RANGE}", "dB", ".2f", "high"),
    "amplitude_ssim": Measure(f"amplitude SSIM, {_RANGE}", "", ".3f", "high"),
    "phase_mae_rad": Measure("phase MAE", "rad", ".4f", "low"),
    "phase_psnr_db": Measure(f"phase PSNR, {_RANGE}", "dB", ".2f", "high"),
    "phase_ssim": Measure(f"phase SSIM, {_RANGE}", "", ".3f", "high"),
    "frc50": Measure("FRC crosses 0.5", _RING, ".4f", "high"),
    "frc_1_7": Measure("FRC crosses 1/7", _RING, ".4f", "high"),
    "frc_half_bit": Measure("FRC crosses half-bit", _RING, ".4f", "high"),
    "train_cpu_s": Measure("training, processor time", "CPU-s", ".4g", "low", False, True),
    "reconstruct_cpu_s": Measure(
        "reconstruction, processor time", "CPU-s", ".4g", "low", False, True
    ),
    "peak_memory_mb": Measure("peak resident memory", "MB", ".0f", "low", False),
    "parameters": Measure("weights of the network", "", ".0f", "", False, True),
    "epochs_trained": Measure("epochs trained", "", ".0f", "", False),
    "final_loss": Measure("training loss, last epoch", "", ".5g", "low", False),
    "final_val_loss": Measure("validation loss, last epoch", "", ".5g", "low", False),
}
# None of these is the name of an option: both are columns of one table.
USUAL = ("nrmse", "amplitude_psnr_db", "phase_mae_rad", "frc50")


def check_measures(names: Any) -> list[str]:
    """The names, each once and known.

    Raises:
        ConfigError: an unknown one, none at all, or one that is there twice.
    """
    if not isinstance(names, list) or not names:
        raise ConfigError(f"metrics is {names!r}; give a list of one or more")
    for name in names:
        if not isinstance(name, str) or name not in MEASURES:
            raise ConfigError(f"unknown metric {name!r}{nearest(str(name), MEASURES)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"metrics are {listed(names)}; name each once")
    return names
