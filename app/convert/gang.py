"""Whether a ModelServing can keep the gang policy that it has.

The API server lets nobody change or remove a stored ``gangPolicy`` (tried with every profile).
"""

from __future__ import annotations

from app.values.meta import Object


def keep_gang_policy(stored: Object | None, wanted: Object) -> Object | None:
    """Returns a wanted ``spec.template`` with the stored gang policy, or None if it does not fit.

    It fits while each of its entries names a role that is still there and asks for no more of its
    replicas than there will be; so it is also kept when gangs are not wanted any more. Without the
    scheduler ``volcano`` it has no effect from kthena v0.3.0 on.

    Args:
        stored: ``spec.template`` of the ModelServing that is there, or its ``gangPolicy`` alone
            under that key; None if there is no ModelServing.
        wanted: ``spec.template`` as it should be.
    """
    policy = (stored or {}).get("gangPolicy")
    if policy is None:
        return wanted
    replicas = {role["name"]: role["replicas"] for role in wanted["roles"]}
    least = policy.get("minRoleReplicas") or {}
    if any(count > replicas.get(role, -1) for role, count in least.items()):
        return None
    return {**wanted, "gangPolicy": policy}
