"""Builds what takes minutes, before ``make install``: ``python -m tests.controlplane.early``.

``.ci/run`` does both at the same time, because an installation mostly waits for the network. So
this module and what it imports need the standard library only. If something is missing, ``make
control-plane`` says so later.
"""

from __future__ import annotations

import sys

from tests.controlplane import binaries, cache
from tests.controlplane.packages import Unobtainable
from tests.controlplane.promtool import promtool


def main() -> int:
    """Builds them; returns the exit code."""
    try:
        binaries.find()
        promtool()
    except Unobtainable as exc:
        cache.say(str(exc))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
