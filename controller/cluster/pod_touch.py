"""Makes the router of old kthena releases take up pods again.

Up to v0.2.0 the router forgets the pods of a ModelServer that is deleted, and takes up a pod only
when the pod changes. So it answers 404 for ever after somebody deleted a ModelServer, although it
was created again. An annotation on each pod that is older than its ModelServer is such a change.
"""

from __future__ import annotations

import logging

from app.apis.kinds import MODEL_SERVER, POD_SERVER
from app.errors import ApiError, NotFound, Unreachable
from app.kube import Kube
from app.model.forms import Model
from app.model.names import backend_child_name
from app.model.roles import served
from app.values.meta import Key, Object, key_of, uid_of
from controller.cluster.mutation_cache import MutationCache
from controller.status.pod_records import POD, backend_name

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0


class PodToucher:
    """Annotates pods with the uid of their ModelServer, if that is younger than they are.

    Args:
        kube: the API server.
        cache: the cluster with our own writes.
    """

    def __init__(self, kube: Kube, cache: MutationCache) -> None:
        self._kube = kube
        self._cache = cache
        self._sent: dict[str, str] = {}  # uid of the ModelServer by uid of the pod, until it shows

    async def touch(self, booster: Object, model: Model) -> float | None:
        """Annotates the pods of a ModelBooster that need it, once each.

        Returns:
            After how many seconds to try again; None if nothing failed.
        """
        servers = {}
        for backend in served(model):
            key = Key(model.namespace, backend_child_name(model, backend))
            if server := self._cache.get(MODEL_SERVER, key):
                servers[backend.name] = server
        wait = None
        for pod in list(self._cache.pods(booster)):
            server = servers.get(backend_name(pod))
            if server is not None and self._needs_touch(pod, server):
                try:
                    await self._annotate(pod, uid_of(server))
                except (ApiError, Unreachable) as exc:
                    log.warning("pod %s keeps unknown to the router: %s", key_of(pod), exc)
                    wait = RETRY_SECONDS
        return wait

    def _needs_touch(self, pod: Object, server: Object) -> bool:
        uid, wanted = uid_of(pod), uid_of(server)
        if pod["server"] == wanted:
            self._sent.pop(uid, None)
            return False
        made = str(server["metadata"].get("creationTimestamp", ""))
        # Both are RFC 3339 in UTC with whole seconds.
        return "" < pod["created"] < made and self._sent.get(uid) != wanted

    async def _annotate(self, pod: Object, server: str) -> None:
        key = key_of(pod)
        patch = {"metadata": {"uid": uid_of(pod), "annotations": {POD_SERVER: server}}}
        try:
            await self._kube.merge_patch(POD, *key, patch)
        except NotFound:
            return  # it is gone
        self._sent[uid_of(pod)] = server
