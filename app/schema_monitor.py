"""Whether the installed CustomResourceDefinition of ModelBooster is ours.

Nothing is written while it is not.

Signs that another one is installed:

* an object was read without the mark of our schema (``is_unpruned``): certain;
* a spec changed although ``metadata.generation`` and uid did not: certain;
* the preconditions of a status write failed: a reason to check at once;
* the published OpenAPI schema lacks fields. It may lag by a second or two.

While another one is installed, the monitor checks once a second. Work resumes when the published
schema is ours, an object is read whole, and no store holds an object of the other schema.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from app.apis.definition import REPLACED_CRD_MESSAGE, is_unpruned
from app.apis.kinds import MODEL_BOOSTER
from app.cache.records import Record
from app.errors import ApiError, Unreachable
from app.installed import Installed
from app.kube import Kube
from app.kube.backoff import Clock
from app.values.meta import Object

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""Interval between checks while another definition is, or may be, installed."""

HOLD_SECONDS = 5.0
"""How long a changed spec counts as a sign: the schema of an edited CRD is published later."""

MAX_EVENTS = 500
"""How many ModelBoosters get an Event when the schema is replaced."""

MAX_NAMED_FIELDS = 3
"""How many missing fields a message names."""


class SchemaMonitor:
    """Knows whether ModelBoosters are read and written with our schema.

    Args:
        kube: the API server.
        namespaces: namespaces of the ModelBoosters; all if empty.
        look: reads the published schemas; raises ApiError or Unreachable.
        has_pruned: returns whether a store holds an object that was read with another schema.
        relist: makes the informers of ModelBoosters list everything again.
        changed: called when ``is_ours`` has changed.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        kube: Kube,
        namespaces: Sequence[str],
        look: Callable[[], Awaitable[Installed]],
        has_pruned: Callable[[], bool],
        relist: Callable[[], None],
        changed: Callable[[], None] = lambda: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._kube = kube
        self._namespaces = tuple(namespaces) or (None,)
        self._look = look
        self._has_pruned = has_pruned
        self._relist = relist
        self._changed = changed
        self._clock = clock
        self._fault: str | None = None
        self._held_until = 0.0
        self._names_fields = False  # whether the fault names the missing fields
        self._events = 0
        self._requested = asyncio.Event()

    @property
    def is_ours(self) -> bool:
        """Whether ModelBoosters may be reconciled."""
        return self._fault is None

    def fault(self) -> str | None:
        """Returns why nothing may be written, and what to do; None if our schema is installed."""
        return self._fault

    def fault_of(self, booster: Object) -> str | None:
        """Returns why a ModelBooster must not be reconciled; None if it may be."""
        if self._fault is None:
            self.booster_read(booster)
        return self._fault

    def may_send_event(self) -> bool:
        """Returns whether one more ModelBooster may get an Event about this replacement."""
        self._events += 1
        return self._events <= MAX_EVENTS

    def booster_read(self, booster: Object) -> None:
        """Handles a ModelBooster that the API server has returned."""
        if not is_unpruned(booster):
            self._replaced()

    def booster_updated(self, old: Record | None, new: Record | None) -> None:
        """Handles a watch event: a spec never changes without its generation."""
        if old is None or new is None or old.uid != new.uid:
            return
        if not (old.is_whole and new.is_whole):
            return  # ``booster_read`` has handled it
        before, after = old.object, new.object
        generations = {obj["metadata"].get("generation") for obj in (before, after)}
        if len(generations) == 1 and before.get("spec") != after.get("spec"):
            self._held_until = self._clock() + HOLD_SECONDS
            self._replaced()

    def installed_read(self, found: Installed) -> None:
        """Handles the schemas that the API server publishes."""
        if found.missing:
            self._replaced(found.missing)

    def check_soon(self) -> None:
        """Requests a check, because a precondition of a write has failed."""
        self._requested.set()

    async def run(self) -> None:
        """Checks whenever a check is requested, until it is cancelled."""
        while True:
            await self._requested.wait()
            self._requested.clear()
            try:
                await self._check()
            except (ApiError, Unreachable) as exc:
                log.info("the schema of ModelBooster cannot be checked: %s", exc)
            if not self.is_ours:
                self._requested.set()
            await asyncio.sleep(CHECK_SECONDS)

    async def _check(self) -> None:
        found = await self._look()
        self.installed_read(found)
        if not await self._reads_whole():
            self._replaced(found.missing)
            return
        if self.is_ours or found.missing or self._clock() < self._held_until:
            return
        if self._has_pruned():
            self._relist()
            return
        self._fault = None
        log.info("the CustomResourceDefinition of ModelBooster is ours again")
        self._changed()

    async def _reads_whole(self) -> bool:
        """Reads one ModelBooster, and returns whether it is whole; True if there is none."""
        for namespace in self._namespaces:
            document = await self._kube.read(f"{MODEL_BOOSTER.path(namespace)}?limit=1")
            if items := document.body.get("items"):
                return is_unpruned(items[0])
        return True

    def _replaced(self, missing: Sequence[str] = ()) -> None:
        """Handles a sign that another definition is installed."""
        self._requested.set()
        is_first_sign = self._fault is None
        if not is_first_sign and (self._names_fields or not missing):
            return
        self._fault, self._names_fields = (
            f"{REPLACED_CRD_MESSAGE}{missing_fields_note(missing)}",
            bool(missing),
        )
        if is_first_sign:
            self._events = 0
            log.error("the CustomResourceDefinition of ModelBooster is not ours: %s", self._fault)
            self._changed()


def missing_fields_note(missing: Sequence[str]) -> str:
    """Returns a note that names the first missing fields; ``""`` if none is known."""
    if not missing:
        return ""
    rest = len(missing) - MAX_NAMED_FIELDS
    more = f" and {rest} more" if rest > 0 else ""
    return f" (it lacks {', '.join(missing[:MAX_NAMED_FIELDS])}{more})"
