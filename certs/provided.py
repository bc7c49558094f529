"""Serves a certificate from a mounted Secret that cert-manager or an administrator provides.

The kubelet replaces the files in one step when the Secret changes. The files are polled, not
watched: polling is cheap and works on every kind of volume.
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
from certs.rotator import CHECK_SECONDS, Ends, Ready, Use

log = logging.getLogger(__name__)

MAX_READ_TRIES = 3
"""How often the files are read when the kubelet replaces them at the same time."""


async def follow(
    directory: Path,
    names: Sequence[str],
    use: Use,
    ready: Ready,
    *,
    refused: Callable[[], None] = lambda: None,
    ends: Ends = lambda _which, _end: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    check_seconds: float = CHECK_SECONDS,
) -> None:
    """Serves the certificate in a folder, until it is cancelled. Invalid certificates are ignored.

    Args:
        directory: folder with ``tls.crt`` and ``tls.key``.
        names: DNS names that the certificate must be for.
        use: called with each new certificate.
        ready: called at every check; see ``Ready``.
        refused: called once for each invalid certificate.
        ends: called with the end of each new certificate; see ``Ends``.
        clock: the present time.
        check_seconds: interval between two checks.
    """
    last_read: KeyPair | None = None
    used: KeyPair | None = None
    while True:
        pair = _read(directory)
        fault = serving_fault(pair, names, clock())
        if pair is not None and fault is None and pair != used:
            use(pair)
            used = pair
            ends("serving", own_certificate(pair.cert).not_valid_after_utc)
            log.info("using a new serving certificate from %s", directory)
        elif fault is not None and pair != last_read:
            refused()
            log.error("the certificate in %s cannot be used: %s", directory, fault)
        last_read = pair
        in_use = serving_fault(used, names, clock())
        ready(f"serving certificate: {fault or in_use}" if in_use else None)
        await asyncio.sleep(check_seconds)


def _read(directory: Path) -> KeyPair | None:
    """Reads certificate and key from one version of the volume.

    In a volume of the kubelet, ``..data`` is a link to the folder of the current version. Two
    reads through that link could return files of two versions.
    """
    for _ in range(MAX_READ_TRIES):
        version = _version(directory)
        try:
            pair = KeyPair((version / "tls.crt").read_bytes(), (version / "tls.key").read_bytes())
        except OSError:
            if _version(directory) == version:
                return None
            # The kubelet has removed this version; read the next one.
        else:
            return pair if pair.cert or pair.key else None
    return None


def _version(directory: Path) -> Path:
    """Returns the folder of the current version; ``directory`` itself if it has no versions."""
    try:
        return directory / os.readlink(directory / "..data")
    except OSError:
        return directory
