"""The original's console scripts: `ptycho_train`, `ptycho_inference`, `ptycho_evaluate`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable

from pinn.errors import PinnError


def run(main: Callable[[], object]) -> None:
    """Run a script and leave the process with its exit code: 0 done, 2 bad input, 1 failure."""
    try:
        main()
    except PinnError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def add_logging(parser: argparse.ArgumentParser) -> None:
    """`--quiet`, `--verbose` and `--console-level`."""
    parser.add_argument("--quiet", action="store_true", help="warnings and errors only")
    parser.add_argument("--verbose", action="store_true", help="everything there is to say")
    parser.add_argument(
        "--console-level",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="the same by the name of a level",
    )


class _Console(logging.StreamHandler):
    """Ours, to be told from others when logging is started anew."""


def start_logging(options: argparse.Namespace) -> None:
    """Log records of `ptycho` and `pinn` go to stderr as plain lines."""
    level = "DEBUG" if options.verbose else "WARNING" if options.quiet else "INFO"
    level = options.console_level or level
    handler = _Console(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("ptycho", "pinn"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [h for h in logger.handlers if not isinstance(h, _Console)]
        logger.addHandler(handler)
        logger.propagate = False


def deprecated(old: str, new: str) -> None:
    """Say that a flag is an old one."""
    logging.getLogger("ptycho").warning("%s is an old flag: use %s", old, new)
