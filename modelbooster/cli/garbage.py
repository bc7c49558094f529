"""How often the garbage collector runs.

Imports create many objects and hardly any garbage. A short command with the usual thresholds
spends a twentieth of its time searching them, and so does the start of a process.
"""

from __future__ import annotations

import gc

_USUAL = gc.get_threshold()
_RARELY = 500_000
"""New objects between two collections; some fifty MiB."""


def collect_rarely() -> None:
    """Collects garbage seldom: for commands that end soon."""
    gc.set_threshold(_RARELY, *_USUAL[1:])


def collect_as_usual() -> None:
    """Collects garbage as often as Python does by default: for processes that run for long.

    What is loaded by now stays, and no collection searches it again.
    """
    gc.freeze()
    gc.set_threshold(*_USUAL)
