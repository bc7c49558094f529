"""What a plan of the controller changes in the children, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.apis.kinds import MODEL_SERVING
from app.convert.diff import FieldDiff, field_diffs
from app.model.children import Desired
from app.values.fields import Path
from app.values.meta import Object
from app.values.untyped import as_dict
from controller.plan.actions import Apply, ChildRef, NameConflict, Plan, Recreate, TakeOver
from controller.plan.drift import Drift, drift_of
from controller.plan.held import template_diffs, template_of


@dataclass(frozen=True, slots=True)
class ChildChange:
    """What happens to one child.

    Args:
        verb: ``create``, ``change``, ``adopt`` (only labels and owner change), ``replace``,
            ``delete``, or ``conflict`` (the name belongs to another object).
        kind: kind of the child.
        name: name of the child.
        fields: the fields that change.
    """

    verb: str
    kind: str
    name: str
    fields: tuple[FieldDiff, ...] = ()

    def summary(self) -> Object:
        """Returns the change as JSON, in a stable format for other tools."""
        edits = [diff.summary() for diff in self.fields]
        return {"verb": self.verb, "kind": self.kind, "name": self.name, "edits": edits}


def child_changes(
    plan: Plan, children: Sequence[Desired], live: Sequence[Object]
) -> Iterator[ChildChange]:
    """Yields what a plan of the controller does to the children.

    Args:
        plan: the plan of a pass.
        children: the desired children.
        live: the objects that exist.
    """
    wanted = {ChildRef.of(child): child for child in children}
    present = {ChildRef.of_object(obj): obj for obj in live}
    for action in plan.actions:
        ref = action.ref
        obj = present.get(ref)
        if isinstance(action, NameConflict):
            yield ChildChange("conflict", ref.kind, ref.name)
        elif obj is None or (isinstance(action, Apply) and action.live is None):
            yield ChildChange("create", ref.kind, ref.name)
        elif ref in wanted:
            fields = tuple(_field_diffs(wanted[ref], obj, whole=isinstance(action, TakeOver)))
            verb = "replace" if isinstance(action, Recreate) else "change" if fields else "adopt"
            yield ChildChange(verb, ref.kind, ref.name, fields)
    for deletion in plan.deletions:
        yield ChildChange("delete", deletion.ref.kind, deletion.ref.name)


def _field_diffs(child: Desired, live: Object, *, whole: bool) -> Iterator[FieldDiff]:
    """Yields the fields of the spec that change.

    Args:
        child: the desired child.
        live: the live one.
        whole: whether fields that only the other controller set are removed; otherwise they stay.
    """
    new, old = dict(child.object["spec"]), dict(as_dict(live.get("spec")))
    if child.replica_bounds is not None:
        new.pop("replicas", None)  # an autoscaler sets them
        old.pop("replicas", None)
    if child.resource is MODEL_SERVING and (template := template_of(live)) is not None:
        yield from template_diffs(new.pop("template"), template)
        old.pop("template", None)
    for diff in field_diffs(Path("spec"), old if whole else _common(old, new), new):
        if diff.new is None or drift_of(diff.new, diff.old) is not Drift.NONE:
            yield diff


def _common(live: Any, wanted: Any) -> Any:
    """Returns the part of a live value that we would write; selectors are taken over as a whole."""
    if not isinstance(live, dict) or not isinstance(wanted, dict):
        return live
    return {
        key: value if key == "matchLabels" else _common(value, wanted[key])
        for key, value in live.items()
        if key in wanted
    }
