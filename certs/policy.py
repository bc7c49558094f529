"""When a certificate must be replaced, and why.

Each function returns the reason, or None if there is nothing to do. Callers log the reason. The
present time is always an argument. To change the lifetime of certificates, change this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from cryptography import x509

from certs.pki import (
    BACKDATE,
    KeyPair,
    SigningKey,
    certificates,
    is_authority,
    is_issued_by,
    matches,
    new_authority,
    own_certificate,
    pem_of,
    private_key,
    server_names,
)

AUTHORITY_LIFE = timedelta(days=365)
LEAF_LIFE = timedelta(days=30)
SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may differ; certificates count as ended this much earlier."""

MAX_BUNDLE_CERTIFICATES = 8
"""Authorities in a bundle. It must not grow without limit if the Secret is emptied repeatedly."""


def authority_fault(pair: KeyPair | None, now: datetime) -> str | None:
    """Returns why the authority must be replaced, or None if it is kept.

    It is replaced after two thirds of its lifetime. The last third is left to distribute the new
    one to every API server and every replica.

    An authority that begins later than ``now`` is kept: this clock is behind the clock of its
    issuer. Otherwise two replicas with different clocks would replace each other's authority
    forever. See ``early_start``.
    """
    if pair is None:
        return "there is none yet"
    cert, key = _read(pair)
    if isinstance(cert, str):
        return cert
    if not is_authority(cert):
        return "its certificate is not that of an authority"
    if isinstance(key, str):
        return key
    return _pair_fault(cert, key, now) or _age_fault(cert, now)


def early_start(pair: KeyPair, now: datetime) -> datetime | None:
    """Returns when a certificate begins if that is later than ``now``, None if it has begun.

    Either this clock is behind, or the issuer's clock was ahead. There is no way to tell which one
    is right, so the certificate is reported and kept.

    Args:
        pair: a pair whose certificate can be read.
        now: the present time.
    """
    begins = own_certificate(pair.cert).not_valid_before_utc
    return begins if now < begins - SKEW else None


def new_leaf_life(authority: KeyPair, before: KeyPair | None, now: datetime) -> timedelta:
    """Returns the lifetime of a new serving certificate, counted from ``now``.

    It is ``LEAF_LIFE`` if the clock is right. With a clock that is behind, the certificate would
    end too early, perhaps in the past. So the lifetime counts from the creation of the authority
    or later, and the new certificate never ends before the one that it replaces.

    Args:
        authority: the authority that signs it.
        before: the serving certificate that it replaces, if any.
        now: the present time.
    """
    made = own_certificate(authority.cert).not_valid_before_utc + BACKDATE
    ends = [now + LEAF_LIFE, made + LEAF_LIFE]
    if before is not None:
        ends.append(own_certificate(before.cert).not_valid_after_utc)
    return max(ends) - now


def wanted_authority(
    stored: KeyPair | None, trusted: Iterable[bytes], name: str, now: datetime
) -> tuple[KeyPair, str | None]:
    """Returns the authority to use, with its whole bundle, and why it differs from ``stored``.

    Args:
        stored: the present authority, valid or not; None if there is none.
        trusted: PEM of authorities that clients trust. They stay in the bundle of a new authority,
            because certificates that they signed may still be in use.
        name: common name of a new authority.
        now: the present time.

    Returns:
        ``stored`` itself and None if nothing has to change.
    """
    fault = authority_fault(stored, now)
    if stored is None or fault is not None:
        made = new_authority(name, now, AUTHORITY_LIFE)
        before = [stored.cert, *trusted] if stored is not None else trusted
        return KeyPair(bundle_of(made.cert, before, now), made.key), f"a new authority: {fault}"
    bundle = bundle_of(stored.cert, (), now)
    if bundle != stored.cert:
        return KeyPair(bundle, stored.key), "an authority of its bundle has ended"
    return stored, None


