"""Rotates certificates: the authority's Secret, the CA bundles and the serving certificate.

The Secret holds the authority only. Every replica signs its own serving certificate and keeps it in
memory, so replicas do not coordinate renewals.

A new authority is trusted before it is used. It is in the Secret and in the webhook configurations,
next to its predecessors, for ``SPREAD`` before a certificate signed by it replaces a working one.
Certificates of the old authority stay trusted, so replicas do not wait for each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import inf

from app.cache.single import ObjectInformer
from app.errors import ApiError, Unreachable
from app.kube import Backoff, Kube
from certs.authority import AuthoritySecret
from certs.early import EarlyAuthority, Note, note_nothing
from certs.injector import BundleInjector
from certs.objects import MUTATING, VALIDATING, WebhookObjects
from certs.pki import KeyPair, is_issued_by, new_leaf, own_certificate
from certs.policy import (
    authority_fault,
    early_start,
    leaf_due,
    leaf_fault,
    new_leaf_life,
    serving_fault,
)

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""Interval between two checks against the clock."""

SPREAD = timedelta(seconds=10)
"""How long a bundle is in the configurations before a certificate that needs it is served. Every
API server reads the configurations through a watch of its own."""

Use = Callable[[KeyPair], None]
"""Takes the certificate to serve from now on."""

Ready = Callable[[str | None], None]
"""Takes the reason why admission is not ready, None when it is ready."""

Ends = Callable[[str, datetime], None]
"""Takes ``authority`` or ``serving``, and the time at which that certificate ends."""


async def rotate(
    kube: Kube,
    objects: WebhookObjects,
    use: Use,
    ready: Ready,
    *,
    ends: Ends = lambda _which, _end: None,
    early: Note = note_nothing,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    check_seconds: float = CHECK_SECONDS,
) -> None:
    """Rotates certificates until it is cancelled.

    Args:
        kube: the API server.
        objects: names of the objects to manage.
        use: called with each new serving certificate.
        ready: called after every check.
        ends: called after every check, once for each certificate in use.
        early: called at every check with whether the authority begins after ``clock``.
        clock: the present time; the wall clock, so that a paused machine catches up.
        check_seconds: interval between two checks. Changes of the objects are checked at once.
    """
    wake = asyncio.Event()
    rotator = Rotator(kube, objects, use, wake.set, early)
    backoff = Backoff()
    async with asyncio.TaskGroup() as group:
        for informer in rotator.informers:
            group.create_task(informer.run())
        for informer in rotator.informers:
            await informer.synced.wait()
        logged = ""
        while True:
            wake.clear()
            pause = check_seconds
            try:
                await rotator.check(clock())
                logged = ""
            except (ApiError, Unreachable) as exc:
                pause = min(check_seconds, backoff.pause_seconds())
                if str(exc) != logged:  # once, not at every try
                    logged = str(exc)
                    log.error("cannot renew certificates: %s; keeping the present ones", logged)
            ready(rotator.fault(clock()))
            for which, end in rotator.ends():
                ends(which, end)
            pause = min(pause, rotator.pause_seconds(clock()))
            try:
                async with asyncio.timeout(pause):
                    await wake.wait()
            except TimeoutError:
                pass


