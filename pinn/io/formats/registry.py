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


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: the word for `--format` and `--to`.
        title: for messages.
        module: that reads it.
        matches: name of its function `(path, first bytes) -> bool`, by content.
        read: name of its function `(path, config) -> Contents`.
        write: `module:function` with the function `(path, scan, *, progress)`, or None.
        companions: `module:function` that gives, for a file of the format, the path or paths of the
            files that belong to it; or None.
        suffixes: endings of a file name that choose the format when a file is written.
        options: fields of `ScanConfig` that concern the file's inside and this reader heeds.
    """

    name: str
    title: str
    module: str
    matches: str
    read: str
    write: str | None = None
    companions: str | None = None
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether a file is of this format, by its content."""
        return bool(getattr(importlib.import_module(self.module), self.matches)(path, head))

    def contents(self, path: Path, config: ScanConfig) -> Contents:
        """What a file of this format holds.

        Raises:
            ScanError: see the reader.
        """
        found: Contents = getattr(importlib.import_module(self.module), self.read)(path, config)
        return found

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
    Format("tike", "tike NPZ", "pinn.io.formats.tike", "is_tike", "read_tike"),
    # A `_para` file is a ptychodus product besides; it is this when its `_dp` file is there.
    Format(
        "ptychovit",
        "PtychoViT or fold_slice pair",
        "pinn.io.formats.ptychovit",
        "is_ptychovit",
        "read_ptychovit",
        write="pinn.io.formats.ptychovit_writer:write_ptychovit_pair",
        companions="pinn.io.formats.ptychovit_writer:pair_paths",
        suffixes=("_dp.hdf5", "_para.hdf5"),
        options=("diffraction",),
    ),
    Format(
        "ptychodus",
        "ptychodus product with its diffraction file",
        "pinn.io.formats.ptychodus_scan",
        "is_ptychodus_product",
        "read_ptychodus_product",
        write="pinn.io.formats.ptychodus_writer:write_ptychodus",
        companions="pinn.io.formats.ptychodus_writer:diffraction_path",
        suffixes=(".h5", ".hdf5"),
        options=("diffraction",),
    ),
    Format(
        "ptychodus-training",
        "ptychodus training HDF5",
        "pinn.io.formats.ptychodus_scan",
        "is_ptychodus_training",
        "read_ptychodus_training",
    ),
    Format(
        "ptychodus-patterns",
        "ptychodus diffraction file",
        "pinn.io.formats.ptychodus_scan",
        "is_ptychodus_patterns",
        "read_ptychodus_patterns",
        options=("diffraction",),
    ),
    # Before CXI, whose names it shares.
    Format(
        "nxcxi",
        "NeXus NXcxi_ptycho",
        "pinn.io.formats.nxcxi",
        "is_nxcxi",
        "read_nxcxi",
        options=("scan_number",),
    ),
    Format(
        "cxi",
        "CXI",
        "pinn.io.formats.cxi",
        "is_cxi",
        "read_cxi",
        write="pinn.io.formats.cxi_writer:write_cxi",
        suffixes=(".cxi",),
        options=("diffraction", "scan_number"),
    ),
    Format("ptyd", "ptypy .ptyd", "pinn.io.formats.ptyd", "is_ptyd", "read_ptyd"),
    Format("ptylab", "PtyLab HDF5", "pinn.io.formats.ptylab", "is_ptylab", "read_ptylab"),
    Format("hxn", "NSLS-II HXN HDF5", "pinn.io.formats.hxn", "is_hxn", "read_hxn"),
    Format(
        "ptychoshelves",
        "PtychoShelves .mat",
        "pinn.io.formats.ptychoshelves",
        "is_ptychoshelves",
        "read_ptychoshelves",
        options=("diffraction", "data_path"),
    ),
    Format(
        "electron",
        "4D-STEM",
        "pinn.io.formats.electron",
        "is_electron",
        "read_electron",
        options=("step_m",),
    ),
    Format(
        "npz",
        "PtychoPINN NPZ",
        "pinn.io.formats.npz",
        "is_npz",
        "read_npz",
        write="pinn.io.formats.npz_writer:write_scan_npz",
        suffixes=(".npz",),
    ),
    Format(
        "plain-hdf5",
        "plain HDF5",
        "pinn.io.formats.plain_hdf5",
        "is_plain_hdf5",
        "read_plain_hdf5",
        options=("data_path", "positions_path", "probe_path", "mask_path"),
    ),
)
# Fields that only some readers heed: given to another they would be dead, and are refused.
READER_OPTIONS = (
    *("diffraction", "data_path", "positions_path", "probe_path", "mask_path"),
    "step_m",
)


def _function(name: str) -> Callable[..., Any]:
    module, function = name.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


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
        ConfigError: no such format, or an option that its reader does not heed.
    """
    head = read_head(path, "scan file")
    found = _recognise(path, head) if config.format == "auto" else named(config.format)
    plain = type(config)()
    for option in READER_OPTIONS:
        if getattr(config, option) != getattr(plain, option) and option not in found.options:
            heeded = [known.name for known in FORMATS if option in known.options]
            raise ConfigError(
                f"the option {option} means nothing to {found.title} ({path}); leave it out"
                + (f" (it is for: {', '.join(heeded)})" if heeded else "")
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
        f"the ending of {path} tells no format to write; say --to with one of "
        f"{', '.join(names(True))}, or use one of {suffixes}"
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
        f"scan file {path} is of no known format, whatever its name says: it begins with "
        f"{head[:8]!r}; known are: {titles}"
    )
