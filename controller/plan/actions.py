"""The steps of a plan: what is done to one child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from app.apis.kinds import CHILDREN
from app.model.children import Desired
from app.values.meta import (
    Object,
    Resource,
)

NO_VERSION = "1"
"""Resource version that no object has: an apply that carries it creates or answers 409."""

RESOURCES: dict[str, Resource] = {resource.kind: resource for resource in CHILDREN}


class ChildRef(NamedTuple):
    """Names a child of a ModelBooster, within the namespace of both."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}"'


@dataclass(frozen=True, slots=True)
class Apply:
    """Send a child.

    Args:
        child: the child as conversion makes it.
        body: what is sent: the child with its guards.
        old: what stands there now; None if nothing does.
    """

    child: Desired
    body: Object
    old: Object | None

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ref_of(self.child)


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Fields that another manager holds must become ours first; then ``child`` is applied."""

    child: Desired

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ref_of(self.child)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object of this name, if it still has this uid."""

    resource: Resource
    name: str
    uid: str

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ChildRef(self.resource.kind, self.name)


@dataclass(frozen=True, slots=True)
class Look:
    """A child that nobody wants any more may stand here out of sight; delete it if it does."""

    resource: Resource
    name: str

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ChildRef(self.resource.kind, self.name)


@dataclass(frozen=True, slots=True)
class Replace:
    """A field that cannot be changed must change: delete, then create."""

    delete: Delete
    create: Apply

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return self.create.ref


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before this object is gone; ``ours`` if it is our own, on its way out."""

    ref: ChildRef
    ours: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The name is taken by an object that is not ours."""

    ref: ChildRef
    live: Object


Write = Apply | TakeOver | Replace

Step = Write | Wait | Taken


@dataclass(frozen=True, slots=True)
class Plan:
    """One pass's work: the steps for what is wanted, in order, and the deletes of what is not."""

    steps: tuple[Step, ...]
    deletes: tuple[Delete | Look, ...]

    def __bool__(self) -> bool:
        return bool(self.steps or self.deletes)


def ref_of(child: Desired) -> ChildRef:
    """Returns the reference to a desired child."""
    return ChildRef(child.resource.kind, child.name)


def ref_of_object(child: Object) -> ChildRef:
    """Returns the reference to a live child."""
    return ChildRef(child["kind"], child["metadata"]["name"])
