"""The server that the kubelet and Prometheus ask."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from app.metrics import Metrics
from app.parts.tasks import port_errors
from app.probes import ReadyCheck, observe_app
from app.settings import Settings


class Probes:
    """Answers the kubelet and Prometheus.

    Args:
        settings: what was chosen.
        metrics: what to show.
        ready: what must hold for requests, or work, to be sent here.
        live: what must hold for the process to be left running.

    Raises:
        UsageError: the port cannot be had.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        ready: Sequence[ReadyCheck],
        live: Sequence[ReadyCheck],
    ) -> None:
        self._app: Starlette = observe_app(metrics, ready, live)
        host, port = settings.probe_host, settings.probe_port
        with port_errors(host, port):
            self._listening = socket.create_server((host, port))

    async def run(self) -> None:
        """Serves until it is cancelled."""
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        await _Server(config).serve([self._listening])


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone: they are the process's."""
        yield
