"""Builders of valid ModelBoosters: a test states only the fields that it is about.

Fields go by the API's own names (``minReplicas=3``); a field given as None is left out. Every call
returns an object of its own, so a test may change it.
"""

from __future__ import annotations

from typing import Any

from app.apis.modelbooster import ModelBooster
from app.model.canonical import canonical
from app.model.forms import Model
from app.values.meta import Object

UID = "11111111-2222-4333-8444-555555555555"
"""Name of the ModelBoosters, unless the test passes another."""

_REPLICAS = {"replicas", "minReplicas", "maxReplicas"}


def worker(kind: str | None = None, /, **fields: Any) -> Object:
    """A worker; ``worker("prefill")`` sets its type."""
    return _given({"type": kind, "image": "vllm/vllm-openai:v0.9.2"}, fields)


def backend(name: str = "b1", /, **fields: Any) -> Object:
    """A vLLM backend, with one replica by default."""
    counts = {} if _REPLICAS & fields.keys() else {"minReplicas": 1, "maxReplicas": 1}
    base = {"name": name, "type": "vLLM", "modelURI": "hf://owner/model", **counts}
    return _given({**base, "workers": [worker()]}, fields)


def disaggregated(name: str = "pd", /, **fields: Any) -> Object:
    """A backend with separate pods for prefill and decode."""
    workers = [worker("prefill"), worker("decode")]
    return backend(name, **{"type": "vLLMDisaggregated", "workers": workers, **fields})


def lora(name: str, **fields: Any) -> Object:
    """A LoRA adapter."""
    return _given({"name": name, "artifactURL": f"hf://owner/{name}"}, fields)


def policy(**fields: Any) -> Object:
    """An autoscaling policy with one metric."""
    metric = {"metricName": "kthena:num_requests_waiting", "targetValue": 5}
    return _given({"metrics": [metric]}, fields)


def booster_object(
    name: str = "demo",
    /,
    *backends: Object,
    namespace: str | None = None,
    metadata: Object | None = None,
    **spec: Any,
) -> Object:
    """A ModelBooster as a user writes it, with one backend unless the test gives some.

    Args:
        name: its name.
        backends: its ``spec.backends``; ``backend=...`` writes the single form instead.
        namespace: the object's namespace; absent if None.
        metadata: further fields of ``metadata``; they win.
        spec: further fields of ``spec``; they win.
    """
    listed = None if "backend" in spec else list(backends) or [backend()]
    return {
        "apiVersion": "workload.serving.volcano.sh/v1alpha1",
        "kind": "ModelBooster",
        "metadata": _given({"name": name, "namespace": namespace}, metadata or {}),
        "spec": _given({"backends": listed}, spec),
    }


def stored_object(name: str = "demo", /, *backends: Object, **fields: Any) -> Object:
    """The same as the API server returns it: with namespace, uid and generation."""
    filled = {"namespace": "default", "uid": UID, "generation": 1, **fields.pop("metadata", {})}
    return booster_object(name, *backends, metadata=filled, **fields)


def model(name: str = "demo", /, *backends: Object, **fields: Any) -> Model:
    """What ``stored_object`` of the same arguments means."""
    return canonical(ModelBooster.model_validate(stored_object(name, *backends, **fields)))


def _given(base: Object, fields: Object) -> Object:
    return {key: value for key, value in {**base, **fields}.items() if value is not None}
