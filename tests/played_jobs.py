"""Plays scheduler and kubelet for the pods of Jobs; the Job controller is the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

from app.apis.kinds import JOB, NODE
from app.convert.warmup import WARMUP_NODE
from app.values.meta import Object, annotations_of
from controller.status.pod_records import POD
from tests.world import World


async def register_node(world: World, name: str, **labels: str) -> None:
    """Creates a node. It is not ready, so that Jobs have to tolerate its taints."""
    metadata = {"name": name, "labels": labels}
    await world.put(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": metadata})


async def jobs_of(world: World, *nodes: str) -> dict[str, Object]:
    """Waits until there is one Job for each node, and no other; ``""`` for that of a claim."""

    def are_these(jobs: list[Object]) -> bool:
        return sorted(_node(job) for job in jobs) == sorted(nodes)

    return {_node(job): job for job in await world.until_listed(JOB, are_these)}


async def bind(world: World, job: Object, node: str) -> str:
    """Plays the scheduler: assigns the pod of a Job to a node, and returns its name."""
    name = str((await _pod(world, job))["metadata"]["name"])
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    path = f"{world.admin.path(POD, name)}/binding"
    await asyncio.to_thread(world.admin.api.request, "POST", path, binding)
    return name


async def finish(world: World, jobs: Iterable[Object]) -> None:
    """Lets the pod of each Job end well, and waits until the Jobs are complete."""
    for job in jobs:
        await _end(world, job, 0, {"result": "whole"})
    for job in jobs:
        await world.until(JOB, job["metadata"]["name"], lambda job: _is(job, "Complete"))


async def fail(world: World, job: Object, code: int, told: Object) -> None:
    """Lets the pod of a Job fail, and waits until the Job has failed."""
    await _end(world, job, code, told)
    await world.until(JOB, job["metadata"]["name"], lambda job: _is(job, "Failed"))


async def _pod(world: World, job: Object) -> Object:
    """Waits for the pod of a Job."""
    selector = f"job-name={job['metadata']['name']}"
    (pod,) = await world.until_listed(POD, lambda pods: len(pods) == 1, selector=selector)
    return pod


async def _end(world: World, job: Object, code: int, told: Object) -> None:
    pod = await _pod(world, job)
    names = [container["name"] for container in pod["spec"]["containers"]]
    # The Job controller does not know the pod before it has recorded it in the status of the Job.
    await world.until(JOB, job["metadata"]["name"], lambda job: job["status"].get("active"))
    ended = {"exitCode": code, "message": json.dumps(told), "reason": "Completed"}
    status = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [
            {
                "name": name,
                "ready": False,
                "restartCount": 0,
                "image": "",
                "imageID": "",
                "state": {"terminated": ended},
            }
            for name in names
        ],
    }
    await world.patch(POD, pod["metadata"]["name"], {"status": status}, subresource="status")


def _node(job: Object) -> str:
    return annotations_of(job)[WARMUP_NODE]


def _is(job: Object, condition: str) -> bool:
    found = {c["type"]: c["status"] for c in job["status"].get("conditions", ())}
    return found.get(condition) == "True"
