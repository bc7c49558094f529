"""Compares the children of a ModelBooster before and after an edit.

kthena restarts the pods of a ModelServing if any field of a role but ``replicas`` changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from app.apis.kinds import BACKEND_NAME, MODEL_ROUTE, MODEL_SERVING
from app.convert.gang import keep_gang_policy
from app.model.children import Desired
from app.values.fields import Path, shown
from app.values.meta import Object, labels_of
from app.values.value import hashable_value


class Action(StrEnum):
    """What happens to a child. ``replace`` deletes it and creates it again."""

    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    DELETE = "delete"


@hashable_value
class FieldDiff:
    """The old and new value of one field; None if it is not set."""

    path: Path
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.path}: set to {shown(self.new)}"
        if self.new is None:
            return f"{self.path}: no longer set, was {shown(self.old)}"
        return f"{self.path}: {shown(self.old)} becomes {shown(self.new)}"

    def summary(self) -> Object:
        """Returns the difference as JSON, in a stable format for other tools."""
        return {"field": str(self.path), "old": self.old, "new": self.new}


@hashable_value
class ChildDiff:
    """What happens to one child.

    Args:
        action: what happens.
        kind: the kind of the child.
        name: its name.
        backend: the name of its backend; ``""`` if it belongs to all backends.
        fields: the fields that differ; empty for a child that is created or deleted.
        restarts: whether running pods restart.
    """

    action: Action
    kind: str
    name: str
    backend: str
    fields: tuple[FieldDiff, ...] = ()
    restarts: bool = False

    def __str__(self) -> str:
        pods = " (its pods restart)" if self.restarts else ""
        return "\n".join([f"{self.action} {self.kind} {self.name}{pods}", *self._lines()])

    def _lines(self) -> Iterator[str]:
        for edit in self.fields:
            yield f"  {edit}"


def child_diffs(old: Sequence[Desired], new: Sequence[Desired]) -> list[ChildDiff]:
    """Returns the children that differ: writes in the order of rendering, then deletes.

    Args:
        old: the desired children before the edit.
        new: the desired children after the edit.
    """
    before = {(child.resource, child.name): child for child in old}
    after = {(child.resource, child.name): child for child in new}
    found = [_child_diff(before.get(key), child) for key, child in after.items()]
    gone = [_whole_child(Action.DELETE, child) for key, child in before.items() if key not in after]
    return [change for change in found if change is not None] + gone


def restarting_backends(found: Sequence[ChildDiff]) -> list[str]:
    """Returns the names of the backends whose running pods restart, sorted."""
    return sorted({change.backend for change in found if change.restarts})


def _whole_child(action: Action, child: Desired) -> ChildDiff:
    return ChildDiff(action, child.resource.kind, child.name, _backend(child))


def _backend(child: Desired) -> str:
    return labels_of(child.object).get(BACKEND_NAME, "")


def _child_diff(old: Desired | None, new: Desired) -> ChildDiff | None:
    if old is None:
        return _whole_child(Action.CREATE, new)
    was, becomes = _spec(old), _spec(new)
    action = Action.CHANGE
    if new.resource == MODEL_SERVING:
        template = keep_gang_policy(was["template"], becomes["template"])
        action = Action.REPLACE if template is None else action
        becomes = {**becomes, "template": template or becomes["template"]}
    elif new.resource == MODEL_ROUTE and was.get("modelName") != becomes.get("modelName"):
        action = Action.REPLACE  # the API server lets no client change it
    fields = tuple(field_diffs(Path("spec"), was, becomes))
    if not fields:
        return None
    restarts = new.resource == MODEL_SERVING and (
        action is Action.REPLACE or _pods(was) != _pods(becomes)
    )
    return ChildDiff(action, new.resource.kind, new.name, _backend(new), fields, restarts)


def _spec(child: Desired) -> Object:
    """Returns ``spec``; with the bounds as ``replicas`` if an autoscaler sets them."""
    spec: Object = child.object["spec"]
    if child.replica_bounds is None:
        return spec
    least, most = child.replica_bounds
    return {**spec, "replicas": f"{least} to {most}, as load asks"}


def _pods(serving: Object) -> list[Object]:
    roles: list[Object] = serving["template"]["roles"]
    return [{key: item for key, item in role.items() if key != "replicas"} for role in roles]


def field_diffs(path: Path, old: Any, new: Any) -> Iterator[FieldDiff]:
    """Yields the smallest parts that differ; matches the items of lists by name if all have one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from field_diffs(path.child(key), old.get(key), new.get(key))
        return
    if isinstance(old, list) and isinstance(new, list):
        before, after = _by_name(old), _by_name(new)
        # If common items changed their order, the lists differ as a whole.
        if (
            before is not None
            and after is not None
            and [name for name in before if name in after]
            == [name for name in after if name in before]
        ):
            for name in {**before, **after}:
                yield from field_diffs(path.key(name), before.get(name), after.get(name))
            return
    if old != new:
        yield FieldDiff(path, old, new)


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """Returns the items of a list by name; None unless every item has a unique name."""
    for field in ("name", "modelServerName"):
        if all(isinstance(item, dict) and field in item for item in items):
            named = {item[field]: item for item in items}
            return named if len(named) == len(items) else None
    return None
