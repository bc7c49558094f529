"""Which ModelBooster an object belongs to."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import (
    MODEL_BOOSTER,
    MODEL_UID,
)
from app.values.meta import Object, labels_of, owner_references


def is_ours(obj: Object, uid: str) -> bool:
    """Returns whether an object belongs to the ModelBooster with this uid.

    It does not if another object controls it. It does if any owner reference has the uid. Without
    a controller and without a ModelBooster among its owners, the label model-uid decides.
    """
    refs = list(owner_references(obj))
    if any(ref.get("controller") and ref.get("uid") != uid for ref in refs):
        return False
    if any(ref.get("uid") == uid for ref in refs):
        return True
    return not any(map(is_booster_reference, refs)) and labels_of(obj).get(MODEL_UID) == uid


def is_booster_reference(ref: Object) -> bool:
    """Returns whether an owner reference names a ModelBooster."""
    group = str(ref.get("apiVersion", "")).partition("/")[0]
    return ref.get("kind") == MODEL_BOOSTER.kind and group == MODEL_BOOSTER.group


def owner_uids(obj: Object) -> Iterator[str]:
    """Yields the uids of the ModelBoosters that a child may belong to. An index function."""
    seen = False
    for ref in owner_references(obj):
        if is_booster_reference(ref) and (uid := ref.get("uid")):
            seen = True
            yield uid
    if not seen and (uid := labels_of(obj).get(MODEL_UID)):
        yield uid
