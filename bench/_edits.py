"""How long edits wait for their children, while many others are made."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress
from datetime import datetime

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE
from app.errors import Unreachable
from app.kube import Kube, connect
from app.values.meta import Key
from bench._copies import key_of_copy
from bench._large_cluster import CONTROLLER, Cluster, members, show
from tests import audit
from tests.controlplane.plane import ControlPlane

EDITS_PER_SECOND = 51
"""One, and 50 others."""

EDIT_SECONDS = 40


def measure_edits(cluster: Cluster) -> dict[str, float]:
    """S7: from an edit to the answer for its child, with the load of all other edits."""
    plane, (controller, _) = cluster.plane, members(cluster)
    controller.start()
    controller.wait_until_idle()
    begun, cpu = audit.now(plane), controller.cpu_seconds
    count = asyncio.run(edit(plane, cluster.size))
    controller.wait_until_idle()
    took = edit_spans(audit.requests(plane, since=begun))
    found = {
        "size": cluster.size,
        "edits": count,
        "answered": len(took),
        "p50 ms": 1000 * statistics.median(took),
        "p99 ms": 1000 * statistics.quantiles(took, n=100)[98],
        "max ms": 1000 * max(took),
        "cpu ms each": 1000 * (controller.cpu_seconds - cpu) / count,
    }
    controller.stop()
    show(f"edits with {cluster.size}", found)
    return found


async def edit(plane: ControlPlane, size: int) -> int:
    """Edits ModelBoosters one after the other at a fixed rate; returns how often."""
    count = EDITS_PER_SECOND * EDIT_SECONDS
    async with connect(str(plane.kubeconfig)) as kube, asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(began + number / EDITS_PER_SECOND - time.monotonic())
            # Far apart, so that neighbours in a list are not warm from each other.
            key = key_of_copy(number * 7919 % size)
            group.create_task(edit_one(kube, key, f"/v1/{size}/{number}"))
    return count


async def edit_one(kube: Kube, key: Key, prefix: str) -> None:
    """Edits what only the ModelRoute of a ModelBooster depends on."""
    patch = {"spec": {"modelMatch": {"uri": {"prefix": prefix}}}}
    with suppress(Unreachable):  # S7 counts the edits that arrive
        await kube.merge_patch(MODEL_BOOSTER, key.namespace, key.name, patch)


def edit_spans(requests: list[audit.Request]) -> list[float]:
    """Returns the seconds from the arrival of each edit to the answer for its ModelRoute.

    Two edits of one ModelBooster that come before its ModelRoute is written count from the first.
    """
    edited: dict[tuple[str, str], datetime] = {}
    spans = []
    for request in requests:
        name = request.namespace, request.name
        is_ours = request.user == CONTROLLER.name
        if request.verb != "patch" or request.code >= 300 or request.subresource:
            continue
        if request.resource == MODEL_BOOSTER.plural and not is_ours:
            edited.setdefault(name, request.at)
        elif request.resource == MODEL_ROUTE.plural and is_ours and name in edited:
            spans.append((request.answered_at - edited.pop(name)).total_seconds())
    return spans
