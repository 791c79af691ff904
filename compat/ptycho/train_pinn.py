"""The functions between the workflows and the network."""

from ptycho._train_pinn import calculate_intensity_scale, evaluate, train, train_eval

eval = evaluate  # the name callers know

__all__ = ["calculate_intensity_scale", "eval", "train", "train_eval"]
