"""Builds what takes minutes, before ``make install``: ``python -m tests.controlplane.early``.

``.ci/run`` does both at the same time, because an installation mostly waits for the network. So
this module and what it imports need the standard library only. If something is missing, ``make
control-plane`` says so later.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.controlplane import binaries, cache
from tests.controlplane.packages import Unobtainable
from tests.controlplane.promtool import promtool


def main() -> int:
    """Builds them side by side: one compiles while the other links. Returns the exit code."""
    with ThreadPoolExecutor() as pool:
        builds = [pool.submit(build) for build in (binaries.find, promtool)]
    failures = [done.exception() for done in builds]
    for failure in failures:
        if isinstance(failure, Unobtainable):
            cache.say(str(failure))
        elif failure is not None:
            raise failure
    return int(any(failures))


if __name__ == "__main__":
    sys.exit(main())
