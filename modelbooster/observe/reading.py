"""Reads ModelBoosters with their children, pods and Events, in a constant number of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from app.apis.kinds import CHILDREN, GROUP_NAME, MANAGED_BY, MODEL_BOOSTER, MODEL_UID, WORKLOAD
from app.errors import ApiError, Forbidden, NotFound, OperatorError
from app.kube import is_unknown_kind
from app.model.ownership import is_ours
from app.values.meta import Object, Resource, key_of, labels_of, uid_of
from app.values.untyped import as_dict
from controller.status.pod_records import POD
from modelbooster.observe.access import Cluster

EVENT = Resource("", "v1", "events", "Event")
QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota")

SERVING_NAME = "modelserving.volcano.sh/name"
"""Label of every pod: the name of its ModelServing. The serving controller sets it."""

_FOLLOWERS = f"{GROUP_NAME},!{MANAGED_BY}"
"""Selects the pods that have no labels of ours: followers of a backend with several nodes."""


class NotThere(OperatorError):
    """The ModelBooster that a command is about does not exist."""


class NotInstalled(OperatorError):
    """The cluster does not serve ModelBoosters."""


class NotAllowed(OperatorError):
    """The user lacks a right without which the command cannot do anything."""


@dataclass(frozen=True, slots=True)
class Family:
    """A ModelBooster with what belongs to it.

    Args:
        booster: the ModelBooster.
        children: its children, in the order of ``CHILDREN``, then by name.
        pods: its pods by name of their ModelServing, each list sorted by name.
        events: Warning Events of its children and pods by uid, the newest first.
        has_pods_read: whether pods could be read.
    """

    booster: Object
    children: tuple[Object, ...] = ()
    pods: dict[str, list[Object]] = field(default_factory=dict)
    events: dict[str, list[Object]] = field(default_factory=dict)
    has_pods_read: bool = True

    def all_pods(self) -> list[Object]:
        """Returns the pods of all backends."""
        return [pod for pods in self.pods.values() for pod in pods]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Args:
        families: the ModelBoosters, sorted by namespace and name.
        missing: what could not be read, a sentence each.
        now: when it was read.
        quotas: the ResourceQuotas of the namespaces.
    """

    families: tuple[Family, ...]
    missing: tuple[str, ...]
    now: datetime
    quotas: tuple[Object, ...] = ()


async def read_boosters(cluster: Cluster, selector: str = "", name: str = "") -> list[Object]:
    """Returns ModelBoosters, sorted by namespace and name.

    Args:
        cluster: where to look.
        selector: label selector.
        name: only the one of this name.

    Raises:
        NotThere: there is none of that name.
        NotInstalled: the cluster does not serve ModelBoosters.
        NotAllowed: the user may not list them.
    """
    fields = f"metadata.name={name}" if name else ""
    try:
        found = await cluster.kube.list(
            MODEL_BOOSTER, namespace=cluster.scope, label_selector=selector, field_selector=fields
        )
    except ApiError as exc:
        raise explained(exc) from exc
    if name and not found.items:
        raise NotThere(f'ModelBooster "{name}" does not exist {where(cluster)}')
    return sorted(found.items, key=key_of)


def explained(error: ApiError) -> OperatorError:
    """Returns the error that says what to do about a request that was rejected."""
    if isinstance(error, Forbidden):
        everywhere = "at the cluster scope" in error.message
        where_to = "all namespaces, or name one with -n, without -A"
        role = f"the ClusterRole view in {where_to if everywhere else 'this namespace'}"
        return NotAllowed(f"{error.message}; ask for {role}")
    if is_unknown_kind(error):
        return NotInstalled(
            "the cluster does not serve ModelBoosters: install the chart model-booster, or choose "
            "another --context"
        )
    return error


def where(cluster: Cluster) -> str:
    """Returns where a command looks, for sentences."""
    return "in any namespace" if cluster.all_namespaces else f"in namespace {cluster.namespace}"


