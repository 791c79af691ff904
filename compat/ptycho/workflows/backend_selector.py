"""The same workflows on a backend of the caller's choice: `config.backend`, in this process or in
a worker."""

from ptycho._bundle import load_inference_bundle_with_backend
from ptycho._run import run_cdi_example_with_backend

__all__ = ["load_inference_bundle_with_backend", "run_cdi_example_with_backend"]
