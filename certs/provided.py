"""A serving certificate that somebody else makes: cert-manager, or a hand, into a mounted Secret.

The kubelet replaces the files in one step when the Secret changes. They are read again all the
time rather than watched: it costs nothing, and works on every kind of volume.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from certs.pki import KeyPair, own_certificate
from certs.policy import serving_fault
from certs.rotator import LOOK_SECONDS, Ends, Ready, Use

log = logging.getLogger(__name__)

READ_TRIES = 3
"""How often a version is read that is replaced meanwhile; the next look reads again."""


async def follow(
    directory: Path,
    names: Sequence[str],
    use: Use,
    ready: Ready,
    *,
    refused: Callable[[], None] = lambda: None,
    ends: Ends = lambda _which, _end: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    look_seconds: float = LOOK_SECONDS,
) -> None:
    """Serves what lies in a folder, until it is cancelled; what cannot serve is not taken.

    Args:
        directory: folder with ``tls.crt`` and ``tls.key``.
        names: DNS names that the certificate must be for.
        use: gets each new certificate.
        ready: told at every look whether the certificate in use can serve.
        refused: called when what lies there begins to be at fault.
        ends: told when a certificate that is taken into use ends.
        clock: the present time.
        look_seconds: time between two looks.
    """
    seen: KeyPair | None = None
    used: KeyPair | None = None
    while True:
        found = _read(directory)
        fault = serving_fault(found, names, clock())
        if found is not None and fault is None and found != used:
            use(found)
            used = found
            ends("serving", own_certificate(found.cert).not_valid_after_utc)
            log.info("a new serving certificate is used, from %s", directory)
        elif fault is not None and found != seen:
            refused()
            log.error("the certificate in %s cannot be used: %s", directory, fault)
        seen = found
        in_use = serving_fault(used, names, clock())
        ready(f"serving certificate: {fault or in_use}" if in_use else None)
        await asyncio.sleep(look_seconds)


def _read(directory: Path) -> KeyPair | None:
    """Reads certificate and key from one version of the volume.

    In a volume that the kubelet fills, the files are links through ``..data`` to a folder for each
    version. Two reads through that link could meet two versions.
    """
    for _ in range(READ_TRIES):
        version = _version(directory)
        try:
            pair = KeyPair((version / "tls.crt").read_bytes(), (version / "tls.key").read_bytes())
        except OSError:
            if _version(directory) == version:
                return None
        else:  # otherwise the kubelet has removed this version meanwhile
            return pair if pair.cert or pair.key else None
    return None


def _version(directory: Path) -> Path:
    """Returns the folder of the volume's present version; a plain folder is its own."""
    try:
        return directory / os.readlink(directory / "..data")
    except OSError:
        return directory
