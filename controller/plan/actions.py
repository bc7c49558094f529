"""The types of a plan: one action per child.

Every action has a ``ref``, which names its child in messages, failures and results.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from app.apis.kinds import CHILDREN
from app.model.children import Desired
from app.values.meta import Object, Resource
from app.values.value import value

NO_VERSION = "1"
"""A resource version that no object has. An apply with it creates the object, or fails with 409."""

RESOURCES: dict[str, Resource] = {resource.kind: resource for resource in CHILDREN}


class ChildRef(NamedTuple):
    """Kind and name of a child. Its namespace is that of the ModelBooster."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}"'

    @classmethod
    def of(cls, child: Desired) -> ChildRef:
        """Returns the reference to a desired child."""
        return cls(child.resource.kind, child.name)

    @classmethod
    def of_object(cls, child: Object) -> ChildRef:
        """Returns the reference to a live child."""
        return cls(child["kind"], child["metadata"]["name"])


@value
class Apply:
    """Apply a child (server-side apply).

    Args:
        child: the child as conversion makes it.
        body: the request body: the child and the preconditions of the write.
        live: the object that exists; None if the child is created.
    """

    child: Desired
    body: Object
    live: Object | None

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ChildRef.of(self.child)


@value
class TakeOver:
    """Take over fields from other field managers, then apply the child."""

    child: Desired

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ChildRef.of(self.child)


@value
class Delete:
    """Delete the object with this name and uid."""

    resource: Resource
    name: str
    uid: str

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ChildRef(self.resource.kind, self.name)


@value
class DeleteUnlabeled:
    """Read a child that may have lost our label, and delete it if it is obsolete.

    Informers select children by that label, so no store can tell whether the child exists.
    """

    resource: Resource
    name: str

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ChildRef(self.resource.kind, self.name)


@value
class Recreate:
    """Delete a child and create it again, because an immutable field has to change."""

    delete: Delete
    create: Apply

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return self.create.ref


@value
class WaitForDeletion:
    """Wait until the object with the child's name is deleted.

    Args:
        ref: the child.
        is_ours: True if the object is a terminating child of this ModelBooster, False if it
            belongs to a deleted ModelBooster with the same name.
    """

    ref: ChildRef
    is_ours: bool


@value
class NameConflict:
    """Report that the name of a child is used by an object that is not ours.

    Args:
        ref: the child.
        live: the other object.
    """

    ref: ChildRef
    live: Object


ChildAction = Apply | TakeOver | Recreate | WaitForDeletion | NameConflict
"""What a pass does about one desired child."""

Deletion = Delete | DeleteUnlabeled
"""What a pass does about one obsolete child."""


@value
class Plan:
    """The actions of one pass; false if there are none.

    Args:
        actions: for the desired children, in the order of conversion.
        deletions: for obsolete children.
    """

    actions: tuple[ChildAction, ...]
    deletions: tuple[Deletion, ...]

    def __bool__(self) -> bool:
        return bool(self.actions or self.deletions)


def of_kind(resource: Resource, objects: Iterable[Object]) -> dict[str, Object]:
    """Returns the objects of a kind by name."""
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == resource.kind}
