"""In which order children are written.

Up to kthena v0.2.0 the router answers 404 for a pod that became ready before the router had seen
the pod's ModelServer. So a ModelServer is stored before its ModelServing, and the ModelRoute, which
sends requests there, comes after both. The children of one phase are written at the same time.

``app.model.children.CHILDREN`` has another order, which is that of ``model-booster render``.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
)
from controller.plan.actions import Apply, ChildRef, Replace, Step
from controller.reconcile.failure import Weight
from controller.reconcile.plan_result import Done

PHASES: tuple[frozenset[str], ...] = (
    frozenset({AUTOSCALING_POLICY.kind, MODEL_SERVER.kind}),
    frozenset({MODEL_SERVING.kind}),
    # A binding names a policy, which its webhook looks for, and scales a ModelServing.
    frozenset({AUTOSCALING_POLICY_BINDING.kind, MODEL_ROUTE.kind}),
)


def phases(steps: Iterable[Step]) -> list[list[Step]]:
    """Returns the steps in phases; each begins when all requests of the one before are answered."""
    todo = [*steps]
    return [[step for step in todo if step.ref.kind in kinds] for kinds in PHASES]


def may_begin(step: Step, done: Done) -> bool:
    """Whether what a step needs was written, as far as writing it again soon could help.

    In a namespace that is being deleted nothing more begins.
    A ModelServing is not created while its ModelServer is being deleted, or was not written for a
    reason that mostly goes away. A ModelServer that the API server refuses holds nothing up: pods
    without a route are better than none, and the status says what is wrong.

    Args:
        step: what is to be done.
        done: what came of the phases before.
    """
    if any(failure.weight is Weight.MOOT for failure in done.failures):
        return False
    match step:
        case Apply(child=child, old=None) | Replace(create=Apply(child=child)):
            if child.resource is MODEL_SERVING:
                return not _is_missing_for_now(ChildRef(MODEL_SERVER.kind, child.name), done)
    if step.ref.kind == AUTOSCALING_POLICY_BINDING.kind:
        return not any(f.child.kind == AUTOSCALING_POLICY.kind for f in done.failures)
    return True


def _is_missing_for_now(ref: ChildRef, done: Done) -> bool:
    return any(wait.ref == ref for wait in done.waiting) or any(
        failure.child == ref and failure.weight not in (Weight.REFUSED, Weight.TERMINAL)
        for failure in done.failures
    )
