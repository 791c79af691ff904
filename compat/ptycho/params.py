"""The legacy dictionary `cfg` and the functions around it."""

from ptycho._dictionary import LEGACY

cfg = LEGACY.cfg
get = LEGACY.get
set = LEGACY.set  # the name callers know
seal = LEGACY.seal
unseal = LEGACY.unseal
params = LEGACY.params
print_params = LEGACY.print_params
get_bigN = LEGACY.bigN  # noqa: N816
get_padding_size = LEGACY.padding_size
get_padded_size = LEGACY.padded_size
