"""Measures the cost of hostile payloads (F65 and F66 of the fault table)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from bench._corpus import corpus, small
from bench._servers import Server, sent

MIB = 1024 * 1024

CPU_MS = 50.0
"""Maximum CPU time of a payload. The memory bound is four times its stored bytes plus 8 MiB."""

Cost = dict[str, float]

MAX_BYTES = 8 * 1024 * 1024
"""Maximum size of a body; the server stores no more."""

DEEP = 100_000

ODD: dict[str, str] = {
    "100 000 levels": "[" * DEEP + "]" * DEEP,
    "100 000 maps": '{"a":' * DEEP + "1" + "}" * DEEP,
    "3 MB of empty lists": "[" + "[]," * 1_000_000 + "[]]",
    "200 000 empty lists": "[" + "[]," * 200_000 + "[]]",
    "700 000 keys": "{" + ",".join(f'"{n:x}":1' for n in range(700_000)) + "}",
    "5 000 digits": "1" * 5000,
    "2^63": "9223372036854775808",
    "1e999": "1e999",
    "-0": "-0",
    "NaN": "NaN",
    "Infinity": "Infinity",
}
"""Values of an engine argument (F66 of the fault table)."""


def hostile() -> Iterator[tuple[str, int, list[bytes]]]:
    """Yields payloads: name, maximum of stored bytes, and the request in pieces."""
    template = orjson.dumps(small(random.Random(0)))
    config = b'"config":{"port":'
    for name, value in ODD.items():
        head, _, rest = template.partition(config)
        body = b"".join((head, config, value.encode(), rest[4:]))
        yield name, len(body), [_head(f"Content-Length: {len(body)}"), body]
    unknown = {f"no-such-flag-{n:x}": 1 for n in range(2000)}
    body = template.replace(config, config[:10] + orjson.dumps(unknown)[:-1] + b',"port":', 1)
    yield "2 000 unknown flags", len(body), [_head(f"Content-Length: {len(body)}"), body]
    spaces = template + b" " * (MAX_BYTES - len(template))
    text = template.replace(b'"vllm/', b'"' + b"x" * (MAX_BYTES - len(template)) + b"vllm/", 1)
    for name, body in (("8 MiB, most of it blanks", spaces), ("8 MiB, most of it a name", text)):
        yield name, len(body), [_head(f"Content-Length: {len(body)}"), body]
    over = _head(f"Content-Length: {MAX_BYTES + 1}")
    yield "8 MiB + 1, as it says", MAX_BYTES, [over, spaces + b" "]
    chunk = b"%x\r\n%b\r\n" % (2**16, b" " * 2**16)
    chunked = _head("Transfer-Encoding: chunked")
    yield "8 MiB + 1 in chunks", MAX_BYTES, [chunked, *[chunk] * 128, b"1\r\n \r\n0\r\n\r\n"]
    yield "chunks without end", MAX_BYTES, [chunked, *[chunk] * 640]
    yield "shorter than it says", 1000, [_head("Content-Length: 1000"), b"{}"]
    yield "longer than it says", 2, [_head("Content-Length: 2"), b"{}" + template]


def _head(length: str) -> bytes:
    lines = ("POST /validate/modelbooster HTTP/1.1", "Host: localhost", length)
    return ("\r\n".join(lines) + "\r\nContent-Type: application/json\r\n\r\n").encode()


def measure_payload(
    server: Server, authority: Path, name: str, body: int, pieces: list[bytes]
) -> Cost:
    """Sends a payload three times to a server after valid requests; prints its cost."""
    for one in corpus("small", 30, "warm"):
        text = orjson.dumps(one)
        sent(server, authority, [_head(f"Content-Length: {len(text)}"), text])
    base, used, statuses = server.memory_bytes(), [], []
    server.forget_peak()
    for _ in range(3):
        before = server.cpu_seconds()
        statuses.append(sent(server, authority, pieces))
        used.append((server.cpu_seconds() - before) * 1000)
    result = {
        "status": statuses[0],
        "body_bytes": body,
        "cpu_ms": min(used),  # other load on the machine only adds to it
        "memory_bytes": server.peak_bytes() - base,
        "most_memory_bytes": 4 * body + 8 * MIB,
    }
    print(
        f"{name:28}{result['status']:7}{body / MIB:10.2f}{result['cpu_ms']:8.1f}"
        f"{result['memory_bytes'] / MIB:12.1f}{result['most_memory_bytes'] / MIB:9.1f}",
        flush=True,
    )
    return result


def print_hostile_header() -> None:
    """Prints the table header of ``measure_payload``."""
    print(f"\n{'B21':28}{'status':>7}{'body MiB':>10}{'ms':>8}{'memory MiB':>12}{'at most':>9}")


def exceeded_bounds(costs: Mapping[str, Cost]) -> list[str]:
    """Returns a message for each payload over its bounds."""
    found = []
    for name, got in costs.items():
        if got["cpu_ms"] > CPU_MS:
            found.append(f"{name}: {got['cpu_ms']:.0f} ms, {CPU_MS:.0f} at most")
        if got["memory_bytes"] > got["most_memory_bytes"]:
            more = got["memory_bytes"] / got["most_memory_bytes"]
            found.append(f"{name}: {more:.2f} times the memory that it may use")
    return found
