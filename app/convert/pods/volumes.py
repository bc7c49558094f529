"""The two volumes of every pod: the cache that holds the weights, and shared memory."""

from __future__ import annotations

from app.convert.pods.inputs import PodInputs
from app.model.arguments import arguments
from app.model.roles import Role
from app.model.storage import SHARED_MEMORY_PATH, Cache, is_in_place
from app.values.meta import Object

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


def engine_mounts(inputs: PodInputs, role: Role) -> list[Object]:
    """Returns the mounts of an engine.

    An engine only reads models: the downloaders write them before it starts. So it cannot write to
    the cache, which other pods share and which may be a folder of the node. What an engine does
    write (compiled kernels, code of models) goes to its home, unless the user names a folder of
    the cache for it; then the cache stays writable.

    Raises:
        SpecError: ``config`` cannot be written as arguments.
    """
    cache = inputs.cache
    weights = weights_mount(cache)
    if is_in_place(inputs.backend.model_uri) or not _is_named(cache.path, inputs, role):
        weights["readOnly"] = True
    return [weights, {"name": _SHARED_MEMORY, "mountPath": SHARED_MEMORY_PATH}]


def _is_named(folder: str, inputs: PodInputs, role: Role) -> bool:
    """Whether the user names the folder, or one below it, in a variable or an argument."""
    texts = [str(entry.get("value") or "") for entry in inputs.env]
    return any(folder in text for text in [*texts, *arguments(role.worker).words()])
