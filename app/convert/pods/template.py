"""The pods of a ModelServing: the metrics sidecar, the engine, and where they run."""

from __future__ import annotations

from functools import lru_cache

from app.convert.core_v1 import as_written, compact, resources_of
from app.convert.pods.downloads import downloads
from app.convert.pods.drain import GRACE_SECONDS, drain_script
from app.convert.pods.environment import engine_env
from app.convert.pods.inputs import Serving
from app.convert.pods.vllm import engine_command, follower_command
from app.convert.pods.volumes import engine_mounts, volumes, weights_mount
from app.model.children import pod_labels
from app.model.environment import env_value
from app.model.forms import WorkerForm
from app.model.ports import engine_port, runtime_port
from app.model.roles import Role, is_disaggregated
from app.values.fields import SpecError, required
from app.values.meta import Object

_STARTUP_SECONDS = 180
"""How long an engine is not asked whether it is well: it loads the model."""


def entry_pod(serving: Serving, role: Role) -> Object:
    """Returns the template of the pods that take requests: the first of each group."""
    disaggregated = is_disaggregated(serving.backend)
    engine = _disaggregated_engine if disaggregated else _engine
    return {
        "metadata": {"labels": pod_labels(serving.model, serving.backend)},
        "spec": {
            **downloads(serving),
            **({} if disaggregated else {"terminationGracePeriodSeconds": GRACE_SECONDS}),
            "volumes": volumes(serving.cache),
            "containers": [_runtime(serving, role), engine(serving, role)],
            **_placement(serving, role),
        },
    }


def follower_pod(serving: Serving, role: Role) -> Object:
    """Returns the template of a group's other pods.

    They carry no labels, so nothing takes them for pods that answer requests. The scheduler stands
    in them too: kthena v0.1.0 does not hand it down.
    """
    return {
        "spec": {
            "schedulerName": serving.backend.scheduler_name,
            **downloads(serving),
            "volumes": volumes(serving.cache),
            "containers": [
                compact(
                    name="worker",
                    image=engine_image(role.worker),
                    command=follower_command(),
                    env=serving.env,
                    resources=_resources(role),
                    volumeMounts=engine_mounts(serving, role),
                )
            ],
            **_placement(serving, role),
        }
    }


def _runtime(serving: Serving, role: Role) -> Object:
    """Returns the sidecar that serves the engine's metrics and loads adapters."""
    model, backend, options = serving.model, serving.backend, serving.options
    port = runtime_port(backend)
    engine = f"http://localhost:{engine_port(backend)}"
    args = ["--port", str(port), "--engine", backend.type.lower()]
    args += ["--engine-base-url", env_value(backend, "RUNTIME_URL", engine)]
    args += ["--engine-metrics-path", env_value(backend, "RUNTIME_METRICS_PATH", "/metrics")]
    args += ["--pod", "$(POD_NAME).$(NAMESPACE)", "--model", model.name]
    return {
        "name": "runtime",
        "image": options.runtime_image,
        **serving.pull_policy,
        "ports": [{"containerPort": port}],
        "env": engine_env(serving, role),
        **serving.env_from,
        "args": args,
        **({} if is_disaggregated(backend) else {"readinessProbe": _runtime_health(port)}),
        "resources": {},
        "volumeMounts": [weights_mount(serving.cache)],
    }


def _engine(serving: Serving, role: Role) -> Object:
    return {
        "name": "engine",
        "image": engine_image(role.worker),
        "command": engine_command(serving, role),
        "env": engine_env(serving, role),
        "resources": _resources(role),
        "volumeMounts": engine_mounts(serving, role),
        **_life(engine_port(serving.backend)),
    }


@lru_cache(maxsize=64)  # it is the same for all engines, and there are few ports
def _life(port: int) -> Object:
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


def _disaggregated_engine(serving: Serving, role: Role) -> Object:
    port = engine_port(serving.backend)
    return {
        "name": "vllm",
        "image": engine_image(role.worker),
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": port}],
        "command": engine_command(serving, role),
        "env": engine_env(serving, role),
        "resources": _resources(role),
        "volumeMounts": engine_mounts(serving, role),
        "readinessProbe": _health(port, delay_seconds=5),
        "livenessProbe": _health(port, delay_seconds=_STARTUP_SECONDS),
    }


def _runtime_health(port: int) -> Object:
    return {
        "httpGet": {"path": "/health", "port": port},
        "initialDelaySeconds": 5,
        "periodSeconds": 10,
    }


def _health(port: int, *, delay_seconds: int) -> Object:
    return {
        "httpGet": {"path": "/health", "port": port},
        "initialDelaySeconds": delay_seconds,
        "periodSeconds": 5,
        "failureThreshold": 3,
    }


def _placement(serving: Serving, role: Role) -> Object:
    worker, placement = role.worker, {}
    if worker.affinity:
        placement["affinity"] = as_written(worker.affinity)
    if worker.tolerations:
        placement["tolerations"] = as_written(worker.tolerations)
    if serving.backend.runtime_class_name:
        placement["runtimeClassName"] = serving.backend.runtime_class_name
    return placement


def engine_image(worker: WorkerForm) -> str:
    """Returns the image of an engine; raises SpecError if the worker names none."""
    if not worker.image:
        raise SpecError(required(worker.path.child("image"), "the image of the engine"))
    return worker.image


def _resources(role: Role) -> Object:
    return resources_of(role.worker.resources, role.worker.path)
