"""Children that we have lost sight of.

Informers select children by our label. To them, one whose label somebody takes away looks deleted.
If it is still wanted, the next pass sends it again and finds it standing; if not, nothing would
ever look at it again. So whatever vanishes without our doing is looked for once, and what lost its
label while nobody watched is sought when a controller begins to lead, and now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial

from app.apis.kinds import MODEL_BOOSTER, SELECTOR, WORKLOAD
from app.cache.records import Record
from app.errors import ApiError
from app.kube import Kube, is_unknown_kind
from app.model.children import owner_uids
from app.values.meta import Key, Object, Resource, is_terminating, key_of
from controller.cluster.own_writes import ObjectRef

LABELED_SELECTOR = f"{SELECTOR}={WORKLOAD}"
"""Selects what carries our label."""

UNLABELED_SELECTOR = f"{SELECTOR}!={WORKLOAD}"
"""Selects what does not."""


class UnlabeledChildren:
    """Where a child of which ModelBooster may stand out of sight.

    Args:
        booster_of: says where the ModelBooster with a uid stands; None if there is none.
    """

    def __init__(self, booster_of: Callable[[str], Key | None]) -> None:
        self._booster_of = booster_of
        self._places: dict[str, set[ObjectRef]] = {}

    def of(self, owner: str) -> Set[ObjectRef]:
        """Returns where a child of the ModelBooster with this uid may stand."""
        return self._places.get(owner, frozenset())

    def note(self, place: ObjectRef, owner: str) -> Key | None:
        """Notes that a child may stand here; returns where its owner does, if there is one."""
        booster = self._booster_of(owner)
        if booster is None or booster.namespace != place[1].namespace:
            return None
        self._places.setdefault(owner, set()).add(place)
        return booster

    def found(self, place: ObjectRef, owners: Iterable[str]) -> None:
        """Notes that it is known what stands here, or that nothing does."""
        for owner in owners:
            places = self._places.get(owner)
            if places is not None:
                places.discard(place)
                if not places:
                    del self._places[owner]

    def clear(self) -> None:
        """Drops everything."""
        self._places.clear()

    def noticed(
        self, resource: Resource, old: Record | None, new: Record | None, *, is_news: bool
    ) -> None:
        """Takes in what the watch shows.

        Args:
            resource: kind of the object.
            old: the object before, None if it is new.
            new: the object after, None if it is gone.
            is_news: False if it is our own doing.
        """
        if resource is MODEL_BOOSTER:
            if new is None and old is not None:
                self._places.pop(old.uid, None)  # the garbage collector finds all that it owned
        elif new is not None:
            self.found((resource.kind, new.key), indexed_owners(new))
        elif old is not None and is_news and not is_terminating(old.object):
            for uid in indexed_owners(old):
                self.note((resource.kind, old.key), uid)

    async def seek(
        self, kube: Kube, kinds: Iterable[Resource], namespaces: Sequence[str | None]
    ) -> set[Key]:
        """Looks for children that are without our label, and returns whose they are.

        Raises:
            ApiError, Unreachable: not all of them were looked for.
        """
        boosters: set[Key] = set()

        def take(resource: Resource, obj: Object) -> None:
            noted = [self.note((resource.kind, key_of(obj)), uid) for uid in owner_uids(obj)]
            boosters.update(filter(None, noted))

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
                    if not is_unknown_kind(exc):  # it was served, and is not any more
                        raise
        return boosters


def indexed_owners(child: Record) -> list[str]:
    """Returns the uids of the ModelBoosters that a child may belong to."""
    return [uid for _, uid in child.entries]
