"""Reports a certificate authority that is not valid yet by this machine's clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from certs.pki import KeyPair
from certs.policy import early_start, formatted

log = logging.getLogger(__name__)

Note = Callable[[bool], None]
"""Takes whether the authority begins later than the present time."""


def note_nothing(_is_early: bool) -> None:
    """A ``Note`` that does nothing."""


class EarlyAuthority:
    """Logs each authority that is not valid yet once, and calls ``note`` at every check.

    Args:
        note: called with whether the authority begins later than the present time.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._reported: datetime | None = None

    def check(self, secret: object, authority: KeyPair, now: datetime) -> None:
        """Reports the authority if it begins later than ``now``.

        Args:
            secret: the object that holds it, for the log.
            authority: a pair whose certificate can be read.
            now: the present time.
        """
        begins = early_start(authority, now)
        if begins is not None and begins != self._reported:
            log.warning(
                "%s: the certificate authority begins at %s, and this machine's clock says %s;"
                " the authority is kept; check the clocks of the nodes",
                *(secret, formatted(begins), formatted(now)),
            )
        self._reported = begins
        self._note(begins is not None)
