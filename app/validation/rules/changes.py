"""Warnings about the effects of an update.

No field is immutable: every update is carried out, if necessary by deleting and creating children.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from app.convert.core_v1 import omit_empty, resources_of
from app.model.connector import connector
from app.model.environment import variables
from app.model.forms import BackendForm, Model, PolicyScope, WorkerForm
from app.model.names import served_model_name, served_model_names
from app.model.ports import engine_port
from app.values.fields import SpecError
from app.values.meta import Object

RUNTIME_LORA = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
"""The variable that lets a client of vLLM load adapters into a running engine."""


def route_is_replaced(old: Model, new: Model) -> Iterator[str]:
    """The model name of a ModelRoute cannot be changed."""
    if old.backends and old.route_name != new.route_name:
        yield (
            "changing spec.name replaces the ModelRoute: "
            "requests fail until the new one is in place"
        )


def backends_are_deleted(old: Model, new: Model) -> Iterator[str]:
    """A renamed backend is a new backend."""
    kept = {backend.name for backend in new.backends}
    for backend in old.backends:
        if backend.name not in kept:
            yield f'backend "{backend.name}" will be deleted with its ModelServing'


def types_change(old: Model, new: Model) -> Iterator[str]:
    """Another type has other roles, so all pods are replaced.

    A stored gang policy names the old roles.
    """
    for was, is_now in _same_backends(old, new):
        if was.type != is_now.type:
            yield (
                f'backend "{is_now.name}" changes from {was.type} to {is_now.type}: all of its '
                "pods are replaced" + (", at once" if was.gang_scheduling else "")
            )


def gangs_are_resized(old: Model, new: Model) -> Iterator[str]:
    """``minRoleReplicas`` can be neither changed nor removed."""
    for was, is_now in _same_backends(old, new):
        if not was.gang_scheduling or was.type != is_now.type:
            continue
        sizes = {worker.type: worker.replicas for worker in is_now.workers}
        if any(worker.replicas > sizes.get(worker.type, 0) for worker in was.workers):
            yield (
                f'backend "{is_now.name}" loses replicas of a worker that its gang policy counts: '
                "its ModelServing is deleted and made anew"
            )


def policies_change_level(old: Model, new: Model) -> Iterator[str]:
    """The policies of the old level are deleted, with the history of the autoscaler."""
    was, is_now = old.policy_scope, new.policy_scope
    if was is not is_now and was is not PolicyScope.NONE:
        rest = "replicas stay as they are" if is_now is PolicyScope.NONE else "new ones are made"
        yield f"the autoscaling policies of the {was} level are deleted; {rest}"


def pods_are_restarted(old: Model, new: Model) -> Iterator[str]:
    """One line for each backend lists the fields whose change restarts its pods."""
    for was, is_now in _same_backends(old, new):
        if was.type == is_now.type:
            fields = list(_restarting_fields(was, is_now))
            if fields:
                named = ", ".join(fields[:4]) + (" and others" if len(fields) > 4 else "")
                why = _why_adapters_restart(was) if fields == ["loraAdapters"] else ""
                yield f'pods of backend "{is_now.name}" will be replaced, because of {named}{why}'


def endpoints_change(old: Model, new: Model) -> Iterator[str]:
    """The router sends one port, name and connector to old and new pods of a backend.

    The controller changes them with the first new pod (``controller.plan.server_switch``).
    """
    for was, is_now in _same_backends(old, new):
        if was.type != is_now.type:
            continue
        with suppress(SpecError):  # stored before this rule existed
            changed = list(_changed_endpoints(old, was, new, is_now))
            if changed:
                yield (
                    f'backend "{is_now.name}" changes its {" and ".join(changed)}: '
                    f"{_what_fails(is_now)}; to lose none, add a second backend with the new "
                    "value, and remove this one later"
                )


def _changed_endpoints(
    old: Model, was: BackendForm, new: Model, is_now: BackendForm
) -> Iterator[str]:
    name = served_model_name(new, is_now)
    old_name = name if name in served_model_names(old, was) else served_model_name(old, was)
    for what, before, after in (
        ("port", engine_port(was), engine_port(is_now)),
        ("served name", old_name, name),
        ("connector", connector(was), connector(is_now)),
    ):
        if before != after:
            yield f"{what} from {before or 'none'} to {after or 'none'}"


def _what_fails(backend: BackendForm) -> str:
    """Returns which requests fail while a backend changes its port, name or connector."""
    if max(backend.min_replicas, backend.max_replicas) > 1:
        return "requests to old pods fail once the first new one is ready"
    return "requests fail until its new pod has loaded the model"


def _why_adapters_restart(was: BackendForm) -> str:
    """Returns how many replicas load their adapters anew, as the end of a message.

    kthena's sidecar can load an adapter into a running engine, but a pod that starts later would
    not have it, so the adapters belong to the pod template.
    """
    most = max(was.min_replicas, was.max_replicas)
    count = f"up to {most}" if was.min_replicas < most else str(most)
    even = f", {RUNTIME_LORA} or not" if RUNTIME_LORA in variables(was) else ""
    return f": engines load adapters when they start{even}; {count} replicas restart in turn"


def _restarting_fields(was: BackendForm, is_now: BackendForm) -> Iterator[str]:
    for name, before, after in (
        ("modelURI", was.model_uri, is_now.model_uri),
        ("cacheURI", was.cache_uri, is_now.cache_uri),
        ("env", was.env, is_now.env),
        ("envFrom", was.env_from, is_now.env_from),
        ("loraAdapters", was.lora_adapters, is_now.lora_adapters),
        ("runtimeClassName", was.runtime_class_name, is_now.runtime_class_name),
    ):
        if _differ(before, after):
            yield name
    # The template names the scheduler only for the pods that follow the first of a group.
    if was.scheduler_name != is_now.scheduler_name and any(w.pods > 1 for w in is_now.workers):
        yield "schedulerName"
    for worker in is_now.workers:
        old = was.worker(worker.type)
        if old is not None:
            yield from _restarting_worker_fields(old, worker)


def _restarting_worker_fields(was: WorkerForm, is_now: WorkerForm) -> Iterator[str]:
    for name, before, after in (
        ("image", was.image, is_now.image),
        ("config", was.config, is_now.config),
        ("resources", _amounts(was), _amounts(is_now)),
        ("pods", was.pods, is_now.pods),
        ("affinity", was.affinity, is_now.affinity),
        ("tolerations", was.tolerations, is_now.tolerations),
    ):
        if _differ(before, after):
            yield name if is_now.type == "server" else f"{name} of {is_now.type}"


def _differ(before: Any, after: Any) -> bool:
    return before != after and bool(omit_empty(before) != omit_empty(after))


def _amounts(worker: WorkerForm) -> Object:
    """Returns the resources of a worker in canonical form, in which 1000m is 1."""
    try:
        return resources_of(worker.resources, worker.path)
    except SpecError:  # stored before this rule existed
        return worker.resources


def _same_backends(old: Model, new: Model) -> Iterator[tuple[BackendForm, BackendForm]]:
    before = {backend.name: backend for backend in old.backends}
    for backend in new.backends:
        if backend.name in before:
            yield before[backend.name], backend
