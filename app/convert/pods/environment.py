"""The environment variables of the engine and the metrics sidecar."""

from __future__ import annotations

from functools import lru_cache

from app.convert.pods.inputs import PodInputs
from app.model.connector import uses_connector
from app.model.engine import engine, has_v0
from app.model.environment import variables
from app.model.roles import Role, has_ascend
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
_NIXL_HOST = _field("VLLM_NIXL_SIDE_CHANNEL_HOST", "status.podIP")
"""Where other pods reach NIXL of this one; vLLM's default is localhost."""
_NIXL = "NixlConnector"

_OURS: dict[str, list[Object]] = {
    "leader": _COMMON,
    # Prefill and decode need these to reach each other; HCCL is Ascend's communication library.
    "prefill": [*_COMMON, _OFFLINE, _field("HCCL_IF_IP", "status.podIP")],
    "decode": [*_COMMON, _OFFLINE, *({"name": name, "value": "eth0"} for name in _INTERFACES)],
}
"""The variables that we add, by role; those of Ascend for pods with its devices only.

They are shared by the children of all models, so read-only.
"""

_OUR_NAMES = frozenset(
    entry["name"] for entries in (*_OURS.values(), [_NIXL_HOST]) for entry in entries
)

_ASCEND = "HCCL_"
"""Prefix of the variables of Ascend's communication library."""


def engine_env(inputs: PodInputs, role: Role) -> list[Object]:
    """Returns the user's variables, then ours. The user's value wins if both set a variable."""
    worker = role.worker
    ours = _ours(
        role.name,
        has_v0(engine(worker)),
        bool(worker.resources) and has_ascend(worker),
        uses_connector(worker, _NIXL),
    )
    return _added(inputs, ours)


def follower_env(inputs: PodInputs, role: Role) -> list[Object]:
    """Returns the variables of the other pods of a group: the user's, and those that they need."""
    return _added(inputs, [_NIXL_HOST] if uses_connector(role.worker, _NIXL) else [])


def _added(inputs: PodInputs, ours: list[Object]) -> list[Object]:
    """Returns the user's variables, then those of ours that have other names."""
    if inputs.env:
        taken = variables(inputs.backend)
        if taken.keys().isdisjoint(_OUR_NAMES):
            return inputs.env + ours
        ours = [entry for entry in ours if entry["name"] not in taken]
    return inputs.env + ours


@lru_cache(maxsize=64)
def _ours(role: str, v0: bool, ascend: bool, nixl: bool) -> list[Object]:
    """Returns the variables that we add for an engine; the list is shared, so read-only.

    Args:
        role: the name of its role.
        v0: whether it may have the V0 engine.
        ascend: whether its pods have devices of Ascend.
        nixl: whether it transfers its cache with NIXL.
    """
    ours = [entry for entry in _OURS[role] if v0 or entry is not _V1]
    ours = [entry for entry in ours if ascend or not entry["name"].startswith(_ASCEND)]
    return [*ours, _NIXL_HOST] if nixl else ours
