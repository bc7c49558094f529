"""Keeps certificates right: the authority's Secret, the CA bundles and the serving certificate.

The Secret holds the authority only. Every replica signs a serving certificate for itself and keeps
it in memory, so there is nothing to coordinate when one is renewed. Replicas that make a new
authority at the same time are told apart by the Secret's resource version: one wins, the others
read what it wrote.

Trust goes out before what must be trusted. A new authority stands in the Secret and in the webhook
configurations, beside those before it, for ``SPREAD`` before a certificate that it signed replaces
one that still works. Certificates of the old authority stay trusted, so nobody waits for anybody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from app.errors import ApiError, Conflict, Unreachable
from app.kube import Backoff, Kube
from certs.early import Early, Note, note_nothing
from certs.followed import Followed
from certs.objects import (
    MUTATING,
    SECRET,
    VALIDATING,
    Place,
    bundle_patch,
    bundles_in,
    calls_us,
    new_secret,
    pair_in,
    with_pair,
)
from certs.pki import KeyPair, new_leaf, own_certificate
from certs.policy import (
    authority_fault,
    early_start,
    leaf_due,
    leaf_fault,
    new_leaf_life,
    serving_fault,
    wanted_authority,
)

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""Time between two looks at the clock."""

SPREAD = timedelta(seconds=10)
"""How long a bundle stands before something that needs it is served: every API server reads the
configurations by a watch of its own."""

TRIES = 3
"""How often a write is tried at once when somebody else's comes between."""

Use = Callable[[KeyPair], None]
"""Gets the certificate to serve from now on."""

Ready = Callable[[str | None], None]
"""Told why admission is not ready, or None when it is."""

Ends = Callable[[str, datetime], None]
"""Told when a certificate in use ends: ``authority`` or ``serving``."""


