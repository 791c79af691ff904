"""Model archives of the reference system, read without running anything of theirs."""

ROLES = ("diffraction_to_obj", "autoencoder")  # the models in one, the first is for inference
MERGES = ("probe", "uniform", "legacy")
