"""Lets messages of the API server arrive together while many requests wait for it.

A message that arrives alone wakes the process, which finds the caches of the processor filled with
other data, and takes the processor from an API server on the same machine. Network cards coalesce
their interrupts for the same reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

MANY_REQUESTS = 8
"""With fewer requests under way nothing waits: each may be the next step that a user waits for."""

SHARE = 0.5
"""How long messages are collected, as a share of the time until a response."""

MAX_SECONDS = 0.05
"""How long they are collected at most. Probes and the lease wait that long too."""

_WEIGHT = 1 / 16
"""Weight of a response in the moving average of their times."""

_TURNS = 3
"""Turns of the event loop until all that a message causes is done: a pass of a worker, and its next
request."""


class Coalescing:
    """Stops the event loop for some milliseconds after a message, so that more of them arrive.

    Then the loop reads from all sockets in one turn. It is stopped as a whole because uvloop cannot
    be told to poll less often, and a TLS connection that is paused still reads a message.

    Args:
        sleep: stops the event loop for some seconds.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self._requests = 0
        self._response_seconds = 0.0
        self._is_settling = False
        self._listed_at = 0.0  # when the buffer was full
        self._read_at = 0.0  # when the sockets were last read after a time of collecting

    def sent(self) -> float:
        """Must be called when a request is sent; returns the time (monotonic, seconds)."""
        self._requests += 1
        return time.monotonic()

    def answered(self, sent: float) -> None:
        """Must be called when a request has ended.

        Args:
            sent: what ``sent`` returned for it.
        """
        self._requests -= 1
        # Requests that hang must not delay others for long.
        seconds = min(time.monotonic() - sent, MAX_SECONDS / SHARE)
        self._response_seconds += _WEIGHT * (seconds - self._response_seconds)

    def arrived(self, *, is_full: bool = False) -> None:
        """Must be called when something has arrived.

        Args:
            is_full: whether it fills the buffer. Then more of it waits in the socket, as of a list.
                Events that were collected during a stop rarely do.
        """
        if is_full:
            self._listed_at = time.monotonic()
        elif self._requests >= MANY_REQUESTS and not self._is_settling:
            self._is_settling = True
            asyncio.get_running_loop().call_soon(self._settle, _TURNS)

    def _settle(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._settle, turns - 1)
            return
        self._is_settling = False
        if self._requests >= MANY_REQUESTS:
            now = time.monotonic()
            left = self._read_at + SHARE * self._response_seconds - now
            # If nothing is left, the turn took longer than that.
            # A list goes on for at least as long as it was stopped.
            if left > 0 and now - self._listed_at > MAX_SECONDS:
                self._sleep(left)
        self._read_at = time.monotonic()
