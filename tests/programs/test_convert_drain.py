"""The preStop script of an engine, run by a real shell against a real HTTP server."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.convert.pods.drain import drain_script, follower_drain_script

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
    """Answers /metrics with one text after the other, then repeats the last.

    ``None`` is an answer that the client does not wait for, a number is a status, and -1 closes
    the connection without an answer.
    """

    def __init__(self, *texts: str | int | None, path: str = "/metrics") -> None:
        self.asked = 0
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = texts[min(engine.asked, len(texts) - 1)]
                engine.asked += self.path == path
                if text is None:
                    engine.over.wait(30)
                    return
                if text == -1:
                    return
                body = b"" if isinstance(text, int) else text.encode()
                self.send_response(text if isinstance(text, int) else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.over = Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]

    def __enter__(self) -> Engine:
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
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


def drain(pod: Path, port: int, **options: Any) -> int:
    """Runs the script of a leader; returns how many seconds it would have waited."""
    return run(pod, drain_script(port, **options))


def run(pod: Path, script: str, **env: str) -> int:
    """Runs a script whose log lines go to the file ``log``."""
    script = script.replace("/proc/1/fd/1", str(pod / "log"))
    command = ["/bin/sh", "-c", script]
    done = subprocess.run(
        command,
        env={"PATH": str(pod), **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return int((pod / "clock").read_text()) - 1000


def last_line(pod: Path) -> str:
    """Returns the last line of the log."""
    return (pod / "log").read_text().splitlines()[-1]


def test_the_log_line_is_dropped_if_it_cannot_be_written(pod: Path) -> None:
    script = drain_script(1).replace("/proc/1/fd/1", "/proc/1/fd/none")
    done = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": str(pod)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_drain_ends_at_once_without_requests(pod: Path) -> None:
    with Engine(IDLE) as engine:
        assert drain(pod, engine.port) == 0
    assert last_line(pod) == "drained: no request is left"


@pytest.mark.parametrize(("running", "waiting"), [("3.0", "0.0"), ("0.0", "2.0"), ("1.0", "1.0")])
def test_drain_waits_until_requests_have_ended(pod: Path, running: str, waiting: str) -> None:
    busy, idle = LABELLED % (running, waiting), LABELLED % ("0.0", "0.0")
    with Engine(busy, busy, idle) as engine:
        assert drain(pod, engine.port) == 10


def test_drain_ends_if_the_engine_does_not_answer(pod: Path) -> None:
    with Engine(IDLE) as engine:
        port = engine.port
    assert drain(pod, port) == 0
    assert last_line(pod) == "drained: the engine does not answer any more"


def test_drain_ends_before_the_grace_period(pod: Path) -> None:
    """It gives up after 280 s of the grace period of 300 s."""
    flying(pod, times=11)
    with Engine(LABELLED % ("1.0", "0.0")) as engine:
        assert drain(pod, engine.port) == 330
        assert engine.asked == 6


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("process_cpu_seconds_total 3.0", id="statistics are off"),
        pytest.param("vllm:num_requests_running 0.0", id="one of the two"),
        pytest.param("", id="empty"),
        pytest.param(404, id="no such page"),
    ],
)
def test_without_metrics_it_is_not_known_whether_requests_are_left(
    pod: Path, answer: str | int
) -> None:
    """An absent metric is not 0: the script waits for a minute."""
    flying(pod, times=3)
    with Engine(answer) as engine:
        assert drain(pod, engine.port) == 60
    assert last_line(pod) == (
        "not known to be drained: the engine has no metrics of its requests; waited 60 s"
    )


def test_a_busy_engine_that_does_not_answer_in_time_is_asked_again(pod: Path) -> None:
    with Engine(None, IDLE) as engine:
        assert drain(pod, engine.port) == 5
    assert last_line(pod) == "drained: no request is left"


def test_prefill_and_decode_wait_until_no_request_has_come_for_a_while(pod: Path) -> None:
    busy, idle = LABELLED % ("1.0", "0.0"), LABELLED % ("0.0", "0.0")
    with Engine(idle, idle, busy, idle) as engine:
        assert drain(pod, engine.port, settle_seconds=15) == 30


def test_other_engines_have_other_metrics(pod: Path) -> None:
    running, waiting = 'sglang:num_running_reqs{x="1"}', "sglang:num_queue_reqs"
    busy, idle = (f"{running} {count}\n{waiting} 0.0" for count in ("2.0", "0.0"))
    with Engine(busy, idle) as engine:
        assert drain(pod, engine.port, engine="sglang") == 5


def test_without_a_client_nothing_is_known(pod: Path) -> None:
    for client in ("curl", "python3"):
        (pod / client).unlink(missing_ok=True)
    assert drain(pod, 1) == 60


def test_drain_of_an_engine_with_tls(pod: Path, tmp_path: Path) -> None:
    """The certificate is not checked: it is for the name of a Service."""
    certificate = tmp_path / "tls.pem"
    certificate.write_bytes(self_signed())
    with Engine(LABELLED % ("1.0", "0.0"), IDLE) as engine:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        engine.server.socket = context.wrap_socket(engine.server.socket, server_side=True)
        assert drain(pod, engine.port, scheme="https") == 5
    assert last_line(pod) == "drained: no request is left"


def self_signed() -> bytes:
    """Returns a key and a certificate that it signed itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(pem, form, secret) + certificate.public_bytes(pem)


