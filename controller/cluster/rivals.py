"""Who else is called what a ModelBooster is called: of several, the oldest keeps the name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.cache.records import Record
from app.cache.store import Store
from app.lookup import routed_by_booster
from app.model.children import is_booster_reference
from app.values.meta import Key, Object, Resource, is_terminating, key_of, owner_references
from controller.cluster.stores import ROUTED_INDEX

Rival = tuple[Resource, Object]
"""An object that clients reach by the same name, and its kind."""


class Names:
    """Finds who is called what.

    Args:
        boosters: the stores of ModelBoosters.
        routes: the stores of ModelRoutes that we have not made.
    """

    def __init__(self, boosters: Sequence[Store], routes: Sequence[Store]) -> None:
        self._boosters = boosters
        self._routes = routes

    def rivals(self, booster: Object) -> list[Rival]:
        """Returns whatever else of the namespace clients reach by the same name."""
        here, names = key_of(booster), list(routed_by_booster(booster))
        routes = [
            route.object
            for route in _named(self._routes, here.namespace, names)
            if route.key != here
        ]
        return [
            *((MODEL_BOOSTER, other.object) for other in self.others(here, names)),
            # A route that has lost our label still speaks for its ModelBooster.
            *(
                (MODEL_ROUTE, route)
                for route in routes
                if not any(map(is_booster_reference, owner_references(route)))
            ),
        ]

    def others(self, here: Key, names: Iterable[str]) -> Iterator[Record]:
        """Yields the other ModelBoosters of a namespace that clients ask for by one of these."""
        return (other for other in self.called(here.namespace, names) if other.key != here)

    def called(self, namespace: str, names: Iterable[str]) -> Iterator[Record]:
        """Yields the ModelBoosters of a namespace that clients ask for by one of these names."""
        return _named(self._boosters, namespace, names)


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


def _named(stores: Sequence[Store], namespace: str, names: Iterable[str]) -> Iterator[Record]:
    for name in names:
        for store in stores:
            for record in store.by_index(ROUTED_INDEX, name):
                if record.key.namespace == namespace:
                    yield record
