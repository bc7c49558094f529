"""What a run prints: lines for people, or JSON; and the termination message of the container.

Lines for people go to stderr, except the result. With ``--progress json`` every line is one JSON
object on stdout. The termination message is JSON in both cases; the kubelet copies it into the
status of the container when it ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from downloader.errors import DownloadError, without_secrets
from downloader.progress.meter import Progress
from downloader.sizes import size_text, time_text

TERMINATION_LOG = "/dev/termination-log"
_MAX_MESSAGE = 4096
"""Bytes of a termination message that the kubelet keeps."""


class Output:
    """Prints what happens.

    Args:
        source: URI of the model.
        is_json: whether for programs.
        termination: file for the termination message; it is written only if it exists.
    """

    def __init__(self, source: str, *, is_json: bool, termination: str = TERMINATION_LOG) -> None:
        self._source = without_secrets(source)
        self._is_json = is_json
        self._termination = termination

    def note(self, text: str) -> None:
        """Prints a remark."""
        self._line("note", text, {"message": without_secrets(text)})

    def progress(self, progress: Progress, waits_for: str = "") -> None:
        """Prints how far the download is.

        Args:
            progress: how far.
            waits_for: the process that downloads; ``""`` for this one.
        """
        text = progress_text(progress)
        if waits_for:
            text = f"waiting for {waits_for}, which downloads: {text}"
        data: dict[str, Any] = {"download": progress.as_dict()}
        if waits_for:
            data["waitsFor"] = waits_for
        self._line("progress", text, data)

    def whole(self, folder: str, count: int, size: int, commit: str, fetched: int) -> None:
        """Prints the result: the model is whole."""
        data = {
            "folder": folder,
            "files": count,
            "bytes": size,
            "bytesFetched": fetched,
            "commit": commit,
        }
        how = f"{size_text(fetched)} fetched" if fetched else "nothing to fetch"
        text = f"{folder} is whole: {count} files, {size_text(size)} ({how}), revision {commit}"
        if self._is_json:
            self._line("whole", text, data)
        else:
            print(text, flush=True)
        self._terminate({"result": "whole", "source": self._source, **data})

    def failed(self, exc: DownloadError) -> None:
        """Prints why the download failed, and what the user can do."""
        message, step = without_secrets(exc.message), without_secrets(exc.step)
        data = {"reason": str(exc.reason), "message": message, "next": step}
        self._line("failed", f"Error: {message}; {step}" if step else f"Error: {message}", data)
        self._terminate({"result": "failed", "source": self._source, **data})

    def _line(self, kind: str, text: str, data: dict[str, Any]) -> None:
        text = without_secrets(text)
        if self._is_json:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = {"type": kind, "time": stamp, "source": self._source, "message": text, **data}
            print(json.dumps(line), flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _terminate(self, data: dict[str, Any]) -> None:
        if not os.path.exists(self._termination):
            return
        if len(json.dumps(data)) > _MAX_MESSAGE:
            data = {
                name: value[:1000] if isinstance(value, str) else value
                for name, value in data.items()
            }
        try:
            with open(self._termination, "w") as file:
                file.write(json.dumps(data))
        except OSError as exc:
            print(f"cannot write {self._termination}: {exc.strerror}", file=sys.stderr)


def progress_text(progress: Progress) -> str:
    """Returns how far a download is, in a line."""
    done, total = progress.bytesDone, progress.bytesTotal
    percent = 100 * done // total if total else 100
    parts = [
        f"{size_text(done)} of {size_text(total)} ({percent} %)",
        f"{size_text(progress.bytesPerSecond)}/s",
    ]
    if progress.secondsLeft is not None:
        parts.append(f"about {time_text(progress.secondsLeft)} left")
    else:
        parts.append("nothing arrives")
    parts.append(f"{progress.filesDone} of {progress.filesTotal} files")
    return ", ".join(parts) + (f": {progress.file}" if progress.file else "")
