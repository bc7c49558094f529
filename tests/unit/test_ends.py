"""Failures of several tasks at once: the cause is raised, and no error is lost."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import LeadershipLost
from app.metrics import Metrics
from app.values.meta import Key
from controller.election.leadership import cause_of
from controller.queue.result import Result
from controller.queue.workers import Workers
from controller.queue.workqueue import WorkQueue
from modelbooster.process import report

LOST = LeadershipLost("another replica leads")


def test_leadership_loss_is_the_cause_and_other_errors_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    group = ExceptionGroup("", [ValueError("unrelated"), ExceptionGroup("", [LOST])])
    assert cause_of(group) is LOST
    assert "unrelated" in caplog.text


def test_leadership_loss_alone_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert cause_of(ExceptionGroup("", [LOST, LOST])) is LOST
    assert not caplog.records


def test_other_errors_stay_a_group() -> None:
    group = ExceptionGroup("", [ValueError("one"), ValueError("two")])
    assert cause_of(group) is group


def test_the_process_logs_every_error_that_ended_it(caplog: pytest.LogCaptureFixture) -> None:
    others = ExceptionGroup("", [ValueError("second"), ValueError("third")])
    assert report(ExceptionGroup("", [LOST, others])) == 1
    assert "the process ends: another replica leads" in caplog.text
    assert "second" in caplog.text
    assert "third" in caplog.text


@pytest.mark.anyio
async def test_workers_raise_leadership_loss_alone() -> None:
    async def reconcile(key: Key) -> Result:
        raise LeadershipLost(f"{key.name} cannot be written")

    queue = WorkQueue()
    for name in ("a", "b"):
        queue.add(Key("ns", name))
    async with asyncio.timeout(10):
        with pytest.raises(LeadershipLost, match="cannot be written"):
            await Workers(queue, reconcile, Metrics(), 36000).run(2)
