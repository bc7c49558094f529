"""The environment variables of engine and sidecar."""

from __future__ import annotations

from app.apis.canonical import BackendForm
from app.apis.children import Profile
from app.apis.derive import Role
from app.apis.meta import Object
from app.convert.core import env_of


def engine_env(backend: BackendForm, role: Role, profile: Profile) -> list[Object]:
    """Returns the user's variables, then ours; where the user names one of ours, ours is left out.

    Raises:
        SpecError: one of the user's cannot be written.
    """
    own = env_of(backend, profile)
    taken = {entry["name"] for entry in own}
    ours = [*_common(), *_of_role(role.name)]
    return own + [entry for entry in ours if entry["name"] not in taken]


def _common() -> list[Object]:
    return [
        _field("POD_NAME", "metadata.name"),
        _field("NAMESPACE", "metadata.namespace"),
        {"name": "VLLM_USE_V1", "value": "1"},
        _key("REDIS_HOST", "configMapKeyRef", "redis-config"),
        _key("REDIS_PORT", "configMapKeyRef", "redis-config"),
        _key("REDIS_PASSWORD", "secretKeyRef", "redis-secret"),
    ]


def _of_role(name: str) -> list[Object]:
    """Returns what prefill and decode need to find each other; Ascend's collectives read HCCL_*."""
    if name == "prefill":
        return [{"name": "HF_HUB_OFFLINE", "value": "1"}, _field("HCCL_IF_IP", "status.podIP")]
    if name == "decode":
        interfaces = ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "HCCL_SOCKET_IFNAME")
        return [
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            *({"name": variable, "value": "eth0"} for variable in interfaces),
        ]
    return []


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _key(name: str, kind: str, source: str) -> Object:
    return {"name": name, "valueFrom": {kind: {"name": source, "key": name, "optional": True}}}
