"""Which running pods keep an older template: ``model-booster render --live``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.apis.kinds import MODEL_SERVING
from app.apis.pruning import pruned
from app.convert.diff import FieldDiff
from app.values.meta import Key, Object, owner_references
from app.values.untyped import as_dict
from controller.plan.fingerprints import is_new_template
from controller.plan.held import is_same_template, template_diffs, template_of
from controller.plan.planner import make_plan
from controller.plan.rollout import ALLOW, is_edited, rollout_annotation, unrequested_restarts
from controller.plan.rollout_marks import owning_booster, with_fingerprints, with_live_marks
from controller.plan.rollout_text import allow_command
from modelbooster.offline.answers import NO_UID, Answer, desired


class Effect(StrEnum):
    """What happens to the pods of a ModelServing if this program becomes the operator."""

    NONE = "none"
    WAITS = "waits"
    RESTARTS = "restarts"
    CREATED = "created"


EXPLAINED = {
    Effect.NONE: "its pods have the same template",
    Effect.WAITS: "its pods keep their template, and wait for a rollout",
    Effect.RESTARTS: "its pods restart",
    Effect.CREATED: "is created",
}


@dataclass(frozen=True, slots=True)
class ServingComparison:
    """What happens to one ModelServing.

    Args:
        name: its name.
        effect: what happens.
        fields: the fields of its pod template that differ.
    """

    name: str
    effect: Effect
    fields: tuple[FieldDiff, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What happens to the ModelServings of one ModelBooster."""

    key: Key
    servings: tuple[ServingComparison, ...]

    @property
    def waits(self) -> bool:
        """Whether a ModelServing waits for a rollout."""
        return any(serving.effect is Effect.WAITS for serving in self.servings)

    def text(self) -> str:
        """Returns the comparison as text; the last line tells how to allow a restart."""
        lines = [f"ModelBooster {self.key}:"]
        for serving in self.servings:
            lines.append(f"  ModelServing {serving.name}: {EXPLAINED[serving.effect]}")
            lines += [f"    {diff}" for diff in serving.fields]
        if self.waits:
            command = f"{allow_command(self.key.name)} -n {self.key.namespace}"
            lines.append(f"  to restart the pods that wait: {command}")
        return "".join(line + "\n" for line in lines)

    def summary(self) -> Object:
        """Returns the comparison as JSON, in a stable format for other tools."""
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "servings": [
                {
                    "name": serving.name,
                    "effect": serving.effect,
                    "edits": [edit.summary() for edit in serving.fields],
                }
                for serving in self.servings
            ],
        }


def compare(answer: Answer, servings: Sequence[Object]) -> Comparison | None:
    """Returns what happens to the pods of a ModelBooster; None if it is refused.

    Args:
        answer: the ModelBooster. Its status and uid count if they are given.
        servings: live ModelServings; other objects are left out.
    """
    model = answer.model
    if model is None or not answer.allowed:
        return None
    key = Key(model.namespace, model.name)
    live = [obj for obj in servings if _is_serving_of(obj, key)]
    uid = model.uid or next((uid for obj in live for uid in _owner_uids(obj)), NO_UID)
    children = [child for child in desired(answer, uid) if child.resource is MODEL_SERVING]
    booster = pruned(answer.document.object).object
    metadata = {**as_dict(booster.get("metadata")), "namespace": key.namespace, "uid": uid}
    booster = {**booster, "metadata": metadata}
    children = with_live_marks(with_fingerprints(booster, children), live)
    plan = make_plan(replace(model, uid=uid), children, live)
    found = unrequested_restarts(plan, live, {}, edited=is_edited(booster))
    allowed = rollout_annotation(booster) == ALLOW
    waiting = found.servings if found and not allowed else ()
    present = {obj["metadata"]["name"]: obj for obj in live}
    compared = []
    for child in children:
        obj = present.get(child.name)
        old = None if obj is None else template_of(obj)
        if obj is None or old is None:
            compared.append(ServingComparison(child.name, Effect.CREATED))
            continue
        wanted = child.object["spec"]["template"]
        effect = Effect.WAITS if child.name in waiting else Effect.RESTARTS
        if not is_new_template(child, obj) and is_same_template(wanted, old):
            effect = Effect.NONE
        diffs = () if effect is Effect.NONE else tuple(template_diffs(wanted, old))
        compared.append(ServingComparison(child.name, effect, diffs))
    return Comparison(key, tuple(compared))


def _is_serving_of(obj: Object, booster: Key) -> bool:
    return (
        (obj.get("apiVersion"), obj.get("kind")) == (MODEL_SERVING.api_version, MODEL_SERVING.kind)
        and bool(as_dict(obj.get("metadata")).get("name"))
        and owning_booster(obj) == booster
    )


def _owner_uids(obj: Object) -> Iterator[str]:
    for ref in owner_references(obj):
        if uid := ref.get("uid"):
            yield str(uid)
