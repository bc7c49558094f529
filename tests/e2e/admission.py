"""The chart's admission, asked and left out: what its tests share."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import yaml

from app.apis.kinds import MODEL_BOOSTER
from app.metrics import Metrics
from app.validation import Context
from app.values.meta import Object
from certs.objects import VALIDATING
from certs.pki import new_authority, new_leaf
from modelbooster.parts.tasks import listen
from tests.builders import backend, booster_object
from tests.conftest import Kubectl, Ran
from tests.controlplane import crds
from tests.controlplane.api import JSON_PATCH, Api, Refused
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import RELEASE, eventually
from tests.verdicts import in_default_words
from tests.world import Admin
from webhook.server import VALIDATE, serve_https, webhook_app
from webhook.tls import ServingContext


def apply(kubectl: Kubectl, obj: Object, *flags: str) -> Ran:
    """Applies an object; a refusal reads as from Kubernetes 1.34, whichever this is."""
    done = kubectl("apply", *flags, "-f", "-", stdin=yaml.safe_dump(obj))
    return replace(done, stderr=in_default_words(done.stderr))


def ensure_namespace(api: Api, name: str) -> None:
    try:
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    except Refused as exc:
        assert exc.reason == "AlreadyExists"  # noqa: PT017  # the status is what counts


def is_initialized(obj: Object) -> bool:
    return any(
        (entry["type"], entry["status"]) == ("Initialized", "True")
        for entry in obj["status"].get("conditions", ())
    )


def is_failed(obj: Object) -> bool:
    return any(
        (entry["type"], entry["status"]) == ("Failed", "True")
        for entry in obj["status"]["conditions"]
    )


def broken(*more: Object) -> Object:
    """An object that breaks a rule of the webhook's alone: minReplicas differs from maxReplicas."""
    return booster_object("demo", backend("b", minReplicas=1, maxReplicas=3), *more)


@contextmanager
def nobody_asked(plane: ControlPlane) -> Iterator[None]:
    """As before our webhook was installed."""
    path = VALIDATING.path(None, f"{RELEASE}-webhook")
    hooks = plane.api.request("GET", path)["webhooks"]

    def select(selectors: list[Object]) -> None:
        patch = [
            {"op": "add", "path": f"/webhooks/{position}/namespaceSelector", "value": selector}
            for position, selector in enumerate(selectors)
        ]
        plane.api.request("PATCH", path, patch, content_type=JSON_PATCH)

    select([{"matchLabels": {"tests.example.com/no-namespace": "has-this"}}] * len(hooks))
    try:
        yield
    finally:
        select([hook.get("namespaceSelector", {}) for hook in hooks])


@contextmanager
def also_asked(plane: ControlPlane, namespace: str, context: Context) -> Iterator[None]:
    """As if another webhook of ours, which knows other things, were asked as well."""
    now = datetime.now(UTC)
    authority = new_authority("test", now, timedelta(days=1))
    serving, loop = ServingContext(), asyncio.new_event_loop()
    serving.use(new_leaf(authority, ["localhost"], now, timedelta(days=1)))
    stopping, listening = asyncio.Event(), listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    metrics = Metrics()
    answering = serve_https(
        webhook_app(lambda: context, metrics),
        metrics,
        listening=listening,
        serving=serving,
        stopping=stopping,
        drain_seconds=0,
    )
    thread = threading.Thread(target=lambda: (loop.run_until_complete(answering), loop.close()))
    thread.start()
    hook = {
        "name": "also-asked.tests.example.com",
        "clientConfig": {
            "url": f"https://localhost:{port}{VALIDATE}",
            "caBundle": b64encode(authority.cert).decode(),
        },
        "rules": [
            {
                "apiGroups": [MODEL_BOOSTER.group],
                "apiVersions": [MODEL_BOOSTER.version],
                "resources": [MODEL_BOOSTER.plural],
                "operations": ["CREATE"],
            }
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    path = VALIDATING.path(None, namespace)
    body = {"metadata": {"name": namespace}, "webhooks": [hook]}
    plane.api.request("POST", VALIDATING.path(None), body)
    try:
        yield
    finally:
        plane.api.request("DELETE", path)
        loop.call_soon_threadsafe(stopping.set)
        thread.join(30)


@contextmanager
def no_spec_demanded(plane: ControlPlane) -> Iterator[None]:
    """As before our definition was installed: those of kthena demand no spec."""
    path = crds.CRD.path(None, f"{MODEL_BOOSTER}")
    at = "/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations"
    schema = plane.api.request("GET", path)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    remove = [{"op": "remove", "path": at}]
    plane.api.request("PATCH", path, remove, content_type=JSON_PATCH)
    try:
        yield
    finally:
        add = [{"op": "add", "path": at, "value": schema["x-kubernetes-validations"]}]
        plane.api.request("PATCH", path, add, content_type=JSON_PATCH)


def store_as_of_old(plane: ControlPlane, admin: Admin, obj: Object) -> None:
    """Stores an object that is older than our webhook and our definition."""
    with nobody_asked(plane), no_spec_demanded(plane):
        eventually(lambda: is_taken(admin, obj))
    probe = {**broken(), "metadata": {"name": "probe"}}
    without = {key: value for key, value in probe.items() if key != "spec"}
    eventually(lambda: not is_taken(admin, probe, dryRun="All"))
    eventually(lambda: not is_taken(admin, without, dryRun="All"))


def is_taken(admin: Admin, obj: Object, **params: str) -> bool:
    try:
        admin.api.request("POST", admin.path(MODEL_BOOSTER), obj, params=params)
    except Refused as exc:
        if exc.status != 422:
            raise
        return False
    return True
