"""Our own writes: what is under way, and what it made that no watch has shown yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.values.meta import Key, Object, Resource

ObjectRef = tuple[str, Key]
"""Kind and key: names one object."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a write made of an object: ``obj`` is None if it deleted the one with this uid."""

    place: ObjectRef
    owner: str
    uid: str
    obj: Object | None
    until: float


@dataclass(slots=True)
class InflightWrite:
    """A write that is under way, and what the watch shows of its object meanwhile.

    Args:
        resource: kind of the object.
        key: its key.
        booster: where the ModelBooster stands for which it is written.
        owner: the uid of that.
        deleted: uid of the object that is known to be gone by it, ``""`` if none is.
        answer: version that the write made, as soon as that is known.
        versions: versions that the watch has shown.
        gone: uids that it has shown to be gone.
    """

    resource: Resource
    key: Key
    booster: Key
    owner: str
    deleted: str = ""
    answer: str = ""
    versions: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    @property
    def place(self) -> ObjectRef:
        """Which object is written."""
        return self.resource.kind, self.key

    @property
    def is_overtaken(self) -> bool:
        """Whether somebody else has done something to the object meanwhile."""
        return bool(self.versions - {self.answer} or self.gone - {self.deleted})


OnConcurrentChange = Callable[[InflightWrite], None]
"""Told of a write that has ended, if something else happened to its object meanwhile."""


def ignore_concurrent_change(write: InflightWrite) -> None:
    """For a view that nobody writes through."""
