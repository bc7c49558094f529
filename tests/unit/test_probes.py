"""What a kubelet and a Prometheus get to see."""

from __future__ import annotations

import httpx
import pytest

from app.metrics import Metrics
from modelbooster.probes import ReadyCheck, observe_app

pytestmark = pytest.mark.anyio


class Synced:
    fault: str | None = "ModelRoute is not listed yet"


async def got(
    path: str,
    metrics: Metrics | None = None,
    *checks: ReadyCheck,
    live: tuple[ReadyCheck, ...] = (),
) -> httpx.Response:
    app = observe_app(metrics or Metrics(), checks, live)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://pod"
    ) as client:
        return await client.get(path)


async def test_readiness_follows_what_is_checked() -> None:
    synced = Synced()
    check = ReadyCheck("informers", lambda: synced.fault)
    answer = await got("/readyz", None, check)
    assert (answer.status_code, answer.text) == (
        503,
        "[-]informers failed: ModelRoute is not listed yet\nreadyz check failed\n",
    )
    synced.fault = None
    answer = await got("/readyz", None, check)
    assert (answer.status_code, answer.text) == (200, "ok")


async def test_verbose_lists_every_check_by_name() -> None:
    checks = (ReadyCheck("certificate", lambda: None), ReadyCheck("informers", lambda: None))
    answer = await got("/readyz?verbose", None, *checks)
    assert answer.text == "[+]certificate ok\n[+]informers ok\nreadyz check passed\n"


async def test_one_fault_is_enough_and_the_others_are_still_listed() -> None:
    checks = (ReadyCheck("a", lambda: None), ReadyCheck("b", lambda: "broken"))
    answer = await got("/readyz", None, *checks)
    assert answer.status_code == 503
    assert answer.text.splitlines()[:2] == ["[+]a ok", "[-]b failed: broken"]


async def test_a_process_that_is_not_ready_is_left_running() -> None:
    not_ready = ReadyCheck("informers", lambda: "no")
    assert (await got("/livez", None, not_ready)).status_code == 200
    dead = ReadyCheck("lease", lambda: "the lease was renewed 16 s ago")
    assert (await got("/livez", None, live=(dead,))).status_code == 503


async def test_metrics_have_the_names_that_dashboards_know() -> None:
    metrics = Metrics("1.2.3")
    queue = metrics.queue("modelbooster")
    queue.added()
    queue.started(0.5)
    queue.finished(2)
    queue.retried()
    metrics.follow_queue("modelbooster", lambda: 3, lambda: 4, lambda: [1.5, 2.5])
    metrics.observe_request("PATCH", "10.0.0.1:443", "201", 0.01)
    metrics.count_informer("modelroutes", "Gone")
    metrics.reconciles.labels("modelbooster", "success").inc()
    metrics.leads.labels("lease").set(1)
    metrics.follow_objects(lambda: {("Active", "True"): 7, ("Active", "False"): 1})

    answer = await got("/metrics", metrics)

    assert answer.headers["content-type"].startswith("text/plain; version=")
    of = 'controller="modelbooster",name="modelbooster"'
    for line in (
        'controller_runtime_reconcile_total{controller="modelbooster",result="success"} 1.0',
        f"workqueue_depth{{{of}}} 3.0",
        f"workqueue_adds_total{{{of}}} 1.0",
        f"workqueue_retries_total{{{of}}} 1.0",
        f"workqueue_queue_duration_seconds_sum{{{of}}} 0.5",
        f"workqueue_work_duration_seconds_sum{{{of}}} 2.0",
        f"workqueue_unfinished_work_seconds{{{of}}} 4.0",
        f"workqueue_longest_running_processor_seconds{{{of}}} 2.5",
        'rest_client_requests_total{code="201",host="10.0.0.1:443",method="PATCH"} 1.0',
        'rest_client_request_duration_seconds_count{host="10.0.0.1:443",verb="PATCH"} 1.0',
        'leader_election_master_status{name="lease"} 1.0',
        'modelbooster_informer_failures_total{reason="Gone",resource="modelroutes"} 1.0',
        'modelbooster_objects{condition="Active",status="False"} 1.0',
        'modelbooster_objects{condition="Active",status="True"} 7.0',
        'modelbooster_build_info{version="1.2.3"} 1.0',
    ):
        assert line in answer.text.splitlines()
    assert "_created" not in answer.text


async def test_an_idle_queue_has_no_oldest_work() -> None:
    metrics = Metrics()
    metrics.follow_queue("q", lambda: 0, lambda: 0, list)
    text = (await got("/metrics", metrics)).text
    assert 'workqueue_longest_running_processor_seconds{controller="q",name="q"} 0.0' in text


async def test_two_processes_in_one_test_do_not_share_their_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.denials.labels("FieldValueInvalid").inc()
    assert "FieldValueInvalid" in (await got("/metrics", one)).text
    assert "FieldValueInvalid" not in (await got("/metrics", other)).text


def test_no_label_of_a_metric_is_about_an_object() -> None:
    """So the number of series does not grow with the objects, and no user's name is published."""
    labels = {
        label
        for metric in vars(Metrics()).values()
        for label in getattr(metric, "_labelnames", ())
        if label != "name"  # of a work queue, or of the Lease
    }
    assert labels == {
        *("certificate", "code", "controller", "host", "kind", "method"),
        *("reason", "resource", "result", "verb", "webhook"),
    }
