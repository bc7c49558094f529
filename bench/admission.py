"""Measures the cost of a review, compared with a plain Go webhook (``bench/peer``).

Both serve over TLS on one CPU, under the same load from a client on another CPU, in alternating
rounds. No body is sent twice. The result is the CPU time of the server process; the ratio of the
two says more than the figures, because other load on the machine changes it little. Our reviews
run every rule and the conversion.

    python -m bench.admission [--rounds 5] [--requests 3000] [--json FILE]

Exits with 1 if a bound is exceeded: bytes of a reply, memory or CPU time of a hostile payload.
Needs ``go`` on PATH, or the toolchain that the tests use, to build the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from app.apis.kinds import Profile
from app.convert.options import Options
from app.metrics import Metrics
from app.validation import Context
from bench._corpus import corpus
from bench._hostile import exceeded_bounds, hostile, measure_payload, print_hostile_header
from bench._servers import Server, built_peer, load, processors, running
from certs.pki import KeyPair, new_authority, new_leaf
from modelbooster.parts.tasks import listen
from webhook.server import MUTATE, VALIDATE, serve_https, webhook_app
from webhook.tls import ServingContext

PORTS = {"ours": 19443, "peer": 19444}

ALLOW_BYTES, DENIAL_BYTES = 200, 1500
"""Maximum size of a reply."""


@dataclass(frozen=True)
class Row:
    """One kind of load on both servers.

    Args:
        name: name in the table.
        path: path of the webhook.
        size: name of the corpus.
        connections: number of concurrent connections.
        share: fraction of ``--requests`` that is sent.
        new: whether each request opens a new connection.
    """

    name: str
    path: str
    size: str
    connections: int
    share: float = 1.0
    new: bool = False


ROWS = (
    *(Row(f"B1 validate {size}", VALIDATE, size, 1, 0.3) for size in ("small", "medium")),
    *(Row(f"B2 validate {size}", VALIDATE, size, 25) for size in ("small", "medium")),
    Row("B2 validate large", VALIDATE, "large", 25, 0.1),
    *(Row(f"B2 mutate {size}", MUTATE, size, 25) for size in ("small", "medium")),
    Row("B2 mutate large", MUTATE, "large", 25, 0.1),
    Row("B4 validate denied", VALIDATE, "denied", 25, 0.3),
    Row("B5 validate medium, new", VALIDATE, "medium", 8, 0.2, new=True),
)

Rounds = dict[str, list[dict[str, float]]]


def serve_ours(port: int, cert: Path, key: Path) -> None:
    """Serves like the command ``webhook``, without a cluster for lookups."""
    import uvloop

    context = Context(options=Options(), profile=Profile.B, lookup=None)
    serving = ServingContext()
    serving.use(KeyPair(cert.read_bytes(), key.read_bytes()))
    metrics = Metrics()
    app = webhook_app(lambda: context, metrics)
    gc.collect()
    gc.freeze()  # as the process does after the informers have synced
    uvloop.run(
        serve_https(
            app,
            metrics,
            listening=listen("127.0.0.1", port),
            serving=serving,
            stopping=asyncio.Event(),
        )
    )


def main() -> int:
    """Measures and prints tables; returns 1 if a bound is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    parser.add_argument("--serve", nargs=3, metavar=("PORT", "CERT", "KEY"), help="for itself")
    args = parser.parse_args()
    if args.serve:
        serve_ours(int(args.serve[0]), Path(args.serve[1]), Path(args.serve[2]))
        return 0
    with tempfile.TemporaryDirectory() as name:
        found = _measured(Path(name), args.rounds, args.requests)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    for text in found["broken"]:
        print(f"broken: {text}", file=sys.stderr)
    return bool(found["broken"])


