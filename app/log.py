"""Log lines: one JSON object each in a cluster, text on a terminal.

A context variable holds the object's key and the number of the pass, so calls do not repeat them.
A separate thread writes the lines, so a blocked reader does not block the program. Lines that do
not fit into its queue are dropped and counted.
"""

from __future__ import annotations

import atexit
import logging
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import BinaryIO

import orjson

from app.errors import UsageError

MAX_LINE_BYTES = 4096
"""Longest line; log collectors split longer ones, which breaks the JSON."""

QUEUE_LINES = 10_000
_EXIT_SECONDS = 1.0
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_subject: ContextVar[Mapping[str, str]] = ContextVar("subject", default={})  # noqa: B039 - read-only


@contextmanager
def about(
    *, controller: str = "", namespace: str = "", name: str = "", reconcile_id: str = ""
) -> Iterator[None]:
    """Adds fields to every line logged inside, by this task and the tasks that it starts.

    Empty arguments are left out.
    """
    fields = {
        "controller": controller,
        "namespace": namespace,
        "name": name,
        "reconcileID": reconcile_id,
    }
    added = {key: value for key, value in fields.items() if value}
    token = _subject.set({**_subject.get(), **added})
    try:
        yield
    finally:
        _subject.reset(token)


def configure(level: str = "info", form: str = "json", stream: BinaryIO | None = None) -> Sink:
    """Sends every log line of the process to one stream, in one format.

    Args:
        level: lowest level that is written: debug, info, warning, error.
        form: ``json``, ``text``, or ``auto``: text on a terminal, JSON elsewhere.
        stream: output stream; standard error by default.

    Raises:
        UsageError: the level or the format does not exist.
    """
    if level.lower() not in _LEVELS:
        raise UsageError(f"no such log level: {level!r}; there are {', '.join(_LEVELS)}")
    stream = stream or sys.stderr.buffer
    is_terminal = stream.isatty()
    formatters: dict[str, type[logging.Formatter]] = {
        "auto": TextLines if is_terminal else JsonLines,
        "json": JsonLines,
        "text": TextLines,
    }
    if form not in formatters:
        raise UsageError(f"no such log format: {form!r}; there are {', '.join(formatters)}")
    sink = Sink(stream)
    sink.setFormatter(formatters[form]())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(sink)
    root.setLevel(_LEVELS[level.lower()])
    logging.captureWarnings(True)
    # These log a line per request or connection that needs no action.
    for chatty in ("asyncio", "aiohttp.access", "kubernetes_asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return sink


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object, at most 4 KiB long."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without a newline."""
        fields: dict[str, str] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **_subject.get(),
        }
        if record.exc_info:
            fields["stacktrace"] = self.formatException(record.exc_info)
        line = _dumped(fields)
        while len(line) > MAX_LINE_BYTES:
            longest = max(fields, key=lambda name: len(fields[name]))
            value = fields[longest]
            kept = len(value) * 3 // 4 - 3
            # The end of a stack trace matters most; of other text, the start.
            is_trace = longest == "stacktrace"
            fields[longest] = "..." + value[-kept:] if is_trace else value[:kept] + "..."
            line = _dumped(fields)
        return line.decode()


class TextLines(logging.Formatter):
    """Formats a record as text for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without a newline at the end; a stack trace adds more lines."""
        subject = _subject.get()
        where = "/".join(filter(None, (subject.get("namespace"), subject.get("name"))))
        # A message can contain user input, which must not forge a log line.
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        text = f"{_time(record)} {record.levelname:<7} {record.name}: {message}"
        if where:
            text += f"  [{where}]"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class Sink(logging.Handler):
    """Writes lines in a separate thread and never blocks the caller.

    Args:
        stream: output stream.
        capacity: how many lines the queue holds.
    """

    def __init__(self, stream: BinaryIO, capacity: int = QUEUE_LINES) -> None:
        super().__init__()
        self.dropped = 0
        """How many lines were dropped because the queue was full."""
        self._stream = stream
        self._queue: queue.Queue[bytes | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Adds a line to the queue, or drops it if the queue is full."""
        try:
            self._queue.put_nowait(self.format(record).encode("utf-8", "replace") + b"\n")
        except queue.Full:
            self.dropped += 1
        except Exception:  # a message that cannot be formatted must not fail its caller
            self.handleError(record)

    def close(self) -> None:
        """Writes the lines in the queue, for at most a second, and ends the thread."""
        atexit.unregister(self.close)
        if self._thread.is_alive():
            try:
                self._queue.put(None, timeout=_EXIT_SECONDS)
            except queue.Full:
                return  # the reader is blocked: let the process exit
            self._thread.join(_EXIT_SECONDS)
        super().close()

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                self._stream.write(line)
                if self._queue.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # closed by the other side, or by the interpreter's end
                self.dropped += 1


def _time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def _dumped(fields: dict[str, str]) -> bytes:
    try:
        return orjson.dumps(fields)
    except orjson.JSONEncodeError:  # a lone surrogate in a message
        clean = {name: value.encode("utf-8", "replace").decode() for name, value in fields.items()}
        return orjson.dumps(clean)
