"""HTTP requests for parts of files: connections that stay open, proxies, TLS, redirects.

urllib3 is used because its ``read1`` hands over what has arrived: nothing is lost if the connection
breaks, and memory stays small. Authorization headers go only to the host that they are for.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, SSLError

from downloader.errors import DownloadError, Reason, TransientError, without_secrets
from downloader.tls import check_authorities, short_text, tls_context, tls_error

TIMEOUT = urllib3.Timeout(connect=15, read=60)
"""Seconds to connect, and of silence between two pieces."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_SECRET_HEADERS = frozenset({"authorization", "cookie"})


class Refused(Exception):
    """A server answered with an error that no further try cures.

    Args:
        status: HTTP status.
        headers: headers of the answer.
        host: host that answered.
    """

    def __init__(self, status: int, headers: Mapping[str, str], host: str) -> None:
        super().__init__(f"{host} answered {status}")
        self.status = status
        self.headers = headers
        self.host = host


class HttpReader:
    """The body of an answer."""

    def __init__(self, response: urllib3.BaseHTTPResponse, skip: int, host: str) -> None:
        self._response = response
        self._skip = skip
        self._host = host

    def read(self, most: int) -> bytes:
        """Returns the next bytes as soon as there are some; ``b""`` at the end.

        Raises:
            TransientError: the connection broke.
        """
        try:
            while self._skip:
                piece = self._response.read1(min(most, self._skip), decode_content=False)
                if not piece:
                    return b""
                self._skip -= len(piece)
            return self._response.read1(most, decode_content=False)
        except (HTTPError, OSError, ValueError) as exc:
            raise TransientError(f"{self._host}: {short_text(exc)}") from exc

    def close(self) -> None:
        """Keeps the connection for the next request if the body was read, and closes it if not."""
        if self._response.length_remaining == 0:
            # Only read() notices in Python 3.11 that a body that read1() has read is complete.
            self._response.read(1, decode_content=False)
        else:
            self._response.close()
        self._response.release_conn()


class Http:
    """Clients for all hosts of one download.

    Args:
        workers: requests at a time.
        ca_file: file with certificate authorities besides the usual ones; ``""`` for none.

    Raises:
        DownloadError: the file has no certificate.
    """

    def __init__(self, workers: int, ca_file: str = "") -> None:
        check_authorities(ca_file)
        self._options: dict[str, Any] = {
            "maxsize": workers,
            "num_pools": 16,
            "retries": False,
            "timeout": TIMEOUT,
        }
        self._ca_file = ca_file
        self._clients: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def _client(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = ""
        if not proxy_bypass(parts.netloc):
            proxies = getproxies()
            proxy = proxies.get(parts.scheme) or proxies.get("all", "")
        is_encrypted = "https" in (parts.scheme, urlsplit(proxy).scheme)
        with self._lock:
            client = self._clients.get((proxy, is_encrypted))
            if client is None:
                client = self._clients[proxy, is_encrypted] = self._new_client(proxy, is_encrypted)
            return client

    def _new_client(self, proxy: str, is_encrypted: bool) -> urllib3.PoolManager:
        options = dict(self._options)
        if is_encrypted:  # to load the usual authorities takes as long as to start Python
            options["ssl_context"] = tls_context(self._ca_file)
        if proxy:
            return urllib3.ProxyManager(proxy, **options)
        return urllib3.PoolManager(**options)

    def send(
        self, url: str, headers: Mapping[str, str], method: str = "GET"
    ) -> tuple[urllib3.BaseHTTPResponse, str]:
        """Sends a request, follows redirects, and returns the answer and the address it is from.

        Raises:
            TransientError: no answer, or one that says to come again.
            Refused: any other answer than 2xx.
            DownloadError: the certificate is not trusted, or the address is wrong.
        """
        headers = {"Accept-Encoding": "identity", **headers}
        for _ in range(_MAX_REDIRECTS):
            host = urlsplit(url).netloc.rpartition("@")[2]
            try:
                response = self._client(url).request(
                    method, url, headers=headers, redirect=False, preload_content=False
                )
            except SSLError as exc:
                raise tls_error(host, exc) from exc
            except LocationValueError as exc:
                raise DownloadError(
                    Reason.BAD_ENDPOINT, f"bad address {without_secrets(url)}: {exc}"
                ) from exc
            except (HTTPError, OSError) as exc:
                raise TransientError(f"{host}: {short_text(exc)}") from exc
            if response.status not in _REDIRECTS:
                return _checked(response, host), url
            location = response.headers.get("Location", "")
            response.drain_conn()
            response.release_conn()
            target = urljoin(url, location)
            if _origin(target) != _origin(url):
                headers = {k: v for k, v in headers.items() if k.lower() not in _SECRET_HEADERS}
            url = target
        raise TransientError(f"{host} redirects in a circle")

    def open(
        self, url: str, headers: Mapping[str, str], start: int, end: int, size: int
    ) -> tuple[HttpReader, str]:
        """Opens a file at a byte.

        Args:
            url: address of the file.
            headers: headers for its host.
            start: first byte.
            end: the byte after the last one.
            size: bytes of the whole file, as listed.

        Returns:
            Its bytes, and the address after redirects.

        Raises:
            TransientError: another try may help.
            Refused: the server does not hand it out.
            DownloadError: the file has another size now, or TLS failed.
        """
        ranged = {**headers, "Range": f"bytes={start}-{end - 1}"}
        response, url = self.send(url, ranged)
        host = urlsplit(url).netloc.rpartition("@")[2]
        total, first = response.headers.get("Content-Length"), 0
        if response.status == 206:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            total, first = (match[3], int(match[1])) if match else (None, -1)
        fault = ""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            fault = "compresses the file although it was asked not to"
        elif first not in (0, start) or first > start:
            fault = "sends another part of the file than was asked for"
        if fault:
            response.close()
            raise TransientError(f"{host} {fault}")
        if total not in (None, "*", str(size)):
            response.close()
            raise DownloadError(
                Reason.CHANGED,
                f"a file has {total} bytes at {host}, and {size} in the listing",
                "it changed during the download; start again",
            )
        return HttpReader(response, start - first, host), url


def _checked(response: urllib3.BaseHTTPResponse, host: str) -> urllib3.BaseHTTPResponse:
    status = response.status
    if 200 <= status < 300:
        return response
    after = response.headers.get("Retry-After", "")
    headers = dict(response.headers)
    response.close()
    if status == 429 or status >= 500 or status == 408:
        final = None
        if status == 429:
            final = DownloadError(
                Reason.QUOTA,
                f"{host} limits the number of requests (429)",
                "wait, or set a token: its limit is higher than that of anonymous clients",
            )
        wait = float(after) if after.isdecimal() and len(after) < 6 else None
        raise TransientError(f"{host} answered {status}", wait, final)
    raise Refused(status, headers, host)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]
