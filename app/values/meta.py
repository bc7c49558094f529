"""What every Kubernetes object has: where it is kept, who owns it, how it is named.

Objects are plain dicts, as the API server sends them, and are never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Object = dict[str, Any]
"""JSON as the API server stores it. Read-only: copy before changing."""

IndexFunc = Callable[[Object], Iterable[str]]
"""Returns the values under which an index holds an object; named after client-go's."""


class Key(NamedTuple):
    """Names one namespaced object of a known kind; what the work queue holds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and where the API server keeps it.

    Args:
        group: API group; ``""`` for the core group.
        version: ``v1alpha1`` for instance.
        plural: the resource's name in a URL.
        kind: the kind's name.
        namespaced: False for kinds that stand outside of namespaces.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``group/version``, or just the version in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Returns the URL path of the collection, or of one object in it."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name is not None:
            parts.append(name)
        return "/" + "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def key_of(obj: Object) -> Key:
    """Returns where an object stands."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def uid_of(obj: Object) -> str:
    """Returns the object's uid, ``""`` if it has none yet."""
    uid: str = obj["metadata"].get("uid", "")
    return uid


def labels_of(obj: Object) -> dict[str, str]:
    """Returns the object's labels; an empty dict if there are none."""
    return obj["metadata"].get("labels") or {}


def is_terminating(obj: Object) -> bool:
    """Whether somebody has asked for the object's deletion."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def owner_references(obj: Object) -> Iterator[Object]:
    """Yields the object's owner references."""
    yield from obj["metadata"].get("ownerReferences") or ()
