"""The order in which children are written.

Up to kthena v0.2.0 the router answers 404 for a pod that became ready before the router had seen
the pod's ModelServer. So a ModelServer is written before its ModelServing, and the ModelRoute,
which sends requests there, after both. The children of one phase are written concurrently.

``app.apis.kinds.CHILDREN`` has another order, which ``model-booster render`` prints.
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
from controller.plan.actions import Apply, ChildAction, ChildRef, Recreate
from controller.reconcile.failure import Severity
from controller.reconcile.plan_result import PlanResult

PHASES: tuple[frozenset[str], ...] = (
    frozenset({AUTOSCALING_POLICY.kind, MODEL_SERVER.kind}),
    frozenset({MODEL_SERVING.kind}),
    # A binding scales a ModelServing, and kthena's webhook requires the policy that it names.
    frozenset({AUTOSCALING_POLICY_BINDING.kind, MODEL_ROUTE.kind}),
)
"""The kinds of each phase. A phase begins when all requests of the previous one are answered."""


def in_phases(actions: Iterable[ChildAction]) -> list[list[ChildAction]]:
    """Returns the actions of each phase, in the order of ``PHASES``."""
    planned = [*actions]
    return [[action for action in planned if action.ref.kind in kinds] for kinds in PHASES]


def may_start(action: ChildAction, result: PlanResult) -> bool:
    """Whether an action may start after the earlier phases.

    * In a terminating namespace, nothing starts.
    * A ModelServing is not created while its ModelServer is being deleted or failed with a
      transient error. A rejected ModelServer does not block it: pods without a route are better
      than none, and the status says what is wrong.
    * A binding is not written if the policy failed.

    Args:
        action: the action.
        result: what the earlier phases have done.
    """
    if any(f.severity is Severity.NAMESPACE_TERMINATING for f in result.failures):
        return False
    match action:
        case Apply(child=child, live=None) | Recreate(create=Apply(child=child)):
            if child.resource is MODEL_SERVING:
                return not _is_pending(ChildRef(MODEL_SERVER.kind, child.name), result)
    if action.ref.kind == AUTOSCALING_POLICY_BINDING.kind:
        return not any(f.child.kind == AUTOSCALING_POLICY.kind for f in result.failures)
    return True


def _is_pending(ref: ChildRef, result: PlanResult) -> bool:
    """Whether a child is not written yet, but a retry is likely to succeed."""
    return any(wait.ref == ref for wait in result.waiting) or any(
        failure.child == ref and failure.severity not in (Severity.REJECTED, Severity.TERMINAL)
        for failure in result.failures
    )
