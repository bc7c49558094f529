"""The order in which keys are served."""

from __future__ import annotations

from collections import OrderedDict

from app.values.meta import Key


class FairQueue:
    """Keys in the order in which they came, the namespaces taking turns."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._turns)

    def push(self, key: Key) -> None:
        """Puts a key behind all others of its namespace; it must not stand here already."""
        self._turns.setdefault(key.namespace, OrderedDict())[key] = None

    def pop(self) -> Key:
        """Takes out the first key of the namespace whose turn it is."""
        namespace, keys = next(iter(self._turns.items()))
        key, _ = keys.popitem(last=False)
        if keys:
            self._turns.move_to_end(namespace)
        else:
            del self._turns[namespace]
        return key

    def remove(self, key: Key) -> None:
        """Takes a key out before its turn."""
        keys = self._turns[key.namespace]
        del keys[key]
        if not keys:
            del self._turns[key.namespace]
