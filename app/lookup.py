"""Queries about other objects, answered from the indexes of stores.

Rules across objects query by name: which other objects have this name, or generate a child with it.
Each query reads one index, so its cost does not depend on the size of the cluster.
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
    """The objects of one kind, by key and by index; client-go calls this an Indexer."""

    def get(self, key: Key) -> Object | None:
        """Returns the object at a key, None if there is none."""

    def by(self, index: str, value: str) -> Iterable[Object]:
        """Returns the objects that have this value in an index."""


def generated_children(booster: Object) -> Iterator[str]:
    """Yields the children that a ModelBooster generates, as ``<kind>/<namespace>/<name>``.

    Only ModelServings and AutoscalingPolicies are needed to find every name conflict. A ModelServer
    has the name of its ModelServing, a binding that of its policy, and a ModelRoute that of the
    ModelBooster. Fields that our schema does not accept are skipped.
    """
    namespace, name = key_of(booster)
    spec = as_dict(booster.get("spec"))
    policy = spec.get("autoscalingPolicy")
    several = spec.get("backends")
    if several is not None and policy:
        yield _child_id(AUTOSCALING_POLICY, Key(namespace, name))
    for backend in several if isinstance(several, list) else [spec.get("backend")]:
        entry = as_dict(backend)
        if entry.get("type") in SERVED_TYPES and isinstance(entry.get("name"), str):
            child = Key(namespace, f"{name}-{entry['name']}")
            yield _child_id(MODEL_SERVING, child)
            if entry.get("autoscalingPolicy") or (several is None and policy):
                yield _child_id(AUTOSCALING_POLICY, child)


def model_name_of_booster(booster: Object) -> Iterator[str]:
    """Yields the model name that clients send to reach this ModelBooster."""
    name = as_dict(booster.get("spec")).get("name")
    yield name if name and isinstance(name, str) else booster["metadata"]["name"]


def adapters_of_booster(booster: Object) -> Iterator[str]:
    """Yields the names of the LoRA adapters of a ModelBooster."""
    spec = as_dict(booster.get("spec"))
    several = spec.get("backends")
    for backend in several if isinstance(several, list) else [spec.get("backend")]:
        for adapter in as_list(as_dict(backend).get("loraAdapters")):
            if isinstance(name := as_dict(adapter).get("name"), str):
                yield name


def model_name_of_route(route: Object) -> Iterator[str]:
    """Yields the model name of a ModelRoute."""
    if isinstance(name := as_dict(route.get("spec")).get("modelName"), str):
        yield name


def adapters_of_route(route: Object) -> Iterator[str]:
    """Yields the names of the LoRA adapters of a ModelRoute."""
    names = as_list(as_dict(route.get("spec")).get("loraAdapters"))
    yield from (name for name in names if isinstance(name, str))


INDEXES: Mapping[Resource, Mapping[str, IndexFunc]] = MappingProxyType(
    {
        MODEL_BOOSTER: {
            "child": generated_children,
            "model": model_name_of_booster,
            "adapter": adapters_of_booster,
        },
        MODEL_ROUTE: {"model": model_name_of_route, "adapter": adapters_of_route},
    }
)
"""The indexes that the stores of each kind must have."""


def text_of(index: str, value: str) -> str:
    """Returns a text that is in the JSON of each object with a value in an index of ``INDEXES``.

    Args:
        index: name of the index.
        value: the value.
    """
    if index != "child":
        return value
    # <kind>/<namespace>/<ModelBooster>-<backend>: both names may have hyphens. So the JSON has the
    # text before the first one.
    return value.rpartition("/")[2].partition("-")[0]


class StoreLookup:
    """Answers queries from stores, ignoring objects that are being deleted.

    Args:
        stores: one for ModelBooster and one for each kind of child. A kind without a store is not
            installed, so it has no objects.
        ready: returns whether all stores are synced.
    """

    def __init__(
        self, stores: Mapping[Resource, Indexer], ready: Callable[[], bool] = lambda: True
    ) -> None:
        self._stores = stores
        self._ready = ready

    @property
    def ready(self) -> bool:
        """Whether all stores are synced."""
        return self._ready()

    def child(self, resource: Resource, key: Key) -> Object | None:
        """Returns the object of this kind and name, whatever its owner; None if there is none."""
        store = self._stores.get(resource)
        obj = store.get(key) if store else None
        return None if obj is None or is_terminating(obj) else obj

    def makers(self, resource: Resource, key: Key) -> Iterable[Object]:
        """Returns the ModelBoosters that generate a child of this kind and name."""
        return self._by(MODEL_BOOSTER, "child", _child_id(resource, key))

    def routing(self, resource: Resource, model_name: str) -> Iterable[Object]:
        """Returns the objects of this kind, in all namespaces, that route a model name."""
        return self._by(resource, "model", model_name)

    def adapting(self, resource: Resource, name: str) -> Iterable[Object]:
        """Returns the objects of this kind, in all namespaces, that route a LoRA adapter."""
        return self._by(resource, "adapter", name)

    def _by(self, resource: Resource, index: str, value: str) -> list[Object]:
        store = self._stores.get(resource)
        found = store.by(index, value) if store else ()
        return [obj for obj in found if not is_terminating(obj)]


class FixedIndexer:
    """An indexer over a fixed set of objects of one kind, for the command line.

    Args:
        objects: the objects; the last one of each key wins.
        indexes: the index functions by name.
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
        """Returns the objects that have this value in an index."""
        return self._found.get((index, value), ())


def lookup_among(boosters: Iterable[Object]) -> StoreLookup:
    """Returns the lookup of a cluster that contains these ModelBoosters and nothing else.

    Args:
        boosters: each with ``metadata.name``; the namespace is ``default`` if absent.
    """
    placed = [{**obj, "metadata": {"namespace": "default", **obj["metadata"]}} for obj in boosters]
    return StoreLookup({MODEL_BOOSTER: FixedIndexer(placed, INDEXES[MODEL_BOOSTER])})


def _child_id(resource: Resource, key: Key) -> str:
    return f"{resource.kind}/{key}"
