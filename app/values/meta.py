"""Kubernetes objects: their kinds, keys, labels and owners.

Objects are plain dicts, as the API server sends them. They are never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from app.values.value import hashable_value

Object = dict[str, Any]
"""JSON as the API server stores it. Read-only: copy before changing."""

IndexFunc = Callable[[Object], Iterable[str]]
"""Returns the values under which an index stores an object, like client-go's IndexFunc."""


class Key(NamedTuple):
    """Namespace and name of an object of a known kind; the items of the work queue."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@hashable_value
class Resource:
    """A kind and its place in the API, like client-go's GroupVersionResource.

    Args:
        group: API group; ``""`` for the core group.
        version: API version, for example ``v1alpha1``.
        plural: the resource's name in a URL.
        kind: the kind's name.
        namespaced: False for cluster-scoped kinds.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``group/version``, or only the version for the core group."""
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
    """Returns the namespace and name of an object."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def uid_of(obj: Object) -> str:
    """Returns the uid of an object; ``""`` if it has none yet."""
    uid: str = obj["metadata"].get("uid", "")
    return uid


def labels_of(obj: Object) -> dict[str, str]:
    """Returns the labels of an object; an empty dict if it has none."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """Returns the annotations of an object; an empty dict if it has none."""
    return obj["metadata"].get("annotations") or {}


def annotated(obj: Object, annotations: Mapping[str, str]) -> Object:
    """Returns an object with further annotations; they win over those that it has."""
    merged = {**annotations_of(obj), **annotations}
    return {**obj, "metadata": {**obj["metadata"], "annotations": merged}}


def is_terminating(obj: Object) -> bool:
    """Returns whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def owner_references(obj: Object) -> Iterator[Object]:
    """Yields the owner references of an object."""
    yield from obj["metadata"].get("ownerReferences") or ()
