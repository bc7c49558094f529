"""The JSON Patch that writes a status, with preconditions that protect the spec.

A status write stores the whole object as the API server reads it at that moment. While another
CustomResourceDefinition is installed, that object lacks most of its spec. So the patch contains
preconditions, which the API server checks atomically with the write:

* ``remove /status/modelName`` fails if the field does not exist. Only our schema has a default for
  it. No other operation fails on a missing field.
* ``test`` on the spec fails if it is not the spec that the status is about.
* The resource version: 409 if the object has changed in any other way.
"""

from __future__ import annotations

from app.kube import equality_tests
from app.values.meta import Object


def status_patch(booster: Object, status: Object, *, with_spec: bool = True) -> list[Object]:
    """Returns the JSON Patch that writes a status.

    Args:
        booster: the ModelBooster as it was read.
        status: the complete status.
        with_spec: whether the spec is a precondition as well.
    """
    version = booster["metadata"]["resourceVersion"]
    has_spec = with_spec and "spec" in booster
    return [
        *(equality_tests(booster["spec"], "/spec") if has_spec else ()),
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "remove", "path": "/status/modelName"},
        {"op": "replace", "path": "/status", "value": status},
    ]
