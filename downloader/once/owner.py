"""The record of who downloads into a folder: an identity, a heartbeat, and the progress."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, field

from downloader.progress.meter import Progress
from downloader.transfer.journal import boot_id


@dataclass(frozen=True)
class Owner:
    """A process that downloads.

    Args:
        key: distinguishes this run from all others.
        host: name of its pod.
        boot: boot of its node's kernel; equal boots share the kernel, and so its locks.
    """

    key: str = field(default_factory=lambda: secrets.token_hex(8))
    host: str = field(default_factory=socket.gethostname)
    boot: str = field(default_factory=boot_id)


@dataclass(frozen=True)
class Beat:
    """What an owner wrote last.

    Args:
        owner: who.
        count: how often it has written; it changes while the owner is alive.
        progress: how far it is; None before the listing.
    """

    owner: Owner
    count: int
    progress: Progress | None = None


def write_beat(path: str, beat: Beat) -> None:
    """Replaces the record. It need not be durable: it tells of processes that are alive.

    Raises:
        OSError: it cannot be written.
    """
    new = f"{path}.{beat.owner.key}"
    with open(new, "w") as file:
        json.dump(asdict(beat), file)
    os.replace(new, path)


def read_beat(path: str) -> Beat | None:
    """Returns the record; None if there is none that can be read."""
    try:
        with open(path) as file:
            data = json.loads(file.read(65536))
        progress = Progress(**data["progress"]) if data["progress"] else None
        return Beat(Owner(**data["owner"]), int(data["count"]), progress)
    except (OSError, ValueError, KeyError, TypeError):
        return None
