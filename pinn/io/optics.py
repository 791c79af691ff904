"""Energy, distance, detector and object pixel of a scan: what the file and the options say.

Metres become object pixels here and, in the writers, pixels become metres again.
"""

from __future__ import annotations

from typing import Any

from pinn.config import ScanConfig
from pinn.data import geometry
from pinn.data.validation import Subject, check_particle, check_positive
from pinn.errors import ScanError
from pinn.io.contents import Contents

_GEOMETRY = ("energy_ev", "distance_m", "detector_pixel_m")
_AGREE = 0.01
_LEAST, _MOST = 1e-15, 1e12  # in eV or m: beyond this, no instrument and no arithmetic


def need_pixel(contents: Contents, unit: str) -> float:
    """The object pixel, for positions in a unit of length.

    Raises:
        ScanError: it is not known.
    """
    if contents.pixel_size_m is None:
        if contents.propagation != geometry.FAR:
            raise ScanError(
                f"positions of {contents.where} are in {unit}, but what an object pixel is follows "
                f"from no geometry with the propagation {str(contents.propagation)[:40]!r}: say "
                "--pixel-size-m"
            )
        missing = [name for name in _GEOMETRY if getattr(contents, name) is None]
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise ScanError(
            f"positions of {contents.where} are in {unit}, but the size of an object pixel is not "
            f"known: say --pixel-size-m, or what is missing of the geometry ({options})"
        )
    return contents.pixel_size_m


def with_optics(contents: Contents, config: ScanConfig) -> Contents:
    """Put together what the file says and what the options override.

    The object pixel is the option, or follows from the geometry where an option changed that, or
    is what the file states, or follows from the file's geometry. It follows in the far field only.

    Raises:
        ScanError: a number that is not positive, or far from any measurement.
    """
    where = contents.where
    notes = []
    values: dict[str, Any] = {}
    for name in (*_GEOMETRY, "pixel_size_m"):
        said = check_positive(getattr(contents, name), Subject(where, name))
        wanted = getattr(config, name)
        values[name] = said if wanted is None else wanted
        if wanted is not None and said is not None and abs(wanted / said - 1) > _AGREE:
            notes.append(f"{name} is {wanted:g} as the options say, not {said:g} as the file does")
        value = values[name]
        if value is not None and not _LEAST < value < _MOST:
            raise ScanError(
                f"{name} of {where} is {value:g}, which no measurement has; correct it in the file "
                f"or say --{name.replace('_', '-')}"
            )
    particle = contents.particle if config.particle == "auto" else config.particle
    check_particle(particle, Subject(where, "particle"))
    for name in ("propagation", "detector_response"):
        wanted = getattr(config, name)
        said = getattr(contents, name)
        values[name] = said if wanted == ScanConfig.model_fields[name].default else wanted
    energy, distance, detector = (values[name] for name in _GEOMETRY)
    width, propagation = contents.frames.shape[2], values["propagation"]
    computed = geometry.following_pixel_m(energy, particle, distance, width, detector, propagation)
    pixel = values["pixel_size_m"]
    overridden = config.particle != "auto" or any(
        getattr(config, name) is not None for name in _GEOMETRY
    )
    if computed is not None and config.pixel_size_m is None and (pixel is None or overridden):
        pixel = computed
    elif computed is not None and pixel is not None and abs(computed / pixel - 1) > _AGREE:
        notes.append(
            f"an object pixel of {pixel:.4g} m does not follow from energy, distance and detector "
            f"pixel, which give {computed:.4g} m: {pixel:.4g} m was taken"
        )
    values["pixel_size_m"] = pixel
    return contents.changed(*notes, particle=particle, **values)
