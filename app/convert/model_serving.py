"""Converts backends into ModelServings, which run the pods in groups."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import MODEL_SERVING, Profile
from app.convert.options import Options
from app.convert.pods.inputs import PodInputs, pod_inputs
from app.convert.pods.template import entry_pod, follower_pod
from app.model.children import Draft
from app.model.forms import BackendForm, Model
from app.model.names import backend_child_name, check_name_budget
from app.model.roles import Role, autoscaled, roles, served
from app.values.meta import Object


def model_servings(model: Model, profile: Profile, options: Options) -> Iterator[Draft]:
    """Yields one ModelServing per backend."""
    for backend in served(model):
        check_name_budget(model, backend)
        scaled = autoscaled(model, backend, profile)
        yield Draft(
            MODEL_SERVING,
            backend_child_name(model, backend),
            _spec(pod_inputs(model, backend, profile, options)),
            backend,
            (backend.min_replicas, backend.max_replicas) if scaled else None,
        )


def _spec(inputs: PodInputs) -> Object:
    backend = inputs.backend
    template: Object = {"restartGracePeriodSeconds": 60}
    if backend.gang_scheduling:
        template["gangPolicy"] = _gang_policy(backend)
    template["roles"] = [_role(inputs, role) for role in roles(backend)]
    return {
        "replicas": backend.min_replicas,
        "schedulerName": backend.scheduler_name,
        "template": template,
    }


def _gang_policy(backend: BackendForm) -> Object:
    return {"minRoleReplicas": {role.name: role.worker.replicas for role in roles(backend)}}


def _role(inputs: PodInputs, role: Role) -> Object:
    written = {
        "name": role.name,
        "replicas": role.worker.replicas,
        "entryTemplate": entry_pod(inputs, role),
        "workerReplicas": role.followers,
    }
    if role.followers:
        written["workerTemplate"] = follower_pod(inputs, role)
    return written
