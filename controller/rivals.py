"""Who else is called what a ModelBooster is called: of several, the oldest keeps the name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.apis.children import MODEL_BOOSTER
from app.apis.meta import Key, Object, Resource, is_terminating


class Elders:
    """Answers the questions of the rules across objects, as the controller has to see them.

    Clashes of generated names are no question here: the API server settles them, when the second
    child of that name is to be created.

    Args:
        booster: who asks.
        rivals: the others of the namespace that clients ask for by the same name.
    """

    ready = True

    def __init__(self, booster: Object, rivals: Iterable[Object]) -> None:
        self.objects = sorted(
            (o for o in rivals if not is_terminating(o) and _age(o) < _age(booster)), key=_age
        )
        """Those whose claim goes before."""

    def routing(self, resource: Resource, model_name: str) -> Sequence[Object]:
        """Returns the ModelBoosters that clients ask for by this name, and that were first."""
        return self.objects if resource is MODEL_BOOSTER else ()

    def child(self, resource: Resource, key: Key) -> None:
        """Nothing is known here."""

    def makers(self, resource: Resource, key: Key) -> Sequence[Object]:
        """Nothing is known here."""
        return ()

    def adapting(self, resource: Resource, name: str) -> Sequence[Object]:
        """Nothing is known here."""
        return ()


def _age(booster: Object) -> tuple[str, str]:
    """What orders ModelBoosters by age; the server tells it in whole seconds, so names help out."""
    return str(booster["metadata"].get("creationTimestamp", "")), booster["metadata"]["name"]
