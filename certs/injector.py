"""Writes the CA bundle into the webhook configurations, as cert-manager's cainjector does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from app.cache.single import ObjectInformer
from app.errors import Conflict, NotFound
from app.kube import Kube
from app.values.meta import Resource
from certs.objects import MAX_WRITE_TRIES, bundle_patch, bundles_in, calls_us, is_of_others

log = logging.getLogger(__name__)


class BundleInjector:
    """Writes the CA bundle into our entries of one webhook configuration.

    Args:
        kube: the API server.
        resource: ``VALIDATING`` or ``MUTATING``.
        name: name of the configuration.
        changed: called after every change of the configuration.
    """

    def __init__(
        self, kube: Kube, resource: Resource, name: str, changed: Callable[[], None]
    ) -> None:
        self._kube = kube
        self.informer = ObjectInformer(kube, resource, None, name, changed)

    def __str__(self) -> str:
        return str(self.informer)

    def bundles(self) -> Iterator[bytes]:
        """Yields the CA bundles that our entries hold now."""
        return bundles_in(self.informer.object)

    async def inject(self, bundle: bytes) -> str | None:
        """Writes the bundle where it is missing.

        Args:
            bundle: PEM of the authorities to trust.

        Returns:
            Why the configuration cannot hold the bundle, None if it does.

        Raises:
            ApiError, Unreachable: the bundle could not be written.
        """
        for tries_left in reversed(range(MAX_WRITE_TRIES)):
            configuration = self.informer.object
            if configuration is None:
                return f"{self} does not exist"
            if not calls_us(configuration):
                return f"{self} has no entry that calls us"
            if is_of_others(configuration):
                return f"{self} gets its CA bundle from elsewhere"
            patch = bundle_patch(configuration, bundle)
            if not patch:
                break
            resource, name = self.informer.resource, self.informer.name
            try:
                self.informer.put(await self._kube.json_patch(resource, None, name, patch))
            except (Conflict, NotFound):
                if not tries_left:
                    raise
                await self.informer.refresh()
            else:
                log.info("wrote the CA bundle into %s", self)
                break
        return None
