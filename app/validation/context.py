"""What a verdict depends on besides the object: options, kthena's release, other objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Protocol

from app.apis.kinds import DEFAULT_RELEASE, PROFILES, Profile
from app.convert.options import Options
from app.values.meta import Key, Object, Resource
from app.values.value import value


class Lookup(Protocol):
    """Finds other objects of the cluster in indexes.

    Leaves out objects that are being deleted. ``app.lookup`` implements it.
    """

    @property
    def ready(self) -> bool:
        """Whether the initial lists have been read."""

    def child(self, resource: Resource, key: Key) -> Object | None:
        """Returns the object of this kind and name, with any owner; None if there is none."""

    def makers(self, resource: Resource, key: Key) -> Iterable[Object]:
        """Returns the ModelBoosters that have a child of this kind and name."""

    def routing(self, resource: Resource, model_name: str) -> Iterable[Object]:
        """Returns the objects of this kind, in all namespaces, that route a model."""

    def adapting(self, resource: Resource, name: str) -> Iterable[Object]:
        """Returns the objects of this kind, in all namespaces, that route an adapter."""


@value
class Context:
    """What a verdict depends on besides the object.

    Args:
        options: the settings of the cluster operator.
        profile: profile of the child kinds; None while the kthena release is unknown, and then the
            default release's profile applies.
        lookup: finds other objects; None if there is no cluster to ask.
        replaced: the error message while a foreign CustomResourceDefinition is installed; None
            while ours is.
        namespaces: the namespaces whose ModelBoosters are served; all if empty.
    """

    options: Options = field(default_factory=Options)
    profile: Profile | None = None
    lookup: Lookup | None = None
    replaced: str | None = None
    namespaces: tuple[str, ...] = ()

    @property
    def release_profile(self) -> Profile:
        """The profile to convert for."""
        return self.profile or PROFILES[DEFAULT_RELEASE]