async def rotate(
    kube: Kube,
    place: Place,
    use: Use,
    ready: Ready,
    *,
    ends: Ends = lambda _which, _end: None,
    early: Note = note_nothing,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Keeps certificates right until it is cancelled.

    Args:
        kube: the API server.
        place: the objects to look after.
        use: gets each new serving certificate.
        ready: told whenever it is decided whether admission is ready.
        ends: told at every look when the certificates in use end.
        early: told at every look whether the authority begins later than this clock says.
        clock: the present time; the wall clock, so that a paused machine catches up.
        look_seconds: time between two looks at the clock; events are looked at at once.
    """
    wake = asyncio.Event()
    rotator = Rotator(kube, place, use, wake.set, early)
    backoff = Backoff()
    async with asyncio.TaskGroup() as group:
        for followed in rotator.followed:
            group.create_task(followed.run())
        for followed in rotator.followed:
            await followed.synced.wait()
        complaint = ""
        while True:
            wake.clear()
            pause = look_seconds
            try:
                await rotator.look(clock())
                complaint = ""
            except (ApiError, Unreachable) as exc:
                pause = min(look_seconds, backoff.pause_seconds())
                if str(exc) != complaint:  # once, not at every try
                    complaint = str(exc)
                    log.error("certificates: %s; going on with what there is", complaint)
            ready(rotator.fault(clock()))
            for which, end in rotator.ends():
                ends(which, end)
            try:
                async with asyncio.timeout(pause):
                    await wake.wait()
            except TimeoutError:
                pass


class Rotator:
    """What ``rotate`` does at every look; it never waits for anything but its own requests."""

    def __init__(
        self,
        kube: Kube,
        place: Place,
        use: Use,
        changed: Callable[[], None],
        early: Note = note_nothing,
    ) -> None:
        self._kube = kube
        self._place = place
        self._use = use
        self._secret = Followed(kube, SECRET, place.namespace, place.secret, changed)
        self._configurations = (
            Followed(kube, VALIDATING, None, place.validating, changed),
            Followed(kube, MUTATING, None, place.mutating, changed),
        )
        self._authority: KeyPair | None = None
        self._leaf: KeyPair | None = None
        self._standing_since: tuple[bytes, datetime] | None = None
        self._missing: str | None = "there is no certificate authority yet"
        self._was_ready = False
        self._early = Early(early)

    @property
    def followed(self) -> tuple[Followed, ...]:
        """What must be run and synced before the first look."""
        return self._secret, *self._configurations

    async def look(self, now: datetime) -> None:
        """Puts right what is not; a look that finds all well sends nothing.

        Raises:
            ApiError: something could not be put right; all the rest was.
            Unreachable: likewise.
        """
        errors: list[ApiError | Unreachable] = []
        try:
            self._authority = await self._sound_authority(now)
        except (ApiError, Unreachable) as exc:
            errors.append(exc)
        if self._authority is not None:
            self._early.look(self._secret, self._authority, now)
            missing = [
                await self._publish(c, self._authority.cert, errors) for c in self._configurations
            ]
            self._missing = next(filter(None, missing), None)
            self._note_standing(self._authority.cert, now)
            self._serve(self._authority, now)
        if errors:
            raise errors[0]

    def fault(self, now: datetime) -> str | None:
        """Returns why admission is not ready, None if it is.

        Once it was, only our own certificate makes it not so. A configuration that was taken away
        or emptied is mended in a moment, and brings no calls meanwhile; to leave the Service for it
        would only take the other configuration's calls from every replica at once.
        """
        fault = serving_fault(self._leaf, self._place.names, now)
        if fault is None:
            fault = None if self._was_ready else self._missing
            self._was_ready = self._was_ready or fault is None
            return fault
        return f"serving certificate: {fault}"

    def ends(self) -> Iterator[tuple[str, datetime]]:
        """Yields when the certificates in use end."""
        for which, pair in (("authority", self._authority), ("serving", self._leaf)):
            if pair is not None:
                yield which, own_certificate(pair.cert).not_valid_after_utc

    async def _sound_authority(self, now: datetime) -> KeyPair:
        """Returns the authority of the Secret; writes a new one if that is at fault."""
        for tries_left in reversed(range(TRIES)):
            secret = self._secret.newest
            stored = pair_in(secret)
            wanted, why = wanted_authority(stored, self._trusted(), self._place.names[0], now)
            if wanted is stored:
                return wanted
            try:
                if secret is None:
                    new = with_pair(new_secret(self._place), wanted)
                    self._secret.saw(await self._kube.create(SECRET, new))
                else:
                    self._secret.saw(await self._kube.replace(SECRET, with_pair(secret, wanted)))
                log.info("%s was written anew: %s", self._secret, why)
                return wanted
            except Conflict:
                # Another replica was quicker: what it wrote is as good as ours.
                if not tries_left:
                    raise
                await self._secret.read()
        raise AssertionError("the last try returns or raises")

    def _trusted(self) -> Iterator[bytes]:
        """Yields the authorities that somebody may trust now, besides those of the Secret."""
        if self._authority is not None:
            yield self._authority.cert
        for configuration in self._configurations:
            yield from bundles_in(configuration.newest)

    async def _publish(
        self, followed: Followed, bundle: bytes, errors: list[ApiError | Unreachable]
    ) -> str | None:
        """Puts the bundle into our entries of a configuration; returns why it does not stand."""
        try:
            return await self._put(followed, bundle)
        except (ApiError, Unreachable) as exc:
            errors.append(exc)
            return f"the CA bundle cannot be put into {followed}: {exc}"

    async def _put(self, followed: Followed, bundle: bytes) -> str | None:
        for tries_left in reversed(range(TRIES)):
            if followed.newest is None:
                return f"{followed} does not exist"
            if not calls_us(followed.newest):
                return f"{followed} has no entry that calls us"
            patch = bundle_patch(followed.newest, bundle)
            if not patch:
                break
            try:
                followed.saw(
                    await self._kube.json_patch(followed.resource, None, followed.name, patch)
                )
                log.info("the CA bundle was put into %s", followed)
                break
            except Conflict:
                if not tries_left:
                    raise
                await followed.read()
        return None

    def _note_standing(self, bundle: bytes, now: datetime) -> None:
        if self._missing is not None:
            self._standing_since = None
        elif self._standing_since is None or self._standing_since[0] != bundle:
            self._standing_since = bundle, now

    def _serve(self, authority: KeyPair, now: datetime) -> None:
        """Signs a serving certificate if there must be a new one, and hands it over."""
        why = leaf_fault(self._leaf, self._place.names, authority.cert, now)
        if why is None and self._leaf is not None and self._is_usable(authority, now):
            why = leaf_due(self._leaf, authority.cert, now)
        if why is None or authority_fault(authority, now) is not None:
            return
        life = new_leaf_life(authority, self._leaf, now)
        leaf = new_leaf(authority, self._place.names, now, life)
        self._use(leaf)
        self._leaf = leaf
        log.info("a new serving certificate is used: %s", why)

    def _is_usable(self, authority: KeyPair, now: datetime) -> bool:
        """Whether a certificate that works may give way to one that this authority signs."""
        if self._standing_since is None or early_start(authority, now) is not None:
            return False
        return now - self._standing_since[1] >= SPREAD
