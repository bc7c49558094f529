"""Converts a ModelBooster to its canonical form.

The API accepts the forms of every kthena release. ``canonical`` converts each of them to one form
and fills in the defaults. The webhook, the controller and the command line all read that form, so
they cannot disagree. It is never stored, because a stored default shows in every later diff.
"""

from __future__ import annotations

from typing import Any

from app.apis.autoscaling import AutoscalingPolicySpec
from app.apis.modelbooster import Backend, ModelBooster, Spec, Worker
from app.apis.schema import Fields
from app.engines.release import Release
from app.model.annotations import RELEASES, STARTUP_SECONDS
from app.model.forms import BackendForm, Model, PolicyScope, WorkerForm
from app.values.fields import Path

DEFAULT_ROUTE_WEIGHT = 100
DEFAULT_COST_EXPANSION_RATE_PERCENT = 200
GANG_SCHEDULER = "volcano"
"""The only scheduler that supports gang scheduling."""


def canonical(booster: ModelBooster, *, default_scheduler_name: str = "default-scheduler") -> Model:
    """Returns the canonical form of a ModelBooster.

    Args:
        booster: a ModelBooster that the schema accepts and that has a ``spec``.
        default_scheduler_name: scheduler of the pods if the user does not set one.
    """
    spec = booster.spec or Spec()
    annotations = booster.metadata.annotations
    stated = RELEASES.values(annotations) if annotations else {}
    startup = STARTUP_SECONDS.values(annotations) if annotations else {}
    several = spec.backends is not None
    listed = spec.backends or ([spec.backend] if spec.backend else [])
    own_policy = None if several else spec.autoscaling_policy
    backends = tuple(
        [
            _backend(
                backend,
                Path(f"spec.backends[{position}]" if several else "spec.backend"),
                own_policy,
                (stated.get(backend.name) or stated.get("")) if stated else None,
                (startup.get(backend.name) or startup.get("")) if startup else None,
                default_scheduler_name=default_scheduler_name,
            )
            for position, backend in enumerate(listed)
        ]
    )
    name = booster.metadata.name or ""
    rate = spec.cost_expansion_rate_percent
    policy = spec.autoscaling_policy if several else None
    return Model(
        namespace=booster.metadata.namespace or "default",
        name=name,
        uid=booster.metadata.uid or "",
        generation=booster.metadata.generation or 0,
        route_name=spec.name or name,
        route_name_path=Path("spec.name" if spec.name else "metadata.name"),
        model_match=_plain(spec.model_match),
        policy_scope=_policy_scope(policy, backends),
        policy=policy,
        cost_expansion_rate_percent=DEFAULT_COST_EXPANSION_RATE_PERCENT if rate is None else rate,
        backends=backends,
    )


def _policy_scope(
    policy: AutoscalingPolicySpec | None, backends: tuple[BackendForm, ...]
) -> PolicyScope:
    if policy is not None:
        return PolicyScope.MODEL
    return PolicyScope.BACKEND if [b for b in backends if b.policy] else PolicyScope.NONE


def _backend(
    backend: Backend,
    path: Path,
    own_policy: AutoscalingPolicySpec | None,
    stated_release: Release | None,
    startup_seconds: int | None,
    *,
    default_scheduler_name: str,
) -> BackendForm:
    policy = backend.autoscaling_policy or own_policy
    policy_path = None
    if policy is not None:
        at_backend = backend.autoscaling_policy is not None
        policy_path = (
            path.child("autoscalingPolicy") if at_backend else Path("spec.autoscalingPolicy")
        )
    least, most = backend.min_replicas, backend.max_replicas
    if backend.replicas is not None:
        least = most = backend.replicas
    gang = bool(backend.gang_scheduling)
    env: Any = (
        backend.env
    )  # plain JSON from here on; for the type checker, a TypedDict is not a dict
    env_from: Any = backend.env_from
    engine = "sglang" if backend.type.startswith("SGLang") else "vllm"
    release = stated_release.text if stated_release else None
    return BackendForm(
        path=path,
        name=backend.name,
        type=backend.type,
        model_uri=backend.model_uri,
        cache_uri=backend.cache_uri,
        cache_warmup=backend.cache_warmup,
        env=env or [],
        env_from=env_from or [],
        min_replicas=least or 0,
        max_replicas=most or 0,
        scaling_cost=backend.scaling_cost or 0,
        route_weight=DEFAULT_ROUTE_WEIGHT if backend.route_weight is None else backend.route_weight,
        workers=tuple(
            [
                _worker(worker, Path(f"{path.text}.workers[{position}]"), engine, release)
                for position, worker in enumerate(backend.workers)
            ]
        ),
        lora_adapters=tuple(backend.lora_adapters or ()),
        policy=policy,
        policy_path=policy_path,
        scheduler_name=backend.scheduler_name
        or (GANG_SCHEDULER if gang else default_scheduler_name),
        gang_scheduling=gang,
        runtime_class_name=backend.runtime_class_name or None,
        startup_seconds=startup_seconds,
    )


def _worker(worker: Worker, path: Path, engine: str, stated_release: str | None) -> WorkerForm:
    resources: Any = worker.resources
    affinity: Any = worker.affinity
    tolerations: Any = worker.tolerations
    return WorkerForm(
        path=path,
        type=worker.type or "server",
        engine=engine,
        stated_release=stated_release,
        image=worker.image or "",
        replicas=worker.replicas or 1,
        pods=worker.pods or 1,
        resources=resources or {},
        affinity=affinity or None,
        tolerations=tolerations or [],
        config=worker.config or {},
    )


def _plain(part: Fields | None) -> Any:
    """Returns a part of the spec as the user's JSON; None for None."""
    if part is None:
        return None
    return part.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
