"""The environment variables of the engine and the metrics sidecar."""

from __future__ import annotations

from app.convert.pods.inputs import PodInputs
from app.model.engine import engine, has_v0
from app.model.environment import variables
from app.model.roles import Role
from app.values.meta import Object


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _key(name: str, kind: str, source: str) -> Object:
    return {"name": name, "valueFrom": {kind: {"name": source, "key": name, "optional": True}}}


_V1: Object = {"name": "VLLM_USE_V1", "value": "1"}

_COMMON = [
    _field("POD_NAME", "metadata.name"),
    _field("NAMESPACE", "metadata.namespace"),
    _V1,
    _key("REDIS_HOST", "configMapKeyRef", "redis-config"),
    _key("REDIS_PORT", "configMapKeyRef", "redis-config"),
    _key("REDIS_PASSWORD", "secretKeyRef", "redis-secret"),
]
_OFFLINE = {"name": "HF_HUB_OFFLINE", "value": "1"}
_INTERFACES = ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME")

_OURS: dict[str, list[Object]] = {
    "leader": _COMMON,
    # Prefill and decode need these to reach each other; HCCL is Ascend's communication library.
    "prefill": [*_COMMON, _OFFLINE, _field("HCCL_IF_IP", "status.podIP")],
    "decode": [*_COMMON, _OFFLINE, *({"name": name, "value": "eth0"} for name in _INTERFACES)],
}
"""The variables that we add, by role: shared by the children of all models, so read-only."""


def engine_env(inputs: PodInputs, role: Role) -> list[Object]:
    """Returns the user's variables, then ours. The user's value wins if both set a variable."""
    taken = variables(inputs.backend)
    ours = _OURS[role.name]
    if not has_v0(engine(role.worker)):
        ours = [entry for entry in ours if entry is not _V1]
    return inputs.env + [entry for entry in ours if entry["name"] not in taken]
