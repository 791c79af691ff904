"""The scan formats `pinn` knows: how each is recognised, read and written.

A format is a line of names; its module is imported when a file has to be looked at.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinn.config import ScanConfig
from pinn.errors import ConfigError, OutputError, ScanError
from pinn.progress import Progress

if TYPE_CHECKING:
    from pinn.data.scan import Scan
    from pinn.io.contents import Contents

HEAD_BYTES = 16
Report = Callable[[Progress], None]
# Fields of `ScanConfig` that only some readers heed: given to another they would be dead, and are
# refused.
READER_OPTIONS = (
    *("diffraction", "data_path", "positions_path", "probe_path", "mask_path"),
    "step_m",
)


@dataclass(frozen=True)
class Format:
    """A file format. Functions are named as `module:function` below `pinn.io.formats`.

    Attributes:
        name: the word for `--format` and `--to`.
        title: for messages.
        read: the function `(path, config) -> Contents`.
        arrays: names that an HDF5 file of this format has, by which it is told; or
        matches: the function `(path, first bytes) -> bool` that tells it by its content.
        write: the function `(path, scan, *, progress)`, or None.
        companions: the function that gives, for a file of the format, the path or paths of the
            files that belong to it; or None.
        suffixes: endings of a file name that choose the format when a file is written.
        options: fields of `ScanConfig` that concern the file's inside and this reader heeds.
    """

    name: str
    title: str
    read: str
    arrays: tuple[str, ...] = ()
    matches: str | None = None
    write: str | None = None
    companions: str | None = None
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether a file is of this format, by its content."""
        if self.matches is not None:
            return bool(_function(self.matches)(path, head))
        return bool(_function(".hdf5:holds")(path, head, *self.arrays))

    def contents(self, path: Path, config: ScanConfig) -> Contents:
        """What a file of this format holds.

        Raises:
            ScanError: see the reader.
        """
        contents: Contents = _function(self.read)(path, config)
        return contents

    def write_scan(self, path: Path, scan: Scan, progress: Report | None = None) -> None:
        """Write a scan, whole or not at all.

        Raises:
            OutputError: this format is read only, or the place cannot be written.
        """
        if self.write is None:
            raise OutputError(
                f"{self.title} is read, but not written; choose from: {', '.join(names(True))}"
            )
        _function(self.write)(path, scan, progress=progress)

    def files(self, path: Path) -> list[Path]:
        """A file of this format and those that belong to it, whether they are there or not."""
        if self.companions is None:
            return [path]
        beside = _function(self.companions)(path)
        return [path, *([beside] if isinstance(beside, Path) else beside)]


# In the order in which they are tried: what is recognised by more comes before what is by less.
FORMATS: tuple[Format, ...] = (
    Format("tike", "tike NPZ", "flat:read_tike", matches="flat:is_tike"),
    # A `_para` file is a ptychodus product besides; it is this when its `_dp` file is there.
    Format(
        "ptychovit",
        "PtychoViT or fold_slice pair",
        "ptychovit:read_ptychovit",
        matches="ptychovit:is_ptychovit",
        write="ptychovit_writer:write_ptychovit_pair",
        companions="ptychovit_writer:pair_paths",
        suffixes=("_dp.hdf5", "_para.hdf5"),
        options=("diffraction",),
    ),
    Format(
        "ptychodus",
        "ptychodus product with its diffraction file",
        "ptychodus:read_product",
        matches="ptychodus:is_product",
        write="ptychodus_writer:write_ptychodus",
        companions="ptychodus_writer:diffraction_path",
        suffixes=(".h5", ".hdf5"),
        options=("diffraction",),
    ),
    Format(
        "ptychodus-training",
        "ptychodus training HDF5",
        "flat:read_training",
        arrays=("patterns", "probe_position_x_px", "probe_position_y_px"),
    ),
    Format(
        "ptychodus-patterns",
        "ptychodus diffraction file",
        "ptychodus:read_patterns",
        matches="ptychodus:is_patterns",
        options=("diffraction",),
    ),
    # Before CXI, whose names it shares.
    Format(
        "nxcxi",
        "NeXus NXcxi_ptycho",
        "nxcxi:read_nxcxi",
        matches="nxcxi:is_nxcxi",
        options=("scan_number",),
    ),
    Format(
        "cxi",
        "CXI",
        "cxi:read_cxi",
        matches="cxi:is_cxi",
        write="cxi_writer:write_cxi",
        suffixes=(".cxi",),
        options=("diffraction", "scan_number"),
    ),
    Format("ptyd", "ptypy .ptyd", "ptyd:read_ptyd", matches="ptyd:is_ptyd"),
    Format("ptylab", "PtyLab HDF5", "flat:read_ptylab", arrays=("ptychogram", "encoder")),
    Format("hxn", "NSLS-II HXN HDF5", "flat:read_hxn", arrays=("diffamp", "points")),
    Format(
        "ptychoshelves",
        "PtychoShelves .mat",
        "ptychoshelves:read_ptychoshelves",
        matches="ptychoshelves:is_ptychoshelves",
        options=("diffraction", "data_path"),
    ),
    Format(
        "electron",
        "4D-STEM",
        "electron:read_electron",
        matches="electron:is_electron",
        options=("step_m",),
    ),
    Format(
        "npz",
        "PtychoPINN NPZ",
        "npz:read_npz",
        matches="npz:is_npz",
        write="npz_writer:write_scan_npz",
        suffixes=(".npz",),
    ),
    Format(
        "plain-hdf5",
        "plain HDF5",
        "plain_hdf5:read_plain_hdf5",
        matches="plain_hdf5:is_plain_hdf5",
        options=("data_path", "positions_path", "probe_path", "mask_path"),
    ),
)


