"""Runs the program with a wall clock that somebody sets; the monotonic clock goes on as ever.

What the program reads as the time of day is the true one by which the rate in a file is
multiplied, plus the shift in it: ``[3600, 1.0]`` is an hour ahead. The file is read at every look.

    python -m tests.faults.skewed FILE controller --kubeconfig ...
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from pathlib import Path

TRUE_TIME = time.time
TrueDatetime = datetime.datetime
BEGAN = TRUE_TIME()


class Skewed(datetime.datetime):
    """The time of day as the skewed clock tells it."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Skewed:
        """The present time."""
        return cls.fromtimestamp(skewed_time(), tz)


def skewed_time() -> float:
    """Returns seconds since 1970 by the skewed clock."""
    shift, rate = json.loads(PLACE.read_text())
    return float(BEGAN + (TRUE_TIME() - BEGAN) * rate + shift)


if __name__ == "__main__":
    PLACE = Path(sys.argv.pop(1))
    time.time = skewed_time
    datetime.datetime = Skewed  # type: ignore[misc]  # before anybody else has a name for it
    from modelbooster.cli.main import main

    main()
