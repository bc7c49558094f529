"""How a command that fails ends: its exit code, and what it prints."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import OperatorError, UsageError

REFUSED = 1
"""Exit code: an object was refused, or the command failed."""

USAGE = 2
"""Exit code: wrong arguments or settings."""


@contextmanager
def known_errors_end_the_process() -> Iterator[None]:
    """Prints known errors of a block without a traceback, and exits with their code."""
    try:
        yield
    except OperatorError as exc:
        _print(str(exc))
        sys.exit(USAGE if isinstance(exc, UsageError) else REFUSED)
    except RecursionError:
        _print("the input is nested too deeply to be read")
        sys.exit(USAGE)
    except OSError as exc:
        # Commands explain the files that they read; what is left is output: a full disk.
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _print(f"the output cannot be written: {exc.strerror}")
        # What is still in the buffer cannot be written either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(REFUSED)


def _print(text: str) -> None:
    if sys.stderr is not None:  # closed by the shell: command 2>&-
        print(f"Error: {text}", file=sys.stderr)
