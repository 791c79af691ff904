"""Configuration classes of PtychoPINN."""
