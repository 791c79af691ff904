"""From groups to a container. Callers up to ptychodus 1.4.2 rely on the two imported modules."""

from ptycho import probe, tf_helper
from ptycho._container import PtychoDataContainer, PtychoDataset, load

__all__ = ["PtychoDataContainer", "PtychoDataset", "load", "probe", "tf_helper"]
