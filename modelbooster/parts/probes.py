"""The server for probes and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from app.metrics import Metrics
from modelbooster.parts.http import http_server
from modelbooster.parts.tasks import listen
from modelbooster.probes import ReadyCheck, observe_app
from modelbooster.settings import Settings
from webhook.connections import Limits

LIMITS = Limits(
    header_seconds=2.0,
    body_seconds=2.0,
    idle_seconds=5.0,
    unused_seconds=2.0,
    closing_seconds=1.0,
    connections=64,
    unproven_bodies=8,
    eviction_seconds=0.2,
)
"""The port has no TLS and no authentication. These limits keep it free for the kubelet."""


class Probes:
    """Serves probes and metrics.

    Args:
        settings: the settings.
        metrics: the metrics of the process.
        ready: checks of ``/readyz``.
        live: checks of ``/livez``.
        limits: limits of each connection.

    Raises:
        UsageError: the program cannot listen on the port.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        ready: Sequence[ReadyCheck],
        live: Sequence[ReadyCheck],
        limits: Limits = LIMITS,
    ) -> None:
        self._app = observe_app(metrics, ready, live)
        self._limits = limits
        self._listening = listen(settings.probe_host, settings.probe_port)

    async def run(self) -> None:
        """Serves until it is cancelled."""
        async with http_server(self._app, self._listening, self._limits) as server:
            await server.serve_forever()
