"""The load of `make e2e` tells an admission that is lost from one that is not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER
from certs.objects import VALIDATING
from tests.admissions import Admissions, lost
from tests.controlplane.api import JSON_PATCH, Api
from tests.controlplane.plane import ControlPlane
from tests.e2e.admission import nobody_asked
from tests.e2e.installation import RELEASE, Installation, eventually
from tests.e2e.kubelet import serving_process
from tests.world import Admin

NOTICE_SECONDS = 0.5
"""How long the API server may send requests on connections whose end it has not noticed."""


@contextmanager
def load(plane: ControlPlane, namespace: str) -> Iterator[Admissions]:
    with Api(plane.url, plane.ca_file, plane.token) as api:
        admissions = Admissions(api, namespace)
        admissions.start()
        try:
            yield admissions
        finally:
            admissions.stop()


def test_admissions_are_lost_while_no_webhook_is_asked(plane: ControlPlane, admin: Admin) -> None:
    admin.create(MODEL_BOOSTER, Admissions.protected(admin.namespace))
    with load(plane, admin.namespace) as admissions:
        begin = time.monotonic()
        eventually(lambda: len(admissions.since(begin)) >= 6)
        assert lost(admissions.since(begin)) == []

        with nobody_asked(plane):
            eventually(lambda: len({a.fault for a in admissions.since(begin)}) == 3)

    faults = {each.fault for each in lost(admissions.since(begin))}
    assert faults == {
        "an object that the webhook refuses was accepted",
        "an object that the webhook protects was deleted",
    }


@contextmanager
def patient(plane: ControlPlane) -> Iterator[None]:
    """The API server waits for the webhook as long as it can: a busy machine starts it slowly."""
    path = VALIDATING.path(None, f"{RELEASE}-webhook")
    before = [hook["timeoutSeconds"] for hook in plane.api.request("GET", path)["webhooks"]]

    def wait(seconds: list[int]) -> None:
        operations = [
            {"op": "replace", "path": f"/webhooks/{position}/timeoutSeconds", "value": value}
            for position, value in enumerate(seconds)
        ]
        plane.api.request("PATCH", path, operations, content_type=JSON_PATCH)

    wait([30] * len(before))
    try:
        yield
    finally:
        wait(before)


@pytest.mark.slow
def test_admissions_wait_while_the_only_webhook_is_started_again(
    installation: Installation, plane: ControlPlane, admin: Admin
) -> None:
    """Except for those that it has in hand when it is killed, or that come on its connections."""
    (pod,) = installation.kubelet.pods("webhook").values()
    process = pod.process
    assert process is not None
    eventually(lambda: "the port stays open" in installation.kubelet.logs("webhook"))
    admin.create(MODEL_BOOSTER, Admissions.protected(admin.namespace))
    with patient(plane), load(plane, admin.namespace) as admissions:
        begin = time.monotonic()
        eventually(lambda: len(admissions.since(begin)) >= 6)
        first = serving_process(process.pid)

        killed = time.monotonic()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{first}/stat").exists())
        gone = time.monotonic()

        eventually(lambda: serving_process(process.pid) != first and pod.is_ready())
        again = time.monotonic()
        eventually(lambda: len(admissions.since(again)) >= 6)

    answered = admissions.since(begin)
    assert [a for a in lost(answered) if not a.is_within(killed, gone + NOTICE_SECONDS)] == []
    assert any(each.begin > gone for each in answered)
