"""What an API server costs that comes back after a minute."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.apis.kinds import MODEL_ROUTE
from app.kube import connect
from bench._copies import key_of_copy
from bench._edits import edit_one
from bench._large_cluster import CONTROLLER, Cluster, members, show
from bench._members import PATIENCE_SECONDS, Member
from bench._processes import is_ready
from tests import audit, chart
from tests.controlplane.plane import ControlPlane, User

AWAY_SECONDS = 60
CHANGED = 5
"""ModelBoosters that are edited while the controller does not look, and routes that are deleted."""


def measure_outage(cluster: Cluster) -> dict[str, Any]:
    """S10: the API server comes back after a minute."""
    plane, both = cluster.plane, members(cluster)
    informers: dict[str, set[str]] = {}

    def is_following(member: Member) -> bool:
        """Whether it has opened all its watches since ``begun``. The webhook is ready before."""
        return informers[member.component] <= watched(plane, member.user, begun)

    for member in both:
        begun = audit.now(plane)
        member.start()
        member.wait_until_idle()
        informers[member.component] = watched(plane, member.user, begun)
        member.stop()
    plane.environment = {}  # from now on it collects garbage as any API server does
    plane.stop_apiserver()
    plane.start_apiserver()
    begun = audit.now(plane)
    for member in both:
        member.launch()
    cold = seconds_until_ready(both, is_following)
    for member in both:
        member.wait_until_idle()
    with ExitStack() as kept:
        for member in both:
            kept.enter_context(member.kept_running())
        plane.stop_apiserver()
        time.sleep(AWAY_SECONDS)
        for member in both:
            member.send(signal.SIGSTOP)
        plane.start_apiserver()
        begun = audit.now(plane)
        asyncio.run(change_some(plane))
        for member in both:
            member.send(signal.SIGCONT)
        began = time.monotonic()
        back = seconds_until_ready(both, is_following)
        # The process that leads afterwards first waits until the lease of the one before is over.
        while len([r for r in writes(plane, begun) if r.resource == MODEL_ROUTE.plural]) < (
            2 * CHANGED
        ):
            if time.monotonic() > began + PATIENCE_SECONDS:
                raise SystemExit("what was changed meanwhile is not written")
            time.sleep(0.5)
        for member in both:
            member.wait_until_idle()
    lists = {member.component: listed(plane, member.user, begun) for member in both}
    done = counts(writes(plane, begun))
    for member in both:
        member.stop()
    found = {
        "size": cluster.size,
        **{f"{name} cold s": seconds for name, seconds in cold.items()},
        **{f"{name} back s": seconds for name, seconds in back.items()},
        "most lists": max(max(counts.values(), default=0) for counts in lists.values()),
        "lists": sum(sum(counts.values()) for counts in lists.values()),
        "writes": done,
    }
    show("outage", found)
    return found


def seconds_until_ready(
    both: Sequence[Member], is_following: Callable[[Member], bool]
) -> dict[str, float]:
    """Returns the seconds from now until each process is ready, by its component.

    Args:
        both: the processes.
        is_following: what must hold besides.
    """
    began, seconds = time.monotonic(), dict[str, float]()
    while waiting := [each for each in both if each.component not in seconds]:
        for member in waiting:
            if is_ready(member.probe_port) and is_following(member):
                seconds[member.component] = time.monotonic() - began
        if time.monotonic() > began + PATIENCE_SECONDS:
            raise SystemExit(f"not ready: {', '.join(each.component for each in waiting)}")
        time.sleep(0.1)
    return seconds


async def change_some(plane: ControlPlane) -> None:
    """Edits some ModelBoosters, and deletes the ModelRoutes of others."""
    async with connect(str(plane.kubeconfig)) as kube:
        for number in range(CHANGED):
            await edit_one(kube, key_of_copy(number), "/v1/after")
            await kube.delete(MODEL_ROUTE, *key_of_copy(CHANGED + number))


def writes(plane: ControlPlane, since: datetime) -> list[audit.Request]:
    """Returns the controller's writes since a moment; the Lease is left out."""
    ours = audit.requests(plane, user=CONTROLLER.name, since=since)
    return [request for request in ours if request.is_write and request.resource != "leases"]


def counts(requests: list[audit.Request]) -> dict[str, int]:
    """Returns the number of requests of each sort."""
    names = (f"{r.resource}/{r.subresource}".rstrip("/") for r in requests)
    return dict(Counter(f"{r.verb} {name}" for r, name in zip(requests, names, strict=True)))


def informer_of(request: audit.Request) -> str:
    """Returns the kind and the selector of a list or a watch."""
    selector = parse_qs(urlsplit(request.uri).query).get("labelSelector", [""])[0]
    return f"{request.resource} {selector}".strip()


def watched(plane: ControlPlane, user: User, since: datetime) -> set[str]:
    """Returns the informers that have opened a watch since a moment."""
    requests = audit.requests(plane, user=user.name, since=since)
    return {informer_of(r) for r in requests if r.verb == "watch" and r.code in (0, 200)}


def listed(plane: ControlPlane, user: User, since: datetime) -> Counter[str]:
    """Returns how often each informer was given a list since a moment, plainly or as a stream."""
    requests = audit.requests(plane, user=user.name, since=since)
    lists = [r for r in requests if r.verb == "list" or "sendInitialEvents=true" in r.uri]
    return Counter(informer_of(r) for r in lists if r.code in (0, 200) and is_followed(r))


def is_followed(request: audit.Request) -> bool:
    """Whether an informer follows the kind; of others the controller lists one, or those without
    our label.
    """
    return "limit=" not in request.uri and request.namespace != chart.NAMESPACE
