"""Finds the pods and containers of a ModelBooster for ``logs`` and ``chat``."""

from __future__ import annotations

from collections.abc import Iterator

from app.apis.kinds import BACKEND_NAME
from app.errors import OperatorError
from app.values.meta import Object, labels_of
from app.values.untyped import as_dict, as_list
from controller.status.pod_records import is_ready
from modelbooster.observe.access import Cluster
from modelbooster.observe.asking import Hop, pod_hop, served_name
from modelbooster.observe.columns import status_of
from modelbooster.observe.pods.findings import source_of
from modelbooster.observe.reading import Family, read_families

ROLES = {"engine": "engine", "sidecar": "runtime"}
"""Containers of a pod by the names that users may type; downloaders have several names."""


class NoPod(OperatorError):
    """There is no pod that a command could ask."""


async def engine_of(cluster: Cluster, name: str, backend: str | None) -> tuple[Hop, str]:
    """Returns an engine that is ready, and the name under which it serves the model.

    Raises:
        NoPod: no engine is ready, or there is no such backend.
        NotThere, NotInstalled, NotAllowed: as in ``read_families``.
    """
    (family,) = (await read_families(cluster, name=name)).families
    for serving, pod in pods_of(family, backend):
        if is_ready(pod):
            server = next(
                (
                    child
                    for child in family.children
                    if child["kind"] == "ModelServer" and child["metadata"]["name"] == serving
                ),
                None,
            )
            model = as_dict(as_dict(server).get("spec")).get("model")
            return pod_hop(pod, server), str(model or served_name(family.booster))
    raise NoPod(f"no engine of {name} is ready: see model-booster status {name}")


def pods_of(family: Family, backend: str | None) -> list[tuple[str, Object]]:
    """Returns the pods of a backend, or of all, each with the name of its ModelServing.

    Raises:
        NoPod: there is no such backend, or it has no pods.
    """
    servings = {
        str(entry.get("modelServing")): str(entry.get("name"))
        for entry in map(as_dict, as_list(status_of(family.booster).get("backendStatuses")))
    }
    for child in family.children:
        if child["kind"] == "ModelServing":
            servings.setdefault(child["metadata"]["name"], labels_of(child).get(BACKEND_NAME, ""))
    name = family.booster["metadata"]["name"]
    if backend is not None and backend not in servings.values():
        there = ", ".join(sorted(servings.values())) or "none"
        raise NoPod(f'{name} has no backend "{backend}"; there is {there}')
    found = [
        (serving, pod)
        for serving, pods in family.pods.items()
        for pod in pods
        if backend is None or servings.get(serving) == backend
    ]
    if not found:
        raise NoPod(f"{name} has no pods: see model-booster status {name}")
    return found


def containers_of(pod: Object, role: str | None) -> list[str]:
    """Returns the containers of a pod with a role.

    Args:
        pod: the pod.
        role: engine, downloader, sidecar, or the name of a container. None for the one that runs:
            the downloaders until the engine starts, then the engine.
    """
    names = [str(c["name"]) for c in as_list(as_dict(pod.get("spec")).get("containers"))]
    downloaders = [name for name in _init_containers(pod) if source_of(pod, name)]
    if role is None:
        return downloaders if downloaders and not _has_begun(pod, "engine") else ["engine"]
    if role == "downloader":
        return downloaders
    name = ROLES.get(role, role)
    return [name] if name in (*names, *_init_containers(pod)) else []


def _init_containers(pod: Object) -> Iterator[str]:
    for template in as_list(as_dict(pod.get("spec")).get("initContainers")):
        yield str(template["name"])


def _has_begun(pod: Object, container: str) -> bool:
    for status in map(as_dict, as_list(status_of(pod).get("containerStatuses"))):
        if status.get("name") == container:
            return "waiting" not in as_dict(status.get("state")) or bool(status.get("lastState"))
    return False
