"""Reads the API server's audit log: who sent which request."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from uuid import uuid4
from weakref import WeakKeyDictionary

import orjson

from app.values.meta import Object
from tests.controlplane.plane import ControlPlane

LOST = timedelta(seconds=5)
"""A write without an answer after this time may never get one: its server was killed, perhaps."""

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request in the audit log.

    Args:
        user: who asked: ``system:serviceaccount:<namespace>:<name>`` for a service account.
        verb: the API's verb: get, list, watch, create, update, patch, delete, deletecollection.
        resource: plural name, ``""`` for a request to no resource (``/version``).
        subresource: ``status`` for instance, ``""`` if there is none.
        namespace: ``""`` for cluster-scoped objects and lists over all namespaces.
        name: ``""`` where the request names none; the server fills in the names of created objects.
        code: HTTP status code; 0 for a watch that has not ended.
        at: when the request came.
        answered_at: when the answer was complete; of a watch that has not ended, when it began.
        uri: path and query.
        agent: the client's User-Agent.
    """

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    at: datetime
    answered_at: datetime
    uri: str
    agent: str

    @property
    def is_write(self) -> bool:
        """Whether it is a write; a dry run is not."""
        return self.verb in WRITES and "dryRun=All" not in self.uri

    def __str__(self) -> str:
        path = "/".join(part for part in (self.resource, self.name, self.subresource) if part)
        return f"{self.code} {self.verb} {path or self.uri}"


def now(plane: ControlPlane) -> datetime:
    """Returns a moment by the server's clock after all that was answered before; for ``since``."""
    return _marker(plane).at


def requests(
    plane: ControlPlane,
    *,
    user: str | None = None,
    since: datetime | None = None,
    namespace: str | None = None,
) -> list[Request]:
    """Returns every answered request, in order of arrival.

    Args:
        plane: whose log to read.
        user: only this user's.
        since: only those after this moment, see ``now``.
        namespace: only those to objects of this namespace.
    """
    marker = _marker(plane)
    _await_writes(plane, marker.at)
    return sorted(
        (
            request
            for request in _read(plane)
            if (user is None or request.user == user)
            and (since is None or request.at > since)
            and (namespace is None or request.namespace == namespace)
        ),
        key=lambda request: request.at,
    )


def _marker(plane: ControlPlane) -> Request:
    """Sends a unique request and returns its entry in the log.

    The server writes a line as soon as the answer is complete. So whatever was answered before this
    is in the log when this is.
    """
    path = f"/version?marker={uuid4().hex}"
    plane.api.request("GET", path)
    # It is one of the last lines.
    return next(request for request in reversed(_read(plane)) if request.uri == path)


def _await_writes(plane: ControlPlane, before: datetime) -> None:
    """Waits until the writes that came before a moment are answered.

    Others see what a write did before its own answer is complete, which is when it is logged.
    """
    while any(at < before and datetime.now(UTC) - at < LOST for at in _log(plane).unanswered()):
        time.sleep(0.01)


def _read(plane: ControlPlane) -> list[Request]:
    return _log(plane).read()


def _log(plane: ControlPlane) -> _Log:
    return _LOGS.setdefault(plane, _Log(plane.audit_log))


class _Log:
    """An audit log that is parsed once: that of a test run has hundreds of thousands of lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._requests: dict[str, Request] = {}  # a watch has two entries: its begin and its end
        self._unanswered: dict[str, datetime] = {}  # a write too: its arrival and its end
        self._lock = Lock()  # tests read it in threads

    def read(self) -> list[Request]:
        """Returns all requests so far."""
        with self._lock, self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # not yet complete
                self._offset += len(line)
                event = orjson.loads(line)
                identity = event["auditID"]
                if event["stage"] == "RequestReceived":
                    self._unanswered[identity] = _time(event["requestReceivedTimestamp"])
                else:
                    self._unanswered.pop(identity, None)
                    self._requests[identity] = _request(event)
            return list(self._requests.values())

    def unanswered(self) -> list[datetime]:
        """Returns when each write arrived that is not answered."""
        self.read()
        with self._lock:
            return list(self._unanswered.values())


_LOGS: WeakKeyDictionary[ControlPlane, _Log] = WeakKeyDictionary()


def _request(event: Object) -> Request:
    ended = event["stage"] != "ResponseStarted"
    ref = event.get("objectRef", {})
    return Request(
        user=event["user"].get("username", ""),
        verb=event["verb"],
        group=ref.get("apiGroup", ""),
        resource=ref.get("resource", ""),
        subresource=ref.get("subresource", ""),
        namespace=ref.get("namespace", ""),
        name=ref.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0) if ended else 0,
        at=_time(event["requestReceivedTimestamp"]),
        answered_at=_time(event["stageTimestamp"]),
        uri=event["requestURI"],
        agent=event.get("userAgent", ""),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
