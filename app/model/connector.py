"""The connector that transfers the KV cache from prefill to decode.

Users configure the engines with ``kv-transfer-config`` in ``config``: an object, a string that
contains JSON, or one key for each part (``kv-transfer-config.kv_connector``). The router reads
``kvConnector`` of the ModelServer. Both must name the same connector.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from app.model.arguments import arguments
from app.model.forms import BackendForm, WorkerForm, cached_fact
from app.model.roles import SGLANG_DISAGGREGATED, is_disaggregated, roles
from app.values.fields import SpecError, invalid

CONNECTORS = {
    "LMCacheConnectorV1": "lmcache",
    "MooncakeConnector": "mooncake",
    "MooncakeConnectorV1": "mooncake",
    "NixlConnector": "nixl",
}
"""The engine's ``kv_connector`` values, and the ModelServer's value for each."""

TRANSFER_FLAG = "kv-transfer-config"

KV_ROLES = {"prefill": ("kv_producer", "kv_both"), "decode": ("kv_consumer", "kv_both")}


@cached_fact
def connector(backend: BackendForm) -> str | None:
    """Returns the connector that transfers the KV cache, as a ModelServer names it.

    It is None if neither worker configures one, or if ModelServers do not support it.

    Raises:
        SpecError: only one worker configures a connector, or the two do not match.
    """
    if not is_disaggregated(backend) or backend.type == SGLANG_DISAGGREGATED:
        return None  # kthena chooses SGLang's own way by the engine of the ModelServer
    types = [worker.type for worker in backend.workers]
    for kind in KV_ROLES:
        count = types.count(kind)
        if count > 1:
            raise _connector_fault(backend, f"found {count} {kind} workers, expected one")
    sides = {role.name: _transfer(backend, role.worker) for role in roles(backend)}
    if list(sides.values()) == [None, None]:
        return None
    kinds = []
    for name, side in sides.items():
        if side is None:
            raise _connector_fault(backend, f"{name} worker has no kv-transfer-config")
        kinds.append(_connector_kind(backend, name, side))
    if kinds[0] != kinds[1]:
        names = " and ".join(str(side["kv_connector"]) for side in sides.values() if side)
        raise _connector_fault(backend, f"prefill and decode use different connectors: {names}")
    return kinds[0]


def _connector_kind(backend: BackendForm, name: str, side: dict[str, Any]) -> str | None:
    kind = side.get("kv_connector")
    if not isinstance(kind, str) or not kind:
        raise _connector_fault(backend, f"kv_connector is missing for the {name} worker")
    if kind not in CONNECTORS:
        return None
    role = side.get("kv_role")
    if not role:
        raise _connector_fault(backend, f"kv_role is missing for the {name} worker")
    if role not in KV_ROLES[name]:
        wanted = " or ".join(KV_ROLES[name])
        raise _connector_fault(backend, f"kv_role of the {name} worker must be {wanted}")
    return CONNECTORS[kind]


@cached_fact
def transfer_config(worker: WorkerForm) -> dict[str, Any] | None:
    """Returns ``kv-transfer-config`` of a worker as an object; None if it has none.

    Raises:
        ValueError: it is neither an object nor a string that holds one. A SpecError, which is one
            as well, says that ``config`` cannot be written as arguments.
    """
    given = arguments(worker)
    if TRANSFER_FLAG not in given:
        return None
    parts = given.parts(TRANSFER_FLAG)
    if parts:
        return {name: argument.value for name, argument in parts.items()}
    whole = given.get(TRANSFER_FLAG)
    if whole is None:
        return None
    value = whole.value
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise ValueError("must be an object, or a string that holds JSON")
    return value


def uses_connector(worker: WorkerForm, name: str) -> bool:
    """Returns whether a worker is configured to transfer the KV cache with a connector.

    A connector inside of another (``MultiConnector``) counts as well.
    """
    try:
        config = transfer_config(worker)
    except ValueError:
        return False
    return config is not None and name in _connector_names(config)


def _connector_names(config: Any) -> Iterator[str]:
    level = [config]
    while level:
        item = level.pop()
        if isinstance(item, dict):
            kind = item.get("kv_connector")
            if isinstance(kind, str):
                yield kind
            level.extend(item.values())
        elif isinstance(item, list):
            level.extend(item)


def _transfer(backend: BackendForm, worker: WorkerForm) -> dict[str, Any] | None:
    try:
        return transfer_config(worker)
    except SpecError:
        raise
    except ValueError as exc:
        detail = f"kv-transfer-config of the {worker.type} worker {exc}"
        raise _connector_fault(backend, detail) from None


def _connector_fault(backend: BackendForm, reason: str) -> SpecError:
    detail = f"invalid kv connector configuration: {reason}"
    return SpecError(invalid(backend.path.child("workers"), backend.name, detail))