def _measured(folder: Path, rounds: int, requests: int) -> dict[str, Any]:
    peer = built_peer(folder)
    now = datetime.now(UTC)
    authority = new_authority("bench", now, timedelta(days=1))
    leaf = new_leaf(authority, ["localhost"], now, timedelta(days=1))
    for file, text in {"ca": authority.cert, "cert": leaf.cert, "key": leaf.key}.items():
        (folder / file).write_bytes(text)
    cert, key = str(folder / "cert"), str(folder / "key")
    ours = [sys.executable, "-m", "bench.admission", "--serve", str(PORTS["ours"]), cert, key]
    theirs = [str(peer), "serve", f"127.0.0.1:{PORTS['peer']}", cert, key]
    serving, loading = processors()
    os.sched_setaffinity(0, {loading})
    host = f"{_processor()}, {os.cpu_count()} processors, {platform.release()}"
    print(f"{host}; Python {platform.python_version()}; medians of {rounds} rounds (least-most)")
    found: dict[str, Any] = {"host": host, "rows": {}, "hostile": {}}
    with ExitStack() as stack:
        servers = {
            who: stack.enter_context(running(command, PORTS[who], serving))
            for who, command in (("ours", ours), ("peer", theirs))
        }
        _print_head()
        for row in ROWS:
            got = _rounds(peer, servers, folder, row, rounds, requests)
            found["rows"][row.name] = got
            _print(row.name, got)
    print_hostile_header()
    for name, body, pieces in hostile():
        with running(ours, PORTS["ours"], serving) as server:
            found["hostile"][name] = measure_payload(server, folder / "ca", name, body, pieces)
    found["broken"] = [*_long_answers(found["rows"]), *exceeded_bounds(found["hostile"])]
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _rounds(
    peer: Path, servers: dict[str, Server], folder: Path, row: Row, rounds: int, requests: int
) -> Rounds:
    found: Rounds = {who: [] for who in servers}
    count = int(requests * row.share)
    for turn in range(rounds + 1):
        bodies = folder / "bodies"
        bodies.write_bytes(orjson.dumps(corpus(row.size, count, f"{row.name} {turn}")))
        order = list(servers.items())
        for who, server in order if turn % 2 else reversed(order):
            got = load(
                peer,
                server,
                row.path,
                bodies,
                new=row.new,
                connections=row.connections,
                count=count,
            )
            if turn:  # the first one warms up
                found[who].append({**got, "body_bytes": bodies.stat().st_size / count})
    return found


def _long_answers(rows: dict[str, Rounds]) -> list[str]:
    found = []
    for name, got in rows.items():
        most = max(one["most_reply_bytes"] for one in got["ours"])
        limit = DENIAL_BYTES if "denied" in name else ALLOW_BYTES
        if most > limit:
            found.append(f"{name}: an answer of {most:.0f} bytes, {limit} at most")
    return found


def _print_head() -> None:
    columns = ("CPU µs, ours", "peer", "ratio", "p50 ms", "p99 ms", "reply B")
    widths = (20, 20, 7, 14, 14, 14)
    print(f"{'':26}{'KB':>5}" + "".join(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True)))


def _print(name: str, found: Rounds) -> None:
    def median(who: str, what: str) -> float:
        return statistics.median(one[what] for one in found[who])

    def spread(who: str) -> str:
        all_of_them = [one["cpu_us"] for one in found[who]]
        middle = statistics.median(all_of_them)
        return f"{middle:.0f} ({min(all_of_them):.0f}-{max(all_of_them):.0f})"

    def pair(what: str, digits: int) -> str:
        return f"{median('ours', what):.{digits}f} / {median('peer', what):.{digits}f}"

    print(
        f"{name:26}{median('ours', 'body_bytes') / 1000:5.1f}{spread('ours'):>20}"
        f"{spread('peer'):>20}{median('ours', 'cpu_us') / median('peer', 'cpu_us'):7.2f}"
        f"{pair('p50_ms', 2):>14}{pair('p99_ms', 2):>14}{pair('reply_bytes', 0):>14}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
