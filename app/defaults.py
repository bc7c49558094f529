"""What the mutating webhook stores: one value, and only when an object is created.

A stored default belongs to nobody: no later apply takes it out again, and it shows in every diff.
So all others are applied in memory, by ``app.model.canonical``. This one is stored because kthena
v0.1.0, whose form the object then has, crashes without it (docs/differences.md).
"""

from __future__ import annotations

from typing import Any

from app.model.canonical import DEFAULT_COST_EXPANSION_RATE_PERCENT
from app.values.meta import Object

FIELD = "costExpansionRatePercent"


def defaults(obj: Any) -> list[Object]:
    """Returns what to add to a new object, as JSON Patch operations (RFC 6902).

    The object has not been checked by anything yet; of one that makes no sense nothing is changed.
    """
    spec = obj.get("spec") if isinstance(obj, dict) else None
    if not isinstance(spec, dict) or spec.get(FIELD) is not None:
        return []
    several, policy = spec.get("backends"), spec.get("autoscalingPolicy")
    if not isinstance(several, list) or not isinstance(policy, dict):
        return []
    return [{"op": "add", "path": f"/spec/{FIELD}", "value": DEFAULT_COST_EXPANSION_RATE_PERCENT}]


def defaulted(obj: Object) -> Object:
    """Returns a new object as it is stored, with these defaults in it."""
    added = {
        operation["path"].rpartition("/")[2]: operation["value"] for operation in defaults(obj)
    }
    return {**obj, "spec": {**obj["spec"], **added}} if added else obj
