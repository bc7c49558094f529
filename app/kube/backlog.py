"""What has arrived of a watch and has not been decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from app.errors import ApiError, Garbled
from app.kube.connections.pool import PooledResponse
from app.kube.objects import Event
from app.kube.responses import Lines

_USUAL = b"-._/:@"
"""What a name may have besides letters and digits, so that JSON writes it as it is."""

_MAX_SEARCHED_BYTES = 64 << 10
"""More text than this is decoded rather than searched. A search of it takes 25 µs, and a verdict
needs several."""


class Backlog:
    """Lets the text of a watch wait, so that several events are decoded one after another.

    That costs less than one at a time: other work removes the code and the data that decoding needs
    from the processor's caches. A reader of the store first asks whether the waiting text has a
    name, so no answer depends on the waiting.

    Args:
        seconds: how long text waits at most, counted from the text before it; 0 for not at all.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.is_open = False
        """Whether text may wait; not while a list is read."""
        self._seconds = seconds
        self._lines = Lines()
        self._taken = 0  # lines of the text that waits which were taken already
        self._decode: Callable[[bytes], Event]
        self._response: PooledResponse | None = None

    def begin(self, decode: Callable[[bytes], Event]) -> None:
        """Must be called before a watch is opened.

        Args:
            decode: returns the event in a line; may raise an error.
        """
        self._lines, self._taken, self._decode, self._response = Lines(), 0, decode, None

    def opened(self, response: PooledResponse) -> None:
        """Must be called with the response. Without that, nothing waits: as through a proxy."""
        self._response = response

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yields the events that end in a piece of the text, as the watch reads it.

        Raises:
            ApiError: a line is an ERROR event.
            Garbled: a line is no event.
        """
        taken, self._taken = self._taken, 0
        return map(self._decode, self._lines.feed(piece)[taken:])

    async def wait(self) -> None:
        """Waits after a piece. All backlogs end their waiting in the same turn of the loop."""
        if self._seconds and self.is_open and self._response is not None:
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(self._seconds - now % self._seconds)

    def mentions(self, text: str) -> bool:
        """Returns whether a text, such as a name, may be in an event that has arrived.

        That is also so if it would take long to find out.

        Args:
            text: the text. True is returned for one that JSON may write in another way.
        """
        if not self.is_open or self._response is None:
            return False
        arrived = self._response.arrived()
        if not arrived:
            return False
        partial = self._lines.partial
        if self._response.is_paused or len(partial) + len(arrived) > _MAX_SEARCHED_BYTES:
            return True
        searched = text.encode()
        if not searched.translate(None, _USUAL).isalnum():
            return True
        return searched in (partial + arrived if partial else arrived)

    def take(self) -> list[Event]:
        """Returns the events that have arrived, without waiting, instead of the watch.

        A line that is no usable event, and what follows it, is left to the watch, which raises the
        error.
        """
        if not self.is_open or self._response is None:
            return []
        lines = self._lines.copy()
        events: list[Event] = []
        try:
            for line in lines.feed(self._response.arrived())[self._taken :]:
                events.append(self._decode(line))
        except (ApiError, Garbled):  # the watch decodes the same line, and raises the same error
            self._taken += len(events)
            return events
        self._response.read_arrived()
        self._lines, self._taken = lines, 0
        return events
