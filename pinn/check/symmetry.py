"""Which of the 32 ways to lay positions against frames the data can tell apart.

A choice is an orientation h of the positions (eight) and a flip f of the frames (four). Two facts
about `I_j = |F[P(x) O(x + r_j)]|^2` make choices equal:

- Turning everything: frames g I_j at positions g r_j belong to the probe g P and the object g O,
  for each of the eight symmetries g of the square.
- Conjugation: frames turned by 180 degrees, at the same positions, belong to P* and O*.

So choice (h, f) of the data is the choice of frames k I_j, k = h^-1 f, at the positions as they
are, with the probe h^-1 P; and k counts only up to its sign, with the probe conjugated for -k.
With a free probe there are 32 / (4 flips x 2 signs) = 4 classes of eight members. A known probe
separates two members of a class as far as it differs from its own image under the transformation
that leads from one to the other; a real and symmetric one separates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinn.config.scan import ORIENTATIONS, FrameFlip, Orientation

Matrix = tuple[tuple[int, int], tuple[int, int]]

IDENTITY: Matrix = ((1, 0), (0, 1))
FLIPS: dict[FrameFlip, Matrix] = {
    "none": IDENTITY,
    "ud": ((-1, 0), (0, 1)),
    "lr": ((1, 0), (0, -1)),
    "both": ((-1, 0), (0, -1)),
}
# What each class does to the frames, at the positions as they are (up to the sign).
CLASS_MATRICES: tuple[Matrix, ...] = (
    IDENTITY,
    ((-1, 0), (0, 1)),
    ((0, 1), (1, 0)),
    ((0, 1), (-1, 0)),
)
CLASS_NAMES = (
    "as given",
    "one axis turned round",
    "y and x swapped",
    "y and x swapped, one axis turned round",
)


def matrix_of(orientation: Orientation) -> Matrix:
    """The matrix that makes our (y, x) from the file's."""

    def row(text: str) -> tuple[int, int]:
        value = -1 if text[0] == "-" else 1
        return (value, 0) if text[1] == "y" else (0, value)

    return row(orientation[:2]), row(orientation[2:])


ORIENTATION_MATRICES: dict[Orientation, Matrix] = {name: matrix_of(name) for name in ORIENTATIONS}


@dataclass(frozen=True)
class Choice:
    """An orientation of the positions and a flip of the frames."""

    orientation: Orientation
    flip: FrameFlip

    @property
    def changes(self) -> int:
        """Elementary changes: axes swapped, positions turned round, frames flipped."""
        (a, b), (c, d) = ORIENTATION_MATRICES[self.orientation]
        turned = (a + b < 0) + (c + d < 0)
        return (a == 0) + turned + {"none": 0, "ud": 1, "lr": 1, "both": 2}[self.flip]


def product(first: Matrix, second: Matrix) -> Matrix:
    """`first @ second`: what `second` and then `first` do."""
    found = np.array(first) @ np.array(second)
    return (int(found[0, 0]), int(found[0, 1])), (int(found[1, 0]), int(found[1, 1]))


def inverse(matrix: Matrix) -> Matrix:
    """The inverse, which is the transpose."""
    (a, b), (c, d) = matrix
    return (a, c), (b, d)


def determinant(matrix: Matrix) -> int:
    """1 for a rotation, -1 for a reflection."""
    (a, b), (c, d) = matrix
    return a * d - b * c


def class_of(choice: Choice) -> tuple[int, bool]:
    """Number of a choice's class, and whether the probe is conjugated to get there."""
    kept = product(inverse(ORIENTATION_MATRICES[choice.orientation]), FLIPS[choice.flip])
    for number, matrix in enumerate(CLASS_MATRICES):
        if kept == matrix:
            return number, False
        if kept == product(FLIPS["both"], matrix):
            return number, True
    raise AssertionError(kept)


def members(number: int) -> list[Choice]:
    """The eight choices of a class, fewest changes first.

    Among equals: changes of positions before flips of frames (a sign of a motor is the likelier
    mistake), y before x.
    """
    found = [
        choice
        for orientation in ORIENTATIONS
        for flip in FLIPS
        if class_of(choice := Choice(orientation, flip))[0] == number
    ]
    flips, orientations = list(FLIPS), list(ORIENTATIONS)
    return sorted(
        found,
        key=lambda c: (c.changes, flips.index(c.flip), orientations.index(c.orientation)),
    )


def act(matrix: Matrix, images: np.ndarray) -> np.ndarray:
    """Images `(..., n, n)` moved by a symmetry of the square about index [0, 0], modulo n.

    For arrays whose zero (frequency, or place) is at index [0, 0]; then `act` commutes with the
    discrete Fourier transform exactly.
    """
    n = images.shape[-1]
    back = np.array(inverse(matrix))
    source = np.tensordot(back, np.indices((n, n)), 1) % n
    return images[..., source[0], source[1]]


def probe_of(choice: Choice, probe: np.ndarray) -> np.ndarray:
    """The probe that belongs to a choice, once the choice is written as its class.

    Args:
        choice: what is done to the positions and the frames.
        probe: complex `(P, n, n)` with its centre at index [0, 0].

    Returns:
        The probe to use with frames moved by the matrix of the class, at the positions as given.
    """
    turned = act(inverse(ORIENTATION_MATRICES[choice.orientation]), probe)
    return turned.conj() if class_of(choice)[1] else turned


def alike(first: np.ndarray, second: np.ndarray) -> float:
    """How far two probes `(P, n, n)` are the same, 0 to 1, wherever in their arrays they lie.

    The overlap of their density matrices, at the best whole-pixel shift: incoherent modes may be
    mixed and phases are free.
    """
    a, b = np.fft.fft2(first), np.fft.fft2(second)
    total = np.zeros(first.shape[-2:])
    for one in a:
        for other in b:
            total += np.abs(np.fft.ifft2(one.conj() * other)) ** 2
    norm = np.sqrt(_purity(first) * _purity(second))
    return float(total.max() / norm)


def _purity(modes: np.ndarray) -> float:
    flat = modes.reshape(len(modes), -1)
    return float(np.sum(np.abs(flat.conj() @ flat.T) ** 2))


def absolute(
    choice: Choice, orientation: Orientation, rotation_deg: float, flip: FrameFlip
) -> dict[str, str | float]:
    """All three options that do a choice on top of the options a scan was read with.

    `R(a)` turns positions by an angle: `h R(a) = R(det(h) a) h`.

    Returns:
        `orientation`, `rotation_deg` and `flip_frames`.
    """
    matrix = ORIENTATION_MATRICES[choice.orientation]
    wanted = product(matrix, ORIENTATION_MATRICES[orientation])
    names = {m: name for name, m in ORIENTATION_MATRICES.items()}
    flips = {m: name for name, m in FLIPS.items()}
    return {
        "orientation": names[wanted],
        "rotation_deg": determinant(matrix) * rotation_deg + 0.0,
        "flip_frames": flips[product(FLIPS[choice.flip], FLIPS[flip])],
    }


def composed(
    choice: Choice, orientation: Orientation, rotation_deg: float, flip: FrameFlip
) -> dict[str, str | float]:
    """Those of `absolute` that differ from what was given."""
    given = {"orientation": orientation, "rotation_deg": rotation_deg, "flip_frames": flip}
    found = absolute(choice, orientation, rotation_deg, flip)
    return {name: value for name, value in found.items() if value != given[name]}
