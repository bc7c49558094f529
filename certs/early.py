"""Reports an authority that begins later than this machine's clock says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from certs.pki import KeyPair
from certs.policy import early_start

log = logging.getLogger(__name__)

Note = Callable[[bool], None]
"""Told whether the authority begins later than the clock says."""


def note_nothing(_is_early: bool) -> None:
    """A ``Note`` that ignores what it is told."""


class Early:
    """Logs each early authority once, and tells ``note`` at every look.

    Args:
        note: told whether the authority is early.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._reported: datetime | None = None

    def look(self, place: object, authority: KeyPair, now: datetime) -> None:
        """Reports the authority if it begins later than ``now``.

        Args:
            place: the object that holds it, for the log.
            authority: a pair whose certificate can be read.
            now: the present time.
        """
        begins = early_start(authority, now)
        if begins is not None and begins != self._reported:
            log.warning(
                "%s: the certificate authority begins at %s, and this machine's clock says %s;"
                " the authority is kept: check the clocks of the nodes",
                *(place, _shown(begins), _shown(now)),
            )
        self._reported = begins
        self._note(begins is not None)


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
