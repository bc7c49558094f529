"""Keeps the gang policy of a stored ModelServing.

The API server lets no client change or remove a stored ``gangPolicy`` (tested with every profile).
"""

from __future__ import annotations

from app.values.meta import Object


def keep_gang_policy(stored: Object | None, wanted: Object) -> Object | None:
    """Returns the desired ``spec.template`` with the stored gang policy; None if it does not fit.

    The stored policy fits if every role that it names still exists and has at least as many
    replicas as the policy requires. It is kept even if gang scheduling is turned off. From kthena
    v0.3.0 on it has no effect unless the scheduler is ``volcano``.

    Args:
        stored: ``spec.template`` of the stored ModelServing, or just its ``gangPolicy`` under
            that key; None if there is no ModelServing.
        wanted: the desired ``spec.template``.
    """
    policy = (stored or {}).get("gangPolicy")
    if policy is None:
        return wanted
    replicas = {role["name"]: role["replicas"] for role in wanted["roles"]}
    least = policy.get("minRoleReplicas") or {}
    if any(count > replicas.get(role, -1) for role, count in least.items()):
        return None
    return {**wanted, "gangPolicy": policy}
