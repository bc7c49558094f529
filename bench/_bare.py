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

import orjson

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_ROUTE
from app.kube import Kube
from app.metrics import Metrics
from app.values.meta import Object, Resource
from modelbooster.cli.entry import run
from modelbooster.parts import webhook
from modelbooster.parts.lookup_cache import LookupCache
from webhook.body import decode_review
from webhook.reply import Reply
from webhook.request import Application, Message, Receive, Send, send_reply

WATCH_SECONDS = 300

_JSON = ((b"content-type", b"application/json"),)


async def allow(scope: Message, receive: Receive, send: Send) -> None:
    """Allows whatever a review asks for."""
    request = decode_review((await receive())["body"])["request"]
    answer = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": request["uid"], "allowed": True},
    }
    await send_reply(Reply(200, _JSON, orjson.dumps(answer)), send)


def bare_app(*_: object) -> Application:
    return allow


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
            for resource in (MODEL_BOOSTER, *CHILDREN):
                group.create_task(self._follow(resource))

    async def _follow(self, resource: Resource) -> None:
        only_metadata = resource not in (MODEL_BOOSTER, MODEL_ROUTE)
        version = await self._kube.each(resource, id, only_metadata=only_metadata)
        for informer in self._informers:
            if informer.resource is resource:
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
    with patch.multiple(webhook, webhook_app=bare_app, LookupCache=Followed):
        run()
