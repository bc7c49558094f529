"""Makes the router of old kthena releases take up pods again.

See ``controller.status.forgotten_pods`` for which pods need it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from app.apis.kinds import MODEL_SERVER, POD_SERVER
from app.errors import ApiError, Conflict, NotFound, Unreachable
from app.installed import Installed
from app.kube import Kube
from app.kube.backoff import Clock
from app.model.forms import Model
from app.model.names import backend_child_name
from app.model.roles import served
from app.values.meta import Key, Object, key_of, uid_of
from controller.cluster.mutation_cache import MutationCache
from controller.status.forgotten_pods import (
    PodTouch,
    due_touches,
    forgets_pods,
    forgotten_notes,
    forgotten_pods,
    next_touch,
)
from controller.status.pod_records import POD

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0


class PodToucher:
    """Annotates pods with the uid of their ModelServer, if that is younger than they are.

    Args:
        kube: the API server.
        cache: the cluster with our own writes.
        may_patch: whether pods may be annotated (setting ``touch_pods``).
        installed: returns what is installed; None if that is not known yet.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        kube: Kube,
        cache: MutationCache,
        may_patch: bool,
        installed: Callable[[], Installed | None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._may_patch = may_patch
        self._installed = installed
        self._clock = clock

    async def touch(
        self, booster: Object, model: Model, touches: dict[str, PodTouch]
    ) -> tuple[float | None, tuple[str, ...]]:
        """Annotates the pods of a ModelBooster that need it, once each.

        The installed release decides whether any does; if it is unknown, the setting.

        Args:
            booster: the ModelBooster.
            model: its canonical form.
            touches: what is kept about its pods, by their uids; it is updated.

        Returns:
            After how many seconds to call this again, None if there is nothing to do then; and
            sentences about pods that may not be annotated, for the condition ``Active``.
        """
        installed = self._installed()
        forgets = None
        if installed is not None:
            forgets = forgets_pods(installed.profile, installed.release)
        if forgets is False or not (forgets or self._may_patch):
            touches.clear()
            return None, ()
        servers = {}
        for backend in served(model):
            key = Key(model.namespace, backend_child_name(model, backend))
            if server := self._cache.get(MODEL_SERVER, key):
                servers[backend.name] = server
        forgotten = list(forgotten_pods(self._cache.pods(booster), servers))
        if not self._may_patch:
            return None, forgotten_notes(forgotten)
        for pod in due_touches(forgotten, touches, self._clock()):
            touch = touches[uid_of(pod)]
            try:
                await self._annotate(pod, touch.server)
                touch.due = None
            except (ApiError, Unreachable) as exc:
                log.warning("pod %s stays unknown to the router: %s", key_of(pod), exc)
                touch.due = self._clock() + RETRY_SECONDS
        return next_touch(touches, self._clock()), ()

    async def _annotate(self, pod: Object, server: str) -> None:
        patch = {"metadata": {"uid": uid_of(pod), "annotations": {POD_SERVER: server}}}
        with suppress(NotFound, Conflict):  # it is gone, or another pod has its name now
            await self._kube.merge_patch(POD, *key_of(pod), patch)


def log_setting(installed: Installed, *, may_patch: bool) -> None:
    """Logs if the setting ``touch_pods`` does not suit the installed release.

    Args:
        installed: what is installed.
        may_patch: the setting.
    """
    forgets = forgets_pods(installed.profile, installed.release)
    if forgets and not may_patch:
        log.warning(
            "the router of the installed kthena does not find pods again after their ModelServer "
            "was deleted; set controller.touchPods of the chart, or upgrade kthena to v0.3.0"
        )
    if forgets is False and may_patch:
        log.info("the installed kthena finds pods by itself; controller.touchPods has no effect")
