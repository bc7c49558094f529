"""Stops writing what another controller changes back, and finds out when it is gone.

See ``controller.planning.contest`` for the phases. In the normal path this costs no request;
the first time that a child is contested, one read tells who the other one is.
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
from controller.cluster.view import View
from controller.cluster.writes import Write
from controller.planning.contest import (
    PATIENCE,
    Patience,
    Phase,
    has_our_revision,
    rival_of_child,
    rival_of_status,
)
from controller.planning.memory import Memory
from controller.status.status import timeless

log = logging.getLogger(__name__)

THE_STATUS = "the status"


class Contests:
    """Decides whether a contested child, or status, may be written.

    Args:
        kube: the API server.
        view: the cluster as we see it.
        clock: the time, in seconds.
        patience: how often to look whether the other controller is gone.
    """

    def __init__(
        self,
        kube: Kube,
        view: View,
        clock: Clock = time.monotonic,
        patience: Patience = PATIENCE,
    ) -> None:
        self._kube = kube
        self._view = view
        self._clock = clock
        self._patience = patience

    async def check_child(self, booster: Key, uid: str, child: Desired, memory: Memory) -> None:
        """Returns if a child may be written.

        Args:
            booster: whose child it is.
            uid: the uid of that ModelBooster.
            child: the child as it should be.
            memory: what is remembered of the ModelBooster.

        Raises:
            ConflictingController: it may not: another controller changes it back.
            ApiError, Unreachable: it could not be found out.
        """
        contest, now = memory.contest(child.object), self._clock()
        if contest is None:
            return
        if contest.is_over(revision(child.object), now, self._patience):
            memory.forget_contest(child.object)
            return
        match contest.phase:
            case Phase.SUSPECTED:
                contest.error = await self._accuse(child)
                contest.hold(now, self._patience)
            case Phase.TRIAL:
                contest.lost += 1
                contest.error = await self._accuse(child)
                contest.hold(now, self._patience)
            case Phase.HELD if now >= contest.until:
                await self._probe(booster, uid, child)
                contest.probe(now, self._patience)
            case Phase.PROBED if now >= contest.until:
                live = self._view.get(child.resource, key_of(child.object))
                if has_our_revision(live, child.object):
                    contest.try_again(now, self._patience)
                    return
                contest.hold(now, self._patience)
        if contest.error is not None:
            raise contest.error.with_traceback(None)

    async def held_status_seconds(
        self, booster: Object, status: Object, memory: Memory
    ) -> tuple[float, ConflictingController | None]:
        """Returns for how long a status may not be written, and why if that has just been found.

        Args:
            booster: the ModelBooster as stored.
            status: the status that would be written.
            memory: what is remembered of the ModelBooster.

        Raises:
            ApiError, Unreachable: who else writes it could not be found out.
        """
        now, digest = self._clock(), revision(timeless(status))
        contest = memory.contest_of_status
        if contest is not None and contest.is_over(digest, now, self._patience):
            contest = memory.contest_of_status = memory.status_repairs = None
        if contest is None:
            return 0, None
        if contest.phase is Phase.HELD and now >= contest.until:
            # One write restarts nothing, and shows whether the other one is still there.
            contest.try_again(now, self._patience)
            return 0, None
        if contest.phase is Phase.HELD:
            return contest.until - now, None
        is_new = contest.phase is Phase.SUSPECTED
        live = await self._kube.get(MODEL_BOOSTER, *key_of(booster))
        rival = rival_of_status(live, FIELD_MANAGER)
        error = ConflictingController(THE_STATUS, str(rival or ""))
        contest.hold(now, self._patience)
        if is_new:
            log.warning("given up for %.0f s: %s", contest.until - now, error.message)
        return contest.until - now, error if is_new else None

    def status_written(self, status: Object, memory: Memory) -> None:
        """Notes that a status was written."""
        memory.status_written(revision(timeless(status)), self._clock())

    async def _accuse(self, child: Desired) -> ConflictingController:
        key = key_of(child.object)
        live = await self._kube.get(child.resource, *key)
        rival = rival_of_child(live, child.object, FIELD_MANAGER)
        error = ConflictingController(f'{child.resource.kind} "{key.name}"', str(rival or ""))
        log.warning("given up for now: %s", error.message)
        return error

    async def _probe(self, booster: Key, uid: str, child: Desired) -> None:
        """Writes the revision label alone: no pod is restarted by it."""
        key = key_of(child.object)
        live = self._view.get(child.resource, key)
        if live is None:
            return
        label = {REVISION: labels_of(child.object)[REVISION]}
        patch = {"metadata": {"uid": uid_of(live), "labels": label}}
        with self._view.writing(Write(child.resource, key, booster, uid)) as write:
            obj = await self._kube.merge_patch(child.resource, *key, patch)
            obj["metadata"].pop("managedFields", None)
            self._view.made(write, obj, self._clock())
