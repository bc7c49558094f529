"""The controller's stores: by what the objects of each kind are found, and what is kept of them."""

from __future__ import annotations

from functools import lru_cache

from app.apis.definition import is_whole
from app.apis.kinds import MODEL_BOOSTER
from app.cache.records import IndexFunc
from app.cache.store import Store
from app.lookup import routed_by_booster, routed_by_route
from app.model.children import owner_uids
from app.values.meta import Object, Resource, uid_of
from controller.status.pods import POD, model_uid

BOOSTER_INDEX = "booster"
"""Of children and pods: the uids of the ModelBoosters that they may belong to."""

UID_INDEX = "uid"
"""Of ModelBoosters: their own uid."""

ROUTED_INDEX = "routed"
"""Of ModelBoosters and of others' ModelRoutes: the name that clients ask for."""

Conditions = tuple[tuple[str, str], ...]
"""Type and status of every condition of a ModelBooster."""


def store_of(resource: Resource) -> Store:
    """Returns an empty store for a kind."""
    if resource is POD:  # of which only a small record is kept anyway
        return Store({BOOSTER_INDEX: lambda record: [model_uid(record)]}, max_uncompressed=None)
    if resource is not MODEL_BOOSTER:
        return Store({BOOSTER_INDEX: owner_uids})
    indexes: dict[str, IndexFunc] = {
        UID_INDEX: lambda obj: [uid_of(obj)],
        ROUTED_INDEX: routed_by_booster,
    }
    return Store(indexes, facts=_conditions, whole=is_whole)


def store_of_others_routes() -> Store:
    """Returns an empty store for ModelRoutes that we have not made."""
    return Store({ROUTED_INDEX: routed_by_route})


def _conditions(booster: Object) -> Conditions:
    """Returns what every scrape asks about all ModelBoosters."""
    conditions = (booster.get("status") or {}).get("conditions") or ()
    return _shared(tuple((str(c.get("type")), str(c.get("status"))) for c in conditions))


@lru_cache(maxsize=64)
def _shared(conditions: Conditions) -> Conditions:
    """Returns the same one for all who are in the same state: they are many, in few states."""
    return conditions
