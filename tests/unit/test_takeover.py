"""Which fields of a child become ours before it is applied."""

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
    """managedFields as the patch leaves them, None if there is no patch."""
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
            id="made by another controller: its spec, not its labels",
        ),
        pytest.param(
            [entry("kthena", spec("a")), entry("scaler", spec("replicas"))],
            [entry(US, spec("a", "replicas"), "Apply")],
            id="several wrote: all of the spec",
        ),
        pytest.param(
            [entry("kthena", spec("a")), entry("kthena", {"f:status": {}}, subresource="status")],
            [
                entry(US, spec("a"), "Apply"),
                entry("kthena", {"f:status": {}}, subresource="status"),
            ],
            id="a status stays whose it is",
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
            id="what was written through a subresource stays whose it is",
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
            id="what we applied to a subresource is not our entry of the object",
        ),
        pytest.param(
            [entry("kthena", spec("a")), entry("argo", spec("b"), "Apply")],
            [entry(US, spec("a"), "Apply"), entry("argo", spec("b"), "Apply")],
            id="what another applies is its own",
        ),
        pytest.param(
            [entry(US, selector("a"), "Apply"), entry("hand", {**LABELS, **selector("b")})],
            [entry(US, selector("a", "b"), "Apply"), entry("hand", LABELS)],
            id="ours already: only the selector",
        ),
        pytest.param(
            [entry(US, selector("a"), "Apply"), entry("argo", selector("b"), "Apply")],
            [entry(US, selector("a", "b"), "Apply")],
            id="ours already: the selector, from whoever applied it",
        ),
        pytest.param(
            [entry(US, spec("a"), "Apply"), entry("hand", spec("b"))],
            None,
            id="ours already: nothing else",
        ),
        pytest.param([], None, id="nobody holds anything"),
    ],
)
def test_take_over(before: list[Object], want: list[Object] | None) -> None:
    assert after(*before) == want
