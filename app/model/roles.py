"""Which backends are served, by which kinds of pods, and on how many accelerators.

Rules and converters both call these functions, so they cannot disagree. SpecError names the field
at fault.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from app.apis.kinds import Profile
from app.model.forms import BackendForm, Model, WorkerForm, cached_fact
from app.values.fields import SpecError, required
from app.values.quantity import parse_quantity

DISAGGREGATED = "vLLMDisaggregated"

SERVED_TYPES = frozenset({"vLLM", DISAGGREGATED})
"""The backend types that become children; the API reserves the others."""

ACCELERATORS = ("nvidia.com/gpu", "huawei.com/ascend-1980", "amd.com/gpu")
"""Resources that count as devices of an engine."""


class Role(NamedTuple):
    """One kind of pods in a ModelServing, and the worker that describes it."""

    name: str
    worker: WorkerForm
    followers: int


@cached_fact
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
    if backend.type not in SERVED_TYPES or not model.is_autoscaled(backend):
        return False
    return profile is not Profile.A or not is_disaggregated(backend)


@cached_fact
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


@cached_fact
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
