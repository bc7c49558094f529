"""The preStop script of an engine, run by a real shell against a real HTTP server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from app.convert.pods.drain import drain_script

IDLE = (
    "# HELP vllm:num_requests_running x\nvllm:num_requests_running 0.0\nvllm:num_requests_waiting 0"
)
LABELLED = """\
vllm:num_requests_running{engine="0",model_name="a b"} 0.0
vllm:num_requests_running{engine="1",model_name="a b"} %s
vllm:num_requests_waiting{engine="0",model_name="a b"} %s
vllm:num_requests_waiting_by_reason{reason="capacity"} 7.0
"""


class Engine:
    """Answers /metrics with one text after the other, then repeats the last."""

    def __init__(self, *texts: str) -> None:
        self.asked = 0
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = texts[min(engine.asked, len(texts) - 1)].encode()
                engine.asked += self.path == "/metrics"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]

    def __enter__(self) -> Engine:
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


CLIENTS = ["python3", *(["curl"] if shutil.which("curl") else [])]


@pytest.fixture(params=CLIENTS)
def pod(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A PATH like that of an engine's image, with or without curl, and with a fake clock.

    ``sleep`` returns at once and moves the clock that ``date`` reads.
    """
    for name in {"awk", "expr", "cat", request.param} - {"python3"}:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "python3").symlink_to(sys.executable)
    (tmp_path / "clock").write_text("1000\n")
    program(tmp_path / "date", f"cat {tmp_path}/clock")
    flying(tmp_path, times=1)
    return tmp_path


def flying(pod: Path, *, times: int) -> None:
    """Makes ``sleep`` return at once, and moves the clock by ``times`` its duration."""
    clock = pod / "clock"
    text = f"expr $(cat {clock}) + $1 '*' {times} > {clock}.new; cat {clock}.new > {clock}"
    program(pod / "sleep", text)


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def drain(pod: Path, port: int) -> int:
    """Runs the script; returns how many seconds it would have waited."""
    command = ["/bin/sh", "-c", drain_script(port)]
    done = subprocess.run(
        command, env={"PATH": str(pod)}, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return int((pod / "clock").read_text()) - 1000


def test_drain_ends_at_once_without_requests(pod: Path) -> None:
    with Engine(IDLE) as engine:
        assert drain(pod, engine.port) == 0


@pytest.mark.parametrize(("running", "waiting"), [("3.0", "0.0"), ("0.0", "2.0"), ("1.0", "1.0")])
def test_drain_waits_until_requests_have_ended(pod: Path, running: str, waiting: str) -> None:
    busy, idle = LABELLED % (running, waiting), LABELLED % ("0.0", "0.0")
    with Engine(busy, busy, idle) as engine:
        assert drain(pod, engine.port) == 10


def test_drain_ends_if_the_engine_does_not_answer(pod: Path) -> None:
    with Engine(IDLE) as engine:
        port = engine.port
    assert drain(pod, port) == 0


def test_drain_ends_before_the_grace_period(pod: Path) -> None:
    """It gives up after 280 s of the grace period of 300 s."""
    flying(pod, times=11)
    with Engine(LABELLED % ("1.0", "0.0")) as engine:
        assert drain(pod, engine.port) == 330
        assert engine.asked == 6
