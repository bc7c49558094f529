"""Generated ModelBoosters: valid ones, and ones with something wrong somewhere.

For properties that must hold of every object: that the API server and we are of one mind, that
what is admitted can be converted, that nothing makes us fall over.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.values.meta import Object
from tests.builders import booster_object

TEXT = st.text("aZ09-_./:=,\"'\\ {}é漢", max_size=8)
NAMES = st.sampled_from(["a", "b", "b1", "0", "9x", "qwen-7b", "a--b", "n" * 20])
MODEL_NAMES = st.sampled_from(["demo", "a", "m-1", "m" * 28])
SOURCES = st.sampled_from(["hf://a/b", "s3://bucket/m", "obs://b/m", "ms://a/b", "pvc://claim/m"])
CACHES = st.sampled_from(["hostpath:///cache", "hostpath://cache/x", "pvc://claim"])
QUANTITIES = st.sampled_from(
    [0, 1, 2**40, "1", "500m", "1.5", "0.5", "16Gi", "1e3", "1024Mi", ".5"]
)
DURATIONS = st.sampled_from(["0", "0s", "30s", "1m30s", "1800s", "30m", ".5s"])
COUNTS = st.integers(0, 5)

CONFIGS = st.dictionaries(
    TEXT,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | TEXT
        # Whole ones too: the server stores 1.0 as 1.
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


def _fields(required: dict[str, SearchStrategy[Any]], **optional: Any) -> SearchStrategy[Object]:
    return st.fixed_dictionaries(required, optional=optional)


def _named(items: SearchStrategy[Object], most: int) -> SearchStrategy[list[Object]]:
    return st.lists(items, min_size=1, max_size=most, unique_by=lambda item: str(item["name"]))


_REFERENCES = _fields({"key": NAMES}, name=NAMES, optional=st.booleans())
_ENV = _fields(
    {"name": st.sampled_from(["A", "B", "ENDPOINT", "HF_ENDPOINT", "RUNTIME_PORT"])},
    value=TEXT,
    valueFrom=_fields(
        {},
        secretKeyRef=_REFERENCES,
        configMapKeyRef=_REFERENCES,
        fieldRef=_fields({"fieldPath": st.just("metadata.name")}),
        resourceFieldRef=_fields({"resource": st.just("limits.cpu")}, divisor=QUANTITIES),
        fileKeyRef=_fields({"key": NAMES, "path": NAMES, "volumeName": NAMES}),
    ),
)
_AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "nvidia.com/gpu", "huawei.com/ascend-1980"]),
    QUANTITIES,
    max_size=3,
)
_REQUIREMENTS = st.lists(
    _fields({"key": NAMES, "operator": st.just("In")}, values=st.lists(NAMES, max_size=2)),
    max_size=2,
)
_POD_TERMS = _fields(
    {"topologyKey": st.just("kubernetes.io/hostname")},
    labelSelector=_fields(
        {}, matchLabels=st.dictionaries(NAMES, NAMES, max_size=2), matchExpressions=_REQUIREMENTS
    ),
    namespaces=st.lists(NAMES, max_size=2),
)
_AFFINITIES = _fields(
    {},
    nodeAffinity=_fields(
        {},
        requiredDuringSchedulingIgnoredDuringExecution=_fields(
            {"nodeSelectorTerms": st.lists(_fields({}, matchExpressions=_REQUIREMENTS), max_size=2)}
        ),
    ),
    podAntiAffinity=_fields(
        {},
        requiredDuringSchedulingIgnoredDuringExecution=st.lists(_POD_TERMS, max_size=2),
        preferredDuringSchedulingIgnoredDuringExecution=st.lists(
            _fields({"weight": st.integers(1, 100), "podAffinityTerm": _POD_TERMS}), max_size=2
        ),
    ),
)
POLICIES = _fields(
    {
        "metrics": st.lists(
            _fields({"metricName": NAMES, "targetValue": QUANTITIES}), min_size=1, max_size=3
        )
    },
    tolerancePercent=st.integers(0, 100),
    behavior=st.just({}),
)
_MATCHES = _fields({}, exact=TEXT, prefix=TEXT, regex=st.just("^/v1"))
MODEL_MATCHES = _fields(
    {},
    headers=st.dictionaries(NAMES, _MATCHES, max_size=2),
    uri=_MATCHES,
    body=_fields({}, model=NAMES),
)


def _workers(kind: str | None) -> SearchStrategy[Object]:
    return _fields(
        {} if kind is None else {"type": st.just(kind)},
        image=st.sampled_from(
            ["vllm/vllm-openai:v0.9.2", "registry.example.org:5000/a/b@sha256:0"]
        ),
        replicas=COUNTS,
        pods=COUNTS,
        config=CONFIGS,
        resources=_fields(
            {}, limits=_AMOUNTS, requests=_AMOUNTS, claims=_named(_fields({"name": NAMES}), 2)
        ),
        affinity=_AFFINITIES,
        tolerations=st.lists(
            _fields({}, key=NAMES, tolerationSeconds=st.integers(-(2**63), 2**63 - 1)), max_size=2
        ),
    )


_WORKERS: dict[str, SearchStrategy[list[Object]]] = {
    **{
        kind: st.tuples(_workers(None) | _workers("server")).map(list)
        for kind in ("vLLM", "SGLang", "MindIE")
    },
    "vLLMDisaggregated": st.permutations(["prefill", "decode"]).flatmap(
        lambda kinds: st.tuples(*map(_workers, kinds)).map(list)
    ),
    "MindIEDisaggregated": st.lists(
        st.sampled_from(["prefill", "decode", "controller", "coordinator"]).flatmap(_workers),
        min_size=1,
        max_size=4,
    ),
}


_BOUNDS = st.tuples(COUNTS, st.integers(1, 5)).map(
    lambda two: {"minReplicas": min(two), "maxReplicas": max(two)}
)
_SCALE = _BOUNDS | COUNTS.map(lambda count: {"replicas": count})
_KINDS = st.sampled_from(sorted(_WORKERS)).flatmap(
    lambda kind: st.tuples(st.just({"type": kind}), _WORKERS[kind])
)
_BACKENDS = _fields(
    {"name": NAMES, "modelURI": SOURCES},
    cacheURI=CACHES,
    env=_named(_ENV, 2),
    envFrom=st.lists(_fields({}, prefix=NAMES, secretRef=_fields({}, name=NAMES)), max_size=2),
    scalingCost=st.integers(0, 2**31 - 1),
    routeWeight=st.integers(0, 100),
    scaleToZeroGracePeriod=DURATIONS,
    autoscalingPolicy=POLICIES,
    loraAdapters=_named(_fields({"name": NAMES, "artifactURL": SOURCES}), 2),
    schedulerName=NAMES,
    gangScheduling=st.booleans(),
    runtimeClassName=NAMES,
)
BACKENDS = st.tuples(_BACKENDS, _KINDS, _SCALE).map(
    lambda parts: {**parts[0], **parts[1][0], "workers": parts[1][1], **parts[2]}
)
"""Backends that the CRD accepts."""

_FORMS = _named(BACKENDS, 3).map(lambda several: {"backends": several}) | BACKENDS.map(
    lambda one: {"backend": one}
)
_SPECS = _fields(
    {},
    name=NAMES,
    owner=TEXT,
    autoscalingPolicy=POLICIES,
    costExpansionRatePercent=st.integers(0, 1000),
    modelMatch=MODEL_MATCHES,
)
BOOSTERS = st.tuples(MODEL_NAMES, _SPECS, _FORMS).map(
    lambda parts: booster_object(parts[0], **{**parts[1], **parts[2]})
)
"""ModelBoosters that the CRD accepts; the webhook need not."""

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 101, 1_000_001, 2**31, 2**63, 1.5, -2.5, 1_234_567.25),
    *("", "x", "A b", "server", "decode", "vLLM", "vLLMDisaggregated", "hf://", "a\n", "x" * 70),
    *("1d", "31m", "-1s", "30s"),
    *([], [None], [1], [1, {}], [{}, {}], [{"name": "a"}, {"name": "a"}]),
    *({}, {"name": "a"}, {"a": {"b": 1}}, {"scaleUp": {"panicPolicy": {}}}, {"scaleDown": {}}),
)
"""Values that are wrong in most places, and right in some."""

ODD_NAMES = ("A", "1a", "a.b", "a-", "x" * 64, "X" * 64, "a b")

FIELDS = (
    *("backend", "backends", "replicas", "minReplicas", "maxReplicas", "type", "workers", "name"),
    *(
        "loraAdapters",
        "autoscalingPolicy",
        "behavior",
        "scaleToZeroGracePeriod",
        "config",
        "unknown",
    ),
)
"""Names of fields that may be put where they do not belong."""


_METRICS = {"metrics": [{"metricName": "m", "targetValue": 1}]}
BREAKS: tuple[Object, ...] = (
    {"minReplicas": 3, "maxReplicas": 2},
    {"replicas": 1, "minReplicas": 1},
    {"type": "vLLMDisaggregated"},
    {"type": "MindIEDisaggregated"},
    {"type": "vLLM"},
    {"type": "TGI"},
    {"name": "b1"},
    {"scaleToZeroGracePeriod": "31m"},
    {"scaleToZeroGracePeriod": "-1s"},
    {"scaleToZeroGracePeriod": "1d"},
    {"env": [{"name": "A"}, {"name": "A"}]},
    {"loraAdapters": [{"name": "l", "artifactURL": "hf://a/b"}] * 2},
    {"autoscalingPolicy": {**_METRICS, "behavior": {"scaleUp": {"panicPolicy": {}}}}},
    {"autoscalingPolicy": {**_METRICS, "behavior": {"scaleUp": {"stablePolicy": {}}}}},
    {"autoscalingPolicy": {**_METRICS, "behavior": {"scaleDown": {"percent": 5}}}},
)
"""Fields of a backend that are right one by one, and break a rule together or in most places."""


def _slots(value: Any) -> list[tuple[Any, Any]]:
    """Returns each place in a value: the dict or list, and the key in it."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        at = todo.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        for key in keys:
            found.append((at, key))
            todo.append(at[key])
    return found


