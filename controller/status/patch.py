"""The patch that writes a status, with the preconditions that keep a spec from being lost.

A status write stores the whole object as the API server reads it at that moment. While another
CustomResourceDefinition is installed, that is an object without most of its spec. So the patch asks
for what must hold first; the API server checks it in the same step as it writes:

* ``remove /status/modelName`` fails where our schema does not give that field its default (of all
  operations only this one fails on a field that is not there);
* ``test`` on the spec fails where it is not the spec that the status is about;
* the resource version: 409 if the object has changed otherwise.
"""

from __future__ import annotations

from app.kube import equality_tests
from app.values.meta import Object


def status_patch(booster: Object, status: Object, *, with_spec: bool = True) -> list[Object]:
    """Returns the JSON patch that writes a status.

    Args:
        booster: the ModelBooster that the status is about, as it was read.
        status: the whole status.
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
