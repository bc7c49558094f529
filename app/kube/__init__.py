"""The API server: the only part of the program that knows kubernetes_asyncio and aiohttp."""

from app.kube.backoff import Backoff, Bucket, least_wait_seconds
from app.kube.client import FIELD_MANAGER, Kube, connect
from app.kube.jsonpatch import equality_tests
from app.kube.objects import Document, Event, ObjectList
from app.kube.responses import is_too_large_version, is_unknown_kind

__all__ = [
    "FIELD_MANAGER",
    "Backoff",
    "Bucket",
    "Document",
    "Event",
    "Kube",
    "ObjectList",
    "connect",
    "equality_tests",
    "is_too_large_version",
    "is_unknown_kind",
    "least_wait_seconds",
]
