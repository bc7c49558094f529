"""The load of `make e2e` tells an admission that is lost from one that is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.apis.kinds import MODEL_BOOSTER
from tests.admissions import Admissions, lost
from tests.controlplane.api import Api
from tests.controlplane.plane import ControlPlane
from tests.e2e.admission import nobody_asked
from tests.e2e.installation import eventually
from tests.world import Admin


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
