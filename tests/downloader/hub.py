"""Servers for the tests: the paths of the Hugging Face Hub and of ModelScope that clients ask for.

One server answers for both. ``Faults`` says what goes wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_goodtokengoodtoken"
NAME = "org/model"

_API = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/revision/(?P<revision>[^/?]+)")
_FILE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_SCOPE = re.compile(r"/api/v1/models/(?P<name>[^/]+/[^/]+)/repo(?P<files>/files)?")


@dataclass
class Faults:
    """What goes wrong at the server.

    Args:
        needs_token: whether requests without the token get 401.
        is_gated: whether every request gets 403 with GatedRepo.
        list_status: status of listings.
        fail: this many requests for files get ``fail_status`` first.
        fail_status: see ``fail``.
        cut: answers break after so many bytes each, for ever.
        pause: seconds between pieces of 64 KiB.
        no_ranges: whether ranges are ignored.
        no_sizes: whether listings have names only, like those of some mirrors.
        wrong_bytes: number of answers with a changed first byte.
        redirect: whether files are at ``/cdn/``, behind a redirect that drops the token.
        expire: number of answers of ``/cdn/`` with 403, as if the link were too old.
        moved: whether everything is behind a permanent redirect, like a mirror that moved.
        extra: additional entries of the listing, by path.
        headers: headers of failing answers.
    """

    needs_token: bool = False
    is_gated: bool = False
    list_status: int = 200
    fail: int = 0
    fail_status: int = 500
    cut: int | None = None
    pause: float = 0.0
    no_ranges: bool = False
    no_sizes: bool = False
    wrong_bytes: int = 0
    redirect: bool = False
    expire: int = 0
    moved: bool = False
    extra: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class Hub:
    """A server with one repository, in a thread. A context.

    Args:
        files: the files of the repository; names that end with .safetensors are large ones (LFS).
        certificate: certificate and key for TLS.
        host: the address to listen at.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        certificate: tuple[Path, Path] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.files = files
        self.faults = Faults()
        self.revisions = {"main": COMMIT, COMMIT: COMMIT, "master": COMMIT}
        self.requests: Counter[str] = Counter()
        self.sent = 0
        self.cdn_authorizations: list[str | None] = []
        self.logins: set[str] = set()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = True
        self._is_tls = certificate is not None
        self._host = host
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        scheme, host = ("https", "localhost") if self._is_tls else ("http", self._host)
        return f"{scheme}://{host}:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """The variables by which clients find the server."""
        return {"HF_ENDPOINT": self.url, "MODELSCOPE_ENDPOINT": self.url}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path).removeprefix("/moved")
        if self.hub.faults.moved and not self.path.startswith("/moved"):
            self._answer(308, {}, {"Location": f"/moved{self.path}"})
            return
        with self.hub.lock:
            self.hub.requests[path] += 1
        if path.startswith("/cdn/"):
            self._cdn(path.removeprefix("/cdn/"))
        elif match := _API.match(path):
            self._listing(match["name"], match["revision"])
        elif match := _SCOPE.match(path):
            self._scope(match["name"], parse_qs(parts.query), is_listing=bool(match["files"]))
        elif match := _FILE.match(path):
            self._resolve(match["name"], match["revision"], match["path"])
        else:
            self._answer(404, {})

    def _answer(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _is_refused(self, name: str, revision: str) -> bool:
        faults = self.hub.faults
        authorization = self.headers.get("Authorization")
        if faults.is_gated:
            status = 403 if authorization else 401
            self._answer(status, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
        elif faults.needs_token and authorization != f"Bearer {TOKEN}":
            self._answer(401, {"error": "token"}, {"X-Error-Code": "RepoNotFound"})
        elif name != NAME:
            self._answer(404, {"error": "none"}, {"X-Error-Code": "RepoNotFound"})
        elif revision not in self.hub.revisions:
            self._answer(404, {"error": "none"}, {"X-Error-Code": "RevisionNotFound"})
        else:
            return False
        return True

    def _listing(self, name: str, revision: str) -> None:
        faults = self.hub.faults
        if self._is_refused(name, revision):
            return
        if faults.list_status != 200:
            self._answer(faults.list_status, {"error": "broken"}, faults.headers)
            return
        siblings: list[dict[str, Any]] = []
        for path, data in self.hub.files.items():
            entry: dict[str, Any] = {"rfilename": path}
            if not faults.no_sizes:
                entry |= {"size": len(data), "blobId": blob_id(data)}
                if path.endswith(".safetensors"):
                    digest = hashlib.sha256(data).hexdigest()
                    entry["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 100}
            siblings.append(entry)
        siblings += [{"rfilename": path, "size": size} for path, size in faults.extra.items()]
        commit = self.hub.revisions[revision]
        self._answer(200, {"id": name, "modelId": name, "sha": commit, "siblings": siblings})

    def _scope(self, name: str, query: dict[str, list[str]], *, is_listing: bool) -> None:
        faults, revision = self.hub.faults, query["Revision"][0]
        with self.hub.lock:
            self.hub.logins.update(self.headers.get_all("Authorization", []))
            self.hub.logins.update(self.headers.get_all("Cookie", []))
        is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        # A saved login of ModelScope's client is a cookie.
        is_known |= f"m_session_id={TOKEN}" in self.headers.get("Cookie", "")
        if faults.needs_token and not is_known:
            self._answer(401, {"Code": 401, "Message": "token", "Success": False})
        elif name != NAME:
            message = {"Code": 10010205001, "Message": "no model", "Success": False}
            self._answer(404, message)
        elif revision not in self.hub.revisions:
            message = {"Code": 10010205002, "Message": "the revision is not found"}
            self._answer(404, {**message, "Success": False})
        elif is_listing and faults.list_status != 200:
            self._answer(faults.list_status, {"Code": 500, "Message": "broken"}, faults.headers)
        elif is_listing:
            files = [
                {
                    "Path": path,
                    "Name": path.rpartition("/")[2],
                    "Size": len(data),
                    "Sha256": hashlib.sha256(data).hexdigest(),
                    "Type": "blob",
                }
                for path, data in self.hub.files.items()
            ]
            files += [{"Path": path, "Size": size} for path, size in faults.extra.items()]
            self._answer(200, {"Code": 200, "Data": {"Files": files}, "Success": True})
        else:
            self._send(query["FilePath"][0])

    def _resolve(self, name: str, revision: str, path: str) -> None:
        if self._is_refused(name, revision):
            return
        if path not in self.hub.files:
            self._answer(404, {"error": "none"}, {"X-Error-Code": "EntryNotFound"})
            return
        data = self.hub.files[path]
        is_large = path.endswith(".safetensors")
        tag = hashlib.sha256(data).hexdigest() if is_large else blob_id(data)
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{tag}"'}
        if self.hub.faults.redirect:
            location = f"/cdn/{path}?signature=very-secret"
            host = self.hub.url.replace("127.0.0.1", "localhost")  # another origin
            self._answer(302, {}, {"Location": f"{host}{location}", **linked})
            return
        self._send(path, linked)

    def _cdn(self, path: str) -> None:
        self.hub.cdn_authorizations.append(self.headers.get("Authorization"))
        with self.hub.lock:
            is_expired = self.hub.faults.expire > 0
            self.hub.faults.expire -= is_expired
        if is_expired:
            self._answer(403, {"error": "expired"})
        else:
            self._send(path)

    def _send(self, path: str, headers: dict[str, str] | None = None) -> None:
        faults = self.hub.faults
        with self.hub.lock:
            is_failing, faults.fail = faults.fail > 0, max(faults.fail - 1, 0)
            is_wrong, faults.wrong_bytes = faults.wrong_bytes > 0, max(faults.wrong_bytes - 1, 0)
        if is_failing:
            self._answer(faults.fail_status, {"error": "broken"}, faults.headers)
            return
        data = self.hub.files[path]
        start, end, status = 0, len(data), 200
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match and not faults.no_ranges:
            start, end = int(match[1]), min(int(match[2] or len(data)) + 1, len(data))
            status = 206
        body = data[start:end]
        if is_wrong:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        is_cut = faults.cut is not None and faults.cut < len(body)
        self._write(body[: faults.cut] if is_cut else body)
        if is_cut:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _write(self, body: bytes) -> None:
        size = 1 << 16 if self.hub.faults.pause else max(len(body), 1)
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            self.wfile.write(piece)
            with self.hub.lock:
                self.hub.sent += len(piece)
            if self.hub.faults.pause:
                time.sleep(self.hub.faults.pause)
