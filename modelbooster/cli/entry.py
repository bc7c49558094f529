"""The entry point of the program. It imports little, because each start of the program pays for it.

The list of commands is printed without click, which takes as long to import as Python to start.
"""

from __future__ import annotations

import gc
import sys

from modelbooster.cli.commands import overview
from modelbooster.cli.garbage import collect_rarely


def run() -> None:
    """Runs the command line of this process and exits."""
    collect_rarely()
    try:
        if sys.argv[1:] in (["--help"], ["-h"]):
            print(overview(), end="")
        else:
            from modelbooster.cli.main import main

            main()
    finally:
        gc.freeze()  # so that the exit does not search all modules for garbage
