"""What becomes of every field of the reference: an option of ours, or nothing, and why.

One table for the translation, for its notes, for the tests that it leaves none out, and for the
documentation. Names are those of the canonical classes, then the keys that only the legacy
dictionary has.
"""

from __future__ import annotations

# Field: our option, as class.field, and the rule where it is not a copy.
TRANSLATED = {
    "N": "model.N",
    "gridsize": "model.gridsize",
    "n_filters_scale": "model.n_filters_scale (cnn and baseline)",
    "model_type": "train.mode; supervised with cnn: the network baseline",
    "architecture": "model.architecture; fno_vanilla: fno without refine blocks",
    "fno_modes": "model.fno_modes (fno, ffno)",
    "fno_width": "model.fno_width (fno, ffno)",
    "fno_blocks": "model.fno_blocks (fno; ffno has its number from the execution configuration)",
    "fno_cnn_blocks": "model.fno_refine_blocks (fno, ffno)",
    "fno_input_transform": "refused with a network that would use it, unless none",
    "generator_output_mode": "model.head (fno, ffno): real_imag rectangular, the others polar",
    "amp_activation": "model.amp_activation; sigmoid: sigmoid2, swish and silu: softplus",
    "object_big": "model.object_big",
    "probe_big": "model.probe_big (cnn)",
    "pad_object": "model.pad_object (cnn)",
    "probe_mask": "model.probe_support: a disc of radius N//4",
    "probe_mask_diameter": "model.probe_support: half of it, where there is a mask",
    "train_data_file": "the scan to train on",
    "test_data_file": "the scan to reconstruct",
    "model_path": "the archive",
    "output_dir": "the folder to write to",
    "batch_size": "train.batch_size",
    "nepochs": "train.epochs",
    "mae_weight": "train.loss: poisson + w mae, with w from mae_weight, nll_weight, N and nphotons",
    "nll_weight": "train.loss, see mae_weight",
    "nphotons": "scan.photons_per_frame, for frames that are no counts",
    "n_groups": "train.n_groups; 512: the same, or one per frame if there are fewer",
    "n_images": "an old name of n_groups",
    "n_subsample": "train.subsample",
    "subsample_seed": "train.subsample_seed",
    "neighbor_count": "train.neighbours",
    "enable_oversampling": "more groups than frames are allowed; train.neighbours is the pool",
    "neighbor_pool_size": "train.neighbours, with enable_oversampling",
    "sequential_sampling": "train.sequential",
    "probe_trainable": "model.probe_trainable",
    "intensity_scale_trainable": "model.scale_trainable",
    "backend": "backend: tensorflow, pytorch (torch) or jax",
    "torch_loss_mode": "train.loss, with backend pytorch",
    "torch_mae_pred_l2_match_target": "refused where it would count: backend pytorch, loss mae",
    "gradient_clip_val": "train.clip_norm, clip_value or clip_adaptive; 0: none, None: ours",
    "gradient_clip_algorithm": "which of these: norm, value, agc",
    "optimizer": "train.optimizer",
    "momentum": "train.momentum",
    "weight_decay": "train.weight_decay",
    "adam_beta1": "train.beta_1",
    "adam_beta2": "train.beta_2",
    "scheduler": "train.schedule; Default: ours",
    "lr_warmup_epochs": "train.warmup_epochs, with WarmupCosine",
    "lr_min_ratio": "train.rate_floor, with WarmupCosine",
    "plateau_factor": "train.plateau_factor, with ReduceLROnPlateau",
    "plateau_patience": "train.plateau_patience less 1, with ReduceLROnPlateau",
    "plateau_min_lr": "train.rate_floor, as a share of the learning rate, with ReduceLROnPlateau",
    "plateau_threshold": "train.plateau_threshold, with ReduceLROnPlateau",
}

_REALSPACE = "the reference computes it from a term that is always zero"
_GRID = "it describes the reference's simulation on a regular grid; use pinn simulate"
_CANVAS = "the canvas of a group is sized from the positions"

# Field: why it has no effect here.
NO_EFFECT = {
    "learned_input_channels": "the network sees one channel per frame of a group",
    "max_hidden_channels": "it belongs to a network the reference itself no longer has",
    "resnet_width": "it belongs to a network the reference itself no longer has",
    "probe_mask_sigma": "the edge of the probe's support is sharp",
    "probe_scale": "it only sets the unit of the object; here the probe's energy is fixed at "
    "(N/2)^2 and one trained scale carries the counts",
    "gaussian_smoothing_sigma": "it blurs the exit wave before the detector, which no measurement "
    "does",
    "realspace_mae_weight": _REALSPACE,
    "realspace_weight": _REALSPACE,
    "positions_provided": "positions always come with the scan",
    "debug": "errors here are sentences, and there is nothing to switch on",
    # -- only in the dictionary
    "tv_weight": _REALSPACE + "; use loss = 'poisson + w tv_phase'",
    "offset": _CANVAS,
    "big_gridsize": _CANVAS,
    "max_position_jitter": _CANVAS,
    "outer_offset_train": _GRID,
    "outer_offset_test": _GRID,
    "sim_jitter_scale": _GRID,
    "nimgs_train": _GRID,
    "nimgs_test": _GRID,
    "data_source": _GRID,
    "set_phi": _GRID,
    "size": _GRID,
    "default_probe_scale": "the probe comes with the scan",
    "label": "folders are named by output_dir alone",
    "h5_path": "archives are always named wts.h5.zip",
    "npseed": "the reference seeds neither weights nor order with it; use seed",
    "use_xla_translate": "compilation is the backend's",
    "use_xla_compile": "compilation is the backend's",
    "intensity_scale": "it is a result of training and lies in the archive",
    "probe": "it comes with the scan and lies in the archive",
    "timestamp": "results carry their own",
    "_version": "it is the version of an archive",
    "bigN": "it is computed from N, gridsize and offset",
}
