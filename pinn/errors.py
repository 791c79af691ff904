"""The errors `pinn` raises on purpose.

Every message is one sentence for a person: what was wrong, where (file, key, shape, value),
and what to do. The command line prints it without a traceback; `exit_code` is what it returns.
"""

from __future__ import annotations


class PinnError(Exception):
    """Base of all deliberate errors; a failure that is not the caller's input."""

    exit_code = 1


class InputError(PinnError, ValueError):
    """Wrong use or bad input."""

    exit_code = 2


class ConfigError(InputError):
    """An option has an unknown name, an impossible value, or contradicts another."""


class ScanError(InputError):
    """A scan (frames, positions, probe, mask) breaks the data contract."""


class ArchiveError(InputError):
    """A model archive or result file is missing, damaged, foreign or too new."""


class BackendError(InputError):
    """The requested backend or device is not there."""


class OutputError(InputError):
    """The requested output cannot be written."""


class OutOfMemoryError(InputError):
    """What was asked for needs more memory than there is."""


class DivergedError(PinnError):
    """Training or refinement produced values that are not finite."""


class WorkerError(PinnError):
    """A worker process ended, or failed in a way that nobody foresaw."""
