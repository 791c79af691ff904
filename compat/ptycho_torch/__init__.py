"""The configuration of PtychoPINN's PyTorch side, and the bridge from it to the canonical one.

The rest of that side is not imitated: `ptycho` with `backend="pytorch"` gives its users the same.
"""
