"""A plain synchronous client of the API server: paths and dicts in, dicts out."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.values.meta import Object

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

_UNLIMITED = httpx.Limits(
    max_connections=None, max_keepalive_connections=None, keepalive_expiry=None
)
"""Threads share a client. Above a limit httpcore 1.0.9 closes a connection that another thread is
about to use, and that thread's request fails with "Bad file descriptor"."""


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
        self.client = httpx.Client(
            base_url=server,
            verify=ssl.create_default_context(cafile=str(ca_file)),
            headers={"Authorization": f"Bearer {token}", "User-Agent": "tests"},
            timeout=30,
            limits=_UNLIMITED,
            trust_env=False,
        )

    def close(self) -> None:
        """Closes the connections."""
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
    ) -> Object:
        """Sends one request and returns the object in the response.

        Raises:
            Refused: the response is an error.
            httpx.TransportError: there is no response.
        """
        response = self.client.request(
            method,
            path,
            content=None if body is None else json.dumps(body).encode(),
            headers={} if body is None else {"Content-Type": content_type},
            params=params,
        )
        try:
            parsed = response.json()
        except ValueError:
            parsed = {"message": response.text}
        if response.is_error:
            raise Refused(response.status_code, parsed)
        answer: Object = parsed
        return answer
