"""What the downloader of a pod does: how far it is, and why it failed.

The spec of a pod says which of its containers download, and its status which one runs and how it
ended: the last words of our downloader are JSON. How far a running one is, only its log tells
(``controller.cluster.download_logs``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from app.values.meta import Object, is_terminating
from app.values.untyped import as_dict
from app.values.value import hashable_value
from controller.status.texts import MAX_DETAIL_LENGTH, clean, shorten

DOWNLOADING, WAITING, FAILED = "Downloading", "Waiting", "Failed"
"""Phases of a download. ``Waiting`` is for another pod, which downloads the same."""

Containers = tuple[tuple[str, str], ...]
"""Fields of containers: in the spec of a pod, and in its status."""

INIT_CONTAINERS: Containers = (("initContainers", "initContainerStatuses"),)
"""The downloaders of a pod that serves."""

ALL_CONTAINERS: Containers = (*INIT_CONTAINERS, ("containers", "containerStatuses"))
"""Those of a pod that only downloads: the last one is no init container."""

_MAX_INT64 = 2**63 - 1


@hashable_value
class Progress:
    """How far a download is.

    Args:
        done: bytes that are there.
        total: bytes of all files.
        rate: bytes per second.
        seconds_left: how long the rest takes; None if nothing arrives.
        file: a file that is being fetched; may be empty.
        waits_for: the pod that downloads; ``""`` for this one.
    """

    done: int
    total: int
    rate: int = 0
    seconds_left: int | None = None
    file: str = ""
    waits_for: str = ""

    @property
    def fraction(self) -> float:
        """The finished part, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 1.0


@hashable_value
class Failure:
    """Why a download failed, in the words of the downloader.

    Args:
        reason: the cause in one word; ``""`` if the downloader is not ours.
        message: what happened.
        step: what the user can do; may be empty.
    """

    reason: str
    message: str
    step: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.step}" if self.step else self.message


@dataclass(slots=True)
class PodDownload:
    """What the downloader of a pod does that is not done.

    Args:
        container: its name.
        source: what it downloads.
        attempt: how often it was started again.
        is_running: whether it runs.
        has_lines: whether its log has lines for programs.
        failure: how the last attempt ended; None if none has ended.
        progress: how far this attempt is; None if it is not known. It is set as logs are read, and
            is no part of what a pod says.
    """

    container: str
    source: str
    attempt: int
    is_running: bool
    has_lines: bool
    failure: Failure | None = None
    progress: Progress | None = field(default=None, compare=False)

    @property
    def phase(self) -> str:
        """The phase. A failure is told until the next attempt gets somewhere."""
        if self.failure is not None and self.progress is None:
            return FAILED
        return WAITING if self.progress is not None and self.progress.waits_for else DOWNLOADING


def download_of(
    pod: Object, before: PodDownload | None = None, containers: Containers = INIT_CONTAINERS
) -> PodDownload | None:
    """Returns the download of a pod; None if none is running or has failed.

    Args:
        pod: the pod as read.
        before: what was returned for it before; its progress is kept while nothing else changes.
        containers: where its downloaders may be, in the order in which they run.
    """
    if is_terminating(pod):
        return None
    for templates, statuses in containers:
        told = as_dict(pod.get("status")).get(statuses)
        by_name = {status["name"]: status for status in told or ()}
        for template in (pod["spec"].get(templates) or ()) if told else ():
            status = by_name.get(template["name"])
            source = source_of(template)
            if status is None or source is None:
                continue
            found = _download(status, source, template.get("args") or [])
            if found is not None:
                return before if found == before else found
    return None


def source_of(template: Object) -> str | None:
    """Returns the source that a container downloads; None if it is no downloader."""
    args = template.get("args") or []
    if "--source" not in args[:-1]:
        return None
    return shorten(args[args.index("--source") + 1], MAX_DETAIL_LENGTH // 2)


def _download(status: Object, source: str, args: list[str]) -> PodDownload | None:
    state = status.get("state") or {}
    is_running = "running" in state
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    has_failed = ended.get("exitCode", 0) != 0
    if not is_running and not has_failed:
        return None
    failure = None
    if has_failed:
        message = clean(ended.get("message", "")) or f"it ended with exit code {ended['exitCode']}"
        failure = failure_in(ended.get("message", "")) or Failure("", message)
    return PodDownload(
        container=status["name"],
        source=source,
        attempt=status.get("restartCount", 0),
        is_running=is_running,
        has_lines=[b for a, b in pairwise(args) if a == "--progress"][-1:] == ["json"],
        failure=failure,
    )


def failure_in(message: str) -> Failure | None:
    """Returns the failure in the termination message of our downloader; None in another one."""
    if not message.startswith("{"):
        return None
    data = _json(message)
    reason, text, step = (data.get(name) for name in ("reason", "message", "next"))
    if data.get("result") != "failed" or not isinstance(reason, str) or not isinstance(text, str):
        return None
    return Failure(clean(reason)[:64], clean(text), clean(step) if isinstance(step, str) else "")


def progress_in(log: str) -> Progress | None:
    """Returns how far a download is, from the last lines of its log; None if they do not tell."""
    for line in reversed(log.splitlines()):
        data = _json(line) if line.startswith("{") else {}
        if data.get("type") == "progress":
            found = _progress(as_dict(data.get("download")), data.get("waitsFor"))
            if found is not None:
                return found
    return None


def _progress(data: Object, waits_for: Any) -> Progress | None:
    done, total, rate, seconds = (
        _count(data.get(name))
        for name in ("bytesDone", "bytesTotal", "bytesPerSecond", "secondsLeft")
    )
    if done is None or total is None:
        return None
    file = data.get("file")
    return Progress(
        done,
        total,
        rate or 0,
        seconds,
        clean(file) if isinstance(file, str) else "",
        clean(waits_for) if isinstance(waits_for, str) else "",
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_INT64 else None


def _json(text: str) -> Object:
    try:
        return as_dict(json.loads(text))
    except (ValueError, RecursionError):
        return {}
