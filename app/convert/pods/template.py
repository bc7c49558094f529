"""The pod templates of a ModelServing: metrics sidecar, engine and placement."""

from __future__ import annotations

from app.convert.core_v1 import compact, omit_empty, resources_of
from app.convert.pods.command import engine_command, follower_command
from app.convert.pods.downloads import downloads
from app.convert.pods.drain import GRACE_SECONDS, drain_script
from app.convert.pods.environment import engine_env
from app.convert.pods.inputs import PodInputs
from app.convert.pods.volumes import engine_mounts, volumes, weights_mount
from app.model.children import pod_labels
from app.model.environment import env_value
from app.model.forms import BackendForm, WorkerForm
from app.model.ports import engine_port, runtime_port
from app.model.roles import Role, is_disaggregated, roles
from app.values.fields import SpecError, required
from app.values.meta import Object

_STARTUP_SECONDS = 180
"""Initial delay of the engine's probes, in which it loads the model."""


def entry_pod(inputs: PodInputs, role: Role) -> Object:
    """Returns the template of the first pod of each group, which takes the requests."""
    disaggregated = is_disaggregated(inputs.backend)
    engine = _disaggregated_engine if disaggregated else _engine
    return {
        "metadata": {"labels": pod_labels(inputs.model, inputs.backend)},
        "spec": {
            **downloads(inputs),
            **({} if disaggregated else {"terminationGracePeriodSeconds": GRACE_SECONDS}),
            "volumes": volumes(inputs.cache),
            "containers": [_sidecar(inputs, role), engine(inputs, role)],
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
            **downloads(inputs),
            "volumes": volumes(inputs.cache),
            "containers": [
                compact(
                    name="worker",
                    image=engine_image(role.worker),
                    command=follower_command(inputs, role),
                    env=inputs.env,
                    resources=_resources(role),
                    volumeMounts=engine_mounts(inputs, role),
                )
            ],
            **_placement(inputs, role),
        }
    }


def _sidecar(inputs: PodInputs, role: Role) -> Object:
    """Returns the sidecar container, which serves the engine's metrics and loads adapters."""
    model, backend, options = inputs.model, inputs.backend, inputs.options
    port = runtime_port(backend)
    engine = f"http://localhost:{engine_port(backend)}"
    args = ["--port", str(port), "--engine", _sidecar_engine(backend)]
    args += ["--engine-base-url", env_value(backend, "RUNTIME_URL", engine)]
    args += ["--engine-metrics-path", env_value(backend, "RUNTIME_METRICS_PATH", "/metrics")]
    args += ["--pod", "$(POD_NAME).$(NAMESPACE)", "--model", model.name]
    return {
        "name": "runtime",
        "image": options.runtime_image,
        **inputs.pull_policy,
        "ports": [{"containerPort": port}],
        "env": engine_env(inputs, role),
        **inputs.env_from,
        "args": args,
        **({} if is_disaggregated(backend) else {"readinessProbe": _sidecar_readiness(port)}),
        "resources": {},
        "volumeMounts": [weights_mount(inputs.cache)],
    }


def _sidecar_engine(backend: BackendForm) -> str:
    """Returns how the sidecar names the engine: by type for vLLM, one name for SGLang."""
    return "sglang" if roles(backend)[0].worker.engine == "sglang" else backend.type.lower()


def _engine(inputs: PodInputs, role: Role) -> Object:
    return {
        "name": "engine",
        "image": engine_image(role.worker),
        "command": engine_command(inputs, role),
        "env": engine_env(inputs, role),
        "resources": _resources(role),
        "volumeMounts": engine_mounts(inputs, role),
        **_readiness_and_drain(engine_port(inputs.backend)),
    }


def _readiness_and_drain(port: int) -> Object:
    return {
        "readinessProbe": {
            "httpGet": {"path": "/health", "port": port, "scheme": "HTTP"},
            "initialDelaySeconds": _STARTUP_SECONDS,
            "periodSeconds": 5,
            "timeoutSeconds": 1,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", drain_script(port)]}}},
    }


def _disaggregated_engine(inputs: PodInputs, role: Role) -> Object:
    port = engine_port(inputs.backend)
    return {
        "name": "vllm",
        "image": engine_image(role.worker),
        "ports": [{"containerPort": port}],
        "command": engine_command(inputs, role),
        "env": engine_env(inputs, role),
        "resources": _resources(role),
        "volumeMounts": engine_mounts(inputs, role),
        "readinessProbe": _health_probe(port, delay_seconds=5),
        "livenessProbe": _health_probe(port, delay_seconds=_STARTUP_SECONDS),
    }


def _sidecar_readiness(port: int) -> Object:
    return {
        "httpGet": {"path": "/health", "port": port},
        "initialDelaySeconds": 5,
        "periodSeconds": 10,
    }


def _health_probe(port: int, *, delay_seconds: int) -> Object:
    return {
        "httpGet": {"path": "/health", "port": port},
        "initialDelaySeconds": delay_seconds,
        "periodSeconds": 5,
        "failureThreshold": 3,
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
