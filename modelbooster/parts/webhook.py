"""The webhook's part of a process: HTTPS, certificates, and what the rules ask about."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from app.apis.kinds import Profile
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
from modelbooster.parts.tasks import beside, port_errors
from modelbooster.probes import ReadyCheck
from modelbooster.settings import Settings
from webhook.server import serve_https, webhook_app
from webhook.tls import ServingContext

log = logging.getLogger(__name__)

MIB = 1024 * 1024

DETECTION_SECONDS = 30.0
"""Interval between two detections of the installed kthena release."""


class WebhookPart:
    """Answers the API server's questions.

    Args:
        kube: the API server.
        settings: what was chosen.
        metrics: what is counted.
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
        self._detector = Detector(kube, settings.profile)
        self._schema = SchemaMonitor(
            kube,
            settings.namespaces,
            self._detect,
            self._lookup_cache.has_pruned_boosters,
            self._lookup_cache.relist_boosters,
        )
        metrics.schema_replaced.set_function(lambda: not self._schema.is_ours)
        self._profile: Profile | None = settings.profile
        self.ready = (
            ReadyCheck("certificate", lambda: self._certificate_fault),
            ReadyCheck("informers", self._lookup_cache.fault),
        )
        self.live: tuple[ReadyCheck, ...] = ()

    async def run(self, stopping: asyncio.Event) -> None:
        """Serves until ``stopping`` is set, and a while longer.

        Raises:
            UsageError: the port cannot be had.
        """
        up = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            # Before anything is asked of the API server: a port that is taken is a sudden end.
            serving = group.create_task(self._serve(stopping, up))
            await up.wait()
            detection = poll(self._detect, DETECTION_SECONDS)
            work = self._lookup_cache.run(), detection, self._schema.run()
            async with beside(self._certificates(), *work):
                await serving

    async def _serve(self, stopping: asyncio.Event, up: asyncio.Event) -> None:
        chosen = self._settings
        with port_errors(chosen.webhook_host, chosen.webhook_port):
            await serve_https(
                webhook_app(self._context, self._metrics, chosen.webhook_body_budget_mib * MIB),
                host=chosen.webhook_host,
                port=chosen.webhook_port,
                serving=self._serving,
                stopping=stopping,
                drain_seconds=chosen.drain_seconds,
                listening=lambda port: up.set(),
            )

    def _context(self) -> Context:
        chosen = self._settings
        return Context(
            chosen.options,
            self._profile,
            self._lookup_cache.lookup,
            self._schema.fault(),
            chosen.namespaces,
        )

    async def _certificates(self) -> None:
        chosen = self._settings
        place = WebhookObjects(
            namespace=chosen.namespace,
            service=chosen.webhook_service,
            secret=chosen.certificate_secret,
            validating=chosen.validating_webhook_configuration,
            mutating=chosen.mutating_webhook_configuration,
            metadata=dict(chosen.state_metadata),
        )
        ready, ends = self._set_certificate_fault, self._set_certificate_end
        if chosen.certificate_mode == "provided" and chosen.certificate_dir is not None:
            # The API server asks for the first name only; the others are a courtesy of our own.
            refused = self._metrics.certificate_errors.inc
            names, folder = place.names[:1], chosen.certificate_dir
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
        self._schema.installed_read(found)
        return found
