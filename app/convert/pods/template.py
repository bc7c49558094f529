"""The pod templates of a ModelServing: metrics sidecar, engine and placement."""

from __future__ import annotations

from app.convert.core_v1 import compact, omit_empty, resources_of
from app.convert.pods.command import engine_command, follower_command
from app.convert.pods.downloads import downloads
from app.convert.pods.drain import FOLLOWER_GRACE_SECONDS, GRACE_SECONDS
from app.convert.pods.environment import engine_env, follower_env
from app.convert.pods.inputs import PodInputs
from app.convert.pods.lifecycle import engine_lifecycle, follower_lifecycle
from app.convert.pods.volumes import engine_mounts, volumes
from app.model.children import pod_labels
from app.model.environment import env_value
from app.model.forms import WorkerForm
from app.model.ports import engine_scheme
from app.model.roles import Role
from app.values.fields import Path, SpecError, required
from app.values.meta import Object

_NO_SERVICE_LINKS = {"enableServiceLinks": False}
"""Otherwise a Service called ``vllm`` sets VLLM_PORT to a URL in every pod, and engines end."""

_RUNTIME_SETTING = Path("runtime")
"""The path in an error if the operator's own setting ``runtime.resources`` is invalid."""


def entry_pod(inputs: PodInputs, role: Role) -> Object:
    """Returns the template of the first pod of each group, which takes the requests."""
    env = engine_env(inputs, role)
    return {
        "metadata": {"labels": pod_labels(inputs.model, inputs.backend)},
        "spec": {
            **_NO_SERVICE_LINKS,
            **downloads(inputs),
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "volumes": volumes(inputs.cache),
            "containers": [_sidecar(inputs, role, env), _engine(inputs, role, env)],
            **_placement(inputs, role),
        },
    }


def follower_pod(inputs: PodInputs, role: Role) -> Object:
    """Returns the template of the other pods of a group.

    They have no labels, so no selector takes them for pods that answer requests. They name the
    scheduler themselves, because kthena v0.1.0 does not copy it from the ModelServing.
    """
    return {
        "spec": {
            "schedulerName": inputs.backend.scheduler_name,
            **_NO_SERVICE_LINKS,
            **downloads(inputs),
            "terminationGracePeriodSeconds": FOLLOWER_GRACE_SECONDS,
            "volumes": volumes(inputs.cache),
            "containers": [
                compact(
                    name="worker",
                    image=engine_image(role.worker),
                    command=follower_command(inputs, role),
                    env=follower_env(inputs, role),
                    resources=_resources(role),
                    volumeMounts=engine_mounts(inputs, role),
                    **inputs.engine_env_from,
                    **follower_lifecycle(inputs),
                )
            ],
            **_placement(inputs, role),
        }
    }


def _sidecar(inputs: PodInputs, role: Role, env: list[Object]) -> Object:
    """Returns the sidecar container, which serves the engine's metrics and loads adapters."""
    model, backend, options = inputs.model, inputs.backend, inputs.options
    port = inputs.sidecar_port
    engine = f"{engine_scheme(role.worker).lower()}://localhost:{inputs.port}"
    # The sidecar tells the types of vLLM apart, and has one name for SGLang.
    name = "sglang" if role.worker.engine == "sglang" else backend.type.lower()
    metrics = "/metrics"
    if inputs.env:
        engine = env_value(backend, "RUNTIME_URL", engine)
        metrics = env_value(backend, "RUNTIME_METRICS_PATH", metrics)
    args = ["--port", str(port), "--engine", name]
    args += ["--engine-base-url", engine, "--engine-metrics-path", metrics]
    args += ["--pod", "$(POD_NAME).$(NAMESPACE)", "--model", model.name]
    return {
        "name": "runtime",
        "image": options.runtime_image,
        **inputs.pull_policy,
        "ports": [{"containerPort": port}],
        "env": env,
        **inputs.env_from,
        "args": args,
        **({} if inputs.is_disaggregated else {"readinessProbe": _sidecar_readiness(port)}),
        "resources": resources_of(options.runtime_resources, _RUNTIME_SETTING),
        "volumeMounts": [inputs.mount],
    }


def _engine(inputs: PodInputs, role: Role, env: list[Object]) -> Object:
    named: Object = {"name": "engine", "image": engine_image(role.worker)}
    if inputs.is_disaggregated:
        named |= {"name": "vllm", "ports": [{"containerPort": inputs.port}]}
    return {
        **named,
        "command": engine_command(inputs, role),
        "env": env,
        **inputs.engine_env_from,
        "resources": _resources(role),
        "volumeMounts": engine_mounts(inputs, role),
        **engine_lifecycle(inputs, role),
    }


def _sidecar_readiness(port: int) -> Object:
    return {
        "httpGet": {"path": "/health", "port": port},
        "initialDelaySeconds": 5,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
    }


def _placement(inputs: PodInputs, role: Role) -> Object:
    worker, placement = role.worker, {}
    if worker.affinity:
        placement["affinity"] = omit_empty(worker.affinity)
    if worker.tolerations:
        placement["tolerations"] = omit_empty(worker.tolerations)
    if inputs.backend.runtime_class_name:
        placement["runtimeClassName"] = inputs.backend.runtime_class_name
    return placement


def engine_image(worker: WorkerForm) -> str:
    """Returns the image of an engine; raises SpecError if the worker names none."""
    if not worker.image:
        raise SpecError(required(worker.path.child("image"), "the image of the engine"))
    return worker.image


def _resources(role: Role) -> Object:
    return resources_of(role.worker.resources, role.worker.path)
