"""A plain synchronous client of the API server: paths and dicts in, dicts out."""

from __future__ import annotations

import json
import ssl
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import httpx
import urllib3
from urllib3.exceptions import HTTPError

from app.values.meta import Object

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

SECONDS = 30
"""How long an answer may take."""

KEPT = 256
"""Idle connections that are kept for the next requests."""


class NoAnswer(Exception):
    """There was no connection, or no whole answer on it."""


class Refused(Exception):
    """The API server answered with an error.

    Args:
        status: HTTP status code.
        body: the Status object, or the text that came instead.
    """

    def __init__(self, status: int, body: Object) -> None:
        super().__init__(f"{status} {body.get('reason', '')}: {body.get('message', body)}")
        self.status = status
        self.reason: str = body.get("reason", "")
        self.message: str = body.get("message", "")
        self.body = body

    @property
    def causes(self) -> list[Object]:
        """The faults that the server lists, each with field, reason and message."""
        found: list[Object] = self.body.get("details", {}).get("causes", [])
        return found


class Api:
    """One user's connection to the API server.

    Args:
        server: its URL.
        ca_file: what to trust.
        token: the user's bearer token.
    """

    def __init__(self, server: str, ca_file: Path, token: str) -> None:
        self._server = server
        self._trust = ssl.create_default_context(cafile=str(ca_file))
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "tests"}
        address = urlsplit(server)
        # Tests send hundreds of thousands of requests. httpx takes three times as long for each.
        self._pool = urllib3.HTTPSConnectionPool(
            address.hostname or "",
            address.port,
            maxsize=KEPT,
            ssl_context=self._trust,
            timeout=SECONDS,
            retries=False,
        )

    @cached_property
    def client(self) -> httpx.Client:
        """Connections for what ``request`` does not return: headers, and answers in pieces."""
        return httpx.Client(
            base_url=self._server,
            verify=self._trust,
            headers=self._headers,
            timeout=SECONDS,
            trust_env=False,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()
        if "client" in vars(self):  # it was used
            self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        params: dict[str, str] | None = None,
        accept: str = "*/*",
    ) -> Object:
        """Sends one request and returns the object in the response.

        Raises:
            Refused: the response is an error.
            NoAnswer: there is no response.
        """
        headers = {**self._headers, "Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self._pool.urlopen(
                method,
                f"{path}?{urlencode(params)}" if params else path,
                None if body is None else json.dumps(body).encode(),
                headers,
            )
        except HTTPError as exc:
            raise NoAnswer(f"{method} {path}: {exc}") from exc
        try:
            parsed = json.loads(response.data)
        except ValueError:
            parsed = {"message": response.data.decode(errors="replace")}
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(response.status, parsed)
        answer: Object = parsed
        return answer
