"""What a takeover from kthena's own ModelBooster controller would change: ``migrate --check``.

The answer is computed by the code that the controller runs: validation, conversion, and the plan
of a pass. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.apis.pruning import pruned
from app.errors import InvalidSpec
from app.model.ownership import owner_uids
from app.validation import validate_and_convert
from app.values.meta import Key, Object
from app.values.untyped import as_dict
from controller.plan.actions import (
    RESOURCES,
    ChildRef,
)
from controller.plan.planner import make_plan
from controller.plan.rollout_text import allow_command
from modelbooster.offline.answers import NO_UID, Answer
from modelbooster.offline.child_changes import ChildChange, child_changes
from modelbooster.offline.waiting import EXPLAINED, Effect, compare


class Verdict(StrEnum):
    """What has to be done about a ModelBooster."""

    UNCHANGED = "unchanged"
    CHANGES = "changes"
    RESTARTS = "restarts"
    EDIT = "edit"
    CONFLICT = "conflict"


EXPLAINED_VERDICTS = {
    Verdict.UNCHANGED: "is taken over unchanged",
    Verdict.CHANGES: "is taken over; children change, no pod restarts",
    Verdict.RESTARTS: "is taken over; its pods restart once, after you allow it",
    Verdict.EDIT: "needs an edit; its pods stay as they are until then",
    Verdict.CONFLICT: "cannot be taken over: the name of a child is in use",
}


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a takeover means for one ModelBooster.

    Args:
        key: namespace and name.
        form: the releases of kthena that write it in this form.
        verdict: what has to be done.
        faults: why it needs an edit.
        warnings: what the webhook would warn of.
        children: what happens to its children.
        servings: what happens to the pods of each ModelServing.
    """

    key: Key
    form: str
    verdict: Verdict
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    children: tuple[ChildChange, ...] = ()
    servings: tuple[tuple[str, Effect], ...] = ()

    def text(self, *, wide: bool = False) -> str:
        """Returns the takeover as text.

        Args:
            wide: whether to print every field that changes.
        """
        lines = [f"ModelBooster {self.key} ({self.form}): {EXPLAINED_VERDICTS[self.verdict]}"]
        lines += [f"  edit: {fault}" for fault in self.faults]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        for change in self.children:
            number = len(change.fields)
            count = f" ({number} field{'s' * (number != 1)})" if number else ""
            lines.append(f"  {change.verb} {change.kind} {change.name}{count}")
            lines += [f"    {diff}" for diff in change.fields] if wide else []
        lines += [f"  pods of {name}: {EXPLAINED[effect]}" for name, effect in self.servings]
        if any(effect is Effect.WAITS for _, effect in self.servings):
            command = f"{allow_command(self.key.name)} -n {self.key.namespace}"
            lines.append(f"  to restart the pods that wait: {command}")
        return "".join(f"{line}\n" for line in lines)

    def summary(self) -> Object:
        """Returns the takeover as JSON, in a stable format for other tools."""
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "form": self.form,
            "verdict": self.verdict.value,
            "faults": list(self.faults),
            "warnings": list(self.warnings),
            "children": [change.summary() for change in self.children],
            "servings": [{"name": name, "effect": effect.value} for name, effect in self.servings],
        }


def takeover_of(answer: Answer, live: Sequence[Object]) -> Takeover:
    """Returns what a takeover means for one ModelBooster.

    Args:
        answer: the answer of the webhook to the stored ModelBooster.
        live: the objects of all kinds of children in the cluster.
    """
    form = form_of(answer.object)
    namespaced = [obj for obj in live if obj["metadata"].get("namespace") == answer.key.namespace]
    metadata = answer.object["metadata"]
    uid = metadata.get("uid") or _uid_from(namespaced, answer.key) or NO_UID
    booster = {**answer.object, "metadata": {**metadata, "uid": uid}}
    try:
        model, children = validate_and_convert(booster, answer.context)
    except InvalidSpec as exc:
        faults = tuple(map(str, exc.faults))
        # What the controller ignores is a warning, with the same text.
        warnings = tuple(text for text in answer.warnings if text not in faults)
        return Takeover(answer.key, form, Verdict.EDIT, faults, warnings)
    names = {ChildRef.of(child) for child in children}
    mine = [o for o in namespaced if uid in owner_uids(o) or ChildRef.of_object(o) in names]
    plan = make_plan(model, children, mine)
    found = compare(_with_uid(answer, uid), mine)
    servings = tuple((s.name, s.effect) for s in found.servings) if found else ()
    changes = tuple(child_changes(plan, children, mine))
    return Takeover(
        key=answer.key,
        form=form,
        verdict=_verdict(changes, servings),
        warnings=answer.warnings,
        children=changes,
        servings=servings,
    )


def form_of(booster: Object) -> str:
    """Returns which releases of kthena write a ModelBooster in this form."""
    spec = as_dict(booster.get("spec"))
    if "backends" in spec:
        return "form of kthena v0.1.0"
    if "replicas" in as_dict(spec.get("backend")):
        return "form of kthena v1.0.0"
    return "form of kthena v0.2.0 to v0.4.0" if "backend" in spec else "no backend"


def needs_somebody(takeovers: Sequence[Takeover]) -> bool:
    """Whether there is something to do: an edit, a conflict, or pods that wait for a restart."""
    quiet = (Verdict.UNCHANGED, Verdict.CHANGES)
    return any(takeover.verdict not in quiet for takeover in takeovers)


def _verdict(changes: Sequence[ChildChange], servings: Sequence[tuple[str, Effect]]) -> Verdict:
    if any(change.verb == "conflict" for change in changes):
        return Verdict.CONFLICT
    if any(effect in (Effect.WAITS, Effect.RESTARTS) for _, effect in servings):
        return Verdict.RESTARTS
    return Verdict.CHANGES if changes else Verdict.UNCHANGED


def _with_uid(answer: Answer, uid: str) -> Answer:
    booster = pruned(answer.document.object).object
    metadata = {**as_dict(booster.get("metadata")), "uid": uid}
    document = replace(answer.document, object={**booster, "metadata": metadata})
    model = None if answer.model is None else replace(answer.model, uid=uid)
    return replace(answer, document=document, model=model, faults=())


def _uid_from(live: Sequence[Object], booster: Key) -> str:
    """Returns the uid that the owner references of children have; a file may lack it."""
    for obj in live:
        for ref in obj["metadata"].get("ownerReferences") or ():
            if ref.get("kind") == "ModelBooster" and ref.get("name") == booster.name:
                return str(ref.get("uid", ""))
    return ""


def is_child(obj: Object) -> bool:
    """Whether an object is of a kind of children."""
    resource = RESOURCES.get(str(obj.get("kind")))
    return resource is not None and obj.get("apiVersion") == resource.api_version
