"""Training and inference in a worker process, with another backend than this process has loaded.

A process can load one Keras backend, once. `train`, `reconstruct` and `predict` do their work in a
process of its own for each call; a `Worker` keeps one for many calls. Data go by file, progress,
log records and errors come back as they are in process, and so do the results, bit for bit.
"""

from pinn.remote.client import Worker, needs_worker, predict, reconstruct, train
from pinn.remote.trained import Trained

__all__ = ["Trained", "Worker", "needs_worker", "predict", "reconstruct", "train"]
