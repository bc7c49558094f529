"""The defaults that the mutating webhook stores: one field, set when an object is created.

A stored default has no field manager: a later apply does not remove it, and it shows in every diff.
So ``app.model.canonical`` applies all other defaults in memory. This one is stored because kthena
v0.1.0 crashes without it on objects in its own form (docs/differences.md).
"""

from __future__ import annotations

from typing import Any

from app.model.canonical import DEFAULT_COST_EXPANSION_RATE_PERCENT
from app.values.meta import Object

FIELD = "costExpansionRatePercent"


def defaults(obj: Any) -> list[Object]:
    """Returns the JSON Patch operations (RFC 6902) that add the defaults to a new object.

    Args:
        obj: the object, not validated yet. A malformed object gets no defaults.
    """
    spec = obj.get("spec") if isinstance(obj, dict) else None
    if not isinstance(spec, dict) or spec.get(FIELD) is not None:
        return []
    several, policy = spec.get("backends"), spec.get("autoscalingPolicy")
    if not isinstance(several, list) or not isinstance(policy, dict):
        return []
    return [{"op": "add", "path": f"/spec/{FIELD}", "value": DEFAULT_COST_EXPANSION_RATE_PERCENT}]


def defaulted(obj: Object) -> Object:
    """Returns a new object with the defaults added."""
    added = {
        operation["path"].rpartition("/")[2]: operation["value"] for operation in defaults(obj)
    }
    return {**obj, "spec": {**obj["spec"], **added}} if added else obj