class Rotator:
    """The checks that ``rotate`` repeats. It waits for nothing but its own requests.

    Args:
        kube: the API server.
        objects: names of the objects to manage.
        use: called with each new serving certificate.
        changed: called after every change of the objects.
        early: called at every check with whether the authority begins after the present time.
    """

    def __init__(
        self,
        kube: Kube,
        objects: WebhookObjects,
        use: Use,
        changed: Callable[[], None],
        early: Note = note_nothing,
    ) -> None:
        self._names = objects.names
        self._use = use
        self._secret = AuthoritySecret(kube, objects, changed)
        self._injectors = (
            BundleInjector(kube, VALIDATING, objects.validating, changed),
            BundleInjector(kube, MUTATING, objects.mutating, changed),
        )
        self._authority: KeyPair | None = None
        self._leaf: KeyPair | None = None
        self._published: tuple[bytes, datetime] | None = None  # the bundle, and since when
        self._missing: str | None = "there is no certificate authority yet"
        self._was_ready = False
        self._early = EarlyAuthority(early)
        self._replace_at: datetime | None = None  # a certificate waits until then

    @property
    def informers(self) -> tuple[ObjectInformer, ...]:
        """Informers that must run and be synced before the first check."""
        return self._secret.informer, *(injector.informer for injector in self._injectors)

    async def check(self, now: datetime) -> None:
        """Renews and publishes what is out of date. Sends no request if everything is right.

        Raises:
            ApiError, Unreachable: a write failed. All other writes were made.
        """
        errors: list[ApiError | Unreachable] = []
        try:
            self._authority = await self._secret.ensure(self._trusted, now)
        except (ApiError, Unreachable) as exc:
            errors.append(exc)
        if self._authority is not None:
            self._early.check(self._secret, self._authority, now)
            bundle = self._authority.cert
            injections = (_inject(each, bundle, errors) for each in self._injectors)
            missing = await asyncio.gather(*injections)
            self._missing = next(filter(None, missing), None)
            self._note_published(bundle, now)
            self._serve(self._authority, now)
        if errors:
            raise errors[0]

    def fault(self, now: datetime) -> str | None:
        """Returns why admission is not ready, None if it is.

        After admission was ready once, only a fault of the serving certificate makes it unready. A
        configuration without its bundle is repaired in a moment and gets no calls until then. If
        every replica became unready for it, the calls of the other configuration would fail too.
        """
        # Ready to its end: its replacement may wait for clients to trust a new authority.
        fault = serving_fault(self._leaf, self._names, now, early=timedelta())
        if fault is None:
            fault = None if self._was_ready else self._missing
            self._was_ready = self._was_ready or fault is None
            return fault
        return f"serving certificate: {fault}"

    def ends(self) -> Iterator[tuple[str, datetime]]:
        """Yields ``authority`` and ``serving`` with the time at which that certificate ends."""
        for which, pair in (("authority", self._authority), ("serving", self._leaf)):
            if pair is not None:
                yield which, own_certificate(pair.cert).not_valid_after_utc

    def pause_seconds(self, now: datetime) -> float:
        """Returns the seconds until a certificate can be replaced that waits for it."""
        return max(0.0, (self._replace_at - now).total_seconds()) if self._replace_at else inf

    def _trusted(self) -> Iterator[bytes]:
        """Yields the authorities that clients may trust now, besides those of the Secret."""
        if self._authority is not None:
            yield self._authority.cert
        for injector in self._injectors:
            yield from injector.bundles()

    def _note_published(self, bundle: bytes, now: datetime) -> None:
        if self._missing is not None:
            self._published = None
        elif self._published is None or self._published[0] != bundle:
            self._published = bundle, now

    def _serve(self, authority: KeyPair, now: datetime) -> None:
        """Signs and uses a new serving certificate if the present one must be replaced."""
        self._replace_at = None
        why = leaf_fault(self._leaf, self._names, authority.cert, now)
        if why is None and self._leaf is not None:
            why = leaf_due(self._leaf, authority.cert, now)
        if why is None or authority_fault(authority, now) is not None:
            return
        trusted_at = now if self._leaf is None else self._trusted_at(self._leaf, authority, now)
        if trusted_at is None or now < trusted_at:
            self._replace_at = trusted_at
            return
        leaf = new_leaf(authority, self._names, now, new_leaf_life(authority, self._leaf, now))
        self._use(leaf)
        self._leaf = leaf
        log.info("using a new serving certificate: %s", why)

    def _trusted_at(self, leaf: KeyPair, authority: KeyPair, now: datetime) -> datetime | None:
        """Returns when every client trusts what ``authority`` signs; None if that is unknown.

        A certificate about to end does not wait for all of ``SPREAD``. One that does not work, or
        that the same authority signed, waits for nothing.
        """
        cert = own_certificate(leaf.cert)
        fault = leaf_fault(leaf, self._names, authority.cert, now, early=timedelta())
        if fault or is_issued_by(cert, own_certificate(authority.cert)):
            return now
        if self._published is None or early_start(authority, now) is not None:
            return None
        published = self._published[1]
        return published + min(SPREAD, (cert.not_valid_after_utc - published) / 2)


async def _inject(
    injector: BundleInjector, bundle: bytes, errors: list[ApiError | Unreachable]
) -> str | None:
    """Writes the bundle into a configuration; returns why it is not there."""
    try:
        return await injector.inject(bundle)
    except (ApiError, Unreachable) as exc:
        errors.append(exc)
        return f"the CA bundle cannot be put into {injector}: {exc}"