def _backends(spec: Any) -> list[Object]:
    if not isinstance(spec, dict):
        return []
    listed = spec.get("backends")
    found = [*(listed if isinstance(listed, list) else ()), spec.get("backend")]
    return [backend for backend in found if isinstance(backend, dict)]


@st.composite
def mangled(draw: st.DrawFn) -> Object:
    """A ModelBooster in which one to three places are wrong, or at least odd."""
    obj = copy.deepcopy(draw(BOOSTERS))
    root = {"spec": obj.pop("spec")}
    for _ in range(draw(st.integers(1, 3))):
        # Leaves first: what is drawn most often should not be the whole spec.
        slots = _slots(root)[::-1]
        change = draw(st.sampled_from(["replace", "break", "remove", "repeat", "add", "rename"]))
        if not slots or change == "rename":
            obj["metadata"]["name"] = draw(st.sampled_from(ODD_NAMES))
            continue
        at, key = draw(st.sampled_from(slots))
        # A copy: the next change may be below this one.
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        if change == "replace":
            at[key] = odd
        elif change == "break":
            for each in _backends(root.get("spec")):
                each.update(copy.deepcopy(draw(st.sampled_from(BREAKS))))
        elif change == "remove":
            at.pop(key)
        elif change == "repeat" and isinstance(at, list):
            at.append(copy.deepcopy(at[key]))
        else:
            target = at[key] if isinstance(at[key], dict) else at
            if isinstance(target, dict):
                target[draw(st.sampled_from(FIELDS))] = odd
    return {**obj, **root}
