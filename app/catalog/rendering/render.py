"""Makes a ModelBooster of a template, a profile, an engine and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.apis.kinds import MODEL_BOOSTER, PROFILES
from app.catalog.devices import AMD, AMD_PRODUCT, ASCEND, CPU, NVIDIA, NVIDIA_PRODUCT
from app.catalog.facts.fields import EngineName
from app.catalog.facts.serving import Connector, Profile
from app.catalog.parameters import Values, ValuesError, check_values
from app.catalog.rendering.arguments import arguments_of
from app.catalog.rendering.checks import refuse_given
from app.catalog.rendering.plan import Plan, plan_of
from app.catalog.rendering.scale import scale_of
from app.catalog.templates import Template
from app.values.meta import Object

CACHE = "hostpath:///mnt/cache"
"""Default of ``cacheURI``."""

TOKEN_SECRET = "hugging-face"  # noqa: S105 - the name of a Secret
"""Default of ``tokenSecret`` for gated models."""

_LABELS = {NVIDIA: NVIDIA_PRODUCT, AMD: AMD_PRODUCT}
"""The node label that names the product, by the resource of the devices."""

_TYPES: dict[EngineName, str] = {"vllm": "vLLM", "sglang": "SGLang"}

_ALLOCATION = {"name": "PYTORCH_CUDA_ALLOC_CONF", "value": "expandable_segments:True"}
_TRANSFER_ENV: dict[Connector, list[Object]] = {
    "LMCacheConnectorV1": [_ALLOCATION],
    "MooncakeConnector": [_ALLOCATION],
    "NixlConnector": [
        _ALLOCATION,
        {"name": "UCX_TLS", "value": "tcp,cuda_copy"},
        {"name": "UCX_NET_DEVICES", "value": "eth0"},
    ],
}
"""Environment of both workers, as kthena's templates have it."""


def render(
    template: Template,
    *,
    values: Mapping[str, Any] | Values | None = None,
    profile: Profile | None = None,
    engine: EngineName | None = None,
    release: str | None = None,
) -> Object:
    """Returns a ModelBooster.

    Args:
        template: the template.
        values: values of its parameters.
        profile: the profile, if it is chosen already; it need not be one of the template's.
        engine: the engine, if it is chosen already.
        release: a release of kthena whose own CustomResourceDefinition must accept the object as
            well: it decides between ``backends`` and ``backend``, and between ``replicas`` and
            bounds. Ours accepts all forms.

    Raises:
        ValuesError: values are unknown, of a wrong type, or contradict each other.
    """
    if release is not None and release not in PROFILES:
        raise ValuesError(f"kthena release: {release} is none of {', '.join(PROFILES)}")
    checked = values if isinstance(values, Values) else check_values(values or {})
    plan = plan_of(template, checked, profile, engine)
    name = checked.name or template.short_name
    scale = scale_of(checked, release)
    metadata: Object = {"name": name}
    if checked.namespace:
        metadata["namespace"] = checked.namespace
    if checked.annotation_name is not None:
        metadata["annotations"] = {"api.kubernetes.io/name": checked.annotation_name}
    spec: Object = {}
    if checked.model_name is not None:
        spec["name"] = checked.model_name
    if checked.owner is not None:
        spec["owner"] = checked.owner
    spec |= scale.model
    backend = _backend(plan, checked.model_name or name, scale.backend)
    spec |= {"backends": [backend]} if scale.several else {"backend": backend}
    return {
        "apiVersion": f"{MODEL_BOOSTER.group}/{MODEL_BOOSTER.version}",
        "kind": MODEL_BOOSTER.kind,
        "metadata": metadata,
        "spec": spec,
    }


