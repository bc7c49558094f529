"""Pods that the router of old kthena releases does not find.

Up to v0.2.0 the router forgets the pods of a ModelServer that is deleted, and takes up a pod only
when the pod changes. So it answers 404 forever after somebody deleted a ModelServer, although it
was created again. An annotation on each pod that is older than its ModelServer is such a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.apis.kinds import KthenaRelease, Profile
from app.values.meta import Object, uid_of
from controller.status.pod_records import backend_name

FINDS_PODS = KthenaRelease(0, 3, 0)
"""First release whose router finds the pods of a new ModelServer by itself."""

DELAY_SECONDS = 2.0
"""How long an annotation waits: the router has to see the ModelServer before the pod changes."""


@dataclass(slots=True)
class PodTouch:
    """An annotation that a pod needs.

    Args:
        server: uid of its ModelServer.
        due: when to write it, in seconds of the clock; None if it was written.
    """

    server: str
    due: float | None


def forgets_pods(profile: Profile | None, release: KthenaRelease | None) -> bool | None:
    """Returns whether the router of the installed kthena forgets pods; None if that is unknown.

    Args:
        profile: profile of the installed kthena; None if it is unknown.
        release: its release; None if only its profile is known.
    """
    if release is not None:
        return release < FINDS_PODS
    return {Profile.A: True, Profile.C: False}.get(profile) if profile else None


def forgotten_pods(
    pods: Iterable[Object], servers: Mapping[str, Object]
) -> Iterator[tuple[Object, Object]]:
    """Yields the pods that the router has forgotten, each with its ModelServer.

    Args:
        pods: the records of the pods of a ModelBooster.
        servers: its ModelServers by name of the backend.
    """
    for pod in pods:
        server = servers.get(backend_name(pod))
        if server is None or pod["server"] == uid_of(server):
            continue
        created = str(server["metadata"].get("creationTimestamp", ""))
        if "" < pod["created"] < created:  # both are RFC 3339 in UTC with whole seconds
            yield pod, server


def due_touches(
    forgotten: Iterable[tuple[Object, Object]], touches: dict[str, PodTouch], now: float
) -> list[Object]:
    """Returns the pods to annotate now.

    Args:
        forgotten: the pods that need it, each with its ModelServer.
        touches: what is kept about pods, by their uids; it is updated. Other pods are dropped.
        now: the time, in seconds.
    """
    found, kept = [], {}
    for pod, server in forgotten:
        uid, wanted = uid_of(pod), uid_of(server)
        touch = touches.get(uid)
        if touch is None or touch.server != wanted:
            touch = PodTouch(wanted, now + DELAY_SECONDS)
        kept[uid] = touch
        if touch.due is not None and touch.due <= now:
            found.append(pod)
    touches.clear()
    touches.update(kept)
    return found


def next_touch(touches: Mapping[str, PodTouch], now: float) -> float | None:
    """Returns after how many seconds the next pod has to be annotated; None if none has to."""
    due = [touch.due for touch in touches.values() if touch.due is not None]
    return max(0.0, min(due) - now) if due else None


def forgotten_notes(forgotten: Iterable[tuple[Object, Object]]) -> tuple[str, ...]:
    """Returns a sentence about each backend with such pods, for the condition ``Active``."""
    found = {backend_name(pod): server["metadata"]["name"] for pod, server in forgotten}
    return tuple(
        f'requests to backend {backend} may fail with 404: ModelServer "{server}" was created '
        "again, and the router of the installed kthena forgets the pods that are older; set "
        "controller.touchPods of the chart, or replace these pods"
        for backend, server in sorted(found.items())
    )
