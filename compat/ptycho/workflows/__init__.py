"""Workflows of PtychoPINN."""
