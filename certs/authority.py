"""Keeps a valid certificate authority in a Secret, for all replicas together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from app.cache.single import ObjectInformer
from app.errors import Conflict, NotFound
from app.kube import Kube
from certs.objects import MAX_WRITE_TRIES, SECRET, WebhookObjects, new_secret, pair_in, with_pair
from certs.pki import KeyPair
from certs.policy import wanted_authority

log = logging.getLogger(__name__)


class AuthoritySecret:
    """The Secret that holds the certificate authority.

    Replicas may write it at the same time. The resource version decides: one write succeeds, and
    the other replicas use what it stored.

    Args:
        kube: the API server.
        objects: names of the Secret and of its neighbours.
        changed: called after every change of the Secret.
    """

    def __init__(self, kube: Kube, objects: WebhookObjects, changed: Callable[[], None]) -> None:
        self._kube = kube
        self._objects = objects
        self.informer = ObjectInformer(kube, SECRET, objects.namespace, objects.secret, changed)

    def __str__(self) -> str:
        return str(self.informer)

    async def ensure(self, trusted: Callable[[], Iterable[bytes]], now: datetime) -> KeyPair:
        """Returns the authority of the Secret. Creates or replaces it first if it is not valid.

        Args:
            trusted: returns the PEM of every authority that is trusted outside of the Secret.
            now: the present time.

        Raises:
            ApiError, Unreachable: the Secret could not be written.
        """
        for tries_left in reversed(range(MAX_WRITE_TRIES)):
            secret = self.informer.object
            stored = pair_in(secret)
            wanted, why = wanted_authority(stored, trusted(), self._objects.names[0], now)
            if wanted is stored:
                return wanted
            try:
                if secret is None:
                    new = with_pair(new_secret(self._objects), wanted)
                    self.informer.put(await self._kube.create(SECRET, new))
                else:
                    new = with_pair(secret, wanted)
                    self.informer.put(await self._kube.replace(SECRET, new))
            except (Conflict, NotFound):  # another replica has written or deleted it
                if not tries_left:
                    raise
                await self.informer.refresh()
            else:
                log.info("wrote %s: %s", self, why)
                return wanted
        raise AssertionError("the last try returns or raises")
