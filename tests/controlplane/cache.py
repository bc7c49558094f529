"""Keeps programs that take long to build, outside the repository, named by their recipe.

Every entry is a folder that appears atomically, so readers need no lock. Writers hold a file lock:
if two test runs need the same entry, one makes it and the other waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TELL_EVERY_SECONDS = 10


def root() -> Path:
    """Returns the cache folder, made if need be: ours in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "model-booster"
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text: str) -> None:
    """Prints progress to stderr; stdout is for results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock of this name; waits, and says so, while another process holds it."""
    with (root() / f"{name}.lock").open("w") as lock:
        for waited in itertools.count():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited % TELL_EVERY_SECONDS == 0:
                    say(f"another run is making {name}; waiting for it ({waited} s)")
                time.sleep(1)
        yield


def entry(name: str, make: Callable[[Path], None]) -> Path:
    """Returns the folder ``name`` of the cache; calls ``make`` to fill it if it is missing.

    Args:
        name: must change when the content changes.
        make: fills the empty folder that it gets. If it raises, nothing is kept.
    """
    path = root() / name
    if path.is_dir():
        return path
    with locked(name):
        if path.is_dir():
            return path
        staging = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=root()))
        try:
            make(staging)
            staging.chmod(0o755)
            staging.rename(path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return path


def digest(parts: Iterable[bytes]) -> str:
    """Returns a short name for some content, on this kind of machine."""
    sums = [hashlib.sha256(part).hexdigest() for part in parts]
    sums += [platform.system(), platform.machine()]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]
