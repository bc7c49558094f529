"""Stops writes that another controller reverts, and detects when it is gone.

See ``controller.reconcile.conflict_state`` for the phases. Without a conflict this costs no
request. At the start of a conflict, one read finds the other field manager.
"""

from __future__ import annotations

import logging
import time

from app.apis.kinds import MODEL_BOOSTER, REVISION
from app.errors import ConflictingController
from app.kube import FIELD_MANAGER, Kube
from app.kube.backoff import Clock
from app.model.children import Desired, revision
from app.values.meta import Key, Object, key_of, labels_of, uid_of
from controller.cluster.mutation_cache import MutationCache
from controller.cluster.own_writes import InflightWrite
from controller.plan.actions import ChildRef
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.conflict_state import (
    CONFLICT_TIMING,
    ConflictTiming,
    Phase,
    has_desired_revision,
    other_manager_of_child,
    other_manager_of_status,
)
from controller.status.booster_status import without_transition_times

log = logging.getLogger(__name__)

THE_STATUS = "the status"


class ConflictGuard:
    """Decides whether a child or a status may be written despite a conflict.

    Args:
        kube: the API server.
        cache: the cluster with our own writes.
        clock: the time, in seconds.
        timing: how often to check whether the other controller is gone.
    """

    def __init__(
        self,
        kube: Kube,
        cache: MutationCache,
        clock: Clock = time.monotonic,
        timing: ConflictTiming = CONFLICT_TIMING,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._clock = clock
        self._timing = timing

    async def check_child(
        self, booster: Key, uid: str, child: Desired, state: BoosterState
    ) -> None:
        """Returns if a child may be written.

        Args:
            booster: key of the ModelBooster that owns the child.
            uid: uid of that ModelBooster.
            child: the desired child.
            state: the state of the ModelBooster.

        Raises:
            ConflictingController: the child may not be written: another controller reverts it.
            ApiError, Unreachable: the other field manager could not be looked up.
        """
        conflict, now = state.conflict(child.object), self._clock()
        if conflict is None:
            return
        if conflict.is_over(revision(child.object), now, self._timing):
            state.clear_conflict(child.object)
            return
        match conflict.phase:
            case Phase.DETECTED:
                conflict.error = await self._find_other_manager(child)
                conflict.pause(now, self._timing)
            case Phase.TRIAL:
                conflict.reverted += 1
                conflict.error = await self._find_other_manager(child)
                conflict.pause(now, self._timing)
            case Phase.PAUSED if now >= conflict.until:
                await self._write_probe(booster, uid, child)
                conflict.start_probe(now, self._timing)
            case Phase.PROBING if now >= conflict.until:
                live = self._cache.get(child.resource, key_of(child.object))
                if has_desired_revision(live, child.object):
                    conflict.start_trial(now, self._timing)
                    return
                conflict.pause(now, self._timing)
        if conflict.error is not None:
            raise conflict.error.with_traceback(None)

    async def status_pause(
        self, booster: Object, status: Object, state: BoosterState
    ) -> tuple[float, ConflictingController | None]:
        """Returns for how long a status may not be written.

        Args:
            booster: the stored ModelBooster.
            status: the status that would be written.
            state: the state of the ModelBooster.

        Returns:
            The pause in seconds, 0 if the status may be written now; and the error, if the
            conflict has just been detected.

        Raises:
            ApiError, Unreachable: the other field manager could not be looked up.
        """
        now, conflict = self._clock(), state.status_conflict
        if conflict is None:
            return 0, None
        if conflict.is_over(revision(without_transition_times(status)), now, self._timing):
            state.status_conflict = state.status_writes = None
            return 0, None
        if conflict.phase is Phase.PAUSED and now >= conflict.until:
            # A status write restarts nothing, so it serves as the probe.
            conflict.start_trial(now, self._timing)
            return 0, None
        if conflict.phase is Phase.PAUSED:
            return conflict.until - now, None
        is_new = conflict.phase is Phase.DETECTED
        live = await self._kube.get(MODEL_BOOSTER, *key_of(booster))
        other = other_manager_of_status(live, FIELD_MANAGER)
        error = ConflictingController(THE_STATUS, str(other or ""))
        conflict.pause(now, self._timing)
        if is_new:
            log.warning("stopped writing for %.0f s: %s", conflict.until - now, error.message)
        return conflict.until - now, error if is_new else None

    def record_status_write(self, status: Object, state: BoosterState) -> None:
        """Records that a status was written."""
        state.record_status_write(revision(without_transition_times(status)), self._clock())

    async def _find_other_manager(self, child: Desired) -> ConflictingController:
        """Reads a child and returns the error that names the other field manager."""
        live = await self._kube.get(child.resource, *key_of(child.object))
        other = other_manager_of_child(live, child.object, FIELD_MANAGER)
        error = ConflictingController(str(ChildRef.of(child)), str(other or ""))
        log.warning("stopped writing for now: %s", error.message)
        return error

    async def _write_probe(self, booster: Key, uid: str, child: Desired) -> None:
        """Writes the revision label alone, which restarts no pod."""
        key = key_of(child.object)
        live = self._cache.get(child.resource, key)
        if live is None:
            return
        label = {REVISION: labels_of(child.object)[REVISION]}
        patch = {"metadata": {"uid": uid_of(live), "labels": label}}
        with self._cache.writing(InflightWrite(child.resource, key, booster, uid)) as write:
            obj = await self._kube.merge_patch(child.resource, *key, patch)
            self._cache.record_write(write, obj, self._clock())
