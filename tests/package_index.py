"""Package indexes on loopback, with the pages of the real one.

Files stay where they are, so pip takes them from its own cache.
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
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx
import pytest
from packaging.tags import sys_tags

NEWER = "9999.0"
"""The version that ``NewerIndex`` adds to every package."""

_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_LINK = re.compile(r"<a\b[^>]*>([^<]*)</a>", re.IGNORECASE)
_SECONDS = 60


@contextmanager
def used_by_pip(index: UsableIndex) -> Iterator[None]:
    """Lets pip use an index, in this process and in those that it starts."""
    without_proxy = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_INDEX_URL", index.url)
        patch.setenv("NO_PROXY", without_proxy)
        yield


class UsableIndex:
    """Serves, as a context manager, what this interpreter can use of the real index.

    pip spends nine tenths of an installation with links to wheels for other systems: the pages of
    34 packages have 58,000 links. Those wheels are left out, so that it installs the same.
    """

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
        # Relative links of the page are relative to the real address.
        base = f'<base href="{escape(address)}">'
        page = _HEAD.sub(lambda head: head[0] + base, answer.text, count=1)
        page = _LINK.sub(lambda link: link[0] if _is_usable(link[1].strip()) else "", page)
        return page.replace("</body>", f"{self._links(name)}</body>").encode()

    def _links(self, name: str) -> str:
        """Returns further links of a package's page."""
        return ""

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


class NewerIndex(UsableIndex):
    """The same, with a newer release of everything: a wheel of ``NEWER``, which it builds."""

    def _links(self, name: str) -> str:
        file = f"{name.replace('-', '_')}-{NEWER}-py3-none-any.whl"
        digest = hashlib.sha256(_wheel(name)).hexdigest()
        return f'<a href="{self.url}/../wheels/{name}/{file}#sha256={digest}">{file}</a>'


@cache
def _tags() -> frozenset[tuple[str, str, str]]:
    return frozenset((tag.interpreter, tag.abi, tag.platform) for tag in sys_tags())


def _is_usable(file: str) -> bool:
    """Whether this interpreter could install a file: an sdist, or a wheel for it."""
    name, _, kind = file.rpartition(".")
    if kind != "whl" or name.count("-") < 4:
        return True
    *_, pythons, abis, platforms = name.split("-")
    return any(
        (python, abi, platform) in _tags()
        for platform in platforms.split(".")
        for abi in abis.split(".")
        for python in pythons.split(".")
    )


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
