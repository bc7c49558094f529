"""When a certificate must be replaced, and why.

Each function returns the reason, or None if all is well: the caller logs it, the test asserts it.
The present time is always an argument. To change how long certificates live, change this file.
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
    dns_names,
    is_authority,
    is_issued_by,
    matches,
    new_authority,
    own_certificate,
    pem_of,
    private_key,
)

AUTHORITY_LIFE = timedelta(days=365)
LEAF_LIFE = timedelta(days=30)
SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may differ; nothing is called valid closer to its end."""

BUNDLE_LIMIT = 8
"""Authorities in a bundle; something that empties the Secret again and again must not grow it."""


def authority_fault(pair: KeyPair | None, now: datetime) -> str | None:
    """Returns why the authority must be replaced, or None if it may stay.

    It is replaced after two thirds of its life, so that a third is left to hand the new one to
    every API server and every replica.

    An authority that begins later than ``now`` has no fault: it shows that this clock is behind
    the clock of its issuer. If that were a reason to replace it, two replicas whose clocks differ
    would replace each other's authority without end. See ``early_start``.
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

    Either this clock is behind, or the issuer's clock was ahead. Which one is right cannot be told
    from here, so the certificate is reported and kept.

    Args:
        pair: a pair whose certificate can be read.
        now: the present time.
    """
    begins = own_certificate(pair.cert).not_valid_before_utc
    return begins if now < begins - SKEW else None


def new_leaf_life(authority: KeyPair, before: KeyPair | None, now: datetime) -> timedelta:
    """Returns how long a new serving certificate lives from ``now`` on.

    It is ``LEAF_LIFE`` for a clock that is right. A clock that is behind would sign something that
    ends too early, perhaps in the past. So the life counts from the making of the authority at the
    earliest, and the new certificate never ends before the one that it replaces.

    Args:
        authority: what signs it.
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
    """Returns the authority to have, with its whole bundle, and why it is not ``stored`` itself.

    Args:
        stored: what is there, sound or not.
        trusted: PEM of authorities that are trusted elsewhere; a new one stands beside them, since
            what they signed may be served somewhere.
        name: common name of a new one.
        now: the present time.
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
    leaf: KeyPair | None, names: Sequence[str], bundle: bytes, now: datetime
) -> str | None:
    """Returns why a client that trusts ``bundle`` would refuse the serving certificate, or None.

    Args:
        leaf: what is served, or offered.
        names: DNS names that clients may ask for.
        bundle: PEM of the authorities that clients trust.
        now: the present time.
    """
    fault = serving_fault(leaf, names, now)
    if fault is not None or leaf is None:
        return fault
    cert = own_certificate(leaf.cert)
    issuers = [ca for ca in certificates(bundle) if is_issued_by(cert, ca)]
    if not issuers:
        return "none of the trusted authorities signed it"
    if all(now >= ca.not_valid_after_utc - SKEW for ca in issuers):
        return "the authority that signed it has ended"
    return None


def serving_fault(leaf: KeyPair | None, names: Sequence[str], now: datetime) -> str | None:
    """Returns why a pair cannot serve whoever signed it, or None: broken, out of date, other names.

    A wildcard stands for one whole label at the front, as verifiers read it.
    """
    if leaf is None:
        return "there is none yet"
    cert, key = _read(leaf)
    if isinstance(cert, str):
        return cert
    if isinstance(key, str):
        return key
    fault = _pair_fault(cert, key, now)
    if fault is None and now < cert.not_valid_before_utc - SKEW:
        fault = f"it begins at {_shown(cert.not_valid_before_utc)}"
    if fault is not None:
        return fault
    good_for = dns_names(cert)
    for name in names:
        if not good_for & {name, "*." + name.partition(".")[2]}:
            return f"it is not for the name {name}"
    return None


def leaf_due(leaf: KeyPair, bundle: bytes, now: datetime) -> str | None:
    """Returns why a serving certificate without fault should be replaced soon, or None.

    Args:
        leaf: what is served.
        bundle: PEM of the authorities that clients trust, the one that signs now first.
        now: the present time.
    """
    cert = own_certificate(leaf.cert)
    if not is_issued_by(cert, own_certificate(bundle)):
        return "another authority signs now"
    return _age_fault(cert, now)


def bundle_of(first: bytes, others: Iterable[bytes], now: datetime) -> bytes:
    """Returns the PEM of all authorities to be trusted, none twice.

    A replaced authority stays until it ends: certificates that it signed may still be served
    somewhere, and nobody has to report that they are not.

    Args:
        first: PEM that begins with the authority that signs now.
        others: PEM of those before it; junk, leaves and what has ended are left out.
        now: the present time.
    """
    known = dict.fromkeys([own_certificate(first), *certificates(first)])
    known |= dict.fromkeys(cert for pem in others for cert in certificates(pem))
    current, *older = known
    kept = [ca for ca in older if is_authority(ca) and now < ca.not_valid_after_utc + SKEW]
    kept.sort(key=lambda ca: ca.not_valid_before_utc, reverse=True)
    return pem_of([current, *kept[: BUNDLE_LIMIT - 1]])


def _read(pair: KeyPair) -> tuple[x509.Certificate | str, SigningKey | str]:
    """Returns certificate and key, and in the place of what cannot be read the reason."""
    cert: x509.Certificate | str
    key: SigningKey | str
    try:
        cert = own_certificate(pair.cert)
    except ValueError:
        cert = "its certificate cannot be read"
    try:
        key = private_key(pair.key)
    except ValueError:
        # The library's words are left out: they may repeat what it read.
        key = "its key cannot be read"
    return cert, key


def _pair_fault(cert: x509.Certificate, key: SigningKey, now: datetime) -> str | None:
    if not matches(cert, key):
        return "its key belongs to another certificate"
    if now >= cert.not_valid_after_utc - SKEW:
        return f"it ends at {_shown(cert.not_valid_after_utc)}"
    return None


def _age_fault(cert: x509.Certificate, now: datetime) -> str | None:
    made, end = cert.not_valid_before_utc + BACKDATE, cert.not_valid_after_utc
    return f"it ends at {_shown(end)}" if now >= end - (end - made) / 3 else None


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
