"""How far a download is: from the status of the ModelBooster, or from the log of our downloader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from app.values.meta import Object
from app.values.untyped import as_dict, as_list
from controller.status import downloads
from controller.status.downloads import WAITING


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is.

    Args:
        done: the finished part, 0 to 1.
        text: bytes, files and rate, as far as they are known.
    """

    done: float
    text: str


def size_text(size: float) -> str:
    """Returns a number of bytes with three digits and a decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1000
    return f"{size:.3g} TB"


def stored_downloads(booster: Object) -> Mapping[str, Object]:
    """Returns what the status says of downloads whose progress is known, by name of the pod."""
    status = as_dict(booster.get("status"))
    entries = [as_dict(entry) for entry in as_list(status.get("backendStatuses"))]
    found = [as_dict(entry.get("download")) for entry in entries]
    return {str(each.get("pod")): each for each in found if _number(each, "bytesTotal") is not None}


def stored_progress(download: Object) -> Progress:
    """Returns how far a download is, from ``backendStatuses[].download``."""
    return _shown(
        downloads.Progress(
            _number(download, "bytesDone") or 0,
            _number(download, "bytesTotal") or 0,
            _number(download, "bytesPerSecond") or 0,
            _number(download, "secondsLeft"),
            str(download.get("file") or ""),
        ),
        is_waiting=download.get("phase") == WAITING,
    )


def logged_progress(log: str) -> Progress | None:
    """Returns how far a download is, from lines of our downloader; None if there are none."""
    found = downloads.progress_in(log)
    return None if found is None else _shown(found, is_waiting=bool(found.waits_for))


def readable(line: bytes) -> bytes:
    """Returns a line of our downloader as people read it; any other line as it is."""
    if not line.startswith(b'{"type": '):
        return line
    try:
        data = as_dict(json.loads(line))
    except ValueError:
        return line
    time, message = data.get("time"), data.get("message")
    if not isinstance(message, str):
        return line
    step = data.get("next")
    return f"{time} {message}; {step}".encode() if step else f"{time} {message}".encode()


def _shown(progress: downloads.Progress, *, is_waiting: bool) -> Progress:
    parts = [f"{size_text(progress.done)} of {size_text(progress.total)}"]
    if progress.rate:
        parts.append(f"{size_text(progress.rate)}/s")
    if progress.seconds_left:
        parts.append(f"about {_time(progress.seconds_left)} left")
    if progress.file:
        parts.append(progress.file)
    who = f"waits for {progress.waits_for or 'another pod'}: " if is_waiting else ""
    return Progress(progress.fraction, who + ", ".join(parts))


def _time(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _number(fields: Object, name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) else None
