"""What a verdict depends on besides the object: options, kthena's release, other objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from app.apis.kinds import DEFAULT_RELEASE, PROFILES, Profile
from app.convert.options import Options
from app.values.meta import Key, Object, Resource


class Lookup(Protocol):
    """Questions about other objects of the cluster, each answered from an index.

    Objects that are being deleted are left out of every answer. ``app.lookup`` answers them.
    """

    @property
    def ready(self) -> bool:
        """Whether everything that exists has been seen once."""

    def child(self, resource: Resource, key: Key) -> Object | None:
        """Returns the object of this kind and name, whoever made it."""

    def makers(self, resource: Resource, key: Key) -> Iterable[Object]:
        """Returns the ModelBoosters for which an object of this kind and name is made."""

    def routing(self, resource: Resource, model_name: str) -> Iterable[Object]:
        """Returns the objects of this kind, of all namespaces, that route a model."""

    def adapting(self, resource: Resource, name: str) -> Iterable[Object]:
        """Returns the objects of this kind, of all namespaces, that route an adapter."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a verdict depends on besides the object.

    Args:
        options: what the operator of the cluster chose.
        profile: shape of the child kinds; None as long as nobody knows, then the default's.
        lookup: questions about other objects; None if there is nobody to ask.
        replaced: what to say while another CustomResourceDefinition than ours is installed; None
            while ours is.
        namespaces: whose ModelBoosters are served; all if empty.
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
