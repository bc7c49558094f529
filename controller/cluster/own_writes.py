"""Writes of this controller: those in flight, and their results that no watch has shown yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.values.meta import Key, Object, Resource, uid_of
from app.values.value import value

ObjectRef = tuple[str, Key]
"""Kind and key of one object."""


@value
class Expectation:
    """The result of a write that the watch has still to show.

    Args:
        ref: the object.
        owner_uid: uid of the ModelBooster that it was written for.
        object_uid: uid of the object.
        obj: the object as the server returned it; None if the write deleted it.
        expires_at: when to trust the store again, in seconds of the caller's clock.
    """

    ref: ObjectRef
    owner_uid: str
    object_uid: str
    obj: Object | None
    expires_at: float

    def is_older_than(self, shown: Object) -> bool:
        """Whether the watch has shown a later state: the same object with a higher generation."""
        if self.obj is None or uid_of(shown) != self.object_uid:
            return False
        return _generation(shown) > _generation(self.obj)


def _generation(obj: Object) -> int:
    generation: int = obj["metadata"].get("generation", 0)
    return generation


@dataclass(slots=True)
class InflightWrite:
    """A write in flight, and the watch events of its object meanwhile.

    Args:
        resource: kind of the object.
        key: key of the object.
        booster: key of the ModelBooster that it is written for.
        owner_uid: uid of that ModelBooster.
        deleted_uid: uid of the object that the write deleted; ``""`` for none.
        version_before: resource version that the store had at the start; ``""`` for none.
        written_version: resource version that the write returned; ``""`` until it is known.
        seen_versions: resource versions that the watch has shown.
        seen_deletions: uids whose deletion the watch has shown.
    """

    resource: Resource
    key: Key
    booster: Key
    owner_uid: str
    deleted_uid: str = ""
    version_before: str = ""
    written_version: str = ""
    seen_versions: set[str] = field(default_factory=set)
    seen_deletions: set[str] = field(default_factory=set)

    @property
    def ref(self) -> ObjectRef:
        """The object that is written."""
        return self.resource.kind, self.key

    @property
    def has_concurrent_change(self) -> bool:
        """Whether the watch has shown a change that this write did not make."""
        return bool(
            self.seen_versions - {self.written_version} or self.seen_deletions - {self.deleted_uid}
        )


OnConcurrentChange = Callable[[InflightWrite], None]
"""Called with a write that has ended, if something else changed its object meanwhile."""


def ignore_concurrent_change(write: InflightWrite) -> None:
    """For a cache that is only read."""