def _function(name: str) -> Callable[..., Any]:
    module, function = name.split(":")
    where = f"pinn.io{module}" if module.startswith(".") else f"pinn.io.formats.{module}"
    loaded: Callable[..., Any] = getattr(importlib.import_module(where), function)
    return loaded


def names(writable: bool = False) -> list[str]:
    """Names of the formats, of those that can be written on request."""
    return [known.name for known in FORMATS if known.write or not writable]


def named(name: str) -> Format:
    """The format of this name.

    Raises:
        ConfigError: there is none.
    """
    for known in FORMATS:
        if known.name == name:
            return known
    raise ConfigError(f"format {name!r} is not known; known are: auto, {', '.join(names())}")


def recognise(path: Path, config: ScanConfig) -> Format:
    """The format of a file: the one the options name, or by content.

    Raises:
        ScanError: missing, empty, a folder, or of no known format.
        ConfigError: no such format, or an option that its reader does not use.
    """
    head = read_head(path, "scan file")
    found = _recognise(path, head) if config.format == "auto" else named(config.format)
    plain = type(config)()
    for option in READER_OPTIONS:
        if getattr(config, option) != getattr(plain, option) and option not in found.options:
            readers = [known.name for known in FORMATS if option in known.options]
            raise ConfigError(
                f"the option {option} has no effect on {found.title} ({path}); leave it out"
                + (f" (it is for: {', '.join(readers)})" if readers else "")
            )
    return found


def for_writing(path: Path, name: str | None) -> Format:
    """The format to write: the one that is named, or the one of the suffix.

    Raises:
        ConfigError: no such format.
        OutputError: the suffix tells none.
    """
    if name is not None and name != "auto":
        return named(name)
    for known in FORMATS:
        if known.write and any(path.name.lower().endswith(s) for s in known.suffixes):
            return known
    suffixes = ", ".join(f"{s} ({f.name})" for f in FORMATS if f.write for s in f.suffixes)
    raise OutputError(
        f"the file extension of {path} tells no format to write; say --to with one of "
        f"{', '.join(names(True))}, or use one of {suffixes}; a result goes to .tif, .tiff or .npy"
    )


def read_head(path: Path, what: str) -> bytes:
    """The first bytes of a file.

    Raises:
        ScanError: missing, empty, a folder, or it may not be read.
    """
    try:
        if path.is_dir():
            raise ScanError(f"{path} is a folder; name the {what} in it")
        if path.exists() and not path.is_file():  # reading from a pipe or a device may never end
            raise ScanError(f"{what} {path} is no ordinary file; copy what it holds into one")
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise ScanError(f"{what} {path} does not exist; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise ScanError(f"{what} {path} cannot be read ({reason})") from None
    if not head:
        raise ScanError(f"{what} {path} is empty; copy or write it again")
    return head


def _recognise(path: Path, head: bytes) -> Format:
    for known in FORMATS:
        if known.claims(path, head):
            return known
    titles = ", ".join(known.title for known in FORMATS)
    raise ScanError(
        f"scan file {path} is of no known format, despite its name: it begins with "
        f"{head[:8]!r}; known are: {titles}"
    )
