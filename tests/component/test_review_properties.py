"""What holds of every review that is well-formed, whatever object it carries.

``test_webhook_fuzz`` breaks reviews themselves; here they are right, and only objects are odd.
`pytest --hypothesis-profile=thorough --timeout=0` on this file asks about many more of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonpatch
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st

from app.lookup import lookup_among
from app.metrics import Metrics
from app.validation import Context
from app.values.meta import Object
from tests.builders import backend, booster_object
from tests.generated import BOOSTERS, mangled
from tests.sizes import examples
from tests.webhook import review
from webhook.server import MUTATE, VALIDATE, webhook_app

NEIGHBOUR = booster_object("other", backend("b1"), namespace="default", name="a")
USERS = st.sampled_from(["kubernetes-admin", "", "system:kube-controller-manager"])
UIDS = st.text("0123456789abcdef-", min_size=1, max_size=36)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["spec", "metadata", "name", "backends", "x"]), inner)
    ),
    max_leaves=10,
)
ANYTHING = mangled() | BOOSTERS | JSON | st.fixed_dictionaries({"metadata": JSON, "spec": JSON})
OBJECTS = ANYTHING.filter(lambda value: isinstance(value, dict))


class Webhook:
    """The webhook's application, asked as the API server asks it, without a socket."""

    def __init__(self, portal: BlockingPortal) -> None:
        context = Context(lookup=lookup_among([NEIGHBOUR]))
        app = webhook_app(lambda: context, Metrics())
        transport = httpx.ASGITransport(app)
        self._client = httpx.AsyncClient(transport=transport, base_url="https://webhook")
        self._portal = portal

    def ask(self, path: str, asked: Object) -> Object:
        """Returns the response to a review, which must be one that the API server takes."""
        body = json.dumps(asked).encode()
        first, second = (self._portal.call(self._post, path, body) for _ in range(2))
        assert (first.status_code, first.content) == (200, second.content)
        answer = first.json()
        assert (answer["apiVersion"], answer["kind"]) == (asked["apiVersion"], asked["kind"])
        response: Object = answer["response"]
        assert response["uid"] == asked["request"]["uid"]
        self._check(path, response)
        return response

    async def _post(self, path: str, body: bytes) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return await self._client.post(path, content=body, headers=headers)

    def _check(self, path: str, response: Object) -> None:
        assert ("patch" in response) == ("patchType" in response)
        assert path == MUTATE or "patch" not in response
        for warning in response.get("warnings", ()):
            assert warning.isprintable()
            assert len(warning.encode()) <= 256
        if response["allowed"]:
            assert "status" not in response
            return
        status = response["status"]
        assert status["code"] in (422, 403)
        assert status["message"]
        causes = status.get("details", {}).get("causes", ())
        assert len(causes) <= 20
        assert all(cause["message"] and cause["reason"] for cause in causes)


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    with start_blocking_portal() as portal:
        yield Webhook(portal)


@pytest.mark.fault("F74")
@given(
    obj=ANYTHING,
    old=ANYTHING,
    operation=st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT"]),
    uid=UIDS,
    user=USERS,
)
@examples(100)
def test_every_review_is_answered(
    webhook: Webhook, obj: Any, old: Any, operation: str, uid: str, user: str
) -> None:
    asked = review(operation=operation, oldObject=old, uid=uid, userInfo={"username": user})
    asked["request"]["object"] = obj
    webhook.ask(VALIDATE, asked)
    assert webhook.ask(MUTATE, asked)["allowed"]


@given(obj=OBJECTS)
@examples(60)
def test_unchanged_update_is_allowed(webhook: Webhook, obj: Object) -> None:
    assert webhook.ask(VALIDATE, review(obj, operation="UPDATE", oldObject=obj))["allowed"]


@given(obj=mangled(), old=mangled())
@examples(30)
def test_terminating_object_is_not_validated(webhook: Webhook, obj: Object, old: Object) -> None:
    going = {**obj["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    asked = review({**obj, "metadata": going}, operation="UPDATE", oldObject=old)
    assert webhook.ask(VALIDATE, asked)["allowed"]


@pytest.mark.fault("F77")
@given(obj=OBJECTS)
@examples(60)
def test_default_is_stored_once(webhook: Webhook, obj: Object) -> None:
    response = webhook.ask(MUTATE, review(obj))
    if "patch" in response:
        patch = json.loads(base64.b64decode(response["patch"]))
        assert {operation["op"] for operation in patch} == {"add"}
        assert "patch" not in webhook.ask(MUTATE, review(jsonpatch.apply_patch(obj, patch)))
    assert "patch" not in webhook.ask(MUTATE, review(obj, operation="UPDATE", oldObject=obj))


@given(old=ANYTHING)
@examples(30)
def test_unprotected_object_may_be_deleted(webhook: Webhook, old: Any) -> None:
    assert webhook.ask(VALIDATE, review(operation="DELETE", oldObject=old))["allowed"]
