"""What is counted and measured.

Names and labels are controller-runtime's and client-go's, unchanged, so that dashboards and alerts
made for any operator fit this one; what is only ours begins with ``modelbooster_``. No label ever
holds an object's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from app.metrics.conditions import ConditionCollector
from app.metrics.workqueue import PrometheusQueueMetrics

PASS_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8),
    *(0.9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50),
    60,
)
QUEUE_BUCKETS = tuple(10.0**power for power in range(-8, 4))
REQUEST_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
REVIEW_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Every metric of the process.

    Args:
        version: of the program, for ``modelbooster_build_info``.
    """

    def __init__(self, version: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated there
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        self.reconciles = counter(
            "controller_runtime_reconcile_total",
            "Passes, by how they ended: success, error, requeue, requeue_after.",
            *("controller", "result"),
        )
        self.reconcile_errors = counter(
            "controller_runtime_reconcile_errors_total",
            "Passes that ended with an error and are tried again.",
            "controller",
        )
        self.terminal_errors = counter(
            "controller_runtime_terminal_reconcile_errors_total",
            "Passes that ended with an error that only a change can heal.",
            "controller",
        )
        self.reconcile_seconds = histogram(
            "controller_runtime_reconcile_time_seconds",
            "Length of a pass.",
            PASS_BUCKETS,
            "controller",
        )
        self.max_workers = gauge(
            "controller_runtime_max_concurrent_reconciles", "Workers.", "controller"
        )
        self.active_workers = gauge(
            "controller_runtime_active_workers", "Workers that are in a pass.", "controller"
        )

        queue = ("name", "controller")
        self.queue_depth = gauge("workqueue_depth", "Keys that wait.", *queue)
        self.queue_delayed = gauge(
            "modelbooster_workqueue_delayed", "Keys that are due later.", *queue
        )
        self.queue_adds = counter("workqueue_adds_total", "Keys that came to wait.", *queue)
        self.queue_retries = counter("workqueue_retries_total", "Keys that failed.", *queue)
        self.queue_waited = histogram(
            "workqueue_queue_duration_seconds", "How long keys waited.", QUEUE_BUCKETS, *queue
        )
        self.queue_worked = histogram(
            "workqueue_work_duration_seconds", "How long work took.", QUEUE_BUCKETS, *queue
        )
        self.queue_unfinished = gauge(
            "workqueue_unfinished_work_seconds", "Sum of the ages of work under way.", *queue
        )
        self.queue_longest = gauge(
            "workqueue_longest_running_processor_seconds", "Age of the oldest work.", *queue
        )

        self.review_seconds = histogram(
            "controller_runtime_webhook_latency_seconds",
            "How long an admission request took.",
            REVIEW_BUCKETS,
            "webhook",
        )
        self.reviews = counter(
            "controller_runtime_webhook_requests_total", "Admission requests.", "webhook", "code"
        )
        self.reviews_in_flight = gauge(
            "controller_runtime_webhook_requests_in_flight", "Unanswered ones.", "webhook"
        )
        self.denials = counter(
            "modelbooster_webhook_denials_total", "Refused objects, by kind of fault.", "reason"
        )

        self.requests = counter(
            "rest_client_requests_total", "Requests to the API server.", "code", "method", "host"
        )
        self.request_seconds = histogram(
            "rest_client_request_duration_seconds",
            "How long the API server took.",
            REQUEST_BUCKETS,
            *("verb", "host"),
        )
        self.leads = gauge("leader_election_master_status", "1 while this replica leads.", "name")

        self.certificate_reads = counter(
            "certwatcher_read_certificate_total", "Certificates that were loaded."
        )
        self.certificate_errors = counter(
            "certwatcher_read_certificate_errors_total", "Certificates that could not be."
        )
        self.certificate_ends = gauge(
            "modelbooster_certificate_expiry_timestamp_seconds",
            "When a certificate ends: authority or serving.",
            "certificate",
        )
        self.authority_early = gauge(
            "modelbooster_certificate_authority_early",
            "1 while the authority begins later than this replica's clock says.",
        )

        self.informer_events = counter(
            "modelbooster_informer_failures_total",
            "Lists and watches that failed, by error; audit: a store was found to be wrong.",
            *("resource", "reason"),
        )
        self.informer_silence = gauge(
            "modelbooster_informer_silence_seconds", "Time since the last event.", "resource"
        )
        self.repairs = counter(
            "modelbooster_drift_repairs_total", "Children put right after others' edits.", "kind"
        )
        self.schema_replaced = gauge(
            "modelbooster_schema_replaced",
            "1 while another CustomResourceDefinition of ModelBooster is installed.",
        )
        self.children = gauge("modelbooster_children", "Child objects by kind.", "kind")
        gauge("modelbooster_build_info", "1, with the version as label.", "version").labels(
            version
        ).set(1)

    def observe_request(self, method: str, host: str, code: str, seconds: float) -> None:
        """Counts an answer of the API server; what ``connect`` takes as ``observe``."""
        count, length = self._asked(method, host, code)
        count.inc()
        length.observe(seconds)

    @cache  # noqa: B019 - there are as many as the metrics have lines, and they live as long
    def _asked(self, method: str, host: str, code: str) -> tuple[Counter, Histogram]:
        """Returns what counts requests of a kind; to look it up costs more than to count."""
        return (
            self.requests.labels(code=code, method=method, host=host),
            self.request_seconds.labels(verb=method, host=host),
        )

    def count_informer(self, resource: str, reason: str) -> None:
        """Counts a failure of an informer; what ``Informer`` takes as ``count``."""
        self.informer_events.labels(resource=resource, reason=reason).inc()

    def follow_objects(self, conditions: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Reads how many ModelBoosters have which condition, whenever the metrics are read.

        Args:
            conditions: how many there are, by type and status of a condition.
        """
        self.registry.register(ConditionCollector(conditions))

    def queue(self, name: str) -> PrometheusQueueMetrics:
        """Returns what a work queue of this name is to count with."""
        of = {"name": name, "controller": name}
        return PrometheusQueueMetrics(
            adds=self.queue_adds.labels(**of),
            retries=self.queue_retries.labels(**of),
            waited=self.queue_waited.labels(**of),
            worked=self.queue_worked.labels(**of),
        )

    def follow_queue(
        self,
        name: str,
        depth: Callable[[], int],
        delayed: Callable[[], int],
        ages: Callable[[], Sequence[float]],
    ) -> None:
        """Reads a queue whenever the metrics are read.

        Args:
            name: the queue's.
            depth: how many keys wait.
            delayed: how many entries are held for keys that are due later.
            ages: for how many seconds each key under way has been worked on.
        """
        of = {"name": name, "controller": name}
        self.queue_depth.labels(**of).set_function(depth)
        self.queue_delayed.labels(**of).set_function(delayed)
        self.queue_unfinished.labels(**of).set_function(lambda: sum(ages()))
        self.queue_longest.labels(**of).set_function(lambda: max(ages(), default=0.0))
