"""Facts that follow from a spec: who is served, by which roles, under which names and ports.

Rules and converters both ask here, so they cannot disagree. What does not follow raises SpecError
with the field at fault.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from app.apis.kinds import Profile
from app.model.arguments import Argument, arguments
from app.model.canonical import BackendForm, Model, WorkerForm, once
from app.model.children import backend_child_name
from app.values.fields import Path, SpecError, invalid, required, too_many
from app.values.meta import Object
from app.values.quantity import parse_quantity

DISAGGREGATED = "vLLMDisaggregated"
SERVED_TYPES = frozenset({"vLLM", DISAGGREGATED})
"""The backend types that become children; the API reserves the others."""

ENGINE_PORT = 8000
RUNTIME_PORT = 8100

ACCELERATORS = ("nvidia.com/gpu", "huawei.com/ascend-1980", "amd.com/gpu")
"""Resources that count as devices of an engine."""

MOST_ADAPTERS = 10
"""A ModelRoute lists no more."""

LONGEST_MODEL_NAME = 256
LONGEST_NAME = 63
"""Of a label's value and of a Service's name, both of which kthena makes from our names."""

_LONGEST_TAIL = len("-1000000-prefill-1000000-1000000")
"""What kthena puts after the name of a ModelServing, if all counts are as large as can be."""

_NUMBERS = (int, str, float)
"""What a number may be written as; ``true`` is none."""

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


class Role(NamedTuple):
    """One kind of pods in a ModelServing, and the worker that describes it."""

    name: str
    worker: WorkerForm
    followers: int


@once
def served(model: Model) -> tuple[BackendForm, ...]:
    """Returns the backends that become children, in the order of the spec."""
    return tuple([backend for backend in model.backends if backend.type in SERVED_TYPES])


def unserved(model: Model) -> tuple[BackendForm, ...]:
    """Returns the backends of types that the API reserves and nothing serves yet."""
    return tuple(backend for backend in model.backends if backend.type not in SERVED_TYPES)


def is_disaggregated(backend: BackendForm) -> bool:
    """Whether prompts and answers are worked on by different pods."""
    return backend.type == DISAGGREGATED


def autoscaled(model: Model, backend: BackendForm, profile: Profile) -> bool:
    """Whether an autoscaler that we set up writes the replicas of this backend.

    That of kthena v0.1.0 looks at pods of the role ``leader`` only, and finds none in a
    disaggregated backend; so none is set up there.
    """
    if backend.type not in SERVED_TYPES or not model.scaled(backend):
        return False
    return profile is not Profile.A or not is_disaggregated(backend)


@once
def roles(backend: BackendForm) -> tuple[Role, ...]:
    """Returns the roles of a backend's pods, in the order in which they are written.

    Raises:
        SpecError: a worker that the type needs is missing.
    """
    if is_disaggregated(backend):
        return tuple(Role(kind, _worker(backend, kind), 0) for kind in ("prefill", "decode"))
    worker = _worker(backend, "server")
    return (Role("leader", worker, worker.pods - 1),)


def _worker(backend: BackendForm, kind: str) -> WorkerForm:
    worker = backend.worker(kind)
    if worker is None:
        detail = f"{kind} worker not found in backend: {backend.name}"
        raise SpecError(required(backend.path.child("workers"), detail))
    return worker


def check_name_budget(model: Model, backend: BackendForm) -> None:
    """Raises SpecError if kthena could not name the pods of a backend.

    It refuses a ModelServing of which ``<name>-<replicas>-<role>-<role replicas>-<followers>`` has
    more than 63 characters, and makes labels and Services of such names. The most replicas that
    may ever be wanted count.
    """
    name, kinds = backend_child_name(model, backend), roles(backend)
    if len(name) + _LONGEST_TAIL <= LONGEST_NAME:
        return
    most = max(backend.max_replicas, backend.min_replicas)
    for role in kinds:
        limit = LONGEST_NAME - len(f"-{most}-{role.name}-{role.worker.replicas}-{role.followers}")
        if len(name) > limit:
            detail = (
                f'generated name "{name}" has {len(name)} characters, at most {limit} are allowed '
                f'for this backend (role "{role.name}", up to {most} replicas)'
            )
            raise SpecError(invalid(backend.path.child("name"), backend.name, detail))


def served_model_name(model: Model, backend: BackendForm) -> str:
    """Returns the name under which a backend's engines serve the model.

    It is the one that ``config`` gives, in either spelling; else that of the ModelBooster, never
    ``spec.name``: a new name for clients must not restart pods.

    Raises:
        SpecError: it is no text of 1 to 256 characters, or prefill and decode disagree.
    """
    return _given_model_name(backend) or model.name


@once
def _given_model_name(backend: BackendForm) -> str | None:
    found: Argument | None = None
    for role in roles(backend):
        given = arguments(role.worker).get("served-model-name")
        if given is None:
            continue
        if isinstance(given.value, list | dict | None) or not given.text:
            raise SpecError(invalid(given.path, given.value, "must be one name"))
        if len(given.text) > LONGEST_MODEL_NAME:
            detail = f"may not be longer than {LONGEST_MODEL_NAME} characters"
            raise SpecError(invalid(given.path, given.value, detail))
        if found and found.text != given.text:
            detail = f'workers serve different names: "{found.text}" and "{given.text}"'
            raise SpecError(invalid(given.path, given.value, detail))
        found = given
    return found.text if found else None


@once
def engine_port(backend: BackendForm) -> int:
    """Returns the TCP port on which the engines of a backend listen.

    Each worker may set ``port`` in ``config``, as a number or as a string; one that does not
    listens on 8000 (vLLM, ``--port``).

    Raises:
        SpecError: a port is not a whole number in 1..65535, or two workers disagree.
    """
    agreed = None
    for role in roles(backend):
        given = arguments(role.worker).get("port")
        port = ENGINE_PORT if given is None else _port(given, role.worker)
        if agreed is not None and port != agreed:
            path = given.path if given else role.worker.path.child("config", "port")
            detail = f"workers use different engine ports: {agreed} and {port}"
            raise SpecError(invalid(path, port, detail))
        agreed = port
    return agreed or ENGINE_PORT


def _port(given: Argument, worker: WorkerForm) -> int:
    value, text = given.value, given.text
    if type(value) in _NUMBERS and _DIGITS.fullmatch(text) and 1 <= int(text) <= 65535:
        return int(text)
    detail = f'invalid port "{text}" for worker {worker.type}'
    raise SpecError(invalid(given.path, value, detail))


@once
def variables(backend: BackendForm) -> dict[str, Object]:
    """Returns the entries of ``env`` by name; no two have the same."""
    return {entry["name"]: entry for entry in backend.env}


@once
def unusual_variables(backend: BackendForm) -> list[tuple[int, Object]]:
    """Returns the entries of ``env`` that are more, or less, than a name and a value; by position.

    Of the others, which are nearly all, there is nothing to check or to convert.
    """
    return [
        (position, entry)
        for position, entry in enumerate(backend.env)
        if "valueFrom" in entry or "value" not in entry or not entry["value"]
    ]


def env_value(backend: BackendForm, name: str, default: str) -> str:
    """Returns what ``env`` says literally; ``""`` if the value comes from elsewhere."""
    entry = variables(backend).get(name)
    return default if entry is None else str(entry.get("value") or "")


@once
def runtime_port(backend: BackendForm) -> int:
    """Returns the TCP port of the metrics sidecar: RUNTIME_PORT of ``env``, or 8100.

    A value that is no number counts as absent, as it always has.

    Raises:
        SpecError: it is no port, or the engine's; both listen in the same pod.
    """
    text = env_value(backend, "RUNTIME_PORT", "")
    given = bool(_DIGITS.fullmatch(text))
    port = int(text) if given else RUNTIME_PORT
    if not 1 <= port <= 65535:
        raise SpecError(
            invalid(_runtime_port_path(backend), text, "RUNTIME_PORT must be between 1 and 65535")
        )
    if port == engine_port(backend):
        detail = f"the metrics sidecar and the engine would both listen on port {port}"
        if given:
            raise SpecError(invalid(_runtime_port_path(backend), text, detail))
        raise SpecError(
            invalid(roles(backend)[0].worker.path.child("config", "port"), port, detail)
        )
    return port


def _runtime_port_path(backend: BackendForm) -> Path:
    position = backend.env.index(variables(backend)["RUNTIME_PORT"])
    return backend.path.child("env").index(position).child("value")


@once
def devices(worker: WorkerForm) -> int:
    """Returns how many accelerators each pod of a worker has, rounded up.

    The limit counts; where there is none, the request.
    """
    resources = worker.resources
    if not resources:
        return 0
    total = Decimal(0)
    for name in ACCELERATORS:
        for amounts in (resources.get("limits") or {}, resources.get("requests") or {}):
            if name in amounts:
                total += parse_quantity(amounts[name]) or 0
                break
    return int(total.to_integral_value(ROUND_CEILING))


@once
def adapter_names(model: Model) -> list[str]:
    """Returns the names of all adapters of the served backends, each once, sorted.

    Raises:
        SpecError: there are more than a ModelRoute can list.
    """
    lists = [backend.lora_adapters for backend in served(model) if backend.lora_adapters]
    names = sorted({adapter.name for adapters in lists for adapter in adapters})
    if len(names) > MOST_ADAPTERS:
        path = served(model)[0].path
        path = Path("spec.backends") if path.text.endswith("]") else path.child("loraAdapters")
        of = "LoRA adapters of different names"
        raise SpecError(too_many(path, len(names), MOST_ADAPTERS, of))
    return names
