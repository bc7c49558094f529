"""Which fields of a child our field manager takes over before the apply."""

from __future__ import annotations

from typing import Any

import pytest

from app.values.meta import Object
from controller.plan.takeover import take_over_patch

US = "model-booster-controller"
LABELS: Object = {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}


def entry(manager: str, fields: Object, operation: str = "Update", **more: Any) -> Object:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "g/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def spec(*names: str) -> Object:
    return {"f:spec": {f"f:{name}": {} for name in names}}


def selector(*names: str) -> Object:
    labels: Object = {f"f:{name}": {} for name in names}
    return {"f:spec": {"f:workloadSelector": {"f:matchLabels": labels}}}


def after(*entries: Object) -> list[Object] | None:
    """The managedFields after the patch; None if there is no patch."""
    live: Object = {
        "apiVersion": "g/v1",
        "metadata": {"resourceVersion": "7", "managedFields": list(entries)},
    }
    patch = take_over_patch(live, US)
    if not patch:
        return None
    version, fields = patch
    assert version == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    found: list[Object] = fields["value"]
    return found


@pytest.mark.parametrize(
    ("before", "want"),
    [
        pytest.param(
            [entry("kthena", {**LABELS, **spec("a", "b")})],
            [entry(US, spec("a", "b"), "Apply"), entry("kthena", LABELS)],
            id="made by another controller: the spec, not the labels",
        ),
        pytest.param(
            [entry("kthena", spec("a")), entry("scaler", spec("replicas"))],
            [entry(US, spec("a", "replicas"), "Apply")],
            id="several writers: the whole spec",
        ),
        pytest.param(
            [entry("kthena", spec("a")), entry("kthena", {"f:status": {}}, subresource="status")],
            [
                entry(US, spec("a"), "Apply"),
                entry("kthena", {"f:status": {}}, subresource="status"),
            ],
            id="status keeps its owner",
        ),
        pytest.param(
            [
                entry("kthena", spec("a")),
                entry("scaler", spec("replicas"), subresource="scale"),
            ],
            [
                entry(US, spec("a"), "Apply"),
                entry("scaler", spec("replicas"), subresource="scale"),
            ],
            id="fields written through a subresource keep their owner",
        ),
        pytest.param(
            [
                entry(US, {"f:status": {}}, "Apply", subresource="status"),
                entry(US, selector("a"), "Apply"),
                entry("hand", selector("b")),
            ],
            [
                entry(US, selector("a", "b"), "Apply"),
                entry(US, {"f:status": {}}, "Apply", subresource="status"),
            ],
            id="our apply of a subresource is not our entry of the object",
        ),
        pytest.param(
            [entry("kthena", spec("a")), entry("argo", spec("b"), "Apply")],
            [entry(US, spec("a"), "Apply"), entry("argo", spec("b"), "Apply")],
            id="fields of another apply keep their owner",
        ),
        pytest.param(
            [entry(US, selector("a"), "Apply"), entry("hand", {**LABELS, **selector("b")})],
            [entry(US, selector("a", "b"), "Apply"), entry("hand", LABELS)],
            id="applied by us before: only the selector",
        ),
        pytest.param(
            [entry(US, selector("a"), "Apply"), entry("argo", selector("b"), "Apply")],
            [entry(US, selector("a", "b"), "Apply")],
            id="applied by us before: the selector, also from another apply",
        ),
        pytest.param(
            [entry(US, spec("a"), "Apply"), entry("hand", spec("b"))],
            None,
            id="applied by us before: nothing else",
        ),
        pytest.param([], None, id="no managedFields"),
    ],
)
def test_take_over(before: list[Object], want: list[Object] | None) -> None:
    assert after(*before) == want
