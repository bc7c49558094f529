"""What users read about pods that wait for a rollout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.apis.kinds import MODEL_SERVING
from app.model.children import Desired
from app.values.meta import Object
from controller.plan.fingerprints import ROLLOUT
from controller.plan.held import template_diffs, template_of
from controller.plan.rollout import ALLOW, UnrequestedRestarts

MAX_DIFFERENCES = 2
"""How many differences of a template a message names."""


def allow_command(name: str) -> str:
    """Returns the command that allows the rollout of a ModelBooster."""
    return f"kubectl annotate modelbooster {name} {ROLLOUT}={ALLOW}"


def what_is_held(
    restarts: UnrequestedRestarts, children: Iterable[Desired], observed: Iterable[Object]
) -> str:
    """Returns which ModelServings keep their pods, and why, as the start of a sentence.

    Args:
        restarts: what is held.
        children: the desired children, with the new templates.
        observed: the live children.
    """
    if restarts.takeovers:
        return (
            f"ModelServing {_quoted(restarts.takeovers)} was made by another controller. To take "
            "it over restarts its pods, so its objects stay as they are"
        )
    live = {o["metadata"]["name"]: o for o in observed if o["kind"] == MODEL_SERVING.kind}
    differences: dict[str, None] = {}
    for child in children:
        if child.resource is MODEL_SERVING and child.name in restarts.templates:
            present = template_of(live[child.name]) or {}
            diffs = template_diffs(child.object["spec"]["template"], present)
            differences |= dict.fromkeys(map(str, diffs))
    return (
        f"the pods of ModelServing {_quoted(restarts.templates)} keep their template: a new "
        "version or a changed setting of the operator has another one "
        f"({_shortened([*differences])}). "
        "It would restart them, so the old one stays"
    )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _shortened(differences: Sequence[str]) -> str:
    left_out = len(differences) - MAX_DIFFERENCES
    more = [f"and {left_out} more"] if left_out > 0 else []
    return "; ".join([*differences[:MAX_DIFFERENCES], *more])
