"""The two volumes of every pod: the cache that holds the weights, and shared memory."""

from __future__ import annotations

from app.apis.canonical import BackendForm
from app.apis.meta import Object
from app.apis.storage import SHARED_MEMORY_PATH, Cache, is_in_place

_WEIGHTS = "weights"
_SHARED_MEMORY = "dshm"
"""Engines hand tensors between their processes through it; the 64 MiB that a container gets by
itself are too few."""


def volumes(cache: Cache) -> list[Object]:
    """Returns the volumes of a pod."""
    return [
        {"name": _WEIGHTS, **cache.volume},
        {"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory"}},
    ]


def weights_mount(cache: Cache) -> Object:
    """Returns the cache's mount in a container that may write to it."""
    return {"name": _WEIGHTS, "mountPath": cache.path}


def engine_mounts(backend: BackendForm, cache: Cache) -> list[Object]:
    """Returns the mounts of an engine; it cannot write to a claim whose model is used in place."""
    weights = weights_mount(cache)
    if is_in_place(backend.model_uri):
        weights["readOnly"] = True
    return [weights, {"name": _SHARED_MEMORY, "mountPath": SHARED_MEMORY_PATH}]
