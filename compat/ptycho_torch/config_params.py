"""The configuration classes of the PyTorch side.

Plain and mutable, and checked when they are bridged (`ptycho_torch.config_bridge`), as the
canonical ones in `ptycho.config.config` are. Several share a name with those; callers tell them
apart by the module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The default of `DataConfig.nphotons`. The other side has 1e9: the bridge takes this one only when
# it is given on purpose.
UNSTATED_PHOTONS = 1e5


@dataclass
class DataConfig:
    """Scan, groups and their normalisation."""

    nphotons: float = UNSTATED_PHOTONS
    scale_contract_version: str = "ci_intensity_v2"  # or legacy_v1
    measurement_domain: str = "count_intensity"  # or normalized_amplitude
    N: int = 64
    C: int = 4  # frames in a group
    K: int = 6  # nearest frames to draw members from
    K_quadrant: int = 30
    n_subsample: int = 7  # groups per scan point, not frames
    subsample_seed: int | None = None
    grid_size: tuple[int, int] = (2, 2)
    neighbor_function: str = "Nearest"  # or Min_dist, 4_quadrant
    min_neighbor_distance: float = 0.0  # pixels
    max_neighbor_distance: float = 3.0
    scan_pattern: str = "Isotropic"  # or Rectangular
    normalize: str = "Batch"  # or Group, None
    probe_scale: float = 4.0
    probe_normalize: bool = True
    data_scaling: str = "Parseval"  # or Max
    phase_subtraction: bool = True
    x_bounds: tuple[float, float] = (0.1, 0.9)  # shares of the range of positions
    y_bounds: tuple[float, float] = (0.1, 0.9)


@dataclass
class ModelConfig:
    """Network, physics and loss."""

    mode: str = "Unsupervised"  # or Supervised
    architecture: str = "cnn"
    fno_modes: int = 12
    fno_width: int = 32
    fno_blocks: int = 4
    fno_cnn_blocks: int = 2
    learned_input_channels: int = 1
    fno_input_transform: str = "none"
    max_hidden_channels: int | None = None
    resnet_width: int | None = None
    spectral_bottleneck_blocks: int = 6
    spectral_bottleneck_modes: int = 12
    spectral_bottleneck_share_weights: bool = True
    spectral_bottleneck_gate_init: float = 0.1
    spectral_bottleneck_gate_mode: str = "shared"
    generator_output_mode: str = "real_imag"
    cnn_output_mode: str = "amp_phase"  # or real_imag
    use_shared_decoder: bool = False
    intensity_scale_trainable: bool = False
    intensity_scale: float = 1e4
    max_position_jitter: int = 10
    num_datasets: int = 1
    C_model: int = 4
    C_forward: int = 4
    n_filters_scale: int = 2
    amp_activation: str = "silu"
    batch_norm: bool = False
    probe_mask: Any = False  # True, or an array, which means True
    probe_mask_tensor: Any = None
    probe_mask_sigma: float = 1.0
    probe_mask_diameter: float | None = None
    edge_pad: int = 10
    decoder_last_c_outer_fraction: float = 0.125
    decoder_last_amp_channels: int = 1
    use_legacy_decoder_channel_override: bool = False
    eca_encoder: bool = False
    cbam_encoder: bool = True
    cbam_bottleneck: bool = False
    cbam_decoder: bool = False
    eca_decoder: bool = False
    spatial_decoder: bool = False
    decoder_spatial_kernel: int = 7
    object_big: bool = True
    probe_big: bool = True
    offset: int = 6
    training_patch_weighting: str = "central_mask"  # or probe, uniform
    physics_forward_mode: str = "amplitude"  # or rectangular_scaled
    rect_s1s2_trainable: bool = True
    rect_s1s2_init: str = "ones"  # or data
    amplitude_physics_gain: float = 1.0
    pad_object: bool = True
    gaussian_smoothing_sigma: float = 0.0
    loss_function: str = "Poisson"  # or MAE
    amp_loss: str | None = None  # or Total_Variation, Mean_Deviation
    amp_loss_coeff: float = 1.0
    phase_loss: str | None = None
    phase_loss_coeff: float = 1.0


@dataclass
class TrainingConfig:
    """One run."""

    training_directories: Sequence[str] = field(default_factory=list)
    nll: bool = True
    device: str = "cuda"
    strategy: str = "ddp"
    n_devices: int | str = 1
    framework: str = "Lightning"
    orchestrator: str = "Mlflow"  # or Lightning
    learning_rate: float = 1e-3
    epochs: int = 50
    batch_size: int = 16
    epochs_fine_tune: int = 0
    fine_tune_gamma: float = 0.1
    scheduler: str = "Default"  # Exponential, MultiStage, Adaptive, WarmupCosine, ...
    lr_warmup_epochs: int = 0
    lr_min_ratio: float = 0.1
    plateau_factor: float = 0.5
    plateau_patience: int = 2
    plateau_min_lr: float = 5e-5
    plateau_threshold: float = 0.0
    num_workers: int = 4
    accum_steps: int = 1
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    log_grad_norm: bool = False
    grad_norm_log_freq: int = 1
    stage_1_epochs: int = 0
    stage_2_epochs: int = 0
    stage_3_epochs: int = 0
    physics_weight_schedule: str = "cosine"
    stage_3_lr_factor: float = 0.1
    torch_loss_mode: str = "poisson"
    torch_mae_pred_l2_match_target: bool = False
    experiment_name: str = "Synthetic_Runs"
    notes: str = ""
    model_name: str = "PtychoPINNv2"
    output_dir: Path | str = "training_outputs"
    train_data_file: Path | str | None = None
    test_data_file: Path | str | None = None
    n_groups: int | None = None


@dataclass
class InferenceConfig:
    """One reconstruction."""

    middle_trim: int = 32
    batch_size: int = 1000
    experiment_number: int = 0
    pad_eval: bool = True
    window: int = 20
    patch_weighting: str = "probe"  # or uniform
    varpro_scaling: bool = True
    log_patch_stats: bool = False
    patch_stats_limit: int | None = None


@dataclass
class DatagenConfig:
    """Simulated training data."""

    objects_per_probe: int = 4
    diff_per_object: int = 7000
    object_class: str = "dead_leaves"
    image_size: tuple[int, int] = (250, 250)
    probe_paths: Sequence[str] = field(default_factory=list)
    beamstop_diameter: float = 4