def test_drain_asks_no_proxy(pod: Path) -> None:
    """``env`` may name a proxy for downloads, which does not know the engine."""
    proxy = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    with Engine(LABELLED % ("1.0", "0.0"), IDLE) as engine:
        assert run(pod, drain_script(engine.port), **proxy) == 5


def test_drain_waits_for_an_engine_that_closes_a_connection(pod: Path) -> None:
    """Only an engine that does not listen has ended."""
    with Engine(-1, IDLE) as engine:
        assert drain(pod, engine.port) == 5


def follower(port: int, address: str, log: Path, *, seconds: float = 20) -> subprocess.Popen[bytes]:
    """Starts the preStop script of a follower, which connects every tenth of a second."""
    script = follower_drain_script(port, seconds=seconds, pause=0.1)
    command = [sys.executable, "-c", script.replace("/proc/1/fd/1", str(log))]
    return subprocess.Popen(command, env={"ENTRY_ADDRESS": address})


@pytest.mark.parametrize("address", ["localhost", "no-such-host.invalid"])
def test_a_follower_outlives_the_first_pod(tmp_path: Path, address: str) -> None:
    """Also if the name is gone: the Service of a group is deleted together with its pods."""
    log = tmp_path / "log"
    with (
        Engine(IDLE) as first,
        # As the engine in a follower has, of Ray, NCCL or Gloo.
        socket.create_connection(("127.0.0.1", first.port)),
    ):
        script = follower(first.port, address, log)
        with pytest.raises(subprocess.TimeoutExpired):
            script.wait(2)
    assert script.wait(10) == 0
    assert log.read_text().splitlines() == [
        "draining: the first pod of the group still answers",
        "drained: the first pod of the group does not answer any more",
    ]


@pytest.mark.parametrize("address", ["localhost", "no-such-host.invalid"])
def test_a_follower_ends_at_once_without_a_first_pod(tmp_path: Path, address: str) -> None:
    with Engine(IDLE) as first:
        port = first.port
    assert follower(port, address, tmp_path / "log").wait(10) == 0


def test_a_follower_ends_before_its_grace_period(tmp_path: Path) -> None:
    with Engine(IDLE) as first:
        assert follower(first.port, "localhost", tmp_path / "log", seconds=1).wait(10) == 0
    assert last_line(tmp_path) == (
        "not drained: the first pod of the group still answered when time ran out"
    )


def test_a_follower_may_wait_longer_than_the_first_pod() -> None:
    """It gives up after 310 s of its grace period of 330 s; the leader is killed after 300 s."""
    assert "PORT, PATIENCE, PAUSE = 8000, 310, 5\n" in follower_drain_script(8000)
