"""What an informer knows: objects by key, and indexes to find them by.

The informer writes, all others read. An object in here is never changed in place, and neither are
the dicts that hold them while somebody reads: a swap puts new ones in their place at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from app.apis.meta import Key, Object, key_of, owner_references, uid_of

Index = Callable[[Object], Iterable[str]]
"""Says under which values an object is to be found."""

_REMEMBERED = 4096
"""How many names and uids of removed objects are kept; events that old have long been delivered."""


class Change(NamedTuple):
    """What happened to an object: ``old`` is None if it is new, ``new`` if it is gone."""

    old: Object | None
    new: Object | None


def owners(obj: Object) -> Iterable[str]:
    """The uids of all owners, controllers or not."""
    return [ref.get("uid", "") for ref in owner_references(obj)]


class Store:
    """Objects of one kind.

    Args:
        indexes: by name, what objects are to be found by; ``owner`` is always there.
    """

    def __init__(self, indexes: Mapping[str, Index] | None = None) -> None:
        self._rules: dict[str, Index] = {"owner": owners, **(indexes or {})}
        self._objects: dict[Key, Object] = {}
        self._found: dict[str, dict[str, dict[Key, Object]]] = {name: {} for name in self._rules}
        self._removed: OrderedDict[Key, str] = OrderedDict()  # the uid that had the name last
        self._dead: OrderedDict[str, None] = OrderedDict()  # uids whose name another object has

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, key: Key) -> Object | None:
        """Returns the object at a key, None if there is none."""
        return self._objects.get(key)

    def all(self) -> Collection[Object]:
        """Returns every object."""
        return self._objects.values()

    def by(self, index: str, value: str) -> list[Object]:
        """Returns the objects that an index holds under a value.

        Raises:
            KeyError: the store has no such index.
        """
        return list(self._found[index].get(value, {}).values())

    def by_owner(self, uid: str) -> list[Object]:
        """Returns the objects with an owner reference to this uid."""
        return self.by("owner", uid)

    def versions(self, namespace: str | None = None) -> dict[str, str]:
        """Returns the resource version of every object, or of those in a namespace, by uid."""
        return {
            uid_of(obj): obj["metadata"]["resourceVersion"]
            for key, obj in self._objects.items()
            if namespace in (None, key.namespace)
        }

    def put(self, obj: Object) -> list[Change]:
        """Takes in an object as it is now, and returns what that changes.

        Nothing changes if it stands here already, or if another object has taken its name since:
        then the news is old. A new uid under an old name is a deletion and an addition. (An object
        that was removed may come back, for it may just have lost the label that we select by.)
        """
        key, uid = key_of(obj), uid_of(obj)
        if uid in self._dead:
            return []
        old = self._objects.get(key)
        changes = [Change(None, obj)]
        if old is not None and uid_of(old) == uid:
            if _is_same(old, obj):
                return []
            changes = [Change(old, obj)]
        elif old is not None:
            changes = [Change(old, None), Change(None, obj)]
        if old is not None:
            self._take_out(key, old)
        self._succeed(key, uid)
        self._objects[key] = obj
        _enter(self._rules, self._found, key, obj)
        return changes

    def remove(self, obj: Object) -> list[Change]:
        """Takes an object out, unless another one has its name by now."""
        key, uid = key_of(obj), uid_of(obj)
        old = self._objects.get(key)
        if old is None or uid_of(old) != uid:
            return []
        self._take_out(key, old)
        return [Change(old, None)]

    def replace(self, objects: Iterable[Object], namespace: str | None = None) -> list[Change]:
        """Puts a new listing in place of what stood here, at once for all who read.

        Args:
            objects: everything that exists.
            namespace: what the listing covers; None for all namespaces. What lies outside stays.

        Returns:
            What that changes, the objects that vanished first, with their last known state.
        """
        before = self._objects
        after = {key: obj for key, obj in before.items() if namespace not in (None, key.namespace)}
        added: list[Change] = []
        for listed in objects:
            key, uid = key_of(listed), uid_of(listed)
            if uid in self._dead:
                continue
            old = before.get(key)
            if old is not None and uid_of(old) == uid and _is_same(old, listed):
                after[key] = old
                continue
            after[key] = listed
            added.append(Change(old if old is not None and uid_of(old) == uid else None, listed))
        gone: list[Change] = []
        for key, old in before.items():
            if key not in after or uid_of(after[key]) != uid_of(old):
                gone.append(Change(old, None))
                self._note_removed(key, uid_of(old))
        found: dict[str, dict[str, dict[Key, Object]]] = {name: {} for name in self._rules}
        for key, obj in after.items():
            self._succeed(key, uid_of(obj))
            _enter(self._rules, found, key, obj)
        self._objects, self._found = after, found
        return gone + added

    def _take_out(self, key: Key, obj: Object) -> None:
        del self._objects[key]
        for name, rule in self._rules.items():
            for value in rule(obj):
                at = self._found[name].get(value, {})
                at.pop(key, None)
                if not at:
                    self._found[name].pop(value, None)
        self._note_removed(key, uid_of(obj))

    def _note_removed(self, key: Key, uid: str) -> None:
        self._removed[key] = uid
        if len(self._removed) > _REMEMBERED:
            self._removed.popitem(last=False)

    def _succeed(self, key: Key, uid: str) -> None:
        """Notes that the object which had the name before this one is gone for good."""
        before = self._removed.pop(key, uid)
        if before != uid:
            self._dead[before] = None
            if len(self._dead) > _REMEMBERED:
                self._dead.popitem(last=False)


def _enter(
    rules: Mapping[str, Index],
    found: dict[str, dict[str, dict[Key, Object]]],
    key: Key,
    obj: Object,
) -> None:
    for name, rule in rules.items():
        for value in rule(obj):
            found[name].setdefault(value, {})[key] = obj


def _is_same(old: Object, new: Object) -> bool:
    """Whether both are the same version; versions can be told apart, but not put in order."""
    same: bool = old["metadata"].get("resourceVersion") == new["metadata"].get("resourceVersion")
    return same
