"""What a review costs, beside a plain Go webhook that does the peer's work (``bench/peer``).

Both serve over TLS with keep-alive on this machine, one after the other in alternating rounds,
under the same load from the same client. What counts is the processor time that the *server's*
process used per request: a ratio of the two says more than either figure, and no other load on
the machine changes it much. Our verdicts are whole ones: every rule, and the conversion.

    python -m bench.admission [--rounds 5] [--requests 4000]

Needs ``go`` on PATH, or the toolchain that the tests use, to build the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.apis.children import Profile
from app.convert.options import Options
from app.metrics import Metrics
from app.validation import Context
from certs.pki import KeyPair, new_authority, new_leaf
from tests.builders import backend, booster_object, worker
from tests.controlplane.binaries import go_environment
from webhook.server import MUTATE, VALIDATE, serve_https, webhook_app
from webhook.tls import ServingContext

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")


def review(obj: dict[str, Any], operation: str = "CREATE") -> dict[str, Any]:
    """Returns a review as the API server sends it, managedFields and user included."""
    metadata = {
        **obj["metadata"],
        "namespace": "default",
        "uid": "0e4b1c2a-3c9e-4b4e-8a53-0c7a4f1f7f10",
        "creationTimestamp": "2026-11-01T12:00:00Z",
        "generation": 1,
        "managedFields": [
            {
                "manager": "kubectl-client-side-apply",
                "operation": "Update",
                "apiVersion": obj["apiVersion"],
                "time": "2026-11-01T12:00:00Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {".": {}, **{f"f:{name}": {} for name in obj["spec"]}}},
            }
        ],
    }
    sent = {**obj, "metadata": metadata}
    kind = {"group": "workload.serving.volcano.sh", "version": "v1alpha1", "kind": "ModelBooster"}
    resource = {
        "group": "workload.serving.volcano.sh",
        "version": "v1alpha1",
        "resource": "modelboosters",
    }
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "5b8d3c0f-0a4c-4a43-bd9d-6b7f1b1a6d5c",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": obj["metadata"]["name"],
            "namespace": "default",
            "operation": operation,
            "userInfo": {"username": "kubernetes-admin", "groups": ["system:authenticated"]},
            "object": sent,
            "oldObject": sent if operation == "UPDATE" else None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }


def corpora() -> dict[str, list[dict[str, Any]]]:
    """Returns the bodies by size: a usual object, one with env and adapters, a very long one."""
    small = [
        review(booster_object(f"m{n}", backend("b1", workers=[worker(config={"port": 8000})])))
        for n in range(10)
    ]
    medium = [
        review(
            booster_object(
                f"m{n}",
                backend(
                    "b1",
                    env=[{"name": f"NAME_{i}", "value": f"value-{i}"} for i in range(8)],
                    loraAdapters=[{"name": "sql", "artifactURL": "hf://a/sql"}],
                    workers=[worker(config={f"flag-{i}": i for i in range(10)})],
                ),
            ),
            "UPDATE" if n % 2 else "CREATE",
        )
        for n in range(10)
    ]
    large = [
        review(
            booster_object(
                f"m{n}",
                *(
                    backend(
                        f"b{b}",
                        env=[{"name": f"NAME_{i}", "value": "x" * 40} for i in range(25)],
                        workers=[worker(config={f"flag-{i}": "y" * 20 for i in range(25)})],
                    )
                    for b in range(14)
                ),
            )
        )
        for n in range(4)
    ]
    return {"small": small, "medium": medium, "large": large}


class Server:
    """A server process, and how much processor time it has used."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def cpu_seconds(self) -> float:
        """Returns user and system time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


@contextmanager
def running(command: list[str], port: int) -> Iterator[Server]:
    """Runs a server until the block ends."""
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while subprocess.run(
            ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"], stderr=subprocess.DEVNULL
        ).returncode:
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{command[0]} does not listen on port {port}")
            time.sleep(0.05)
        yield Server(process, port)
    finally:
        process.kill()
        process.wait()


def built_peer(folder: Path) -> Path:
    """Builds the Go peer."""
    target = folder / "peer"
    subprocess.run(
        ["go", "build", "-o", str(target), "."],
        cwd=HERE / "peer",
        env={**go_environment(), "CGO_ENABLED": "0"},
        check=True,
    )
    return target


def serve_ours(port: int, cert: Path, key: Path) -> None:
    """Serves as the process ``webhook`` does, without a cluster to look names up in."""
    context = Context(options=Options(), profile=Profile.B, lookup=None)
    serving = ServingContext()
    serving.use(KeyPair(cert.read_bytes(), key.read_bytes()))
    main = serve_https(
        webhook_app(lambda: context, Metrics()),
        host="127.0.0.1",
        port=port,
        serving=serving,
        stopping=asyncio.Event(),
    )
    import uvloop

    uvloop.run(main)


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--serve", nargs=3, metavar=("PORT", "CERT", "KEY"), help="for itself")
    args = parser.parse_args()
    if args.serve:
        serve_ours(int(args.serve[0]), Path(args.serve[1]), Path(args.serve[2]))
        return
    with tempfile.TemporaryDirectory() as name:
        _measure(Path(name), args)


def _measure(folder: Path, args: argparse.Namespace) -> None:
    peer = built_peer(folder)
    now = datetime.now(UTC)
    authority = new_authority("bench", now, timedelta(days=1))
    leaf = new_leaf(authority, ["localhost"], now, timedelta(days=1))
    paths = {"ca": authority.cert, "cert": leaf.cert, "key": leaf.key}
    for file, text in paths.items():
        (folder / file).write_bytes(text)
    cert, key = str(folder / "cert"), str(folder / "key")
    bodies = corpora()
    for size, reviews in bodies.items():
        (folder / size).write_text(json.dumps(reviews))
    commands = {
        "ours": [sys.executable, "-m", "bench.admission", "--serve", "19443", cert, key],
        "peer": [str(peer), "serve", "127.0.0.1:19444", cert, key],
    }
    with running(commands["ours"], 19443) as ours, running(commands["peer"], 19444) as theirs:
        servers = {"ours": ours, "peer": theirs}
        rows = [
            *((path, size, "load") for path in (VALIDATE, MUTATE) for size in bodies),
            (VALIDATE, "medium", "load-new"),
        ]
        print(f"processor time of the server per request, µs; medians of {args.rounds} rounds")
        print(
            f"{'':34}{'KB':>6}{'ours':>9}{'peer':>9}{'ours/peer':>11}{'p50 ms':>17}{'reply B':>15}"
        )
        for path, size, mode in rows:
            found: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
            requests = args.requests // (10 if size == "large" or mode == "load-new" else 1)
            for turn in range(-1, args.rounds):
                for who, server in servers.items():
                    got = _load(peer, server, path, folder, size, mode, args.connections, requests)
                    if turn >= 0:  # the first one warms up
                        found[who].append(got)
            _row(f"{path.split('/')[1]} {size} {mode}", bodies[size], found)


def _load(
    peer: Path,
    server: Server,
    path: str,
    folder: Path,
    size: str,
    mode: str,
    connections: int,
    requests: int,
) -> dict[str, float]:
    begin = server.cpu_seconds()
    url = f"https://localhost:{server.port}{path}"
    done = subprocess.run(
        [
            str(peer),
            mode,
            url,
            str(folder / "ca"),
            str(folder / size),
            str(connections),
            str(requests),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, float] = json.loads(done.stdout)
    result["cpu_us"] = (server.cpu_seconds() - begin) / requests * 1e6
    return result


def _row(name: str, bodies: list[dict[str, Any]], found: dict[str, list[dict[str, float]]]) -> None:
    def median(who: str, what: str) -> float:
        return statistics.median(one[what] for one in found[who])

    size = statistics.mean(len(json.dumps(body)) for body in bodies) / 1000
    ours, theirs = median("ours", "cpu_us"), median("peer", "cpu_us")
    print(
        f"{name:34}{size:6.1f}{ours:9.0f}{theirs:9.0f}{ours / theirs:11.2f}"
        f"{median('ours', 'p50_ms'):8.2f} /{median('peer', 'p50_ms'):7.2f}"
        f"{median('ours', 'reply_bytes'):7.0f} /{median('peer', 'reply_bytes'):6.0f}"
    )


if __name__ == "__main__":
    main()
