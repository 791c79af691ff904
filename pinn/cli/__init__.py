"""The command line: `pinn` and `python -m pinn`.

Exit codes: 0 done, 2 wrong use or bad input, 1 failure, 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

import click

from pinn import backend
from pinn.cli.app import pinn
from pinn.errors import PinnError

# What the system refuses of a file that a user named, and what to do about it.
_PLACES = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "make room, or write elsewhere",
    errno.EDQUOT: "make room, or write elsewhere",
    errno.EFBIG: "write where larger files are allowed",
    errno.EROFS: "write elsewhere",
    errno.EACCES: "change its rights, or choose another place",
    errno.ELOOP: "its symbolic links lead in a circle",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; errors become one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        _forgive(stream)
    try:
        result = pinn.main(list(arguments), prog_name="pinn", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return 2  # all of click's errors are wrong use: an unknown option, a file that is not there
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except PinnError as error:
        _trace()
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output is gone; without this Python complains again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # whatever it is, a user gets a sentence
        told = _trace()
        if isinstance(error, OSError) and error.errno in _PLACES:
            click.echo(f"Error: {_place(error)}", err=True)
            return 2
        if backend.out_of_memory(error):
            what = (
                "this needs more memory than there is; use smaller frames (--frame-size, "
                "--bin-frames), a smaller scan, or a machine with more"
            )
            click.echo(f"Error: {what} ({backend.said_of(error)})", err=True)
            return 2
        hint = "" if told else "; set PINN_TRACEBACK=1 to see where"
        text = " ".join(str(error).split()) or "no message"
        click.echo(f"Failed unexpectedly: {type(error).__name__}: {text}{hint}", err=True)
        return 1


def _place(error: OSError) -> str:
    """What the system says of a file, and what to do."""
    name = "" if error.filename is None else f"{error.filename}: "
    return f"{name}{(error.strerror or '').lower()}; {_PLACES[error.errno or 0]}"


def _forgive(stream: TextIO) -> None:
    """Let a stream replace the letters that its encoding does not have, as in names of files."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")


def _trace() -> bool:
    """Print the traceback of the present exception where PINN_TRACEBACK asks for it."""
    wanted = os.environ.get("PINN_TRACEBACK", "0") not in ("", "0")
    if wanted:
        traceback.print_exc()
    return wanted
