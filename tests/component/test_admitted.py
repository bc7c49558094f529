"""What is admitted can be made: every child and its pods are accepted, whichever kthena there is.

Else a user would learn of a mistake from the status only, long after the apply.
`pytest --hypothesis-profile=thorough --timeout=0` on this file asks about many more objects.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import assume, given

from app.apis.kinds import MODEL_SERVING, Profile
from app.apis.pruning import pruned
from app.convert import desired_children
from app.defaults import defaulted
from app.model.children import Desired
from app.validation import Context, validate
from app.values.meta import Object, Resource
from tests.builders import UID
from tests.controlplane import crds
from tests.controlplane.api import APPLY, Api, Refused
from tests.controlplane.plane import ControlPlane
from tests.generated import BOOSTERS
from tests.kthena import refusals
from tests.sizes import examples
from tests.world import Admin

POD = Resource("", "v1", "pods", "Pod")
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
DRY = {"dryRun": "All", "fieldValidation": "Strict"}
DRY_APPLY = {
    "dryRun": "All",
    "fieldValidation": "Strict",
    "fieldManager": "model-booster-controller",
    "force": "true",
}


@pytest.fixture(scope="module")
def planes(plane: ControlPlane) -> Iterator[Mapping[Profile, Api]]:
    """A control plane for each shape of the children."""
    with ExitStack() as stack:
        found = {Profile.B: plane.api}
        for profile in (Profile.A, Profile.C):
            other = stack.enter_context(ControlPlane())
            crds.install(other.api, crds.children(profile))
            found[profile] = other.api
        yield found


@pytest.fixture(scope="module")
def pods(plane: ControlPlane) -> Admin:
    """A namespace in which pods can be made."""
    made = plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "pods-"}})
    admin = Admin(plane.api, made["metadata"]["name"])
    admin.until(SERVICE_ACCOUNT, "default")
    return admin


def admitted(obj: Object, profile: Profile) -> list[Desired] | None:
    """Returns the children of an object; None if it is refused."""
    context = Context(profile=profile)
    verdict = validate(obj, context)
    if verdict.faults or verdict.model is None:
        return None
    return desired_children(verdict.model, profile, context.options)


def fixed(obj: Object) -> Object:
    """Returns an object without the faults that generated ones mostly have."""
    copied = copy.deepcopy(obj)
    spec = copied["spec"]
    several, whole = spec.get("backends"), "autoscalingPolicy" in spec
    for backend in [spec["backend"]] if several is None else several:
        if whole:
            backend.pop("autoscalingPolicy", None)
        if several is not None and not whole:
            backend.pop("scalingCost", None)
            backend.pop("scaleToZeroGracePeriod", None)
        if several is not None and whole:
            backend["scalingCost"] = backend.get("scalingCost") or 1
        _mend_replicas(backend, scaled=whole or "autoscalingPolicy" in backend)
        sources = [backend["modelURI"]]
        sources += [adapter["artifactURL"] for adapter in backend.get("loraAdapters", ())]
        if any(source.startswith("pvc://") for source in sources):
            backend["cacheURI"] = "pvc://claim"
        for worker in backend["workers"]:
            worker["image"] = worker.get("image") or "vllm/vllm-openai:v0.9.2"
            _mend_pods(worker)
        _mend_variables(backend)
        _mend_policy(backend.get("autoscalingPolicy"))
    _mend_policy(spec.get("autoscalingPolicy"))
    return copied


def _mend_replicas(backend: Object, *, scaled: bool) -> None:
    fixed = backend.pop("replicas", None)
    least: int = max(1, backend.get("minReplicas", 1) if fixed is None else fixed)
    most = max(least, backend.get("maxReplicas", least))
    backend.update(minReplicas=least, maxReplicas=most if scaled else least)


def _mend_policy(written: Object | None) -> None:
    if written is not None:
        metrics = {metric["metricName"]: metric for metric in written["metrics"]}
        written["metrics"] = list(metrics.values())
        for metric in written["metrics"]:
            metric["targetValue"] = metric["targetValue"] or 1


def _mend_pods(worker: Object) -> None:
    resources = worker.get("resources", {})
    resources.pop("claims", None)
    wanted = {**resources.get("requests", {}), **resources.get("limits", {})}
    whole = {name: 1 if "/" in name else amount for name, amount in wanted.items()}
    for part in ("limits", "requests"):
        if part in resources:
            resources[part] = dict(whole)
    if "requests" in resources:
        resources["limits"] = dict(whole)
    for toleration in worker.get("tolerations", ()):
        toleration.update(operator="Exists", effect="NoExecute")
    for condition in _conditions(worker.get("affinity", {})):
        condition["values"] = condition.get("values") or ["a"]
    node = worker.get("affinity", {}).get("nodeAffinity", {})
    if not node.get(REQUIRED, {"nodeSelectorTerms": [{}]})["nodeSelectorTerms"]:
        del node[REQUIRED]


def _conditions(value: Any) -> Iterator[Object]:
    if isinstance(value, dict):
        yield from value.get("matchExpressions", ())
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _conditions(inner)


def _mend_variables(backend: Object) -> None:
    for entry in backend.get("env", ()):
        source = entry.get("valueFrom")
        if not source or entry["name"].startswith("RUNTIME"):
            entry.pop("valueFrom", None)
            continue
        entry.pop("value", None)
        source.pop("fileKeyRef", None)
        kind = next(iter(source), "fieldRef")
        inner = source.get(kind, {"fieldPath": "metadata.name"})
        if kind == "resourceFieldRef":
            inner["divisor"] = 1
        elif kind != "fieldRef":
            inner.setdefault("name", "a")
        entry["valueFrom"] = {kind: inner}
    backend["envFrom"] = [
        {**entry, "secretRef": {"name": "a", **entry.get("secretRef", {})}}
        for entry in backend.get("envFrom", ())
    ]


def pods_of(children: list[Desired]) -> Iterator[Object]:
    """Yields each template of pods in the ModelServings."""
    for child in children:
        if child.resource == MODEL_SERVING:
            for role in child.object["spec"]["template"]["roles"]:
                for name in ("entryTemplate", "workerTemplate"):
                    if name in role:
                        yield role[name]


def create_dry(admin: Admin, template: Object) -> None:
    """Shows a pod to the server, which refuses it if its runtime class is not there."""
    metadata = {**template.get("metadata", {}), "name": "pod"}
    try:
        admin.api.request("POST", admin.path(POD), {**template, "metadata": metadata}, params=DRY)
    except Refused as exc:
        if exc.status != 403 or "RuntimeClass" not in str(exc):
            raise


def apply_dry(api: Api, child: Desired) -> Object:
    metadata = child.object["metadata"]
    path = child.resource.path(metadata["namespace"], metadata["name"])
    return api.request("PATCH", path, child.object, content_type=APPLY, params=DRY_APPLY)


@given(obj=BOOSTERS)
@examples(80)
@pytest.mark.slow
def test_api_server_accepts_children_and_pods_of_admitted_objects(
    planes: Mapping[Profile, Api], pods: Admin, obj: Object
) -> None:
    for sent in (obj, fixed(obj)):
        kept = pruned(defaulted(sent)).object
        placed = {**kept, "metadata": {**kept["metadata"], "namespace": "default", "uid": UID}}
        made = {profile: admitted(placed, profile) for profile in Profile}
        if any(made.values()):
            break
    assume(any(made.values()))
    shown: list[Object] = []
    for profile, children in made.items():
        if children is not None:
            assert refusals(children, profile) == []
            for child in children:
                apply_dry(planes[profile], child)
            for pod in pods_of(children):
                if pod not in shown:  # they are mostly the same for every release
                    create_dry(pods, pod)
                    shown.append(pod)
