"""An informer reports a large list in parts, and loses nothing of it when it is interrupted."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from app.apis.kinds import MODEL_SERVING
from app.cache.informer import REPORTED_AT_ONCE, Informer
from app.cache.records import Record
from app.cache.store import Store
from app.kube import Kube
from app.kube.access import Credentials
from app.kube.transport import Transport

pytestmark = pytest.mark.anyio

MANY = 3 * REPORTED_AT_ONCE + 1


class Listed:
    """An informer that is given a list, and what it reports."""

    def __init__(self) -> None:
        self.names: list[str] = []
        store = Store()
        kube = Kube(Transport(Credentials(), "tests"))  # no request is sent
        self.informer = Informer(kube, MODEL_SERVING, store, self._changed)
        self.records = [store.record_for(serving(n)) for n in range(MANY)]

    def _changed(self, old: Record | None, new: Record | None) -> None:
        assert new is not None
        assert not self.informer.synced.is_set()
        self.names.append(new.key.name)


def serving(number: int) -> dict[str, object]:
    name = f"s{number}"
    return {"metadata": {"namespace": "ns", "name": name, "uid": name, "resourceVersion": "1"}}


async def test_others_have_their_turn_while_a_large_list_is_reported() -> None:
    listed = Listed()
    reporting = asyncio.create_task(listed.informer.replace(listed.records, None))
    seen = []
    while not reporting.done():
        await asyncio.sleep(0)
        seen.append(len(listed.names))
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= REPORTED_AT_ONCE
    assert len(listed.names) == len(set(listed.names)) == MANY
    assert listed.informer.synced.is_set()


async def test_an_interrupted_report_is_completed() -> None:
    listed = Listed()
    reporting = asyncio.create_task(listed.informer.replace(listed.records, None))
    await asyncio.sleep(0)
    reporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reporting
    assert len(listed.names) == len(set(listed.names)) == MANY
    assert len(listed.informer.store) == MANY
