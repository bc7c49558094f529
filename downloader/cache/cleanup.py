"""Names the models of a cache, and removes old ones that nobody uses."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from downloader.cache.uses import Pods, uses_of
from downloader.manifest import Manifest, read_manifest
from downloader.paths import WORK


@dataclass(frozen=True)
class CachedModel:
    """A whole model in a cache.

    Args:
        folder: its folder.
        manifest: what it is.
        last_use: when a pod last started with it, or it was downloaded; seconds since 1970.
        pods: names of the pods that started with it.
    """

    folder: str
    manifest: Manifest
    last_use: float
    pods: frozenset[str]

    @property
    def work(self) -> str:
        """The folder with its lock."""
        parent, name = os.path.split(self.folder)
        return f"{parent}/{WORK}/{name}"


@dataclass(frozen=True)
class Verdict:
    """Whether a model goes.

    Args:
        model: the model.
        kept: why it stays; ``""`` if it goes.
    """

    model: CachedModel
    kept: str = ""


def models_of(cache: str) -> list[CachedModel]:
    """Returns the whole models of a cache, the one that was used last first.

    Raises:
        OSError: the cache cannot be read.
    """
    found = []
    with os.scandir(cache) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False) or entry.name == WORK:
                continue
            manifest = read_manifest(entry.path)
            if manifest is None:
                continue
            uses = uses_of(f"{cache}/{WORK}/{entry.name}")
            written = os.stat(f"{entry.path}/.model-booster.json").st_mtime
            last = max([written, *(use.time for use in uses)])
            pods = frozenset(use.pod for use in uses)
            found.append(CachedModel(entry.path, manifest, last, pods))
    return sorted(found, key=lambda model: -model.last_use)


def verdicts(
    cache: str, keep: int, pods: Pods | None, unused_seconds: float | None
) -> Iterator[Verdict]:
    """Yields for each model of a cache whether it may be removed.

    Args:
        cache: the folder.
        keep: how many folders of each source stay in any case, those that were used last.
        pods: pods of the cluster; None if nobody has asked it.
        unused_seconds: how long no pod must have started with a model; None for any time.

    Raises:
        OSError: the cache cannot be read.
    """
    counts: dict[str, int] = defaultdict(int)
    for model in models_of(cache):
        source = model.manifest.request.source
        counts[source] += 1
        yield Verdict(model, _reason(model, counts[source] <= keep, pods, unused_seconds))


def _reason(
    model: CachedModel, is_new: bool, pods: Pods | None, unused_seconds: float | None
) -> str:
    if is_new:
        return "one of the newest of its source"
    if pods is not None:
        if os.path.basename(model.folder) in pods.folders:
            return "a pod names it"
        if users := sorted(model.pods & pods.names):
            return f"pod {users[0]} uses it"
    if unused_seconds is not None and time.time() - model.last_use < unused_seconds:
        return "a pod started with it not long ago"
    if path := _open_file(model):
        return f"{path} is open on this node"
    return ""


def _open_file(model: CachedModel) -> str:
    """Returns a file that a process of this node has open, in whichever container.

    The kernel grants a write lease only for a file that nobody else has open. It cannot tell for
    network file systems, nor for files of another user.
    """
    for file in model.manifest.files:
        path = f"{model.folder}/{file.path}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as exc:
            if exc.errno in (errno.EAGAIN, errno.EBUSY):
                return path
        finally:
            os.close(descriptor)
    return ""


def remove(model: CachedModel) -> str:
    """Removes a model; nobody sees half of it.

    Returns:
        Why it was not removed; ``""`` if it was.

    Raises:
        OSError: its files cannot be removed.
    """
    os.makedirs(model.work, exist_ok=True)
    lock = os.open(f"{model.work}/lock", os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return "a download into it is running"
        trash = f"{model.work}/removed"
        shutil.rmtree(trash, ignore_errors=True)
        os.rename(model.folder, trash)
        shutil.rmtree(trash)
        for name in ("uses", "journal"):
            if os.path.exists(f"{model.work}/{name}"):
                os.unlink(f"{model.work}/{name}")
        return ""
    finally:
        os.close(lock)
