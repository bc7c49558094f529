"""The client of the API server. No other part imports kubernetes_asyncio or aiohttp."""

from app.kube.backlog import Backlog
from app.kube.backoff import Backoff, TokenBucket, min_wait_seconds
from app.kube.client import FIELD_MANAGER, Kube, connect
from app.kube.connections.connection import Response
from app.kube.jsonpatch import equality_tests
from app.kube.objects import ApiDocument, Event, ObjectList
from app.kube.responses import is_too_large_version, is_unknown_kind

__all__ = [
    "FIELD_MANAGER",
    "ApiDocument",
    "Backlog",
    "Backoff",
    "Event",
    "Kube",
    "ObjectList",
    "Response",
    "TokenBucket",
    "connect",
    "equality_tests",
    "is_too_large_version",
    "is_unknown_kind",
    "min_wait_seconds",
]
