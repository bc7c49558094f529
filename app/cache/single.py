"""An informer of one object, selected by its name."""

from __future__ import annotations

from collections.abc import Callable

from app.cache.informer import Informer
from app.cache.store import Store
from app.kube import Kube
from app.values.meta import Key, Object, Resource


class ObjectInformer:
    """Keeps one object up to date. The object may be created and deleted at any time.

    Args:
        kube: the API server.
        resource: the kind.
        namespace: None for a cluster-scoped kind.
        name: the object's name.
        changed: called after every change of ``object``.
    """

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        namespace: str | None,
        name: str,
        changed: Callable[[], None],
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.name = name
        self._kube = kube
        self._key = Key(namespace or "", name)
        self._field_selector = f"metadata.name={name}"
        self._store = Store(max_uncompressed=None)
        self._informer = Informer(
            kube,
            resource,
            self._store,
            lambda old, new: changed(),
            field_selector=self._field_selector,
            namespace=namespace,
            shape=lambda obj: obj,  # the object is sent back with PUT, so every field is kept
        )
        self.synced = self._informer.synced
        """Set once it is known whether the object exists."""

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name}"

    @property
    def object(self) -> Object | None:
        """The object as last seen; None if it does not exist.

        It may be out of date. Guard every write with its resource version.
        """
        return self._store.get(self._key)

    async def run(self) -> None:
        """Follows the object until it is cancelled."""
        await self._informer.run()

    def put(self, obj: Object) -> None:
        """Stores what a write returned, before the watch delivers it."""
        self._informer.put(obj)

    async def refresh(self) -> None:
        """Reads the object from the API server now.

        Raises:
            ApiError, Unreachable: it cannot be read.
        """
        listed = await self._kube.list(
            self.resource, namespace=self.namespace, field_selector=self._field_selector
        )
        if listed.items:
            self.put(listed.items[0])
        elif self.object is not None:
            self._informer.remove(self.object)