def _backend(plan: Plan, served_name: str, scale: Object) -> Object:
    values, model = plan.values, plan.template.model
    kind = "vLLMDisaggregated" if plan.disaggregated else _TYPES[plan.engine]
    if values.backend_type not in (None, kind):
        raise ValuesError(
            f'backendType: "{values.backend_type}" must be {kind} for this template and engine'
        )
    backend: Object = {
        "name": values.backend_name or plan.engine,
        "type": kind,
        "modelURI": values.model_uri or f"hf://{model.repository}",
    }
    cache = CACHE if values.cache_uri is None else values.cache_uri
    if cache:
        backend["cacheURI"] = cache
    if secret := _token_secret(plan):
        backend["envFrom"] = [{"secretRef": {"name": secret}}]
    if env := _env(plan):
        backend["env"] = env
    backend |= scale
    if values.lora_adapters:
        backend["loraAdapters"] = [
            {"name": each.name, "artifactURL": each.artifact_url} for each in values.lora_adapters
        ]
    if values.scheduler_name:
        backend["schedulerName"] = values.scheduler_name
    if values.gang_scheduling is not None:
        backend["gangScheduling"] = values.gang_scheduling
    if values.runtime_class_name:
        backend["runtimeClassName"] = values.runtime_class_name
    backend["workers"] = _workers(plan, served_name)
    return backend


def _token_secret(plan: Plan) -> str:
    given = plan.values.token_secret
    if given is not None:
        return given
    own = plan.values.model_uri is None
    return TOKEN_SECRET if own and plan.template.model.gated else ""


def _env(plan: Plan) -> list[Object]:
    """Returns the variables of the template, then those of the user, who wins."""
    model, variant = plan.template.model, plan.template.variant
    found: list[Object] = []
    if model.revision != "main" and plan.values.model_uri is None:
        found.append({"name": "HF_REVISION", "value": model.revision})
    if variant is not None and variant.connector is not None:
        found += _TRANSFER_ENV[variant.connector]
    given = list(plan.values.env or ())
    names = {each.get("name") for each in given}
    return [*(each for each in found if each["name"] not in names), *given]


def _workers(plan: Plan, served_name: str) -> list[Object]:
    values = plan.values
    kind = "prefill" if plan.disaggregated else "server"
    if values.worker_type not in (None, kind):
        raise ValuesError(f'workerType: "{values.worker_type}" must be {kind} for this template')
    workers = [
        _worker(plan, kind, plan.image, values.worker_replicas, arguments_of(plan, served_name))
    ]
    if plan.disaggregated:
        image = values.decode_worker_image or plan.image
        config = arguments_of(plan, served_name, decode=True)
        workers.append(_worker(plan, "decode", image, values.decode_worker_replicas, config))
    else:
        given = {
            "decodeWorkerType": values.decode_worker_type,
            "decodeWorkerImage": values.decode_worker_image,
            "decodeWorkerReplicas": values.decode_worker_replicas,
            "decodeWorkerPods": values.decode_worker_pods,
        }
        refuse_given(given, f"{plan.template.name} has no decode worker")
    return workers


def _worker(plan: Plan, kind: str, image: str, replicas: int | None, config: Object) -> Object:
    worker: Object = {
        "type": kind,
        "image": image,
        "replicas": replicas or 1,
        "pods": plan.pods,
        "config": config,
        "resources": _resources(plan),
    }
    if affinity := _affinity(plan):
        worker["affinity"] = affinity
    return worker


def _resources(plan: Plan) -> Object:
    resource, amount = plan.device.resource, str(plan.devices)
    if resource == CPU:
        amounts = {"cpu": amount, "memory": f"{plan.profile.memory}"}
        return {"limits": amounts, "requests": amounts}
    found: Object = {"limits": {resource: amount}}
    if plan.values.gpu_request is not None:
        found["requests"] = {resource: amount}
    return found


def _affinity(plan: Plan) -> Object | None:
    """Returns an affinity to nodes with the device of the profile, if it is asked for."""
    if not plan.values.require_device:
        return None
    label = _LABELS.get(plan.device.resource)
    if label is None:
        what = "NPUs" if plan.device.resource == ASCEND else plan.device.title
        raise ValuesError(f"requireDevice: no node label tells {what} apart; leave it out")
    shared = ("", "-SHARED") if label == NVIDIA_PRODUCT else ("",)
    wanted = {
        "key": label,
        "operator": "In",
        "values": [product + suffix for product in plan.device.products for suffix in shared],
    }
    terms = {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
