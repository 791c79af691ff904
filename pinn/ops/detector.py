"""From the intensity at the detector to the rate it reports: detector responses by name.

To add one (a point spread, an efficiency), write a class with the two methods of `Response` and
register it::

    responses.register("mine", Mine)

A scan whose `detector_response` is `mine` is then trained on, refined and judged with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pinn.ops.kinds import Kinds
from pinn.ops.pairs import Tensor


class Response(Protocol):
    """A linear map of intensities, which gives none that is negative. Hashable."""

    def forward(self, intensity: Tensor) -> Tensor:
        """Intensity `(..., N, N)` at the detector to the one reported, `(..., N, N)`."""

    def adjoint(self, values: Tensor) -> Tensor:
        """The adjoint: numbers for each reported pixel `(..., N, N)` to those that cause them."""


@dataclass(frozen=True)
class Ideal:
    """Each pixel reports what falls on it."""

    def forward(self, intensity: Tensor) -> Tensor:
        """See `Response`."""
        return intensity

    def adjoint(self, values: Tensor) -> Tensor:
        """See `Response`."""
        return values


responses: Kinds[Response] = Kinds("detector_response", none=Ideal)
