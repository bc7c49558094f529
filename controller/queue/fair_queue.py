"""A queue of keys that is fair between namespaces."""

from __future__ import annotations

from collections import OrderedDict

from app.values.meta import Key


class FairQueue:
    """Keys in order of arrival within a namespace, round-robin between namespaces."""

    def __init__(self) -> None:
        self._by_namespace: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._by_namespace)

    def push(self, key: Key) -> None:
        """Adds a key at the end of its namespace; it must not be queued already."""
        self._by_namespace.setdefault(key.namespace, OrderedDict())[key] = None

    def pop(self) -> Key:
        """Removes the first key of the next namespace and returns it."""
        namespace, keys = next(iter(self._by_namespace.items()))
        key, _ = keys.popitem(last=False)
        if keys:
            self._by_namespace.move_to_end(namespace)
        else:
            del self._by_namespace[namespace]
        return key

    def remove(self, key: Key) -> None:
        """Removes a key."""
        keys = self._by_namespace[key.namespace]
        del keys[key]
        if not keys:
            del self._by_namespace[key.namespace]
