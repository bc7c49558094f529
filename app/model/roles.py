"""The served backends, the roles of their pods, and their accelerators.

Rules and converters call the same functions, so they cannot disagree.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from app.apis.kinds import Profile
from app.model.arguments import arguments
from app.model.engine import engine
from app.model.forms import BackendForm, Model, WorkerForm, cached_fact
from app.values.fields import SpecError, required
from app.values.meta import Object
from app.values.quantity import parse_quantity

SGLANG_DISAGGREGATED = "SGLangDisaggregated"

DISAGGREGATED_TYPES = frozenset({"vLLMDisaggregated", SGLANG_DISAGGREGATED})
"""The backend types whose prefill and decode run in different pods."""

SERVED_TYPES = frozenset({"vLLM", "SGLang"}) | DISAGGREGATED_TYPES
"""The backend types that have children; the API reserves the others."""

_VENDOR_DEVICES = {
    "amd.com": r"gpu|[a-z]px_nps\d",  # the latter: partitions, named by compute and memory mode
    "aws.amazon.com": r"neuroncore",  # neuron is a device of several cores, each a rank
    "cambricon.com": r"v?mlu|mlu\d+",
    "furiosa.ai": r"npu|rngd|warboy",
    "google.com": r"tpu",
    "gpu.intel.com": r"i915|xe",
    "habana.ai": r"gaudi",
    "huawei.com": r"ascend[-\w]*?(?<!-memory)(?<!-core)|npu",  # Ascend910, ascend-1980, Ascend310P
    "hygon.com": r"dcu|dcunum",
    "iluvatar.ai": r"v?gpu",
    "iluvatar.com": r"v?gpu",
    "metax-tech.com": r"s?gpu",
    "mthreads.com": r"v?gpu",
    "nvidia.com": r"gpu(\.shared)?|mig-[\w.]+",
    "qualcomm.com": r"qaic",
    "rebellions.ai": r"atom|npu",
    "volcano.sh": r"v?gpu-number",
}
"""Patterns of the resources that count devices, by the domain of the device plugin.

Amounts of memory, cores or percentages (``nvidia.com/gpumem``, ``volcano.sh/vgpu-memory``) are not
counts of devices.
"""

_ASCEND = "huawei.com/"

EXECUTOR_BACKEND = "distributed-executor-backend"


class Role(NamedTuple):
    """A role of a ModelServing: its worker, and its worker pods besides the entry pod."""

    name: str
    worker: WorkerForm
    followers: int


@cached_fact
def served(model: Model) -> tuple[BackendForm, ...]:
    """Returns the backends that have children, in the order of the spec."""
    return tuple([backend for backend in model.backends if backend.type in SERVED_TYPES])


def unserved(model: Model) -> tuple[BackendForm, ...]:
    """Returns the backends of reserved types, which have no children."""
    return tuple(backend for backend in model.backends if backend.type not in SERVED_TYPES)


def is_disaggregated(backend: BackendForm) -> bool:
    """Returns whether prefill and decode run in different pods."""
    return backend.type in DISAGGREGATED_TYPES


def autoscaled(model: Model, backend: BackendForm, profile: Profile) -> bool:
    """Returns whether we create an autoscaler for this backend.

    The autoscaler of kthena v0.1.0 only watches pods of the role ``leader``. A disaggregated
    backend has none, so it gets none with that release.
    """
    if backend.type not in SERVED_TYPES or not model.is_autoscaled(backend):
        return False
    return profile is not Profile.A or not is_disaggregated(backend)


@cached_fact
def roles(backend: BackendForm) -> tuple[Role, ...]:
    """Returns the roles of a backend's pods, in the order of the ModelServing.

    Raises:
        SpecError: a worker required by the backend type is missing.
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
def devices(worker: WorkerForm) -> int | None:
    """Returns the number of accelerators of each pod of a worker, rounded up.

    It is None if the number is unknown. Then the pods request extended resources that are not
    known to count devices, or they claim devices (dynamic resource allocation).
    """
    total, known, unknown = Decimal(0), False, bool(worker.resources.get("claims"))
    for name, amount in _extended(worker.resources).items():
        if _counts_devices(name):
            known, total = True, total + amount
        elif amount:
            unknown = True
    if unknown and not known:
        return None
    return int(total.to_integral_value(ROUND_CEILING))


@cached_fact
def device_resources(worker: WorkerForm) -> tuple[str, ...]:
    """Returns the names of the resources that are known to count accelerators of a worker."""
    return tuple([name for name in _extended(worker.resources) if _counts_devices(name)])


@cached_fact
def has_ascend(worker: WorkerForm) -> bool:
    """Returns whether the pods of a worker request devices of Huawei's Ascend."""
    if not worker.resources:
        return False
    amounts = _requested(worker.resources)
    return any(name.startswith(_ASCEND) and parse_quantity(amounts[name]) for name in amounts)


@lru_cache(maxsize=256)
def _counts_devices(resource: str) -> bool:
    domain, _, name = resource.partition("/")
    pattern = _VENDOR_DEVICES.get(domain.lower())
    if pattern is None:
        return False
    return re.fullmatch(pattern, name, re.ASCII | re.IGNORECASE) is not None


def _requested(resources: Object) -> Object:
    """Returns the amounts as written. The limits count; requests only without a limit."""
    return {**(resources.get("requests") or {}), **(resources.get("limits") or {})}


def _extended(resources: Object) -> dict[str, Decimal]:
    """Returns the amounts of the extended resources, whose names have a domain."""
    return {
        name: parse_quantity(amount) or Decimal(0)
        for name, amount in _requested(resources).items()
        if "/" in name
    }


class Launcher(StrEnum):
    """How the engine of several pods is started."""

    RAY = "ray"
    """Ray connects the pods; the engine runs in the first one."""
    NODES = "nodes"
    """The engine runs in every pod, and is told its rank and the address of the first pod."""


@cached_fact
def launcher(worker: WorkerForm) -> Launcher:
    """Returns how the engine of a worker with several pods is started.

    ``distributed-executor-backend`` in ``config`` decides: ``mp`` or ``ray``. Without it, a release
    that has ``--nnodes`` needs no Ray. An unknown release is started with Ray.

    Raises:
        SpecError: ``config`` cannot be written as arguments.
    """
    of = engine(worker)
    if of.name == "sglang":
        return Launcher.NODES
    chosen = arguments(worker).get(EXECUTOR_BACKEND)
    if chosen is not None and chosen.text in ("mp", "ray"):
        return Launcher.NODES if chosen.text == "mp" else Launcher.RAY
    known = of.release is not None and of.has("nnodes")
    return Launcher.NODES if known else Launcher.RAY
