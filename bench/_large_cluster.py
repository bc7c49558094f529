"""A cluster with a sample of one ModelBooster that the controller has served, and copies of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, MODEL_SERVING
from app.errors import NotFound
from app.kube import Kube, connect
from app.values.meta import Object, Resource
from bench._copies import NAMESPACES, SAMPLE, STRANGERS, Copies, key_of_copy, stranger
from bench._fleet import served
from bench._members import Member
from controller.status.pod_records import POD
from tests import chart
from tests.builders import backend, booster_object
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane, User
from tests.played_pods import entry_pod

CONTROLLER = User("controller", ("system:masters",), "bench-controller-token")
WEBHOOK = User("webhook", ("system:masters",), "bench-webhook-token")

PODS = 2
"""Of each ModelBooster."""

SERVERS_SHARE = 0.6
"""Share of the machine's memory from which on the API server collects garbage."""

CALM_SECONDS = 3.0
"""How long nothing must happen before something counts as over."""


@dataclass
class Cluster:
    """The control plane, and what is in it.

    Args:
        plane: the control plane.
        sample: the objects that copies are made of.
        checkout: the build that is measured.
        size: how many copies there are.
    """

    plane: ControlPlane
    sample: list[Object]
    checkout: Path
    size: int = 0

    def grow(self, size: int) -> None:
        """Writes more copies."""
        began = time.monotonic()
        Copies(self.plane, self.sample).write(range(self.size, size))
        say(f"{size - self.size} ModelBoosters written in {time.monotonic() - began:.0f} s")
        self.size = size


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def show(title: str, found: dict[str, Any]) -> None:
    """Prints figures in one line."""
    cells = (f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in found.items())
    say(f"{title}: {', '.join(cells)}")


def late_collections() -> dict[str, str]:
    """Returns variables that let the servers collect garbage only when most memory is used.

    A collection of a heap of 7 GB takes all of two cores for 7 s, in which every request waits: S7
    would measure that.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"GOGC": "off", "GOMEMLIMIT": str(int(total * SERVERS_SHARE))}


@contextmanager
def cluster(checkout: Path) -> Iterator[Cluster]:
    """Runs a control plane with what the chart installs, but the processes."""
    plane = ControlPlane(users=[CONTROLLER, WEBHOOK], environment=late_collections())
    with plane:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])
        plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": chart.NAMESPACE}})
        install(plane, "Lease", "coordination.k8s.io", namespace=chart.NAMESPACE)
        for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
            install(plane, kind, "admissionregistration.k8s.io")
        for name in {SAMPLE.namespace, *(key_of_copy(n).namespace for n in range(NAMESPACES))}:
            plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        path = f"/api/v1/namespaces/{SAMPLE.namespace}/serviceaccounts"
        plane.api.request("POST", path, {"metadata": {"name": "default"}})
        yield Cluster(plane, [], checkout)


def install(plane: ControlPlane, kind: str, group: str, *, namespace: str = "") -> None:
    """Creates the objects of a kind in the chart. No webhook is called: none selects a namespace
    that exists, so that the fleet is written as fast as the API server can.
    """
    place = f"/namespaces/{namespace}" if namespace else ""
    for obj in chart.of_kind(chart.rendered(), kind):
        nowhere = {"namespaceSelector": {"matchLabels": {"bench": "nowhere"}}}
        if webhooks := obj.get("webhooks"):
            obj = {**obj, "webhooks": [{**webhook, **nowhere} for webhook in webhooks]}
        plane.api.request("POST", f"/apis/{group}/v1{place}/{kind.lower()}s", obj)


async def make_sample(plane: ControlPlane) -> list[Object]:
    """Lets the running controller serve one ModelBooster; returns its objects."""
    namespace, name = SAMPLE
    async with connect(str(plane.kubeconfig)) as kube:
        two = backend("b1", minReplicas=PODS, maxReplicas=PODS)
        await kube.create(MODEL_BOOSTER, booster_object(name, two, namespace=namespace))
        serving = await until(kube, MODEL_SERVING, f"{name}-b1", lambda obj: True)
        for group in range(PODS):
            [role] = serving["spec"]["template"]["roles"]
            pod = entry_pod(serving, role, group)
            pod["metadata"]["namespace"] = namespace
            pod["spec"]["automountServiceAccountToken"] = False
            await kube.create(POD, pod)
            ready = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
            status = {"status": {"phase": "Running", "conditions": ready}}
            pod_name = pod["metadata"]["name"]
            await kube.merge_patch(POD, namespace, pod_name, status, subresource="status")
        await served(kube, serving)
        await until(kube, MODEL_BOOSTER, name, is_active)
        await asyncio.sleep(CALM_SECONDS)
        for number in range(STRANGERS):
            await kube.create(POD, stranger(number))
        return [
            {"kind": resource.kind, **item}
            for resource in (MODEL_BOOSTER, *CHILDREN, POD)
            for item in (await kube.list(resource, namespace=namespace)).items
        ]


def is_active(booster: Object) -> bool:
    """Whether a ModelBooster is served."""
    conditions = booster.get("status", {}).get("conditions", ())
    return any(c["type"] == "Active" and c["status"] == "True" for c in conditions)


async def until(
    kube: Kube, resource: Resource, name: str, right: Callable[[Object], bool]
) -> Object:
    """Waits for a state of an object."""
    async with asyncio.timeout(60):
        while True:
            try:
                obj = await kube.get(resource, SAMPLE.namespace, name)
                if right(obj):
                    return obj
            except NotFound:
                pass
            await asyncio.sleep(0.05)


def members(cluster: Cluster) -> tuple[Member, Member]:
    """Returns the controller and the webhook, not yet started."""
    users = {"controller": CONTROLLER, "webhook": WEBHOOK}
    controller, webhook = (
        Member(cluster.plane, name, user, cluster.checkout) for name, user in users.items()
    )
    return controller, webhook
