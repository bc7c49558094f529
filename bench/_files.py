"""A server of large files that costs little: the paths of the Hub, ranges, and sendfile.

    python -m bench._files FOLDER [BYTES]

Prints its port. The files of the folder are those of the repository ``org/model``. With BYTES, it
sends no more than so many in a second over all connections, as a link does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "org/model"


@cache
def digest(path: Path) -> str:
    """SHA-256 of a file; beside it, so that only the first server computes it."""
    kept = path.with_name(f".{path.name}.sha256")
    if not kept.exists():
        with path.open("rb") as file:
            kept.write_text(hashlib.file_digest(file, "sha256").hexdigest())
    return kept.read_text()


class Link:
    """A link that all connections share.

    Args:
        rate: bytes per second; 0 for no limit.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.piece = 1 << 18 if rate else 1 << 24
        """Bytes that are sent at once."""

    def wait(self, count: int) -> None:
        """Waits until so many bytes may be sent."""
        if not self._rate:
            return
        with self._lock:
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + count / self._rate
        time.sleep(max(begin - time.monotonic(), 0))


class Handler(BaseHTTPRequestHandler):
    """Answers requests for one folder."""

    folder: Path
    link: Link
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        """Answers like GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answers."""
        path = urlsplit(self.path).path
        if path.startswith("/api/models/"):
            self._list(is_tree="/tree/" in path)
        else:
            with suppress(ConnectionError, FileNotFoundError):
                self._send(self.folder / path.rpartition("/")[2])

    def _list(self, *, is_tree: bool) -> None:
        entries = []
        for path in sorted(self.folder.glob("[!.]*")):
            size = path.stat().st_size
            lfs = {"sha256": digest(path), "oid": digest(path), "size": size, "pointerSize": 100}
            if is_tree:
                entries.append(
                    {"type": "file", "path": path.name, "size": size, "oid": "0" * 40, "lfs": lfs}
                )
            else:
                entries.append(
                    {"rfilename": path.name, "size": size, "blobId": "0" * 40, "lfs": lfs}
                )
        whole = {"id": NAME, "modelId": NAME, "sha": COMMIT, "siblings": entries}
        body = json.dumps(entries if is_tree else whole).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, path: Path) -> None:
        size = path.stat().st_size
        start, end, status = 0, size, 200
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end, status = int(match[1]), min(int(match[2] or size) + 1, size), 206
        self.send_response(status)
        self.send_header("Content-Length", str(end - start))
        self.send_header("ETag", f'"{digest(path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Size", str(size))
        self.send_header("X-Linked-Etag", f'"{digest(path)}"')
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.flush()
        with path.open("rb") as file:
            while start < end:
                count = min(end - start, self.link.piece)
                self.link.wait(count)
                start += os.sendfile(self.connection.fileno(), file.fileno(), start, count)


def main() -> None:
    """Serves until it is killed."""
    link = Link(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    handler = type("Bound", (Handler,), {"folder": Path(sys.argv[1]), "link": link})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
