"""Compares the Jobs of a backend with the nodes, or the claim, that it warms up.

A Job that is complete stays as the record that its node has the model. It counts as long as the
sources and folders are the same, also after a change of image or credentials. A Job that is not
complete is replaced if any part of it changes, because the template of a Job is immutable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from app.convert.pods.inputs import PodInputs
from app.convert.warmup import is_per_node, model_hash, warmup_job, warmup_tolerations
from app.values.meta import Object, is_terminating
from app.values.value import value
from controller.status.warmup_records import COMPLETE, FAILED, RUNNING
from controller.warmup.nodes import ChosenNodes, chosen_nodes

RETRY_SECONDS = 1800.0
"""After this time a Job that failed is replaced, so that an outage of the source ends by itself."""

MAX_RUNNING = 32
"""Most Jobs of a backend that run at the same time; sources limit their clients."""


@value
class WarmupPlan:
    """What to do about the Jobs of one backend, and how far they are.

    Args:
        model: hash of what they download.
        create: Jobs to create.
        delete: records of Jobs to delete.
        desired: how many nodes are warmed up; 1 for a claim.
        ready: how many of them have the model.
        running: targets whose Job runs or is about to be created.
        failed: records of failed Jobs.
        wait: after how many seconds a failed Job is replaced; None if none is.
    """

    model: str
    create: tuple[Object, ...] = ()
    delete: tuple[Object, ...] = ()
    desired: int = 0
    ready: int = 0
    running: tuple[str, ...] = ()
    failed: tuple[Object, ...] = ()
    wait: float | None = None

    @property
    def is_warm(self) -> bool:
        """Whether pods need not wait.

        Without a node this is so too: nodes may be created for pods only.
        """
        return self.ready >= self.desired


def plan_warmup(
    inputs: PodInputs, jobs: Iterable[Object], nodes: Collection[Object], now: datetime
) -> WarmupPlan:
    """Returns what to do about the Jobs of one backend.

    Args:
        inputs: what the Jobs depend on.
        jobs: the records of its Jobs.
        nodes: the records of all nodes; unused for a claim.
        now: the time, in UTC.
    """
    targets = _targets(inputs, nodes)
    model = model_hash([warmup_job(inputs)["spec"]["template"]["spec"]])
    by_target: dict[str, list[Object]] = {}
    delete = []
    named = {*targets.schedulable, *targets.others}
    for job in jobs:
        if job["model"] == model and job["node"] in named:
            by_target.setdefault(job["node"], []).append(job)
        elif not is_terminating(job):
            delete.append(job)
    create: list[Object] = []
    running, failed, waits = [], [], []
    ready = 0
    active = sum(
        job["phase"] == RUNNING and not is_terminating(job)
        for present in by_target.values()
        for job in present
    )
    for target in targets.schedulable:
        present = by_target.pop(target, [])
        whole = [job for job in present if job["phase"] == COMPLETE and not is_terminating(job)]
        if whole:
            ready += 1
            delete += [job for job in present if job is not whole[0] and not is_terminating(job)]
            continue
        if not present and len(create) >= MAX_RUNNING:
            running.append(target)  # it waits for its turn
            continue
        wanted = warmup_job(inputs, target)
        same = None
        for job in present:
            if job["metadata"]["name"] == wanted["metadata"]["name"]:
                same = job
            elif not is_terminating(job):
                delete.append(job)
        if same is None:
            create.append(wanted)
            running.append(target)
        elif same["phase"] == FAILED and not is_terminating(same):
            left = RETRY_SECONDS - _seconds_since(same["ended"], now)
            if left <= 0:
                delete.append(same)  # its deletion starts the pass that creates it again
                running.append(target)
            else:
                failed.append(same)
                waits.append(left)
        else:
            running.append(target)
    room = max(0, MAX_RUNNING - active)
    return WarmupPlan(
        model,
        tuple(create[:room]),
        tuple(delete),
        len(targets.schedulable),
        ready,
        tuple(running),
        tuple(failed),
        min(waits, default=None),
    )


def _targets(inputs: PodInputs, nodes: Collection[Object]) -> ChosenNodes:
    if not is_per_node(inputs.backend):
        return ChosenNodes(("",))
    warmup = inputs.backend.cache_warmup
    selector = (warmup.node_selector if warmup else None) or {}
    if not selector:  # admission rejects it; a stored object warms up no node
        return ChosenNodes(())
    return chosen_nodes(nodes, selector, warmup_tolerations(inputs.backend))


def _seconds_since(time: str, now: datetime) -> float:
    try:
        return (now - datetime.fromisoformat(time)).total_seconds()
    except ValueError:
        return 0.0
