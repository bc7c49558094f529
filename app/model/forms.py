"""The canonical form of a ModelBooster: the types that rules and converters read.

``app.model.canonical`` makes them. They have no optional fields left open, and they never change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from functools import wraps
from typing import Any, TypeVar

from app.apis.autoscaling import AutoscalingPolicySpec
from app.apis.modelbooster import LoraAdapter
from app.values.fields import Path
from app.values.meta import Object
from app.values.value import value

Facts = dict[Callable[..., Any], Any]
"""What ``cached_fact`` has worked out from a form; a form never changes, so it stays true."""


class PolicyScope(StrEnum):
    """What a policy scales."""

    NONE = "none"
    MODEL = "model"
    BACKEND = "backend"


@value
class WorkerForm:
    """One kind of pods, with nothing left open. ``path`` is where the user wrote it."""

    path: Path
    type: str
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
    """One backend, with nothing left open.

    ``policy`` is its own policy, never the model's.
    """

    path: Path
    name: str
    type: str
    model_uri: str
    cache_uri: str | None
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
    facts: Facts = field(default_factory=dict, init=False, compare=False, repr=False)

    def worker(self, kind: str) -> WorkerForm | None:
        """Returns the worker of a type; of several the last."""
        for worker in reversed(self.workers):
            if worker.type == kind:
                return worker
        return None


@value
class Model:
    """A ModelBooster in the one form that everything else reads.

    ``route_name`` is what clients ask for; ``route_name_path`` is where the user wrote it.
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
        """Whether an autoscaler writes the replicas of this backend."""
        return self.policy is not None or backend.policy is not None


_Form = TypeVar("_Form", WorkerForm, BackendForm, Model)

_Fact = TypeVar("_Fact")

_UNKNOWN: Any = object()


def cached_fact(fact: Callable[[_Form], _Fact]) -> Callable[[_Form], _Fact]:
    """Makes a function work out each form's fact once.

    A dozen rules and every converter ask for the same few. The answer is shared: do not change it.
    """

    @wraps(fact)
    def known(form: _Form) -> _Fact:
        answer: _Fact = form.facts.get(fact, _UNKNOWN)
        if answer is _UNKNOWN:
            answer = form.facts[fact] = fact(form)
        return answer

    return known
