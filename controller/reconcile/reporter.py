"""Writes the status of a ModelBooster when it has changed, and records Events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from app.apis.kinds import MODEL_BOOSTER
from app.apis.reasons import Reason
from app.errors import ApiError, Conflict, Invalid, Unreachable
from app.kube import Kube
from app.kube.backoff import Clock
from app.model.forms import Model
from app.values.meta import Object, key_of, uid_of
from controller.cluster.mutation_cache import MutationCache
from controller.cluster.own_writes import InflightWrite
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.conflict_guard import ConflictGuard
from controller.reconcile.plan_result import PlanResult
from controller.status.booster_status import (
    StatusChange,
    condition,
    status_change,
    status_of,
    stored_status,
)
from controller.status.conditions import TRUE, ConditionSet, reconciling
from controller.status.download_status import new_failures
from controller.status.patch import status_patch

log = logging.getLogger(__name__)

DETAILS_DELAY_SECONDS = 10.0
"""How long a change of counters or messages alone is delayed, so that several share a write."""

MAX_WRITES, PER_SECONDS = 2, 2.0
"""Rate limit of status writes: this many for one ModelBooster, in this many seconds."""

PRECONDITION_RETRY_SECONDS = 5.0
"""Retry interval after a precondition has failed; an edit of the spec starts a pass earlier."""

SCHEMA_EVENT_SECONDS = 300.0
"""Minimum interval between Events about a replaced schema, for one ModelBooster."""


class RecordEvent(Protocol):
    """Records an Event about a ModelBooster, see ``EventRecorder.record``."""

    def __call__(self, booster: Object, kind: str, reason: str, note: str) -> None:
        """Records the Event; never blocks."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class StatusReporter:
    """Writes the status of ModelBoosters.

    Args:
        kube: the API server.
        cache: the cluster with our own writes.
        record_event: records Events.
        conflicts: whether another controller reverts the status.
        on_failed_precondition: called when a precondition of a status write has failed.
        clock: the time for delays, in seconds.
        wall_clock: the time for conditions.
    """

    def __init__(
        self,
        kube: Kube,
        cache: MutationCache,
        record_event: RecordEvent,
        conflicts: ConflictGuard,
        on_failed_precondition: Callable[[], None] = lambda: None,
        clock: Clock = time.monotonic,
        wall_clock: Callable[[], datetime] = _wall_clock,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._record_event = record_event
        self._conflicts = conflicts
        self._on_failed_precondition = on_failed_precondition
        self._clock = clock
        self._wall_clock = wall_clock

    async def report(
        self,
        booster: Object,
        summary: ConditionSet,
        state: BoosterState,
        model: Model | None = None,
        result: PlanResult | None = None,
    ) -> float | None:
        """Writes the status if it has changed and is not delayed.

        Args:
            booster: the ModelBooster as the pass has read it.
            summary: the conditions after the pass.
            state: the state of the ModelBooster.
            model: its canonical form; None if the spec is invalid.
            result: what the pass has done, for the Event.

        Returns:
            After how many seconds a delayed status can be written; None if it was not delayed.

        Raises:
            ApiError, Unreachable: the status could not be written.
        """
        current = self._cache.get(MODEL_BOOSTER, key_of(booster))
        if current is None or not _has_same_spec(current, booster):
            return None  # the spec was edited meanwhile, which has enqueued the key
        now = self._clock()
        at = self._wall_clock().astimezone(UTC).replace(tzinfo=None)
        status = status_of(current, summary, f"{at.isoformat(timespec='seconds')}Z", model)
        change = status_change(current, status)
        delay = self._delay_seconds(change, state, now)
        if change is StatusChange.NONE or delay > 0:
            self._record_children(current, result)
            return delay or None
        pause, error = await self._conflicts.status_pause(current, status, state)
        if error is not None:
            self._record_event(current, "Warning", error.reason, error.message)
        if pause > 0:
            self._record_children(current, result)
            return pause
        state.details_since = None
        state.status_write_times = (*state.status_write_times[1 - MAX_WRITES :], now)
        version = current["metadata"]["resourceVersion"]
        # If a precondition has failed at this version before, and the schema was checked since, our
        # JSON of the spec may differ from the API server's. The other preconditions suffice then.
        is_second = state.rejected_status_version == version
        try:
            await self._write(current, status, with_spec=not is_second)
        except Invalid as exc:
            self._on_failed_precondition()
            if is_second:
                raise
            # An edit that the watch has not shown yet, or another schema. Nothing was stored.
            log.info("status not written, a precondition failed: %s", exc)
            state.rejected_status_version = version
            return PRECONDITION_RETRY_SECONDS
        self._conflicts.record_status_write(status, state)
        self._record_change(current, summary, result)
        for note in new_failures(stored_status(current), status):
            self._record_event(current, "Warning", "DownloadFailed", note)
        return None

    async def report_in_progress(self, booster: Object, state: BoosterState, model: Model) -> None:
        """Writes that a pass is still running; the pass goes on if that fails."""
        with suppress(ApiError, Unreachable):
            await self.report(booster, reconciling(), state, model)

    def report_replaced_schema(self, booster: Object, why: str, state: BoosterState) -> None:
        """Records an Event about a replaced schema, at most one per ``SCHEMA_EVENT_SECONDS``."""
        now = self._clock()
        if state.schema_event_at is None or now - state.schema_event_at >= SCHEMA_EVENT_SECONDS:
            state.schema_event_at = now
            self._record_event(booster, "Warning", "SchemaReplaced", why)

    def report_traffic(self, booster: Object, shares: str) -> None:
        """Records the Event about a ModelRoute that follows the readiness of its backends."""
        self._record_event(booster, "Normal", "TrafficShifted", f"requests go to: {shares}")

    def _delay_seconds(self, change: StatusChange, state: BoosterState, now: float) -> float:
        """Returns for how long a status write is delayed; 0 if it is not."""
        if change is StatusChange.NONE:
            state.details_since = None
            return 0
        is_limited = len(state.status_write_times) == MAX_WRITES
        rate_limit = state.status_write_times[0] + PER_SECONDS - now if is_limited else 0
        if change is StatusChange.DETAILS:
            if state.details_since is None:
                state.details_since = now
            return max(rate_limit, state.details_since + DETAILS_DELAY_SECONDS - now, 0)
        return max(rate_limit, 0)

    async def _write(self, booster: Object, status: Object, *, with_spec: bool) -> None:
        key = key_of(booster)
        patch = status_patch(booster, status, with_spec=with_spec)
        uid = uid_of(booster)
        try:
            with self._cache.writing(InflightWrite(MODEL_BOOSTER, key, key, uid)) as write:
                obj = await self._kube.json_patch(MODEL_BOOSTER, *key, patch, subresource="status")
                self._record(write, obj)
        except Conflict:
            # The watch may be late or silent: the next pass would fail like this one.
            with self._cache.writing(InflightWrite(MODEL_BOOSTER, key, key, uid)) as write:
                live = await self._kube.get(MODEL_BOOSTER, *key)
                if uid_of(live) == uid:
                    self._record(write, live)
            raise

    def _record(self, write: InflightWrite, obj: Object) -> None:
        obj["metadata"].pop("managedFields", None)
        self._cache.record_write(write, obj, self._clock())

    def _record_change(
        self, before: Object, summary: ConditionSet, result: PlanResult | None
    ) -> None:
        """Records the one Event of a pass that has changed the status."""
        children = _children_note(result)
        for kind, about, now in (
            ("Warning", "Failed", summary.failed),
            ("Normal", "Initialized", summary.initialized),
            ("Normal", "Active", summary.active),
        ):
            if now.reason == Reason.CREATING:
                continue  # created children have an Event of their own
            then = condition(stored_status(before), about)
            is_new = (then.get("status"), then.get("reason")) != (now.status, now.reason)
            if now.status == TRUE and is_new:
                note = f"{now.message}; {children}" if children else now.message
                self._record_event(before, kind, str(now.reason), note)
                return
        self._record_children(before, result)

    def _record_children(self, booster: Object, result: PlanResult | None) -> None:
        """Records the Event about children that were created or deleted, if any were."""
        if note := _children_note(result):
            reason = "ChildrenCreated" if result and result.created else "ChildrenDeleted"
            self._record_event(booster, "Normal", reason, note)


def _children_note(result: PlanResult | None) -> str:
    """Returns which children were created and deleted, for an Event; ``""`` if none were."""
    if result is None:
        return ""
    parts = {"created": result.created, "deleted": result.deleted}
    return "; ".join(f"{word} {', '.join(map(str, refs))}" for word, refs in parts.items() if refs)


def _has_same_spec(left: Object, right: Object) -> bool:
    """Whether two readings of a ModelBooster have the same spec, by uid and generation."""
    generations = {obj["metadata"].get("generation") for obj in (left, right)}
    return uid_of(left) == uid_of(right) and len(generations) == 1
