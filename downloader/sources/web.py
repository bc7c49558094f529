"""Files behind plain HTTP addresses that may expire: what all network sources share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from urllib.parse import urlsplit

from downloader.errors import DownloadError, TransientError
from downloader.http_client import Http, HttpReader, Refused
from downloader.sources.base import Listing, RemoteFile

_EXPIRED = frozenset({400, 401, 403, 404, 410})
"""What storage servers answer to a signed address that is too old."""


class WebSource(ABC):
    """Opens files by HTTP, and remembers where a hub redirects to.

    Args:
        http: the clients.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._found: dict[str, str] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def listing(self) -> Listing:
        """Returns all files of the model."""

    def described(self, file: RemoteFile) -> RemoteFile:
        """Returns the file as it is: the listing has all."""
        return file

    @abstractmethod
    def address(self, file: RemoteFile) -> tuple[str, Mapping[str, str]]:
        """Returns the address of a file, and headers for its host."""

    @abstractmethod
    def refusal(self, answer: Refused, file: RemoteFile) -> DownloadError:
        """Returns the failure for an answer to a request for a file."""

    def open(self, file: RemoteFile, start: int, end: int) -> HttpReader:
        """Returns the bytes from ``start`` up to, without, ``end``.

        Raises:
            DownloadError: the file cannot be read.
            TransientError: another try may help.
        """
        url, headers = self.address(file)
        with self._lock:
            known = self._found.get(file.path)
        try:
            if known and known != url:
                try:
                    # Redirects led there: the headers are for the first host only.
                    reader, _ = self._http.open(known, {}, start, end, file.size)
                    return reader
                except Refused as exc:
                    if exc.status not in _EXPIRED:
                        raise
            reader, final = self._http.open(url, headers, start, end, file.size)
        except Refused as exc:
            failure = self.refusal(exc, file)
            if exc.status in _EXPIRED and exc.host != urlsplit(url).netloc.rpartition("@")[2]:
                # A storage server that the hub has just named: a new link may help.
                raise TransientError(str(exc), final=failure) from exc
            raise failure from exc
        if final.partition("?")[0] != url.partition("?")[0]:
            with self._lock:
                self._found[file.path] = final
        return reader
