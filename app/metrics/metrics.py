"""Every metric of the process.

Names and labels are those of controller-runtime and client-go, so existing dashboards and alerts
for operators work. Metrics that only this program has start with ``modelbooster_``. No label holds
the name of an object.
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

from app.metrics.buckets import PASS_BUCKETS, QUEUE_BUCKETS, REQUEST_BUCKETS, REVIEW_BUCKETS
from app.metrics.conditions import ConditionCollector
from app.metrics.workqueue import PrometheusQueueMetrics


class Metrics:
    """Every metric of the process.

    Args:
        version: version of the program, for ``modelbooster_build_info``.
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
            "Reconciliations by result: success, error, requeue, requeue_after.",
            *("controller", "result"),
        )
        self.reconcile_errors = counter(
            "controller_runtime_reconcile_errors_total",
            "Reconciliations that failed with an error and are retried.",
            "controller",
        )
        self.terminal_errors = counter(
            "controller_runtime_terminal_reconcile_errors_total",
            "Reconciliations that failed with an error that a retry cannot fix.",
            "controller",
        )
        self.reconcile_seconds = histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconciliation.",
            PASS_BUCKETS,
            "controller",
        )
        self.max_workers = gauge(
            "controller_runtime_max_concurrent_reconciles", "Number of workers.", "controller"
        )
        self.active_workers = gauge(
            "controller_runtime_active_workers", "Workers that are reconciling.", "controller"
        )

        queue = ("name", "controller")
        self.queue_depth = gauge("workqueue_depth", "Keys in the queue.", *queue)
        self.queue_delayed = gauge(
            "modelbooster_workqueue_delayed", "Keys that will be added to the queue later.", *queue
        )
        self.queue_adds = counter("workqueue_adds_total", "Keys added to the queue.", *queue)
        self.queue_retries = counter(
            "workqueue_retries_total", "Keys added to the queue again after a failure.", *queue
        )
        self.queue_waited = histogram(
            "workqueue_queue_duration_seconds",
            "Time a key waits in the queue.",
            QUEUE_BUCKETS,
            *queue,
        )
        self.queue_worked = histogram(
            "workqueue_work_duration_seconds",
            "Time a worker processes a key.",
            QUEUE_BUCKETS,
            *queue,
        )
        self.queue_unfinished = gauge(
            "workqueue_unfinished_work_seconds",
            "Sum of the seconds that the current work has taken so far.",
            *queue,
        )
        self.queue_longest = gauge(
            "workqueue_longest_running_processor_seconds",
            "Seconds that the longest current work has taken so far.",
            *queue,
        )

        self.review_seconds = histogram(
            "controller_runtime_webhook_latency_seconds",
            "Duration of an admission request.",
            REVIEW_BUCKETS,
            "webhook",
        )
        self.reviews = counter(
            "controller_runtime_webhook_requests_total", "Admission requests.", "webhook", "code"
        )
        self.reviews_in_flight = gauge(
            "controller_runtime_webhook_requests_in_flight",
            "Admission requests without an answer yet.",
            "webhook",
        )
        self.webhook_restarts = counter(
            "modelbooster_webhook_restarts_total", "Processes that died and were started again."
        )
        self.denials = counter(
            "modelbooster_webhook_denials_total", "Rejected objects by type of fault.", "reason"
        )

        self.requests = counter(
            "rest_client_requests_total", "Requests to the API server.", "code", "method", "host"
        )
        self.request_seconds = histogram(
            "rest_client_request_duration_seconds",
            "Duration of a request to the API server.",
            REQUEST_BUCKETS,
            *("verb", "host"),
        )
        self.leads = gauge(
            "leader_election_master_status", "1 while this replica is the leader.", "name"
        )
        self.certificate_reads = counter("certwatcher_read_certificate_total", "Certificate reads.")
        self.certificate_errors = counter(
            "certwatcher_read_certificate_errors_total", "Certificate reads that failed."
        )
        self.certificate_ends = gauge(
            "modelbooster_certificate_expiry_timestamp_seconds",
            "Expiry of the certificate (authority or serving), as a Unix time.",
            "certificate",
        )
        self.authority_early = gauge(
            "modelbooster_certificate_authority_early",
            "1 while the CA certificate is not valid yet by the clock of this replica.",
        )

        self.informer_events = counter(
            "modelbooster_informer_failures_total",
            "Failed lists and watches by error; audit: a store differed from the API server.",
            *("resource", "reason"),
        )
        self.informer_silence = gauge(
            "modelbooster_informer_silence_seconds",
            "Seconds since the last watch event.",
            "resource",
        )
        self.repairs = counter(
            "modelbooster_drift_repairs_total",
            "Children repaired after a change by another client.",
            "kind",
        )
        self.schema_replaced = gauge(
            "modelbooster_schema_replaced",
            "1 while a different CustomResourceDefinition of ModelBooster is installed.",
        )
        self.rollouts_held = gauge("modelbooster_rollouts_held", "ModelBoosters with old pods.")
        self.children = gauge("modelbooster_children", "Child objects by kind.", "kind")
        gauge("modelbooster_build_info", "Always 1; the label is the version.", "version").labels(
            version
        ).set(1)

    def observe_request(self, method: str, host: str, code: str, seconds: float) -> None:
        """Counts a request to the API server. Pass it to ``connect`` as ``observe``.

        Args:
            method: HTTP method.
            host: host of the API server.
            code: HTTP status code, ``<error>`` without an answer.
            seconds: duration.
        """
        count, length = self._asked(method, host, code)
        count.inc()
        length.observe(seconds)

    @cache  # noqa: B019 - as many entries as the metrics have series, which live as long
    def _asked(self, method: str, host: str, code: str) -> tuple[Counter, Histogram]:
        """Returns the counter and the histogram of a kind of request, cached."""
        return (
            self.requests.labels(code=code, method=method, host=host),
            self.request_seconds.labels(verb=method, host=host),
        )

    def count_informer(self, resource: str, reason: str) -> None:
        """Counts a failure of an informer. Pass it to ``Informer`` as ``count``.

        Args:
            resource: plural name of the kind.
            reason: name of the error, or ``audit``.
        """
        self.informer_events.labels(resource=resource, reason=reason).inc()

    def follow_objects(self, conditions: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Exports ``modelbooster_objects``.

        Args:
            conditions: called on every scrape; returns the number of ModelBoosters by type and
                status of a condition.
        """
        self.registry.register(ConditionCollector(conditions))

    def queue(self, name: str) -> PrometheusQueueMetrics:
        """Returns the counters of the work queue with this name."""
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
        """Exports the gauges of a work queue. The functions are called on every scrape.

        Args:
            name: name of the queue.
            depth: returns the number of keys in the queue.
            delayed: returns the number of keys that will be added later.
            ages: returns, for each key in work, the seconds since the work started.
        """
        of = {"name": name, "controller": name}
        self.queue_depth.labels(**of).set_function(depth)
        self.queue_delayed.labels(**of).set_function(delayed)
        self.queue_unfinished.labels(**of).set_function(lambda: sum(ages()))
        self.queue_longest.labels(**of).set_function(lambda: max(ages(), default=0.0))
