"""The readers and recognisers of the formats, by the name of the format."""

from pinn.config import ScanConfig
from pinn.io.formats.registry import named


def claims(name, path):
    """Whether the format takes the file, by its content."""
    return named(name).claims(path, path.read_bytes()[:16])


def read(name, path, config=None, **options):
    """What the reader of the format gets out of the file."""
    return named(name).contents(path, config or ScanConfig(**options))


def reader(name):
    """The function `(path, config)` of a format."""
    return named(name).contents