async def read_families(cluster: Cluster, selector: str = "", name: str = "") -> Reading:
    """Reads ModelBoosters with their children and pods.

    The number of LIST requests does not depend on the number of objects.

    Args:
        cluster: where to look.
        selector: label selector of ModelBoosters.
        name: only the ModelBooster of this name.

    Raises:
        NotThere, NotInstalled, NotAllowed: as in ``read_boosters``.
    """
    boosters = await read_boosters(cluster, selector, name)
    only = f"{MODEL_UID}={uid_of(boosters[0])}" if len(boosters) == 1 else ""
    ours = only or f"{MANAGED_BY}={WORKLOAD}"
    wanted = [
        *((resource, ours, "") for resource in CHILDREN),
        (POD, ours, ""),
        (POD, _FOLLOWERS, ""),
        (QUOTA, "", ""),
        (EVENT, "", "type=Warning"),
    ]
    scope = cluster.scope if len(boosters) != 1 else boosters[0]["metadata"]["namespace"]
    lists: list[tuple[list[Object], str]] = await asyncio.gather(
        *(_list(cluster, resource, scope, labels, fields) for resource, labels, fields in wanted)
    )
    found: dict[Resource, list[Object]] = {}
    for (resource, _, _), (items, _) in zip(wanted, lists, strict=True):
        found.setdefault(resource, []).extend(items)
    children = [obj for resource in CHILDREN for obj in sorted(found[resource], key=key_of)]
    notes = dict.fromkeys(note for _, note in lists if note)
    families = _families(boosters, children, found[POD], found[EVENT])
    if any(
        note for (resource, _, _), (_, note) in zip(wanted, lists, strict=True) if resource is POD
    ):
        families = [replace(family, has_pods_read=False) for family in families]
    return Reading(tuple(families), tuple(notes), datetime.now(UTC), tuple(found[QUOTA]))


async def _list(
    cluster: Cluster, resource: Resource, scope: str | None, labels: str, fields: str
) -> tuple[list[Object], str]:
    """Returns objects, and a sentence if they cannot be read."""
    request = cluster.kube.list(
        resource, namespace=scope, label_selector=labels, field_selector=fields
    )
    try:
        found = await request
    except Forbidden:
        place = "in all namespaces" if scope is None else f"in namespace {scope}"
        return [], f"you may not list {resource.plural} {place}; they are left out"
    except NotFound as exc:
        # kthena v1.0.0 has no bindings.
        gone = is_unknown_kind(exc) and resource.plural == "autoscalingpolicybindings"
        return [], "" if gone else f"the cluster does not serve {resource}: install kthena"
    return found.items, ""


def _families(
    boosters: Sequence[Object],
    children: Iterable[Object],
    pods: Iterable[Object],
    events: Iterable[Object],
) -> list[Family]:
    by_uid: dict[str, list[Object]] = {uid_of(booster): [] for booster in boosters}
    for child in children:
        for uid in _owners(child):
            if uid in by_uid and is_ours(child, uid):
                by_uid[uid].append(child)
    by_serving: dict[tuple[str, str], list[Object]] = {}
    for pod in sorted(pods, key=key_of):
        key = (pod["metadata"].get("namespace", ""), serving_of(pod))
        by_serving.setdefault(key, []).append(pod)
    by_object: dict[str, list[Object]] = {}
    for event in sorted(events, key=_event_time, reverse=True):
        by_object.setdefault(as_dict(event.get("involvedObject")).get("uid", ""), []).append(event)
    return [
        _family(booster, by_uid[uid_of(booster)], by_serving, by_object) for booster in boosters
    ]


def _family(
    booster: Object,
    children: list[Object],
    by_serving: dict[tuple[str, str], list[Object]],
    by_object: dict[str, list[Object]],
) -> Family:
    namespace = booster["metadata"]["namespace"]
    pods = {
        name: by_serving.get((namespace, name), [])
        for child in children
        if child["kind"] == "ModelServing"
        for name in (child["metadata"]["name"],)
    }
    uids = [uid_of(obj) for obj in (booster, *children, *(p for ps in pods.values() for p in ps))]
    events = {uid: by_object[uid] for uid in uids if uid in by_object}
    return Family(booster, tuple(children), pods, events)


def serving_of(pod: Object) -> str:
    """Returns the name of the ModelServing of a pod.

    The label may be missing, as on pods of kthena v0.1.0; then the owner and the group tell it.
    """
    labels = labels_of(pod)
    if name := labels.get(SERVING_NAME):
        return name
    for ref in pod["metadata"].get("ownerReferences") or ():
        if ref.get("kind") == "ModelServing":
            return str(ref.get("name"))
    return labels.get(GROUP_NAME, "").rpartition("-")[0]


def _owners(child: Object) -> set[str]:
    refs = child["metadata"].get("ownerReferences") or ()
    return {str(ref.get("uid")) for ref in refs} | {labels_of(child).get(MODEL_UID, "")}


def _event_time(event: Object) -> str:
    series = as_dict(event.get("series")).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")
