"""The canonical form of a ModelBooster: the types that rules and converters read.

``app.model.canonical`` creates them, with every default filled in. They never change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from functools import wraps
from typing import Any, Protocol, TypeVar

from app.apis.autoscaling import AutoscalingPolicySpec
from app.apis.modelbooster import LoraAdapter
from app.apis.scheduling import CacheWarmup
from app.values.fields import Path
from app.values.meta import Object
from app.values.value import value

Facts = dict[Callable[..., Any], Any]
"""The results that ``cached_fact`` caches on a form."""


class PolicyScope(StrEnum):
    """What an autoscaling policy scales."""

    NONE = "none"
    MODEL = "model"
    BACKEND = "backend"


@value
class WorkerForm:
    """One kind of pods, with defaults.

    ``path`` is its path in the spec. ``engine`` is ``vllm`` or ``sglang``. ``stated_release`` is
    the release of the engine that the annotation ``engine-release`` states; None if it does not.
    """

    path: Path
    type: str
    engine: str
    stated_release: str | None
    image: str
    replicas: int
    pods: int
    resources: Object
    affinity: Object | None
    tolerations: list[Object]
    config: dict[str, Any]
    facts: Facts = field(default_factory=dict, init=False, compare=False, repr=False)


@value
class BackendForm:
    """One backend, with defaults.

    ``path`` is its path in the spec. ``policy`` is its own policy, never that of the model.
    ``startup_seconds`` is the value of the annotation ``startup-seconds``; None if it has none.
    """

    path: Path
    name: str
    type: str
    model_uri: str
    cache_uri: str | None
    cache_warmup: CacheWarmup | None
    env: list[Object]
    env_from: list[Object]
    min_replicas: int
    max_replicas: int
    scaling_cost: int
    route_weight: int
    workers: tuple[WorkerForm, ...]
    lora_adapters: tuple[LoraAdapter, ...]
    policy: AutoscalingPolicySpec | None
    policy_path: Path | None
    scheduler_name: str
    gang_scheduling: bool
    runtime_class_name: str | None
    startup_seconds: int | None
    facts: Facts = field(default_factory=dict, init=False, compare=False, repr=False)

    def worker(self, kind: str) -> WorkerForm | None:
        """Returns the last worker of a type, or None."""
        for worker in reversed(self.workers):
            if worker.type == kind:
                return worker
        return None


@value
class Model:
    """The canonical form of a ModelBooster.

    ``route_name`` is the model name that clients send; ``route_name_path`` is its path in the
    object.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    route_name: str
    route_name_path: Path
    model_match: Object | None
    policy_scope: PolicyScope
    policy: AutoscalingPolicySpec | None
    cost_expansion_rate_percent: int
    backends: tuple[BackendForm, ...]
    facts: Facts = field(default_factory=dict, init=False, compare=False, repr=False)

    def is_autoscaled(self, backend: BackendForm) -> bool:
        """Returns whether a policy scales this backend."""
        return self.policy is not None or backend.policy is not None


class _HasFacts(Protocol):
    @property
    def facts(self) -> Facts: ...


_Form = TypeVar("_Form", bound=_HasFacts)

_Fact = TypeVar("_Fact")


def cached_fact(fact: Callable[[_Form], _Fact]) -> Callable[[_Form], _Fact]:
    """Caches the result of a function on its only argument, a form.

    Many rules and every converter need the same few facts. The result is shared: do not change it.
    """

    @wraps(fact)
    def known(form: _Form) -> _Fact:
        found: Any = form.facts.get(fact)
        if found is None and fact not in form.facts:
            found = form.facts[fact] = fact(form)
        return found  # type: ignore[no-any-return]

    return known
