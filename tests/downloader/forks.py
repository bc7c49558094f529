"""Runs the downloader in forks of a process that has loaded everything, for tests that kill it.

Reads a line for each run: a JSON list of arguments. Writes the process id; reads an empty line;
writes the status of ``waitpid``. Until then the number of the process is its own.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # as the program does before it loads the client
import huggingface_hub.hf_api  # noqa: F401 - loaded once

from downloader import main
from downloader.run import Run  # noqa: F401 - loaded once
from downloader.sources import choice  # noqa: F401 - loaded once


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            sys.stdout = sys.stderr
            main.main(json.loads(line))
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
