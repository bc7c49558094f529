"""The webhook part of a process: the HTTPS server, certificates and informers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from app.apis.kinds import Profile
from app.convert.options import Options
from app.installed import Detector, Installed, poll
from app.kube import Kube
from app.metrics import Metrics
from app.schema_monitor import SchemaMonitor
from app.validation import Context
from certs.objects import WebhookObjects
from certs.pki import KeyPair
from certs.provided import follow
from certs.rotator import rotate
from modelbooster.parts.lookup_cache import LookupCache
from modelbooster.parts.tasks import in_background, listen
from modelbooster.probes import ReadyCheck
from modelbooster.settings import Settings
from modelbooster.supervise import Inheritance, inheritance
from webhook.limiter import InFlightLimiter
from webhook.server import serve_https, webhook_app
from webhook.tls import ServingContext

log = logging.getLogger(__name__)

MIB = 1024 * 1024

DETECTION_SECONDS = 30.0
"""Interval between two detections of the installed kthena release."""

MAX_BACKLOG_SECONDS = 3.0
"""How long clients of a process that is started again wait for its informers. The API server gives
up a TLS handshake after 10 s, and some of them are gone when the process has started."""

_LOOK_SECONDS = 0.05
"""Interval between two looks whether admission is ready."""


class WebhookPart:
    """Serves the admission webhook.

    Args:
        kube: the API server.
        settings: the settings.
        metrics: the metrics of the process.
    """

    def __init__(self, kube: Kube, settings: Settings, metrics: Metrics) -> None:
        self._kube = kube
        self._settings = settings
        self._metrics = metrics
        self._serving = ServingContext()
        self._certificate_fault: str | None = "there is no serving certificate yet"
        self._lookup_cache = LookupCache(
            kube, settings.namespaces, metrics, lambda booster: self._schema.booster_read(booster)
        )
        options = settings.options
        self._detector = Detector(
            kube, settings.profile, options.kthena_release, options.kthena_namespace
        )
        self._schema = SchemaMonitor(
            kube,
            settings.namespaces,
            self._detect,
            self._lookup_cache.has_pruned_boosters,
            self._lookup_cache.relist_boosters,
        )
        metrics.schema_replaced.set_function(lambda: not self._schema.is_ours)
        self._profile: Profile | None = settings.profile
        self._options: Options = options
        self.ready = (
            ReadyCheck("certificate", lambda: self._certificate_fault),
            ReadyCheck("informers", self._lookup_cache.fault),
        )
        self.live: tuple[ReadyCheck, ...] = ()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serves until ``stopping`` is set, then drains.

        Raises:
            UsageError: the program cannot listen on the port.
        """
        settings, given = self._settings, inheritance()
        # Listen first: if the port is taken, the process ends before it calls the API server.
        listening = self._inherited(given) or listen(settings.webhook_host, settings.webhook_port)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._serve(listening, given, stopping))
            detection = poll(self._detect, DETECTION_SECONDS)
            work = self._lookup_cache.run(), detection, self._schema.run()
            keeping = self._keep(listening, given, stopping)
            async with in_background(self._certificates(), *work, keeping):
                await serving

    def _inherited(self, given: Inheritance | None) -> socket.socket | None:
        """Returns the listening socket of the process before this one, if one died."""
        if given is None or given.listening is None:
            return None
        log.error("the process before this one %s (restart %d)", given.reason, given.restarts)
        self._metrics.webhook_restarts.inc(given.restarts)
        return given.listening

    async def _keep(
        self, listening: socket.socket, given: Inheritance | None, stopping: asyncio.Event
    ) -> None:
        """Gives the listening socket to the parent as soon as admission is ready."""
        if given is None:
            return
        await _until(self.ready, stopping)
        if not stopping.is_set():
            given.keep(listening)
            log.info("the port stays open from now on if this process dies")

    async def _serve(
        self, listening: socket.socket, given: Inheritance | None, stopping: asyncio.Event
    ) -> None:
        settings = self._settings
        if given is not None and given.restarts:
            # The Service still names this pod: who connects now waits, and is not refused.
            certificate, informers = self.ready
            await _until((certificate,), stopping)
            with suppress(TimeoutError):
                async with asyncio.timeout(MAX_BACKLOG_SECONDS):
                    await _until((informers,), stopping)
        await serve_https(
            webhook_app(self._context, self._metrics),
            self._metrics,
            listening=listening,
            serving=self._serving,
            stopping=stopping,
            drain_seconds=settings.drain_seconds,
            limiter=InFlightLimiter(settings.webhook_body_budget_mib * MIB),
        )

    def _context(self) -> Context:
        settings = self._settings
        return Context(
            self._options,
            self._profile,
            self._lookup_cache.lookup,
            self._schema.fault(),
            settings.namespaces,
        )

    async def _certificates(self) -> None:
        settings = self._settings
        place = WebhookObjects(
            namespace=settings.namespace,
            service=settings.webhook_service,
            secret=settings.certificate_secret,
            validating=settings.validating_webhook_configuration,
            mutating=settings.mutating_webhook_configuration,
            metadata=dict(settings.state_metadata),
            host=settings.webhook_url_host,
        )
        ready, ends = self._set_certificate_fault, self._set_certificate_end
        if settings.certificate_mode == "provided" and settings.certificate_dir is not None:
            # The API server uses only the first name; provided certificates may omit the others.
            refused = self._metrics.certificate_errors.inc
            names, folder = place.names[:1], settings.certificate_dir
            await follow(folder, names, self._use, ready, refused=refused, ends=ends)
        else:
            early = self._metrics.authority_early.set
            await rotate(self._kube, place, self._use, ready, ends=ends, early=early)

    def _use(self, pair: KeyPair) -> None:
        self._serving.use(pair)
        self._metrics.certificate_reads.inc()

    def _set_certificate_end(self, which: str, end: datetime) -> None:
        self._metrics.certificate_ends.labels(certificate=which).set(end.timestamp())

    def _set_certificate_fault(self, fault: str | None) -> None:
        if fault != self._certificate_fault:
            log.info("admission is %s", "ready" if fault is None else f"not ready: {fault}")
        self._certificate_fault = fault

    async def _detect(self) -> Installed:
        """Detects which kthena is installed: the last rule converts for that release."""
        found = await self._detector.detect()
        self._profile = found.profile
        self._options = replace(self._options, kthena_release=found.release)
        self._schema.installed_read(found)
        return found


async def _until(checks: Iterable[ReadyCheck], stopping: asyncio.Event) -> None:
    """Waits until nothing is missing, or the process is asked to end."""
    # No check has an event.
    while any(check.fault() for check in checks) and not stopping.is_set():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)
