"""A package index on loopback that has a newer release of everything than the real one.

Each page is the real index's page with one more link: a wheel of version 9999.0, which this server
builds. All other files stay where they are, so pip takes them from its own cache.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import ssl
import subprocess
import sys
import threading
import zipfile
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx

NEWER = "9999.0"
"""The version that this index adds to every package."""

_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_SECONDS = 60


class NewerIndex:
    """Serves the index, as a context manager."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        context = ssl.create_default_context(cafile=_pip_setting("cert"))
        self._client = httpx.Client(verify=context, follow_redirects=True, timeout=_SECONDS)
        self._real = (_pip_setting("index-url") or "https://pypi.org/simple").rstrip("/")
        self.asked: set[str] = set()
        """Names of the packages whose page somebody has asked for."""

    @property
    def url(self) -> str:
        """What pip takes as its index."""
        return f"http://127.0.0.1:{self._server.server_port}/simple"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()

    def _page(self, name: str) -> bytes:
        self.asked.add(name)
        address = f"{self._real}/{name}/"
        answer = self._client.get(address, headers={"accept": "text/html"})
        answer.raise_for_status()
        file = f"{name.replace('-', '_')}-{NEWER}-py3-none-any.whl"
        digest = hashlib.sha256(_wheel(name)).hexdigest()
        link = f'<a href="{self.url}/../wheels/{name}/{file}#sha256={digest}">{file}</a>'
        # Relative links of the page are relative to the real address.
        base = f'<base href="{escape(address)}">'
        page = _HEAD.sub(lambda head: head[0] + base, answer.text, count=1)
        return page.replace("</body>", f"{link}</body>").encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    folder, name, *_ = self.path.strip("/").split("/")
                    body = index._page(name) if folder == "simple" else _wheel(name)
                except httpx.HTTPError as exc:
                    self.send_error(502, str(exc))
                    return
                kind = "text/html" if folder == "simple" else "application/octet-stream"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _wheel(name: str) -> bytes:
    """Returns an empty wheel of a package, the same bytes each time."""
    folder = f"{name.replace('-', '_')}-{NEWER}.dist-info"
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{folder}/{file},,\n" for file in (*files, "RECORD"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, text in {**files, "RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{file}"), text)
    return buffer.getvalue()


def _pip_setting(name: str) -> str | None:
    """Returns a setting of pip as its environment or its configuration files have it."""
    if value := os.environ.get(f"PIP_{name.upper().replace('-', '_')}"):
        return value
    command = [sys.executable, "-m", "pip", "config", "get", f"global.{name}"]
    got = subprocess.run(command, text=True, capture_output=True, check=False)
    return got.stdout.strip() or None
