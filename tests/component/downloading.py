"""Shared by tests of downloads in the status: a played downloader, and what the status says."""

from __future__ import annotations

import json

import pytest

from app.apis.kinds import MODEL_BOOSTER
from app.values.meta import Object
from tests import audit
from tests.component.running import AGENT
from tests.controlplane.plane import ControlPlane
from tests.played_pods import PlayedNode
from tests.world import World

SOURCE, LOADER = "hf://owner/model", "model-downloader"


def write_status_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets controllers write a status that differs in details as soon as it does."""
    for name in ("DETAILS_DELAY_SECONDS", "PER_SECONDS"):
        monkeypatch.setattr(f"controller.reconcile.reporter.{name}", 0.1)


def print_line(node: PlayedNode, pod: str, progress: Object, **fields: object) -> None:
    """Plays the downloader of a pod: it prints how far it is.

    Args:
        node: the node of the pod.
        pod: the name of the pod.
        progress: the field ``download`` of the line.
        fields: other fields of the line.
    """
    line = {"type": "progress", "source": SOURCE, "download": progress, **fields}
    log = node.logs.get((pod, LOADER, False), "a line\n")
    node.logs[pod, LOADER, False] = f"{log}{json.dumps(line)}\n"


def download(booster: Object) -> Object:
    """Returns the download in the status; ``{}`` without one."""
    (entry,) = booster["status"]["backendStatuses"]
    found: Object = entry.get("download", {})
    return found


async def until_told(world: World, **wanted: object) -> Object:
    """Waits until the download in the status has some fields; returns the ModelBooster."""
    return await world.until(
        MODEL_BOOSTER,
        "m",
        lambda booster: (
            "backendStatuses" in booster.get("status", {})
            and wanted.items() <= download(booster).items()
        ),
    )


def log_requests(plane: ControlPlane, namespace: str) -> int:
    """Returns how often a controller has asked for logs."""
    return sum(
        request.agent.startswith(AGENT) and request.subresource == "log"
        for request in audit.requests(plane, namespace=namespace)
    )
