"""What a pod may say: our rules and the API server's own check of pods are of one mind.

A pod that is refused is nobody's fault that a user would find: kthena's controller tries to make
it again and again, and the ModelBooster stays as it is. So parts of pods are generated, sound ones
and broken ones; each is put into a ModelBooster, converted, and its pod shown to the real server.
It names the fields that our rules name, and no others.
`pytest --hypothesis-profile=thorough --timeout=0` on this file asks about many more of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.validation import Context
from app.validation.inputs import rule_inputs
from app.validation.rules import RULES
from app.values.fields import SpecError
from app.values.meta import Object, Resource
from tests.builders import UID, backend, booster_object, worker
from tests.controlplane.api import Api, Refused
from tests.controlplane.plane import ControlPlane
from tests.sizes import examples
from tests.world import Admin

POD = Resource("", "v1", "pods", "Pod")
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")
RUNTIME_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
DRY = {"dryRun": "All", "fieldValidation": "Strict"}

NAMES = ["a", "my-name", "a.b", "", "A", "-a", "a-", "a..b", "x" * 64, "x" * 253, "x" * 254]
LABELS = [
    *("a", "A_b.c", "example.com/a", "", "/a", "a/", "a/b/c", "-a", "é", "Ex/a", "a b"),
    *("x" * 63, "x" * 64, "x" * 253 + "/a", "x" * 254 + "/a"),
]
VALUES = ["", "a", "A_b.c", "a/b", "-a", "a-", "x" * 63, "x" * 64, "é", "a b"]
KEYS = ["k", "K_.-1", "", ".", "..", "..a", ".a", "a b", "a/b", "x" * 253, "x" * 254]
VARIABLES = ["A", "a.b-c_d", "1A", "a b", "", "A=b", "é", "~", "\t", ".", "..a", "<", ">", "\x7f"]
FIELDS = [
    *("metadata.name", "metadata.uid", "status.podIPs", "spec.host", "", "spec.nodename"),
    *("metadata.labels", "status.phase", "metadata.labels['a/b']", "metadata.labels['']"),
    *("metadata.annotations['A']", "metadata.labels['-']", "spec['a']", "['a']", "a['b'"),
    *("metadata.annotations['É']", "metadata.name['a']", "metadata.labels['a']['b']"),
]
RESOURCES = [
    *("limits.cpu", "requests.memory", "limits.ephemeral-storage", "limits.hugepages-2Mi"),
    *("", "cpu", "limits.nvidia.com/gpu", "requests.hugepages-", "limits.Memory"),
]
DIVISORS = [0, 1, "1", "1m", "1k", "1Ki", "2", "1000m", "1024", "1Ei", "1n", "-1"]


def some(required: dict[str, SearchStrategy[Any]], **optional: Any) -> SearchStrategy[Object]:
    return st.fixed_dictionaries(required, optional=optional)


def of(values: Sequence[Any]) -> SearchStrategy[Any]:
    return st.sampled_from(values)


def few(items: SearchStrategy[Any], most: int = 2) -> SearchStrategy[list[Any]]:
    return st.lists(items, max_size=most)


_KEY = some({"key": of(KEYS)}, name=of(NAMES), optional=st.booleans())
_SOURCE = some(
    {},
    configMapKeyRef=_KEY,
    secretKeyRef=_KEY,
    fieldRef=some({"fieldPath": of(FIELDS)}, apiVersion=of(["v1", "", "v2"])),
    resourceFieldRef=some({"resource": of(RESOURCES)}, divisor=of(DIVISORS)),
)
_ONE_SOURCE = _SOURCE.filter(bool).map(lambda source: dict([next(iter(source.items()))]))
VARIABLE = some({"name": of(VARIABLES)}, value=of(["", "x"]), valueFrom=_SOURCE) | some(
    {"name": st.just("B"), "valueFrom": _ONE_SOURCE}
)
# The server lets a name end with a dash here, and nowhere else.
_NAMED = some({}, name=of([name for name in NAMES if name != "a-"]))
ENV_FROM = some({}, prefix=of(VARIABLES), configMapRef=_NAMED, secretRef=_NAMED)
AMOUNTS = [0, 1, 2, "1", "500m", "1Gi", "2Mi", "3Mi", "-1", "1.5", "1.0005", "1e3", "0.5n"]
RESOURCE_NAMES = [
    *("cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "huawei.com/ascend-1980"),
    *("hugepages-2Mi", "hugepages-1Gi", "hugepages-", "hugepages-x", "gpu", "pods", "", "a b"),
    *("requests.cpu", "requests.example.com/a", "kubernetes.io/a", "a/b/c", "Ex.com/a"),
    *(f"{'x' * 60}.com/a", f"{'x.' * 124}com/a"),
]
QUANTITIES = st.dictionaries(of(RESOURCE_NAMES), of(AMOUNTS), max_size=3)
USUAL = st.dictionaries(
    of(["cpu", "memory", "nvidia.com/gpu", "hugepages-2Mi"]),
    of([1, 2, "500m", "4Mi"]),
    max_size=3,
)
ENGINE_RESOURCES = some({}, limits=QUANTITIES, requests=QUANTITIES) | some(
    {}, limits=USUAL, requests=USUAL
)
TOLERATION = some(
    {},
    key=of(LABELS),
    operator=of(["", "Equal", "Exists", "exists", "In"]),
    value=of(VALUES),
    effect=of(["", "NoSchedule", "NoExecute", "PreferNoSchedule", "Never"]),
    tolerationSeconds=of([-1, 0, 60]),
)
OPERATORS = of(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "in", ""])
CONDITION = some({"key": of(LABELS), "operator": OPERATORS}, values=few(of(VALUES)))
FIELD = some(
    {"key": of(["metadata.name", "metadata.uid", ""]), "operator": OPERATORS},
    values=few(of(NAMES)),
)
TERM = some({}, matchExpressions=few(CONDITION), matchFields=few(FIELD))
WEIGHTS = of([-1, 0, 1, 100, 101])
NODE_AFFINITY = some(
    {},
    requiredDuringSchedulingIgnoredDuringExecution=some({"nodeSelectorTerms": few(TERM)}),
    preferredDuringSchedulingIgnoredDuringExecution=few(
        some({"weight": WEIGHTS, "preference": TERM})
    ),
)
SELECTOR = some(
    {},
    matchLabels=st.dictionaries(of(LABELS), of(VALUES), max_size=2),
    matchExpressions=few(CONDITION),
)
# Other keys than those of labels: which of them the pod has is kthena's affair.
LABEL_KEYS = of(["k", "example.com/k", "-k"])
POD_TERM = some(
    {"topologyKey": of(LABELS)},
    labelSelector=SELECTOR,
    namespaceSelector=SELECTOR,
    namespaces=few(of(NAMES)),
    matchLabelKeys=few(LABEL_KEYS, 1),
    mismatchLabelKeys=few(LABEL_KEYS, 1),
)
POD_AFFINITY = some(
    {},
    requiredDuringSchedulingIgnoredDuringExecution=few(POD_TERM),
    preferredDuringSchedulingIgnoredDuringExecution=few(
        some({"weight": WEIGHTS, "podAffinityTerm": POD_TERM})
    ),
)
AFFINITY = some(
    {}, nodeAffinity=NODE_AFFINITY, podAffinity=POD_AFFINITY, podAntiAffinity=POD_AFFINITY
)
CLASSES = ["there", "Not", "-", "x" * 254, "a..b"]


@pytest.fixture(scope="module")
def pods(plane: ControlPlane) -> Admin:
    """A namespace in which pods can be made, and a runtime class for them."""
    runtime_class = {"metadata": {"name": "there"}, "handler": "runc"}
    try:
        plane.api.request("POST", RUNTIME_CLASSES, runtime_class)
    except Refused as exc:
        assert exc.reason == "AlreadyExists"  # noqa: PT017  # the status is what counts
    made = plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "pods-"}})
    admin = Admin(plane.api, made["metadata"]["name"])
    admin.until(SERVICE_ACCOUNT, "default")
    return admin


def pod_of(obj: Object) -> Object | None:
    """Returns the first pod of an object, whatever the rules say; None if there can be none."""
    model = canonical(ModelBooster.model_validate(obj))
    try:
        children = desired_children(model, Context().release_profile, Options())
    except SpecError:
        return None
    serving = next(c.object for c in children if c.resource.kind == "ModelServing")
    pod: Object = serving["spec"]["template"]["roles"][0]["entryTemplate"]
    return pod


Faults = dict[str, set[str]]
"""What is said of a field, by the path below a backend or worker."""


def server_says(api: Api, path: str, pod: Object) -> Faults:
    """Returns what the API server says of a pod."""
    body = {**pod, "apiVersion": "v1", "kind": "Pod"}
    body["metadata"] = {**pod.get("metadata", {}), "name": "pod"}
    response = api.client.post(path, params=DRY, json=body)
    if response.status_code == 201:
        return {}
    answer, found = response.json(), defaultdict[str, set[str]](set)
    if response.status_code == 403:  # said before names are looked at
        assert answer["message"].endswith("not found")
        return {"runtimeClassName": set()}
    assert response.status_code == 422, answer
    for cause in answer["details"]["causes"]:
        at, message = cause["field"], cause["message"]
        at = re.sub(r"^spec\.(initContainers|containers)\[\d+\]\.", "", at)
        found[re.sub(r"^spec\.", "", at)].add(without_value(message))
    return dict(found)


def rules_say(obj: Object) -> Faults:
    """Returns what our rules say, at the places that the server names where it is less exact."""
    case, found = rule_inputs(obj, Context()), defaultdict[str, set[str]](set)
    for rule in RULES:
        for fault in rule(case):
            at = re.sub(r"^spec\.backends\[0\]\.(workers\[0\]\.)?", "", str(fault.path))
            at = re.sub(r"^(envFrom)\[\d+\]$", r"\1", at)
            at = re.sub(r"\.namespaces\[\d+\]$", ".namespace", at)
            found[at].add(without_value(fault.message))
    return dict(found)


def of_one_mind(pods: Admin, obj: Object) -> None:
    obj["metadata"].update(namespace="default", uid=UID)
    ours, pod = rules_say(obj), pod_of(obj)
    if pod is None:
        assert ours
        return
    theirs = server_says(pods.api, pods.path(POD), pod)
    # The server makes a request of each limit that has none, and finds the same fault with both.
    asked = obj["spec"]["backends"][0]["workers"][0].get("resources", {}).get("requests", {})
    for at in list(theirs):
        name = re.fullmatch(r"resources\.requests\[(.*)\]", at)
        if name and name[1] not in asked:
            del theirs[at]
    assert sorted(theirs) == sorted(ours), (theirs, ours)
    for at, words in theirs.items():
        assert not words or ours[at] <= words


def without_value(words: str) -> str:
    """Returns a fault without the value: the server prints quantities as it rounds them."""
    words = re.sub(r'^(\w+ value): (?:".*?"|[^:]*): ', r"\1: ", words)
    return re.sub(r"\S+ (is not positive integer multiple)|(limit of) \S+", r"\1\2", words)


@given(env=st.lists(VARIABLE, max_size=3, unique_by=lambda entry: str(entry["name"])))
@examples(120)
def test_variables(pods: Admin, env: list[Object]) -> None:
    of_one_mind(pods, booster_object("demo", backend(env=env)))


@given(sources=few(ENV_FROM))
@examples(60)
def test_sources_of_many_variables(pods: Admin, sources: list[Object]) -> None:
    of_one_mind(pods, booster_object("demo", backend(envFrom=sources)))


@given(resources=ENGINE_RESOURCES)
@examples(120)
def test_resources(pods: Admin, resources: Object) -> None:
    of_one_mind(pods, booster_object("demo", backend(workers=[worker(resources=resources)])))


@given(tolerations=few(TOLERATION))
@examples(80)
def test_tolerations(pods: Admin, tolerations: list[Object]) -> None:
    of_one_mind(pods, booster_object("demo", backend(workers=[worker(tolerations=tolerations)])))


@given(affinity=AFFINITY)
@examples(150)
def test_affinity(pods: Admin, affinity: Object) -> None:
    of_one_mind(pods, booster_object("demo", backend(workers=[worker(affinity=affinity)])))


def variables(value_from: Callable[[Any], Object], values: Sequence[Any]) -> list[Object]:
    return [backend(env=[{"name": "A", "valueFrom": value_from(value)}]) for value in values]


def engines(**fields: Sequence[Any]) -> list[Object]:
    return [
        backend(workers=[worker(**{name: value})])
        for name, values in fields.items()
        for value in values
    ]


def node_terms(values: Sequence[Object]) -> list[Object]:
    return [{"nodeAffinity": {PLACED: {"nodeSelectorTerms": [value]}}} for value in values]


def pod_terms(values: Sequence[Object]) -> list[Object]:
    return [{"podAffinity": {PLACED: [{"topologyKey": "a", **value}]}} for value in values]


PLACED = "requiredDuringSchedulingIgnoredDuringExecution"
EDGES = {
    "names of variables": [backend(env=[{"name": name}]) for name in VARIABLES],
    "prefixes": [
        backend(envFrom=[{"prefix": name, "secretRef": {"name": "a"}}]) for name in VARIABLES
    ],
    "names of objects": variables(lambda n: {"secretKeyRef": {"name": n, "key": "k"}}, NAMES),
    "keys": variables(lambda key: {"configMapKeyRef": {"name": "a", "key": key}}, KEYS),
    "fields": variables(lambda path: {"fieldRef": {"fieldPath": path}}, FIELDS),
    "resources": variables(lambda name: {"resourceFieldRef": {"resource": name}}, RESOURCES),
    "units": [
        each
        for name in RESOURCES[:4]
        for each in variables(
            lambda amount: {"resourceFieldRef": amount},
            [{"resource": name, "divisor": unit} for unit in DIVISORS],
        )
    ],
    "names of resources": engines(resources=[{"limits": {n: 1, "cpu": 1}} for n in RESOURCE_NAMES]),
    "amounts": engines(
        resources=[
            {"limits": {name: amount, "cpu": 1}}
            for name in ("memory", "nvidia.com/gpu", "hugepages-2Mi")
            for amount in AMOUNTS
        ]
    ),
    "requests and limits": engines(
        resources=[
            {"limits": {name: 2, "cpu": 1}, "requests": {name: asked}}
            for name in ("memory", "nvidia.com/gpu")
            for asked in (1, 2, 3)
        ]
    ),
    "keys of taints": engines(tolerations=[[{"key": k, "operator": "Exists"}] for k in LABELS]),
    "values of taints": engines(tolerations=[[{"key": "a", "value": v}] for v in VALUES]),
    "labels of nodes": engines(
        affinity=node_terms(
            [{"matchExpressions": [{"key": k, "operator": "Exists"}]} for k in LABELS]
        )
    ),
    "values of nodes": engines(
        affinity=node_terms(
            [
                {"matchExpressions": [{"key": "a", "operator": operator, "values": [value]}]}
                for operator in ("In", "Gt")
                for value in VALUES
            ]
        )
    ),
    "names of nodes": engines(
        affinity=node_terms(
            [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
                for name in NAMES
            ]
        )
    ),
    "topologies": engines(affinity=pod_terms([{"topologyKey": key} for key in LABELS])),
    "namespaces": engines(affinity=pod_terms([{"namespaces": [name]} for name in NAMES])),
    "labels of pods": engines(
        affinity=pod_terms([{"labelSelector": {"matchLabels": {"a": value}}} for value in VALUES])
    ),
    "weights": engines(
        affinity=[
            {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {"weight": weight, "preference": {}}
                    ]
                }
            }
            for weight in (0, 1, 100, 101)
        ]
    ),
    "runtime classes": [backend(runtimeClassName=name) for name in CLASSES],
}


@pytest.mark.parametrize("subject", EDGES)
def test_values_at_and_beyond_every_limit(pods: Admin, subject: str) -> None:
    for each in EDGES[subject]:
        of_one_mind(pods, booster_object("demo", each))
