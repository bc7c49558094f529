"""The controller part of a process: informers, workers and leader election."""

from __future__ import annotations

import asyncio

from app.kube import Kube
from app.metrics import Metrics
from app.values.meta import Key
from controller.cluster.download_logs import ROUND_SECONDS
from controller.config import ControllerConfig
from controller.controller import Controller
from controller.election.elector import lead
from controller.election.leadership import Leadership, identity
from controller.election.lease import LeaseTiming
from modelbooster.parts.tasks import in_background
from modelbooster.probes import ReadyCheck
from modelbooster.settings import Settings

FINISH_SECONDS = 10.0
"""How long passes in progress may take when the process ends."""


def leadership_of(settings: Settings, metrics: Metrics) -> Leadership:
    """Returns the leadership of the process, not yet acquired.

    Raises:
        UsageError: with the configured times, two replicas could lead at once.
    """
    gauge = metrics.leads.labels(name=settings.lease_name)
    gauge.set(0)
    return Leadership(
        Key(settings.lease_namespace or settings.namespace, settings.lease_name),
        identity(settings.identity),
        LeaseTiming(
            lease_seconds=settings.lease_seconds,
            renew_seconds=settings.lease_renew_seconds,
            retry_seconds=settings.lease_retry_seconds,
            # The chart creates the Lease. If it is absent, it was deleted and may have a holder.
            waits_if_absent=bool(settings.state_metadata),
        ),
        gauge.set,
        metadata=dict(settings.state_metadata),
    )


class ControllerPart:
    """Reconciles ModelBoosters and their children.

    Args:
        kube: the API server; with leader election, only the leader may write.
        settings: the settings.
        metrics: the metrics of the process.
        leadership: state of the leader election.
    """

    def __init__(
        self, kube: Kube, settings: Settings, metrics: Metrics, leadership: Leadership
    ) -> None:
        config = ControllerConfig(
            options=settings.options,
            profile=settings.profile,
            namespaces=settings.namespaces,
            workers=settings.workers,
            resync_seconds=settings.resync_seconds,
            instance=settings.identity or leadership.me,
            watch_pods=settings.watch_pods,
            download_log_seconds=ROUND_SECONDS if settings.read_download_logs else None,
            touch_pods=settings.touch_pods,
            rollout_wave_size=settings.rollout_wave_size,
            route_ready_seconds=settings.route_ready_seconds,
        )
        self._kube = kube if settings.leader_election else kube.unguarded()
        self._controller = Controller(self._kube, config, metrics)
        self._leadership = leadership
        self._elects = settings.leader_election
        self.ready = (
            ReadyCheck("informers", self._controller.fault),
            ReadyCheck("schema", self._controller.schema.fault),
        )
        self.live = (ReadyCheck("leadership", leadership.fault),)

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until ``stopping`` is set, then finishes the passes in progress.

        Raises:
            LeadershipLost: another replica leads, or may lead at any moment.
        """
        async with in_background(self._controller.follow()), asyncio.TaskGroup() as group:
            work = group.create_task(self._work())
            told = group.create_task(stopping.wait())
            await asyncio.wait([work, told], return_when=asyncio.FIRST_COMPLETED)
            self._controller.stop()
            if self._elects and self._leadership.renewal_seconds_left() <= 0:
                work.cancel()  # it is only waiting to become leader
            await asyncio.wait([work], timeout=FINISH_SECONDS)
            work.cancel()
            told.cancel()

    async def _work(self) -> None:
        if self._elects:
            await lead(self._kube, self._leadership, self._controller.work)
        else:
            await self._controller.work()
