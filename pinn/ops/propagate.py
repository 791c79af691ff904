"""From the exit wave to the detector: propagators by name.

To add one, write a class with the two methods of `Propagator` and register it::

    propagators.register("mine", Mine)

A scan whose `propagation` is `mine` is then trained on, refined and judged with it. What an object
pixel is in metres follows from the instrument in the far field alone (`pinn.data.geometry`); a scan
of another propagation states it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pinn.ops import fourier
from pinn.ops.kinds import Kinds
from pinn.ops.pairs import Pair


class Propagator(Protocol):
    """A linear map of waves that keeps their energy, `sum |psi|^2`.

    Hashable, as classes and frozen dataclasses are: what was compiled for it is kept by it.
    """

    def forward(self, waves: Pair) -> Pair:
        """Exit waves `(..., N, N)` to waves at the detector `(..., N, N)`."""

    def adjoint(self, waves: Pair) -> Pair:
        """The adjoint: waves at the detector `(..., N, N)` to the plane of the object."""


@dataclass(frozen=True)
class FarField:
    """Fraunhofer diffraction: one centred, orthonormal Fourier transform.

    Zero frequency is at `[N // 2, N // 2]`; the adjoint is the inverse.
    """

    def forward(self, waves: Pair) -> Pair:
        """See `Propagator`."""
        return fourier.fft2c(waves)

    def adjoint(self, waves: Pair) -> Pair:
        """See `Propagator`."""
        return fourier.ifft2c(waves)


propagators: Kinds[Propagator] = Kinds("propagation", far=FarField)