def leaf_fault(
    leaf: KeyPair | None,
    names: Sequence[str],
    bundle: bytes,
    now: datetime,
    *,
    early: timedelta = SKEW,
) -> str | None:
    """Returns why a client that trusts ``bundle`` would refuse the serving certificate, or None.

    Args:
        leaf: the serving certificate, in use or new.
        names: DNS names that clients connect to.
        bundle: PEM of the authorities that clients trust.
        now: the present time.
        early: see ``serving_fault``.
    """
    fault = serving_fault(leaf, names, now, early=early)
    if fault is not None or leaf is None:
        return fault
    cert = own_certificate(leaf.cert)
    issuers = [ca for ca in certificates(bundle) if is_issued_by(cert, ca)]
    if not issuers:
        return "none of the trusted authorities signed it"
    if all(now >= ca.not_valid_after_utc - early for ca in issuers):
        return "the authority that signed it has ended"
    return None


def serving_fault(
    leaf: KeyPair | None, names: Sequence[str], now: datetime, *, early: timedelta = SKEW
) -> str | None:
    """Returns why a pair cannot be served, or None: unreadable, out of date, or for other names.

    The issuer does not matter here. A wildcard matches exactly one label at the front, as in TLS
    clients.

    Args:
        leaf: the pair.
        names: DNS names that clients connect to.
        now: the present time.
        early: how long before its end the certificate counts as ended.
    """
    if leaf is None:
        return "there is none yet"
    cert, key = _read(leaf)
    if isinstance(cert, str):
        return cert
    if isinstance(key, str):
        return key
    fault = _pair_fault(cert, key, now, early)
    if fault is None and now < cert.not_valid_before_utc - SKEW:
        fault = f"it begins at {formatted(cert.not_valid_before_utc)}"
    if fault is not None:
        return fault
    certified = server_names(cert)
    for name in names:
        if not certified & {name, "*." + name.partition(".")[2]}:
            return f"it is not for the name {name}"
    return None


def leaf_due(leaf: KeyPair, bundle: bytes, now: datetime) -> str | None:
    """Returns why a valid serving certificate should be renewed, or None.

    Args:
        leaf: the serving certificate.
        bundle: PEM of the authorities that clients trust, the current one first.
        now: the present time.
    """
    cert = own_certificate(leaf.cert)
    if not is_issued_by(cert, own_certificate(bundle)):
        return "another authority signs now"
    return _age_fault(cert, now)


def bundle_of(first: bytes, others: Iterable[bytes], now: datetime) -> bytes:
    """Returns the PEM of all authorities to trust, without duplicates.

    A replaced authority stays in the bundle until it ends, because certificates that it signed
    may still be in use.

    Args:
        first: PEM that begins with the current authority.
        others: PEM of earlier authorities. Unreadable, ended and leaf certificates are left out.
        now: the present time.
    """
    known = dict.fromkeys([own_certificate(first), *certificates(first)])
    known |= dict.fromkeys(cert for pem in others for cert in certificates(pem))
    current, *older = known
    valid = [ca for ca in older if is_authority(ca) and now < ca.not_valid_after_utc + SKEW]
    valid.sort(key=lambda ca: ca.not_valid_before_utc, reverse=True)
    return pem_of([current, *valid[: MAX_BUNDLE_CERTIFICATES - 1]])


def _read(pair: KeyPair) -> tuple[x509.Certificate | str, SigningKey | str]:
    """Returns certificate and key; the reason instead of one that cannot be read."""
    cert: x509.Certificate | str
    key: SigningKey | str
    try:
        cert = own_certificate(pair.cert)
    except ValueError:
        cert = "its certificate cannot be read"
    try:
        key = private_key(pair.key)
    except ValueError:
        # The library's message is left out: it may contain parts of the key.
        key = "its key cannot be read"
    return cert, key


def _pair_fault(
    cert: x509.Certificate, key: SigningKey, now: datetime, early: timedelta = SKEW
) -> str | None:
    if not matches(cert, key):
        return "its key belongs to another certificate"
    if now >= cert.not_valid_after_utc - early:
        return f"it ends at {formatted(cert.not_valid_after_utc)}"
    return None


def _age_fault(cert: x509.Certificate, now: datetime) -> str | None:
    made, end = cert.not_valid_before_utc + BACKDATE, cert.not_valid_after_utc
    return f"it ends at {formatted(end)}" if now >= end - (end - made) / 3 else None


def formatted(time: datetime) -> str:
    """Returns a time in UTC as RFC 3339 text, for messages."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
