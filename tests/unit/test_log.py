"""A collector can parse every log line, whatever is logged, and a slow reader blocks nobody."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import threading
from collections.abc import Iterator

import pytest

from app.errors import UsageError
from app.log import JsonLines, Sink, TextLines, about, configure


def record(message: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("controller.worker", level, __file__, 1, message, args, None)
    made.created = 1767323045.678
    return made


def test_a_line_is_an_object_with_the_fields_that_dashboards_know() -> None:
    with about(controller="modelbooster", namespace="ns", name="m", reconcile_id="7"):
        line = JsonLines().format(record("%s: %s", "modelroutes", "gone"))
    assert json.loads(line) == {
        "ts": "2026-01-02T03:04:05.678Z",
        "level": "info",
        "logger": "controller.worker",
        "msg": "modelroutes: gone",
        "controller": "modelbooster",
        "namespace": "ns",
        "name": "m",
        "reconcileID": "7",
    }


def test_outside_of_a_pass_a_line_is_about_nothing() -> None:
    with about(name="m"):
        pass
    assert "name" not in json.loads(JsonLines().format(record("x")))


def test_what_a_pass_is_about_adds_to_what_is_known() -> None:
    with about(controller="c"), about(name="m"):
        line = json.loads(JsonLines().format(record("x")))
    assert (line["controller"], line["name"]) == ("c", "m")


@pytest.mark.anyio
async def test_passes_side_by_side_do_not_mix_their_lines() -> None:
    async def work(name: str) -> str:
        with about(name=name):
            await asyncio.sleep(0)
            return str(json.loads(JsonLines().format(record("x")))["name"])

    assert list(await asyncio.gather(work("a"), work("b"))) == ["a", "b"]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param('a\n{"level":"error"}', id="a forged line"),
        pytest.param("\x00\x1b[31m", id="control characters"),
        pytest.param("\ud800 alone", id="half a character"),
        pytest.param("模" * 5000, id="long, in characters of three bytes"),
        pytest.param('"' * 9000, id="long, and every character escaped"),
    ],
)
def test_whatever_the_message_it_is_one_bounded_line(message: str) -> None:
    line = JsonLines().format(record("%s", message))
    assert "\n" not in line
    assert len(line.encode()) <= 4096
    assert json.loads(line)["level"] == "info"


def test_a_traceback_keeps_its_end() -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("the very reason")
        deep(n - 1)

    made = record("boom")
    try:
        deep(60)
    except ValueError as exc:
        made.exc_info = (ValueError, exc, exc.__traceback__)
    made.msg = "y" * 9000
    line = JsonLines().format(made)
    assert len(line.encode()) <= 4096
    assert json.loads(line)["stacktrace"].endswith("ValueError: the very reason")
    assert "ValueError: the very reason" in TextLines().format(made)


def test_text_says_where_and_cannot_be_forged() -> None:
    with about(namespace="ns", name="m"):
        line = TextLines().format(record("a\nb"))
    assert line == "2026-01-02T03:04:05.678Z INFO    controller.worker: a\\nb  [ns/m]"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    logger.handlers = []
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level = handlers, level
    logging.captureWarnings(False)


def test_lines_of_the_level_and_above_are_written(root: logging.Logger) -> None:
    stream = io.BytesIO()
    sink = configure("warning", "json", stream)
    logging.getLogger("a").info("not this")
    logging.getLogger("a").warning("this")
    sink.close()
    assert [json.loads(line)["msg"] for line in stream.getvalue().splitlines()] == ["this"]


@pytest.mark.parametrize(
    ("level", "form", "fault"),
    [("loud", "json", "no such log level"), ("info", "xml", "no such log format")],
)
def test_unknown_settings_are_refused(level: str, form: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        configure(level, form)


def test_a_stream_that_is_no_terminal_gets_json(root: logging.Logger) -> None:
    stream = io.BytesIO()
    sink = configure("info", "auto", stream)
    logging.getLogger("a").warning("x")
    sink.close()
    assert json.loads(stream.getvalue())["msg"] == "x"


def test_a_message_that_cannot_be_formatted_ends_nothing(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.BytesIO()
    sink = configure("info", "json", stream)
    logging.getLogger("a").warning("%d", "not a number")
    logging.getLogger("a").warning("next")
    sink.close()
    # Threads and objects of earlier tests may log too.
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["msg"] for line in lines if line["logger"] == "a"] == ["next"]
    assert "not a number" in capsys.readouterr().err


def test_a_reader_that_has_stopped_reading_delays_nobody() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "wb", buffering=0) as stream:
        sink = Sink(stream, capacity=100)
        sink.setFormatter(JsonLines())
        # Far more than the pipe and the queue hold: a write that waits for the reader never ends.
        for _ in range(2000):
            sink.emit(record("%s", "x" * 1000))
        assert sink.dropped > 0
        drained = threading.Thread(
            target=lambda: [None for _ in iter(lambda: os.read(read, 1 << 16), b"")]
        )
        drained.start()
        sink.close()
    drained.join()
    os.close(read)
