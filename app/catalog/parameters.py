"""The parameters of templates: names, types, defaults and meanings.

The names of kthena's templates are kept. A value that is absent or ``null`` gets its default;
``0``, ``false`` and ``""`` are values. Faults name the parameter, the value and the way out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from app.catalog.facts.fields import EngineName
from app.catalog.facts.types import type_text
from app.errors import UsageError
from app.values.meta import Object


class ValuesError(UsageError):
    """Values do not fit the template; the text has one line for each fault."""


class Default(str):
    """The default of a parameter, for people; ``""`` if it has none."""

    __slots__ = ()


Positive = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class Adapter(_Strict):
    """One LoRA adapter."""

    name: str
    """Model name that clients send to use it."""
    artifact_url: Annotated[str, Field(alias="artifactURL")]
    """Where it is, as ``modelURI``."""


class Values(_Strict):
    """The values of one template; None where nothing is given."""

    name: Annotated[str | None, Default("the short name of the model")] = None
    """Name of the ModelBooster, and the model name for clients unless modelName is set."""
    namespace: Annotated[str | None, Default("none")] = None
    """Namespace of the ModelBooster."""
    annotation_name: Annotated[str | None, Default("none")] = None
    """Value of the annotation api.kubernetes.io/name."""
    model_name: Annotated[str | None, Default("name")] = None
    """Model name that clients send; the engine serves it under the same name."""
    owner: Annotated[str | None, Default("none")] = None
    """Owner of the model, for information."""
    profile: Annotated[str | None, Default("the first one that the engine can use")] = None
    """Name of a hardware profile of the template."""
    engine: Annotated[EngineName | None, Default("vllm, or the only one that serves it")] = None
    """Engine."""
    backend_name: Annotated[str | None, Default("the engine")] = None
    """Name of the backend. Keep it short: it is part of the names of pods."""
    backend_type: Annotated[
        Literal["vLLM", "vLLMDisaggregated", "SGLang"] | None, Default("that of the engine")
    ] = None
    """Type of the backend; must agree with the engine and the template."""
    model_uri: Annotated[
        str | None, Field(alias="modelURI"), Default("hf:// and the repository")
    ] = None
    """Source of the model."""
    cache_uri: Annotated[str | None, Field(alias="cacheURI"), Default("hostpath:///mnt/cache")] = (
        None
    )
    """Cache of the model; "" for none: then each pod downloads the model."""
    token_secret: Annotated[str | None, Default("hugging-face for gated models")] = None
    """Secret with HF_AUTH_TOKEN, in the namespace; "" for none."""
    replicas: Annotated[Whole | None, Default("1")] = None
    """Replicas without autoscaling; excludes minReplicas and maxReplicas."""
    min_replicas: Annotated[Whole | None, Default("1")] = None
    """Fewest replicas. Below maxReplicas there is an autoscaling policy."""
    max_replicas: Annotated[Positive | None, Default("1, or minReplicas")] = None
    """Most replicas."""
    metric_name: Annotated[str | None, Default("kthena:num_requests_waiting")] = None
    """Metric of the autoscaling policy."""
    target_value: Annotated[Positive | None, Default("5")] = None
    """Target of the metric for each pod. kthena's router refuses requests from 10 waiting on."""
    scaling_cost: Annotated[Whole | None, Default("1 with a policy")] = None
    """Cost of a replica."""
    scale_to_zero_grace_period: Annotated[str | None, Default("none")] = None
    """Delay before the last replica goes, for example 60s."""
    worker_type: Annotated[Literal["server", "prefill"] | None, Default("server, or prefill")] = (
        None
    )
    """Type of the worker; a template with prefill and decode has prefill."""
    worker_image: Annotated[str | None, Default("the image of the engine's release")] = None
    """Image of the engine."""
    worker_replicas: Annotated[Positive | None, Default("1")] = None
    """Engines of each replica."""
    worker_pods: Annotated[Positive | None, Default("from the profile")] = None
    """Pods of one engine."""
    decode_worker_type: Annotated[Literal["decode"] | None, Default("decode")] = None
    """Type of the decode worker."""
    decode_worker_image: Annotated[str | None, Default("workerImage")] = None
    """Image of the decode worker."""
    decode_worker_replicas: Annotated[Positive | None, Default("1")] = None
    """Decode engines of each replica."""
    decode_worker_pods: Annotated[Literal[1] | None, Default("1")] = None
    """Pods of one decode engine."""
    gpu_limit: Annotated[Positive | None, Default("from the profile")] = None
    """GPUs of each pod."""
    gpu_request: Annotated[Positive | None, Default("none; it follows the limit")] = None
    """GPUs that each pod requests; must equal gpuLimit."""
    npu_limit: Annotated[Positive | None, Default("from the profile")] = None
    """Ascend NPUs of each pod."""
    max_model_len: Annotated[Positive | None, Default("from the profile")] = None
    """Most tokens of one request, prompt and answer."""
    tensor_parallel_size: Annotated[Positive | None, Default("from the profile")] = None
    """Devices that share each layer."""
    pipeline_parallel_size: Annotated[Positive | None, Default("from the profile")] = None
    """Groups of devices that share the layers."""
    gpu_memory_utilization: Annotated[Share | None, Default("0.9; 0.85 for SGLang")] = None
    """Part of the memory of a device for the engine (SGLang: mem-fraction-static)."""
    max_num_seqs: Annotated[Positive | None, Default("256")] = None
    """Most requests that the engine works on at once (SGLang: max-running-requests)."""
    max_num_batched_tokens: Annotated[Positive | None, Default("that of the engine")] = None
    """Most prompt tokens of one step (SGLang: chunked-prefill-size)."""
    lora_adapters: Annotated[tuple[Adapter, ...] | None, Default("none")] = None
    """LoRA adapters: a list of name and artifactURL."""
    config: Annotated[dict[str, Any] | None, Default("none")] = None
    """Further arguments of the engine, as in a ModelBooster; null leaves one of ours out."""
    env: Annotated[tuple[dict[str, Any], ...] | None, Default("those of the template")] = None
    """Further environment variables: a list of name and value or valueFrom."""
    require_device: Annotated[bool | None, Default("false")] = None
    """Whether pods run only on nodes whose labels name the profile's device."""
    runtime_class_name: Annotated[str | None, Default("none")] = None
    """RuntimeClass of the pods, for example nvidia."""
    scheduler_name: Annotated[str | None, Default("that of the operator")] = None
    """Scheduler of the pods."""
    gang_scheduling: Annotated[bool | None, Default("false")] = None
    """Whether all pods of a replica start together or none; needs Volcano."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    Args:
        name: its name in values.
        type: what a value must be, for people.
        default: the default, for people.
        meaning: one or two sentences.
    """

    name: str
    type: str
    default: str
    meaning: str


