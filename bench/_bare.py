"""The webhook without its logic, for what ``bench.at_once --bare`` measures beside the real one.

    python -m bench._bare webhook

It starts as the webhook does, with the same server, certificates and client. It decodes each review
and each event of the same watches, allows every review, and does nothing else: no rules, defaults
or warnings, no store and no index.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from unittest.mock import patch

from app.cache.informer import Informer
from app.kube import Kube
from app.metrics import Metrics
from app.validation import Context
from app.values.meta import Object
from modelbooster.cli.entry import run
from modelbooster.parts import webhook
from modelbooster.parts.lookup_cache import WITH_SPEC, LookupCache
from webhook.endpoint import Endpoint

WATCH_SECONDS = 300


def allow(review: Object) -> Object:
    """Allows whatever a review asks for."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": True},
    }


def bare_app(_context: Callable[[], Context], metrics: Metrics) -> Endpoint:
    return Endpoint(allow, metrics)


class Followed(LookupCache):
    """Reads what the lookup cache reads, and keeps nothing."""

    def __init__(
        self,
        kube: Kube,
        namespaces: Sequence[str],
        metrics: Metrics,
        read: Callable[[Object], None],
    ) -> None:
        super().__init__(kube, namespaces, metrics, read)
        self._kube = kube

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(self._follow(informer))

    async def _follow(self, informer: Informer) -> None:
        resource, only_metadata = informer.resource, informer.resource not in WITH_SPEC
        version = await self._kube.each(resource, id, only_metadata=only_metadata)
        informer.synced.set()
        while True:
            async for event in self._kube.watch(
                resource,
                resource_version=version,
                only_metadata=only_metadata,
                timeout_seconds=WATCH_SECONDS,
            ):
                version = event.object["metadata"]["resourceVersion"]


if __name__ == "__main__":
    # Everything else is the real program, so that only the logic makes the difference.
    with patch.multiple(webhook, webhook_app=bare_app, LookupCache=Followed):
        run()
