"""Gauges that are read from the queue and the stores at each scrape."""

from __future__ import annotations

from functools import partial

from app.apis.kinds import CHILDREN
from app.metrics import Metrics
from app.schema_monitor import SchemaMonitor
from controller.cluster.informer_set import InformerSet
from controller.queue.workers import CONTROLLER_NAME
from controller.queue.workqueue import WorkQueue
from controller.reconcile.rollout_waves import RolloutWaves


def register_gauges(
    metrics: Metrics,
    queue: WorkQueue,
    informers: InformerSet,
    schema: SchemaMonitor,
    waves: RolloutWaves,
) -> None:
    """Registers the gauges of a controller.

    Args:
        metrics: where to register them.
        queue: read for depth, delayed keys and running passes.
        informers: read for objects, conditions and silence, by kind.
        schema: read for whether the installed schema is ours.
        waves: read for the number of ModelBoosters that wait for a rollout.
    """
    metrics.follow_queue(
        CONTROLLER_NAME,
        lambda: len(queue),
        lambda: queue.delayed,
        lambda: list(queue.running.values()),
    )
    metrics.schema_replaced.set_function(lambda: not schema.is_ours)
    metrics.rollouts_held.set_function(lambda: waves.held)
    metrics.follow_objects(informers.stores.condition_counts)
    for resource, silence in informers.silences():
        metrics.informer_silence.labels(resource=resource.plural).set_function(silence)
        if resource in CHILDREN:
            count = partial(informers.stores.count, resource)
            metrics.children.labels(kind=resource.kind).set_function(count)
