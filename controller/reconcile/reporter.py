"""Reports: writes the status of a ModelBooster when it has something new to say, and Events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from app.apis.kinds import MODEL_BOOSTER
from app.errors import Invalid
from app.kube import Kube
from app.kube.backoff import Clock
from app.model.canonical import Model
from app.values.meta import Object, key_of, uid_of
from controller.cluster.view import View
from controller.cluster.writes import Write
from controller.planning.memory import Memory
from controller.planning.outcome import Done
from controller.reconcile.contests import Contests
from controller.reconcile.guarded import status_patch
from controller.status.finding import TRUE, Finding, Reason
from controller.status.status import Difference, condition, difference, status_of, stored_status

log = logging.getLogger(__name__)

HOLD_SECONDS = 10.0
"""How long a change of mere counters or messages waits for company."""

REPORTS, PER_SECONDS = 2, 2.0
"""So many reports in such a time; more often, only whoever makes a status flap would notice."""


CHECK_SECONDS = 5.0
"""How long to wait after a precondition has failed; an edit of the spec wakes its key earlier."""


TELL_SECONDS = 300.0
"""Least time between two Events that tell one ModelBooster's users of a replaced schema."""


class Record(Protocol):
    """Lets an Event be sent about a ModelBooster: kind, reason, note."""

    def __call__(self, booster: Object, kind: str, reason: str, note: str) -> None:
        """Takes it in; never waits."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Reporter:
    """Writes statuses.

    Args:
        kube: the API server.
        view: where the ModelBoosters are, and what our writes made of them.
        record: takes in Events.
        contests: knows whether another controller changes the status back.
        suspect: called when a precondition of a status write has failed.
        clock: the time, in seconds, for pauses.
        wall_clock: the time that conditions carry.
    """

    def __init__(
        self,
        kube: Kube,
        view: View,
        record: Record,
        contests: Contests,
        suspect: Callable[[], None] = lambda: None,
        clock: Clock = time.monotonic,
        wall_clock: Callable[[], datetime] = _wall_clock,
    ) -> None:
        self._kube = kube
        self._view = view
        self._record = record
        self._contests = contests
        self._suspect = suspect
        self._clock = clock
        self._wall_clock = wall_clock

    async def report(
        self,
        booster: Object,
        finding: Finding,
        memory: Memory,
        model: Model | None = None,
        done: Done | None = None,
    ) -> float | None:
        """Writes the status, if it says something new and it is time to.

        Args:
            booster: the ModelBooster as the pass saw it.
            finding: what the pass found.
            memory: what is remembered of it.
            model: what it means, if that is known.
            done: what the pass did, for the Event.

        Returns:
            In how many seconds it will be time to write what has been held back; None if nothing
            was.

        Raises:
            ApiError, Unreachable: it could not be written.
        """
        current = self._view.get(MODEL_BOOSTER, key_of(booster))
        if current is None or not _is_same(current, booster):
            return None  # what was found is about a spec of the past; its change woke the key
        now = self._clock()
        status = status_of(current, finding, f"{self._wall_clock():%Y-%m-%dT%H:%M:%SZ}", model)
        change = difference(current, status)
        held = self._held_seconds(change, memory, now)
        if change is Difference.NONE or held > 0:
            self._tell_of_children(current, done)
            return held or None
        contested, error = await self._contests.held_status_seconds(current, status, memory)
        if error is not None:
            self._record(current, "Warning", error.reason, error.message)
        if contested > 0:
            self._tell_of_children(current, done)
            return contested
        memory.held_since = None
        memory.reported = (*memory.reported[1 - REPORTS :], now)
        version = current["metadata"]["resourceVersion"]
        # Refused before at this version, and the schema was looked at since: so we may word a value
        # of the spec unlike the API server does. The other preconditions suffice then.
        is_second = memory.unwritten == version
        try:
            await self._write(current, status, with_spec=not is_second)
        except Invalid as exc:
            self._suspect()
            if is_second:
                raise
            # An edit that the watch has not shown yet, or another schema; nothing is stored.
            log.info("the status was not written, its preconditions do not hold: %s", exc)
            memory.unwritten = version
            return CHECK_SECONDS
        self._contests.status_written(status, memory)
        self._tell(current, finding, done)
        return None

    def tell_replaced(self, booster: Object, why: str, memory: Memory) -> None:
        """Sends an Event about a schema that is not ours, at most one in five minutes."""
        now = self._clock()
        if memory.told_at is None or now - memory.told_at >= TELL_SECONDS:
            memory.told_at = now
            self._record(booster, "Warning", "SchemaReplaced", why)

    def _held_seconds(self, change: Difference, memory: Memory, now: float) -> float:
        """Returns for how long a change is held back, 0 if it is not."""
        if change is Difference.NONE:
            memory.held_since = None
            return 0
        full = len(memory.reported) == REPORTS
        crowd = memory.reported[0] + PER_SECONDS - now if full else 0
        if change is Difference.DETAILS:
            if memory.held_since is None:
                memory.held_since = now
            return max(crowd, memory.held_since + HOLD_SECONDS - now, 0)
        return max(crowd, 0)

    async def _write(self, booster: Object, status: Object, *, with_spec: bool) -> None:
        key = key_of(booster)
        patch = status_patch(booster, status, with_spec=with_spec)
        with self._view.writing(Write(MODEL_BOOSTER, key, key, uid_of(booster))) as write:
            obj = await self._kube.json_patch(MODEL_BOOSTER, *key, patch, subresource="status")
            obj["metadata"].pop("managedFields", None)
            self._view.made(write, obj, self._clock())

    def _tell(self, before: Object, finding: Finding, done: Done | None) -> None:
        """Records the one Event of a pass that has changed the status."""
        made = _what_was_done(done)
        for kind, about, now in (
            ("Warning", "Failed", finding.failed),
            ("Normal", "Initialized", finding.initialized),
            ("Normal", "Active", finding.active),
        ):
            if now.reason == Reason.CREATING:
                continue  # what was made has an Event of its own
            then = condition(stored_status(before), about)
            is_news = (then.get("status"), then.get("reason")) != (now.status, now.reason)
            if now.status == TRUE and is_news:
                note = f"{now.message}; {made}" if made else now.message
                self._record(before, kind, str(now.reason), note)
                return
        self._tell_of_children(before, done)

    def _tell_of_children(self, booster: Object, done: Done | None) -> None:
        if note := _what_was_done(done):
            reason = "ChildrenCreated" if done and done.created else "ChildrenDeleted"
            self._record(booster, "Normal", reason, note)


def _what_was_done(done: Done | None) -> str:
    """Returns what a pass has made and deleted, in words; ``""`` if nothing."""
    if done is None:
        return ""
    parts = {"created": done.created, "deleted": done.deleted}
    return "; ".join(f"{word} {', '.join(names)}" for word, names in parts.items() if names)


def _is_same(left: Object, right: Object) -> bool:
    """Whether both have the same spec."""
    generations = {obj["metadata"].get("generation") for obj in (left, right)}
    return uid_of(left) == uid_of(right) and len(generations) == 1
