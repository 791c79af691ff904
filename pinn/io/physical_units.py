"""Units that files name in words: lengths to metres, energies to electronvolts."""

from __future__ import annotations

from pathlib import Path

from pinn.data.geometry import CHARGE_C
from pinn.errors import ScanError

_LENGTHS = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), 1e-2),
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 1e-3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometre", "micrometer"), 1e-6),
    **dict.fromkeys(("micrometres", "micrometers"), 1e-6),
    **dict.fromkeys(("nm", "nanometre", "nanometres", "nanometer", "nanometers"), 1e-9),
    **dict.fromkeys(("a", "å", "angstrom", "angstroms", "ångström"), 1e-10),
    **dict.fromkeys(("pm", "picometre", "picometer"), 1e-12),
}
_ENERGIES = {
    **dict.fromkeys(("j", "joule", "joules"), 1 / CHARGE_C),
    **dict.fromkeys(("ev", "electronvolt", "electronvolts"), 1.0),
    **dict.fromkeys(("kev",), 1e3),
    **dict.fromkeys(("mev",), 1e6),
}


def length_unit(unit: str) -> float | None:
    """Metres in one unit of length, or None if the word is none."""
    return _LENGTHS.get(unit.strip().casefold())


def metres(unit: str, key: str, where: str | Path) -> float:
    """Metres in one unit of length.

    Args:
        unit: as the file says it, for instance `um`.
        key: whose unit it is, for messages.
        where: the file, for messages.

    Raises:
        ScanError: an unknown word.
    """
    return _factor(_LENGTHS, unit, key, where, "a unit of length such as m, mm, um or nm")


def electronvolts(unit: str, key: str, where: str | Path) -> float:
    """Electronvolts in one unit of energy; see `metres`.

    Raises:
        ScanError: an unknown word.
    """
    return _factor(_ENERGIES, unit, key, where, "a unit of energy such as J, eV or keV")


def _factor(known: dict[str, float], unit: str, key: str, where: str | Path, wanted: str) -> float:
    factor = known.get(unit.strip().casefold())
    if factor is None:
        raise ScanError(
            f"the unit of {key!r} in {where} is {unit[:40]!r}, but {wanted} is required; correct "
            "it in the file"
        )
    return factor
