"""The steps of a plan: what is done to one child."""

from __future__ import annotations

from dataclasses import dataclass

from app.apis.kinds import CHILDREN
from app.model.children import Desired
from app.values.meta import (
    Object,
    Resource,
)

NO_VERSION = "1"
"""Resource version that no object has: an apply that carries it creates or answers 409."""

RESOURCES: dict[str, Resource] = {resource.kind: resource for resource in CHILDREN}


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


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Fields that another manager holds must become ours first; then ``child`` is applied."""

    child: Desired


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object of this name, if it still has this uid."""

    resource: Resource
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Look:
    """A child that nobody wants any more may stand here out of sight; delete it if it does."""

    resource: Resource
    name: str


@dataclass(frozen=True, slots=True)
class Replace:
    """A field that cannot be changed must change: delete, then create."""

    delete: Delete
    create: Apply


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before this object is gone; ``ours`` if it is our own, on its way out."""

    resource: Resource
    name: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The name is taken by an object that is not ours."""

    resource: Resource
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


def named(resource: Resource, name: str) -> str:
    """Returns how a message calls an object."""
    return f'{resource.kind} "{name}"'
