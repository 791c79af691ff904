"""Saving and loading of archives."""

from ptycho._bundle import ModelManager, save

__all__ = ["ModelManager", "save"]
