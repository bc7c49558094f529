"""How long the containers of engines live: their probes, and what they do before they stop."""

from __future__ import annotations

from functools import lru_cache

from app.convert.pods.drain import drain_script, follower_drain_script
from app.convert.pods.inputs import PodInputs
from app.model.ports import engine_scheme
from app.model.roles import Role
from app.values.meta import Object

_STARTUP_PERIOD_SECONDS = 10

_SETTLE_SECONDS = 15
"""How long prefill and decode must be idle before they stop.

Between the two halves of a request neither counts it: decode fetches the cache of a prefill pod
that has finished.
"""


def engine_lifecycle(inputs: PodInputs, role: Role) -> Object:
    """Returns the probes and the preStop hook of an engine that takes requests.

    Until the first answer only the startup probe counts. An engine that is busy answers late, so
    liveness needs a minute of silence. Readiness counts from the first answer on.
    """
    own = inputs.backend.startup_seconds
    return _lifecycle(
        inputs.port,
        engine_scheme(role.worker),
        role.worker.engine,
        _SETTLE_SECONDS if inputs.is_disaggregated else 0,
        inputs.options.engine_startup_seconds if own is None else own,
    )


@lru_cache(maxsize=128)
def _lifecycle(
    port: int, scheme: str, engine: str, settle_seconds: int, startup_seconds: int
) -> Object:
    """Returns the fields of a container; they are shared, so read-only. Few engines differ."""
    health = {"path": "/health", "port": port, "scheme": scheme}
    script = drain_script(port, scheme=scheme.lower(), engine=engine, settle_seconds=settle_seconds)
    return {
        "startupProbe": {
            "httpGet": health,
            "periodSeconds": _STARTUP_PERIOD_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": -(-startup_seconds // _STARTUP_PERIOD_SECONDS),
        },
        "readinessProbe": {
            "httpGet": health,
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": health,
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
        "lifecycle": _before_stop("/bin/sh", script),
    }


def follower_lifecycle(inputs: PodInputs) -> Object:
    """Returns the preStop hook of the other pods of a group. They serve nothing to probe."""
    script = follower_drain_script(inputs.port)
    return {"lifecycle": _before_stop("python3", script)}


def _before_stop(interpreter: str, script: str) -> Object:
    return {"preStop": {"exec": {"command": [interpreter, "-c", script]}}}
