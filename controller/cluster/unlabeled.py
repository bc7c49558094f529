"""Children that lost our label.

Informers select children by our label. A child whose label somebody removes looks deleted to them.
If the child is still wanted, the next pass applies it again. If it is not, no informer would ever
show it. So each child that disappears without a deletion of ours is read once. Children that lost
their label while no controller watched are listed when a controller starts to lead, and
periodically after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial

from app.apis.kinds import MODEL_BOOSTER, SELECTOR, WORKLOAD
from app.cache.records import Record
from app.errors import ApiError
from app.kube import Kube, is_unknown_kind
from app.model.ownership import owner_uids
from app.values.meta import Key, Object, Resource, is_terminating, key_of
from controller.cluster.indexed_stores import BOOSTER_INDEX
from controller.cluster.own_writes import ObjectRef

LABELED_SELECTOR = f"{SELECTOR}={WORKLOAD}"
"""Selects objects with our label."""

UNLABELED_SELECTOR = f"{SELECTOR}!={WORKLOAD}"
"""Selects objects without our label."""


class UnlabeledChildren:
    """Children that may exist without our label, by the uid of their ModelBooster.

    Args:
        booster_key: returns the key of the ModelBooster with a uid; None if there is none.
    """

    def __init__(self, booster_key: Callable[[str], Key | None]) -> None:
        self._booster_key = booster_key
        self._refs: dict[str, set[ObjectRef]] = {}

    def of(self, owner_uid: str) -> Set[ObjectRef]:
        """Returns the children that a ModelBooster may have without our label."""
        return self._refs.get(owner_uid, frozenset())

    def add(self, ref: ObjectRef, owner_uid: str) -> Key | None:
        """Adds a child that may exist.

        Returns:
            The key of its ModelBooster; None if that does not exist in the same namespace.
        """
        booster = self._booster_key(owner_uid)
        if booster is None or booster.namespace != ref[1].namespace:
            return None
        self._refs.setdefault(owner_uid, set()).add(ref)
        return booster

    def discard(self, ref: ObjectRef, owner_uids: Iterable[str]) -> None:
        """Removes a child, because its state is known again."""
        for owner_uid in owner_uids:
            refs = self._refs.get(owner_uid)
            if refs is not None:
                refs.discard(ref)
                if not refs:
                    del self._refs[owner_uid]

    def clear(self) -> None:
        """Removes every child."""
        self._refs.clear()

    def observe(
        self, resource: Resource, old: Record | None, new: Record | None, *, is_news: bool
    ) -> None:
        """Handles a watch event.

        Args:
            resource: kind of the object.
            old: the object before; None if it is new.
            new: the object after; None if it is gone.
            is_news: False if the event shows a write of this controller.
        """
        if resource is MODEL_BOOSTER:
            if new is None and old is not None:
                self._refs.pop(old.uid, None)  # the garbage collector removes its children
        elif new is not None:
            self.discard((resource.kind, new.key), indexed_owners(new))
        elif old is not None and is_news and not is_terminating(old.object):
            for uid in indexed_owners(old):
                self.add((resource.kind, old.key), uid)

    async def search(
        self, kube: Kube, kinds: Iterable[Resource], namespaces: Sequence[str | None]
    ) -> set[Key]:
        """Lists children without our label and adds them.

        Returns:
            The keys of their ModelBoosters.

        Raises:
            ApiError, Unreachable: the search is incomplete.
        """
        boosters: set[Key] = set()

        def take(resource: Resource, obj: Object) -> None:
            added = [self.add((resource.kind, key_of(obj)), uid) for uid in owner_uids(obj)]
            boosters.update(filter(None, added))

        for resource in kinds:
            for namespace in namespaces:
                try:
                    await kube.each(
                        resource,
                        partial(take, resource),
                        namespace=namespace,
                        label_selector=UNLABELED_SELECTOR,
                        only_metadata=True,
                    )
                except ApiError as exc:
                    if not is_unknown_kind(exc):  # the kind may have been removed meanwhile
                        raise
        return boosters


def indexed_owners(child: Record) -> list[str]:
    """Returns the uids of the ModelBoosters that a child may belong to."""
    return [uid for index, uid in child.entries if index == BOOSTER_INDEX]
