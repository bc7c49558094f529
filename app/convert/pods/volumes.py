"""The two volumes of every pod: the cache that holds the weights, and shared memory."""

from __future__ import annotations

from app.convert.pods.inputs import WEIGHTS, PodInputs
from app.model.arguments import arguments
from app.model.environment import literal_values
from app.model.roles import Role
from app.model.storage import SHARED_MEMORY_PATH, Cache, is_in_place
from app.values.meta import Object

_SHARED_MEMORY = "dshm"
"""Engine processes share tensors through it; the default of 64 MiB is too small."""


def volumes(cache: Cache) -> list[Object]:
    """Returns the volumes of a pod."""
    return [
        {"name": WEIGHTS, **cache.volume},
        {"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory"}},
    ]


def engine_mounts(inputs: PodInputs, role: Role) -> list[Object]:
    """Returns the mounts of an engine.

    The cache is read-only, because engines only read models; other pods may share it, and it may be
    a directory of the node. Engines write compiled kernels and the code of models to their home
    directory. If an argument or a variable names a directory in the cache, the cache is writable.

    Raises:
        SpecError: ``config`` cannot be written as arguments.
    """
    weights = inputs.mount
    if is_in_place(inputs.backend.model_uri) or not _is_named(inputs.cache.path, inputs, role):
        weights = {**weights, "readOnly": True}
    return [weights, {"name": _SHARED_MEMORY, "mountPath": SHARED_MEMORY_PATH}]


def _is_named(folder: str, inputs: PodInputs, role: Role) -> bool:
    """Whether a variable or an argument of the user contains the path ``folder``."""
    values = literal_values(inputs.backend) if inputs.env else []
    return folder in "\0".join([*values, *arguments(role.worker).words])  # no path has a NUL