def _alias(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _parameters() -> Iterator[Parameter]:
    for name, field in Values.model_fields.items():
        default = next((str(m) for m in field.metadata if isinstance(m, Default)), "")
        meaning = " ".join((field.description or "").split())
        yield Parameter(_alias(name, field), type_text(field.annotation), default, meaning)


PARAMETERS: tuple[Parameter, ...] = tuple(_parameters())
"""All parameters, in the order of the documentation."""

_TYPES = {parameter.name: parameter.type for parameter in PARAMETERS}


def is_text(name: str) -> bool:
    """Returns whether a parameter takes any text, so that ``name=1`` means the text ``1``."""
    return _TYPES.get(name) == "text"


def check_values(values: Mapping[str, Any]) -> Values:
    """Returns values with their types checked.

    Raises:
        ValuesError: names are unknown, or values have another type or are out of range.
    """
    unknown = [f'unknown value "{n}"{_nearest(n)}' for n in values if n not in _TYPES]
    known: Object = {name: v for name, v in values.items() if name in _TYPES}
    try:
        checked = Values.model_validate(_with_tuples(known))
    except ValidationError as exc:
        raise ValuesError("\n".join([*unknown, *_faults(exc)])) from None
    if unknown:
        raise ValuesError("\n".join(unknown))
    return checked


def _with_tuples(values: Object) -> Object:
    """Returns values with tuples for lists, as strict types want them."""
    return {n: tuple(v) if isinstance(v, list) and n != "config" else v for n, v in values.items()}


def _nearest(name: str) -> str:
    by_case = {known.lower(): known for known in _TYPES}
    near = get_close_matches(name.lower(), by_case, n=1)
    return f"; did you mean {by_case[near[0]]}?" if near else "; see describe template"


_ARTICLES = {"whole number": "a ", "number": "a ", "list": "a ", "object": "an "}


def _faults(exc: ValidationError) -> Iterator[str]:
    for error in exc.errors(include_url=False):
        place, *inner = map(str, error["loc"])
        value = error["input"]
        given = f'"{value}"' if isinstance(value, str) else json.dumps(value, default=str)
        path = place + "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in inner)
        yield f"{path}: {_detail(error, given, '' if inner else place)}"


def _detail(error: Mapping[str, object], given: str, name: str) -> str:
    match str(error["type"]):
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is unknown"
        case "model_type" | "dict_type":
            return f"{given} must be an object"
        case kind if name and (kind.endswith("_type") or kind == "literal_error"):
            of = _TYPES[name]
            return f"{given} must be {_ARTICLES.get(of, '')}{of}"
    return f"{given} must be {str(error['msg']).removeprefix('Input should be ')}"
