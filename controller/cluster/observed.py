"""Which live objects a pass compares with the desired children."""

from __future__ import annotations

from collections.abc import Iterable

from app.model.children import Desired
from app.values.meta import Object, key_of
from controller.cluster.mutation_cache import MutationCache
from controller.plan.actions import ChildRef


def observed_children(cache: MutationCache, uid: str, desired: Iterable[Desired]) -> list[Object]:
    """Returns all live children, and other objects with the name of a desired child.

    Args:
        cache: the cluster with our own writes.
        uid: uid of the ModelBooster.
        desired: its desired children.
    """
    found = {ChildRef.of_object(obj): obj for obj in cache.children(uid)}
    for child in desired:
        ref = ChildRef.of(child)
        if ref not in found:
            live = cache.get(child.resource, key_of(child.object))
            if live is not None:
                found[ref] = live
    return list(found.values())
