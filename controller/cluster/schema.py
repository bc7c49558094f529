"""Whether the installed CustomResourceDefinition of ModelBooster is ours; else nothing is written.

What tells that another one is installed:

* an object that was read without the mark of our schema (``is_whole``): a sure sign;
* a spec that differs although ``metadata.generation`` and uid are the same: a sure sign;
* a status write whose preconditions failed: a reason to look at once;
* the published OpenAPI schema, looked at from time to time: it may lag by a second or two.

While another one is installed we look every second. We go on when the published schema is ours, an
object is read whole, and no object in a store was read with the other schema.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from app.apis.definition import ADVICE, is_whole
from app.apis.kinds import MODEL_BOOSTER
from app.cache.records import Record
from app.errors import ApiError, Unreachable
from app.installed import Installed
from app.kube import Kube
from app.kube.backoff import Clock
from app.values.meta import Object

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks while another definition is, or may be, installed."""

HOLD_SECONDS = 5.0
"""How long a changed spec counts: an edited CRD may be published that much later."""

MOST_EVENTS = 500
"""So many ModelBoosters get an Event about an exchange; more would only be noise."""

MOST_NAMED = 3
"""So many of the missing fields are named."""


class Schema:
    """Knows whether ModelBoosters are read and written with our schema.

    Args:
        kube: the API server.
        namespaces: where ModelBoosters are read; everywhere if empty.
        look: reads the published schemas; may raise ApiError or Unreachable.
        pruned: returns whether a store holds an object that was read with another schema.
        list_anew: lets the informers of ModelBoosters list everything again.
        changed: called when the answer has changed.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        kube: Kube,
        namespaces: Sequence[str],
        look: Callable[[], Awaitable[Installed]],
        pruned: Callable[[], bool],
        list_anew: Callable[[], None],
        changed: Callable[[], None] = lambda: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._kube = kube
        self._namespaces = tuple(namespaces) or (None,)
        self._look = look
        self._pruned = pruned
        self._list_anew = list_anew
        self._changed = changed
        self._clock = clock
        self._fault: str | None = None
        self._held_until = 0.0
        self._told = 0
        self._asked = asyncio.Event()

    @property
    def is_ours(self) -> bool:
        """Whether ModelBoosters may be acted on."""
        return self._fault is None

    def fault(self) -> str | None:
        """Returns why nothing may be written, and what to do; None if our schema is installed."""
        return self._fault

    def fault_of(self, booster: Object) -> str | None:
        """Returns why a ModelBooster must not be acted on; None if it may be."""
        if self._fault is None and not is_whole(booster):
            self._replaced()
        return self._fault

    def may_tell(self) -> bool:
        """Returns whether one more ModelBooster may get an Event about this exchange."""
        self._told += 1
        return self._told <= MOST_EVENTS

    def read(self, booster: Object) -> None:
        """Takes in an object as the API server has just returned it."""
        if not is_whole(booster):
            self._replaced()

    def updated(self, old: Record | None, new: Record | None) -> None:
        """Takes in what the watch shows: a spec never changes without its generation."""
        if old is None or new is None or old.uid != new.uid:
            return
        if not (old.is_whole and new.is_whole):
            return  # noted when it was read
        before, after = old.object, new.object
        generations = {obj["metadata"].get("generation") for obj in (before, after)}
        if len(generations) == 1 and before.get("spec") != after.get("spec"):
            self._held_until = self._clock() + HOLD_SECONDS
            self._replaced()

    def looked(self, found: Installed) -> None:
        """Takes in what the API server publishes."""
        if found.missing:
            self._replaced(found.missing)

    def suspect(self) -> None:
        """Lets the installed schema be looked at soon: a precondition of a write has failed."""
        self._asked.set()

    async def run(self) -> None:
        """Looks whenever there is a reason to, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._check()
            except (ApiError, Unreachable) as exc:
                log.info("the schema of ModelBooster cannot be looked at now: %s", exc)
            if not self.is_ours:
                self._asked.set()
            await asyncio.sleep(LOOK_SECONDS)

    async def _check(self) -> None:
        found = await self._look()
        self.looked(found)
        if not await self._reads_whole():
            self._replaced(found.missing)
            return
        if self.is_ours or found.missing or self._clock() < self._held_until:
            return
        if self._pruned():
            self._list_anew()
            return
        self._fault = None
        log.info("the CustomResourceDefinition of ModelBooster is ours again")
        self._changed()

    async def _reads_whole(self) -> bool:
        """Reads one object; True as well if there is none."""
        for namespace in self._namespaces:
            document = await self._kube.read(f"{MODEL_BOOSTER.path(namespace)}?limit=1")
            if items := document.body.get("items"):
                return is_whole(items[0])
        return True

    def _replaced(self, missing: Sequence[str] = ()) -> None:
        """Notes that another definition is installed."""
        self._asked.set()
        if self._fault is not None and not (missing and "it lacks" not in self._fault):
            return
        is_news = self._fault is None
        self._told = 0 if is_news else self._told
        self._fault = f"{ADVICE}{lacking(missing)}"
        if is_news:
            log.error("the CustomResourceDefinition of ModelBooster is not ours: %s", self._fault)
            self._changed()


def lacking(missing: Sequence[str]) -> str:
    """Returns the missing fields in words; ``""`` if none is known."""
    if not missing:
        return ""
    rest = len(missing) - MOST_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    return f" (it lacks {', '.join(missing[:MOST_NAMED])}{more})"
