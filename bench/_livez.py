"""Asks a process whether it lives, many times a second, and keeps the longest time to an answer.

A process of its own, so that nothing else delays the questions.

    python -m bench._livez PORT

Ends when its input is closed, and prints how many milliseconds the longest answer took, and how
many answers there were. Until the first answer the process may not listen yet.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException

PAUSE_SECONDS = 0.02
TIMEOUT_SECONDS = 30


class Answers:
    """What the questions came to, after the end of ``asked``."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.count = 0


@contextmanager
def asked(port: int) -> Iterator[Answers]:
    """Asks during a block."""
    found = Answers()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench._livez", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield found
    finally:
        said, _ = process.communicate()
        found.longest_ms, found.count = json.loads(said)


def main(port: int) -> None:
    """Asks until the input is closed."""
    longest, count = 0.0, 0
    with suppress(OSError):  # only for root
        os.nice(-10)
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        began = time.monotonic()
        try:
            connection.request("GET", "/livez")
            connection.getresponse().read()
            count += 1
        except (OSError, HTTPException):
            connection.close()  # it does not listen yet, closed an idle connection, or hangs
        if count:
            longest = max(longest, time.monotonic() - began)
    print(json.dumps([1000 * longest, count]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
