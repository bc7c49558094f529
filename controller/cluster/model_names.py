"""Which objects claim the same model name. The oldest claim wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.cache.records import Record
from app.cache.store import Store
from app.lookup import model_name_of_booster, model_name_of_route
from app.model.ownership import is_booster_reference
from app.values.meta import Key, Object, Resource, is_terminating, key_of, owner_references
from controller.cluster.indexed_stores import ROUTED_INDEX, UID_INDEX
from controller.status.booster_status import is_settled

Claim = tuple[Resource, Object]
"""An object that routes a model name, and its kind."""


class ModelNames:
    """Finds objects by the model name that they route.

    Args:
        boosters: the stores of ModelBoosters.
        routes: the stores of ModelRoutes that the controller has not created.
        children: the stores of ModelRoutes that it has created.
    """

    def __init__(
        self, boosters: Sequence[Store], routes: Sequence[Store], children: Sequence[Store] = ()
    ) -> None:
        self._boosters = boosters
        self._routes = routes
        self._children = children

    def leaving_routes(self, key: Key, name: str) -> list[str]:
        """Returns the names of ModelRoutes that still have a model name, but are about to go.

        They are being deleted; their ModelBooster is gone or being deleted, so the garbage
        collector deletes them; or it was just renamed. The router of kthena v0.1.0 forgets a name
        when any ModelRoute with it is deleted, so no other one may use it before. If two
        ModelBoosters swap their names, the first one by key does not wait for the other.

        Args:
            key: key of the ModelBooster that wants the name; its own ModelRoute does not count.
            name: the model name.
        """
        routes = _routing([*self._children, *self._routes], key.namespace, [name])
        others = [record for record in routes if record.key != key]
        if not others:
            return []
        own = next((route for store in self._children if (route := store.get(key))), {})
        given_up = set(model_name_of_route(own)) - {name}
        return sorted(
            record.key.name
            for record in others
            if self._is_leaving(record.object, name, key, given_up)
        )

    def _is_leaving(self, route: Object, name: str, key: Key, given_up: set[str]) -> bool:
        """Whether a ModelRoute with a name goes soon, without waiting for our own to go first."""
        if is_terminating(route):
            return True
        refs = [ref for ref in owner_references(route) if is_booster_reference(ref)]
        owners = [
            record.object
            for store in self._boosters
            for ref in refs
            for record in store.by_index(UID_INDEX, str(ref.get("uid")))
        ]
        # A renamed owner that cannot be reconciled keeps its ModelRoute: do not wait for that.
        return bool(refs) and all(
            is_terminating(owner)
            or (
                name not in model_name_of_booster(owner)
                and not is_settled(owner)
                and (key > key_of(owner) or given_up.isdisjoint(model_name_of_booster(owner)))
            )
            for owner in owners
        )

    def other_claims(self, booster: Object) -> list[Claim]:
        """Returns every other object in the namespace that routes the same model name."""
        key, names = key_of(booster), list(model_name_of_booster(booster))
        routes = [
            route.object
            for route in _routing(self._routes, key.namespace, names)
            if route.key != key
        ]
        return [
            *((MODEL_BOOSTER, other.object) for other in self.other_boosters(key, names)),
            # A ModelRoute that lost our label still belongs to its ModelBooster.
            *(
                (MODEL_ROUTE, route)
                for route in routes
                if not any(map(is_booster_reference, owner_references(route)))
            ),
        ]

    def other_boosters(self, key: Key, names: Iterable[str]) -> Iterator[Record]:
        """Yields the ModelBoosters in the namespace with one of these model names, except one."""
        return (other for other in self.boosters(key.namespace, names) if other.key != key)

    def boosters(self, namespace: str, names: Iterable[str]) -> Iterator[Record]:
        """Yields the ModelBoosters in a namespace with one of these model names."""
        return _routing(self._boosters, namespace, names)


class OlderClaims:
    """Answers the rules about other objects as the controller applies them: older claims win.

    It answers nothing about names of generated objects. The API server settles those conflicts:
    the second create of a name fails.

    Args:
        booster: the ModelBooster that is checked.
        claims: every other object in the namespace that routes the same model name.
    """

    ready = True

    def __init__(self, booster: Object, claims: Iterable[Claim]) -> None:
        self.objects = sorted(
            (c for c in claims if not is_terminating(c[1]) and _age(c[1]) < _age(booster)),
            key=lambda claim: _age(claim[1]),
        )
        """Claims that are older than the ModelBooster, oldest first."""

    def routing(self, resource: Resource, model_name: str) -> Sequence[Object]:
        """Returns the objects of a kind with an older claim to this model name."""
        return [obj for kind, obj in self.objects if kind is resource]

    def child(self, resource: Resource, key: Key) -> None:
        """Returns None: see the class."""

    def makers(self, resource: Resource, key: Key) -> Sequence[Object]:
        """Returns nothing: see the class."""
        return ()

    def adapting(self, resource: Resource, name: str) -> Sequence[Object]:
        """Returns nothing: see the class."""
        return ()


def _age(obj: Object) -> tuple[str, str]:
    """Returns a sort key, oldest first; names break ties, because timestamps are whole seconds."""
    return str(obj["metadata"].get("creationTimestamp", "")), obj["metadata"]["name"]


def _routing(stores: Sequence[Store], namespace: str, names: Iterable[str]) -> Iterator[Record]:
    for name in names:
        for store in stores:
            for record in store.by_index(ROUTED_INDEX, name):
                if record.key.namespace == namespace:
                    yield record
