"""Who else is called what a ModelBooster is called: of several, the oldest keeps the name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.apis.meta import Key, Object, Resource, is_terminating

Rival = tuple[Resource, Object]
"""An object that clients reach by the same name, and its kind."""


class Elders:
    """Answers the questions of the rules across objects, as the controller has to see them.

    Clashes of generated names are no question here: the API server settles them, when the second
    child of that name is to be created.

    Args:
        booster: who asks.
        rivals: whatever else of the namespace clients reach by the same name, with its kind:
            ModelBoosters, and ModelRoutes that somebody else made.
    """

    ready = True

    def __init__(self, booster: Object, rivals: Iterable[Rival]) -> None:
        self.objects = sorted(
            (r for r in rivals if not is_terminating(r[1]) and _age(r[1]) < _age(booster)),
            key=lambda rival: _age(rival[1]),
        )
        """Those whose claim goes before."""

    def routing(self, resource: Resource, model_name: str) -> Sequence[Object]:
        """Returns the objects of a kind that clients reach by this name, and that were first."""
        return [obj for kind, obj in self.objects if kind is resource]

    def child(self, resource: Resource, key: Key) -> None:
        """Nothing is known here."""

    def makers(self, resource: Resource, key: Key) -> Sequence[Object]:
        """Nothing is known here."""
        return ()

    def adapting(self, resource: Resource, name: str) -> Sequence[Object]:
        """Nothing is known here."""
        return ()


def _age(obj: Object) -> tuple[str, str]:
    """What orders objects by age; the server tells it in whole seconds, so names help out."""
    return str(obj["metadata"].get("creationTimestamp", "")), obj["metadata"]["name"]
