"""Questions about other objects, answered from the indexes of stores.

Rules across objects ask by name: who else is called so, who else makes an object of that name.
Each question is one look into an index, so an answer costs the same in a large cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from app.apis.kinds import AUTOSCALING_POLICY, MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from app.model.roles import SERVED_TYPES
from app.values.meta import IndexFunc, Key, Object, Resource, is_terminating, key_of
from app.values.untyped import as_dict, as_list


class Indexer(Protocol):
    """The objects of one kind, by key and by index."""

    def get(self, key: Key) -> Object | None:
        """Returns the object at a key, None if there is none."""

    def by(self, index: str, value: str) -> Iterable[Object]:
        """Returns the objects that an index holds under a value."""


def made_by(booster: Object) -> Iterator[str]:
    """Yields what a ModelBooster generates: ``<kind>/<namespace>/<name>``.

    A ModelServer is called like its ModelServing, a binding like its policy, and a ModelRoute like
    the ModelBooster itself, so these two kinds tell every clash. Objects that our schema would not
    accept generate what can be read of them.
    """
    namespace, name = key_of(booster)
    spec = as_dict(booster.get("spec"))
    policy = spec.get("autoscalingPolicy")
    several = spec.get("backends")
    if several is not None and policy:
        yield _made(AUTOSCALING_POLICY, Key(namespace, name))
    for backend in several if isinstance(several, list) else [spec.get("backend")]:
        entry = as_dict(backend)
        if entry.get("type") in SERVED_TYPES and isinstance(entry.get("name"), str):
            child = Key(namespace, f"{name}-{entry['name']}")
            yield _made(MODEL_SERVING, child)
            if entry.get("autoscalingPolicy") or (several is None and policy):
                yield _made(AUTOSCALING_POLICY, child)


def routed_by_booster(booster: Object) -> Iterator[str]:
    """Yields the name that clients ask for to reach this ModelBooster."""
    name = as_dict(booster.get("spec")).get("name")
    yield name if name and isinstance(name, str) else booster["metadata"]["name"]


def adapted_by_booster(booster: Object) -> Iterator[str]:
    """Yields the names of the LoRA adapters of a ModelBooster."""
    spec = as_dict(booster.get("spec"))
    several = spec.get("backends")
    for backend in several if isinstance(several, list) else [spec.get("backend")]:
        for adapter in as_list(as_dict(backend).get("loraAdapters")):
            if isinstance(name := as_dict(adapter).get("name"), str):
                yield name


def routed_by_route(route: Object) -> Iterator[str]:
    """Yields the model that a ModelRoute routes."""
    if isinstance(name := as_dict(route.get("spec")).get("modelName"), str):
        yield name


def adapted_by_route(route: Object) -> Iterator[str]:
    """Yields the adapters that a ModelRoute routes."""
    names = as_list(as_dict(route.get("spec")).get("loraAdapters"))
    yield from (name for name in names if isinstance(name, str))


INDEXES: Mapping[Resource, Mapping[str, IndexFunc]] = MappingProxyType(
    {
        MODEL_BOOSTER: {
            "made": made_by,
            "routed": routed_by_booster,
            "adapted": adapted_by_booster,
        },
        MODEL_ROUTE: {"routed": routed_by_route, "adapted": adapted_by_route},
    }
)
"""The indexes that the stores of these kinds must have."""


class StoreLookup:
    """Answers from stores; what is being deleted does not count.

    Args:
        stores: one for ModelBooster and one for each kind of child. A kind that is not installed
            has none, and nothing of it exists.
        ready: whether all of them have been filled.
    """

    def __init__(
        self, stores: Mapping[Resource, Indexer], ready: Callable[[], bool] = lambda: True
    ) -> None:
        self._stores = stores
        self._ready = ready

    @property
    def ready(self) -> bool:
        """Whether everything that exists has been seen once."""
        return self._ready()

    def child(self, resource: Resource, key: Key) -> Object | None:
        """Returns the object of this kind and name, whoever made it."""
        store = self._stores.get(resource)
        obj = store.get(key) if store else None
        return None if obj is None or is_terminating(obj) else obj

    def makers(self, resource: Resource, key: Key) -> Iterable[Object]:
        """Returns the ModelBoosters for which an object of this kind and name is made."""
        return self._by(MODEL_BOOSTER, "made", _made(resource, key))

    def routing(self, resource: Resource, model_name: str) -> Iterable[Object]:
        """Returns the objects of this kind, of all namespaces, that route a model."""
        return self._by(resource, "routed", model_name)

    def adapting(self, resource: Resource, name: str) -> Iterable[Object]:
        """Returns the objects of this kind, of all namespaces, that route an adapter."""
        return self._by(resource, "adapted", name)

    def _by(self, resource: Resource, index: str, value: str) -> list[Object]:
        store = self._stores.get(resource)
        found = store.by(index, value) if store else ()
        return [obj for obj in found if not is_terminating(obj)]


class FixedIndexer:
    """Objects of one kind that are all known from the start, for the command line.

    Args:
        objects: the objects; of several with one key the last counts.
        indexes: what they are to be found by.
    """

    def __init__(self, objects: Iterable[Object], indexes: Mapping[str, IndexFunc]) -> None:
        self._objects = {key_of(obj): obj for obj in objects}
        self._found: dict[tuple[str, str], list[Object]] = {}
        for name, index in indexes.items():
            for obj in self._objects.values():
                for value in index(obj):
                    self._found.setdefault((name, value), []).append(obj)

    def get(self, key: Key) -> Object | None:
        """Returns the object at a key, None if there is none."""
        return self._objects.get(key)

    def by(self, index: str, value: str) -> Iterable[Object]:
        """Returns the objects that an index holds under a value."""
        return self._found.get((index, value), ())


def lookup_among(boosters: Iterable[Object]) -> StoreLookup:
    """Returns the answers of a cluster that holds these ModelBoosters and nothing else.

    Args:
        boosters: each with ``metadata.name``; without a namespace they stand in ``default``.
    """
    placed = [{**obj, "metadata": {"namespace": "default", **obj["metadata"]}} for obj in boosters]
    return StoreLookup({MODEL_BOOSTER: FixedIndexer(placed, INDEXES[MODEL_BOOSTER])})


def _made(resource: Resource, key: Key) -> str:
    return f"{resource.kind}/{key}"
