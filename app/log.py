"""Log lines: one JSON object each in a cluster, text on a terminal.

What a line is about (the object's key, the number of the pass) comes from a context variable, not
from each call. Lines are written by a thread of their own: a reader who has stopped reading must
not stop us; what does not fit into the queue is dropped and counted.
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
"""Longest line; collectors cut longer ones, and then they are no JSON any more."""

QUEUE_LINES = 10_000
_EXIT_SECONDS = 1.0
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_subject: ContextVar[Mapping[str, str]] = ContextVar("subject", default={})  # noqa: B039 - read-only


@contextmanager
def about(
    *, controller: str = "", namespace: str = "", name: str = "", reconcile_id: str = ""
) -> Iterator[None]:
    """Says what all lines are about that are logged inside, by this task and those it starts."""
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
    """Sends every log line of the process to one place, in one form.

    Args:
        level: least important level that is written: debug, info, warning, error.
        form: ``json``, ``text``, or ``auto``: text on a terminal, JSON elsewhere.
        stream: where to; standard error if not given.

    Raises:
        UsageError: no such level or form.
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
    # They say per request or per connection what nobody can act on.
    for chatty in ("asyncio", "aiohttp.access", "kubernetes_asyncio", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return sink


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object, at most 4 KiB long."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without the line end."""
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
            # Of a trace the end tells most, of a sentence the beginning.
            is_trace = longest == "stacktrace"
            fields[longest] = "..." + value[-kept:] if is_trace else value[:kept] + "..."
            line = _dumped(fields)
        return line.decode()


class TextLines(logging.Formatter):
    """Formats a record for a reader at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without the line end; a traceback makes it several."""
        subject = _subject.get()
        where = "/".join(filter(None, (subject.get("namespace"), subject.get("name"))))
        # A message may hold what a user wrote: it must not be able to forge a line.
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        text = f"{_time(record)} {record.levelname:<7} {record.name}: {message}"
        if where:
            text += f"  [{where}]"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class Sink(logging.Handler):
    """Writes lines in a thread; never lets whoever logs wait.

    Args:
        stream: where to write.
        capacity: how many lines may wait.
    """

    def __init__(self, stream: BinaryIO, capacity: int = QUEUE_LINES) -> None:
        super().__init__()
        self.dropped = 0
        """How many lines found no room, since the start."""
        self._stream = stream
        self._queue: queue.Queue[bytes | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Takes in a line."""
        try:
            self._queue.put_nowait(self.format(record).encode("utf-8", "replace") + b"\n")
        except queue.Full:
            self.dropped += 1
        except Exception:  # a message that cannot be formatted must not end what logged it
            self.handleError(record)

    def close(self) -> None:
        """Writes what waits, for a second at most, and ends the thread."""
        atexit.unregister(self.close)
        if self._thread.is_alive():
            try:
                self._queue.put(None, timeout=_EXIT_SECONDS)
            except queue.Full:
                return  # nobody reads: do not keep the process from ending
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
