"""HDF5 files and what is in them: opening, finding, and a sentence for every fault.

Names are looked up along their path, so a link whose target is gone is told apart from a name
that was never there. Compressions outside HDF5 itself come from the package hdf5plugin, which is
imported when a file needs it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pinn.errors import ScanError
from pinn.io.data_file import KINDS
from pinn.io.opened import opened

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NEEDS_PLUGIN = "needs hdf5plugin: pip install 'pinn-ptycho[formats]'"
# What h5py raises for damaged files, depending on where in the file the damage is; attributes are
# missing where a name leads to another kind of object than expected.
FAULTS = (
    *(OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError),
    AttributeError,
)

LARGEST_UNWRITTEN = 64 << 20  # bytes
_LISTED = 12
_DEEPEST, _MOST_OBJECTS = 64, 100_000
_MOST_SOURCES = 100


def is_hdf5(path: Path, head: bytes) -> bool:
    """True for an HDF5 file, also one that begins with a user block (MATLAB 7.3).

    Args:
        path: the file.
        head: its first bytes, at least 8.
    """
    if head.startswith(SIGNATURE):
        return True
    try:
        return bool(h5py.is_hdf5(path))
    except FAULTS:
        return False


def open_hdf5(path: str | Path, *, cache_bytes: int | None = None) -> h5py.File:
    """Open a file for reading.

    Args:
        path: the file.
        cache_bytes: memory for decompressed chunks; default that of HDF5.

    Raises:
        ScanError: the file is missing, a folder, foreign, truncated, locked or damaged.
    """
    path = Path(path)
    options = {} if cache_bytes is None else {"rdcc_nbytes": cache_bytes}
    try:
        with open(path, "rb") as file:
            head = file.read(16)
        opened(path)
        return h5py.File(path, "r", **options)
    except FileNotFoundError:
        raise ScanError(f"scan file {path} does not exist; check the path") from None
    except IsADirectoryError:
        raise ScanError(f"{path} is a folder; name the scan file in it") from None
    except PermissionError:
        raise ScanError(f"scan file {path} may not be read; change its permissions") from None
    except FAULTS as error:
        raise ScanError(_opening(path, head, reason_of(error))) from None


def _opening(path: Path, head: bytes, reason: str) -> str:
    if not is_hdf5(path, head):
        return (
            f"scan file {path} begins with {head[:8]!r} and is not an HDF5 file, despite its name"
        )
    if "truncated" in reason:
        return f"scan file {path} is truncated: it ends before its own header says; copy it again"
    if "lock" in reason or "already open" in reason:
        return (
            f"scan file {path} is open for writing in another program ({reason}); close it there, "
            "or, if that program died, clear the mark with: h5clear -s FILE"
        )
    return f"scan file {path} is a damaged HDF5 file ({reason}); copy or write it again"


def has(h5: h5py.Group, path: str) -> bool:
    """True if the file has this name, though it may be a link that leads nowhere."""
    return _walk(h5, path)[0] != "missing"


def _walk(h5: h5py.Group, path: str) -> tuple[str, Any]:
    """What is at a path: ("found", object), ("broken", where it leads), ("damaged", the error) or
    ("missing", None)."""
    item: Any = h5
    for name in path.strip("/").split("/") if path.strip("/") else ():
        if not isinstance(item, h5py.Group):
            return "missing", None
        try:
            link = item.get(name, getlink=True)
        except FAULTS:
            return "missing", None
        if link is None:
            return "missing", None
        try:
            item = item[name]
        except FAULTS as error:
            if isinstance(link, h5py.ExternalLink):
                return "broken", f"it links to {link.path!r} in the file {link.filename!r}"
            if isinstance(link, h5py.SoftLink):
                return "broken", f"it links to {link.path!r} in the same file"
            return "damaged", error
        if not isinstance(link, h5py.HardLink):  # a soft link may lead over an external one
            opened(item.file.filename)
    return "found", item


def dataset(
    h5: h5py.Group, path: str, where: str | Path, *, ndim: Any = None, kind: str = "iuf"
) -> h5py.Dataset:
    """A dataset by name, without reading it.

    Args:
        h5: file or group.
        path: name below `h5`.
        where: the file, for messages.
        ndim: required number of axes, or a tuple of numbers that will do; None: any.
        kind: NumPy kinds that will do; `iuf` are real numbers.

    Raises:
        ScanError: it is missing, a group, a link that leads nowhere, of another type or rank, or
            compressed in a way that cannot be read here.
    """
    state, item = _walk(h5, path)
    full = full_name(h5, path)
    if state == "missing":
        raise ScanError(f"{where} has no dataset {full!r}; it has: {listing(h5)}")
    if state == "broken":
        raise ScanError(
            f"{full!r} in {where} leads nowhere: {item}, and that is not there; put it beside the "
            "file, or copy the data in"
        )
    if state == "damaged":
        raise damaged(repr(full), where, item) from None
    if not isinstance(item, h5py.Dataset):
        inside = f"; it has: {listing(item)}" if isinstance(item, h5py.Group) else ""
        kind_of = "a group" if inside else "a data type"
        raise ScanError(f"{full!r} in {where} is {kind_of}, not a dataset{inside}")
    dtype = _dtype(item, full, where)
    if dtype.kind not in kind:
        wanted = KINDS.get(kind, f"one of the types {kind!r}")
        raise ScanError(f"{full!r} in {where} holds {_named(dtype)}, but must hold {wanted}")
    ranks = (ndim,) if isinstance(ndim, int) else ndim
    if item.shape is None or (ranks is not None and item.ndim not in ranks):
        axes = " or ".join(map(str, ranks or ("some",)))
        raise ScanError(f"{full!r} in {where} has shape {item.shape}, but must have {axes} axes")
    _check_storage(item, full, where)
    return item


def _dtype(item: h5py.Dataset, full: str, where: str | Path) -> np.dtype:
    try:
        dtype = item.dtype
    except FAULTS as error:
        raise ScanError(
            f"{full!r} in {where} has a data type that NumPy does not know ({reason_of(error)}); "
            "store plain numbers"
        ) from None
    # MATLAB writes complex numbers under names that h5py does not take for complex.
    if dtype.names == ("real", "imag") and dtype["real"] == dtype["imag"]:
        return np.result_type(dtype["real"], np.complex64)
    return dtype


def _named(dtype: np.dtype) -> str:
    if dtype.kind in "SU" or h5py.check_string_dtype(dtype) is not None:
        return "text"
    if h5py.check_vlen_dtype(dtype) is not None:
        return "rows of different lengths"
    if dtype.kind == "O":
        return "references or other objects"
    if dtype.names:
        return f"a table with the columns {', '.join(dtype.names)}"
    return "complex numbers" if dtype.kind == "c" else str(dtype)


def _check_storage(item: h5py.Dataset, full: str, where: str | Path) -> None:
    plist = item.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(number)
        if h5py.h5z.filter_avail(code):
            continue
        try:
            import hdf5plugin  # noqa: F401 (its import registers the filters)
        except ImportError:
            raise ScanError(
                f"{full!r} in {where} is compressed ({_filter_name(code, name)}) and {NEEDS_PLUGIN}"
            ) from None
        if not h5py.h5z.filter_avail(code):
            raise ScanError(
                f"{full!r} in {where} is compressed by {_filter_name(code, name)}, which "
                "hdf5plugin does not know; write it again with a common compression"
            )
    # HDF5 fills in for parts that are missing, silently: frames of zeros would look like data.
    folder = Path(item.file.filename).parent
    for pattern in _patterns(item):
        for name in glob(str(folder / pattern)):
            opened(name)
    for number, (source, inside) in enumerate(_sources(item)):
        place = next((p for p in (folder / source, Path(source)) if p.is_file()), None)
        if place is None:
            raise ScanError(
                f"{full!r} in {where} takes its data from the file {source!r}, which is not there; "
                "put it beside the file"
            )
        opened(place)
        if inside is not None and number < _MOST_SOURCES:
            with open_hdf5(place) as h5:
                if _walk(h5, inside)[0] != "found":
                    raise ScanError(
                        f"{full!r} in {where} takes its data from {inside!r} in the file "
                        f"{source!r}, which has: {listing(h5)}"
                    )


def _sources(item: h5py.Dataset) -> list[tuple[str, str | None]]:
    """Other files a dataset takes its numbers from, and the dataset there."""
    found: list[tuple[str, str | None]] = [(entry[0], None) for entry in item.external or ()]
    if item.is_virtual:
        found += [(source.file_name, source.dset_name) for source in item.virtual_sources()]
    # A dot is the file itself; a percent sign stands for numbers that are not known here.
    named = [pair for pair in found if pair[0] != "." and "%" not in pair[0]]
    return list(dict.fromkeys(named))


def _patterns(item: h5py.Dataset) -> list[str]:
    """Names of source files with a number in them, as patterns of the shell."""
    names = {source.file_name for source in item.virtual_sources()} if item.is_virtual else ()
    return [re.sub(r"%\d*b", "*", name) for name in names if "%" in name]


def _filter_name(code: int, name: Any) -> str:
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return f"filter {code} {text.split(';')[0][:40]}".strip()


def datasets(h5: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Names below a group and the datasets there, each once; soft and external links are followed.

    What lies in the group comes before what is linked. Links that lead nowhere are left out.
    """
    met = {_place(h5)}
    links: deque[tuple[str, h5py.Group, str]] = deque()

    def below(above: str, group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
        for key in group:
            name = f"{above}/{key}" if above else str(key)
            if isinstance(group.get(key, getlink=True), h5py.HardLink):
                yield from at(name, group, key)
            else:
                links.append((name, group, key))

    def at(name: str, group: h5py.Group, key: str) -> Iterator[tuple[str, h5py.Dataset]]:
        try:
            item = group[key]
            place = _place(item)
        except FAULTS:
            return
        if place in met or name.count("/") > _DEEPEST or len(met) > _MOST_OBJECTS:
            return
        met.add(place)
        if isinstance(item, h5py.Dataset):
            yield name, item
        elif isinstance(item, h5py.Group):
            yield from below(name, item)

    yield from below("", h5)
    while links:
        yield from at(*links.popleft())


def _place(item: Any) -> tuple[int, int]:
    """Which object it is, whatever name led to it."""
    known = h5py.h5o.get_info(item.id)
    return known.fileno, known.addr


def lost_links(h5: h5py.Group) -> list[str]:
    """Names of soft and external links below a group that lead nowhere, and whereto."""
    found: list[str] = []

    def note(name: str, link: Any) -> None:
        if not isinstance(link, h5py.HardLink) and _walk(h5, name)[0] == "broken":
            file = f"{link.filename}:" if isinstance(link, h5py.ExternalLink) else ""
            found.append(f"{printable(name)} (to {printable(file + link.path)})")

    with suppress(*FAULTS):
        h5.visititems_links(note)
    return found


def listing(h5: h5py.Group) -> str:
    """Names and shapes of the first datasets below a group, for messages."""
    found: list[str] = []
    try:
        for name, item in datasets(h5):
            found.append(f"{printable(name)} {item.shape}")
            if len(found) > _LISTED:
                break
    except FAULTS:
        found.append("parts that cannot be read")
    if len(found) > _LISTED:
        found[_LISTED:] = ["..."]
    return ", ".join(found) or "no datasets"


def printable(name: object) -> str:
    """A name as it is, or quoted if it holds line ends or other characters that do not print."""
    text = str(name)
    return text if text.isprintable() else repr(text)


def full_name(h5: h5py.Group, path: str) -> str:
    """A name from the root of the file, for messages."""
    base = "" if isinstance(h5, h5py.File) else str(h5.name or "")
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


def reason_of(error: BaseException) -> str:
    """First line of what a library says."""
    # The text of a KeyError is its argument with quotes around it.
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return (str(said).strip() or type(error).__name__).splitlines()[0]


def damaged(what: str, where: str | Path, error: BaseException) -> ScanError:
    """The error for something that is there and cannot be read."""
    return ScanError(
        f"{what} in {where} cannot be read ({reason_of(error)}); copy or write the file again"
    )
